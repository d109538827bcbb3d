/* fuzz_strings.c: the text store: every string is read, into too little room and enough, and prefixes are looked for.
 *
 * Input: how many strings are expected (2 bytes), a prefix's length (1 byte), the prefix, then the section. */
#include "fuzz.h"

#include "../src/strings.h"

enum { MOST_STRINGS = 400, ROOM = 1 << 16 };

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count, (void)arguments;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char out[ROOM], again[ROOM];
    input from = {data, size};
    uint32_t expected = take(&from, 2), found[6], count;
    size_t prefix_bytes = take(&from, 1), length, bytes, cut;
    char *prefix;
    uint8_t *section;
    exl__strings strings;

    prefix_bytes = prefix_bytes < from.left ? prefix_bytes : from.left;
    prefix = (char *)take_exactly(&from, prefix_bytes);
    length = from.left;
    section = take_exactly(&from, length);
    if (exl__strings_init(&strings, section, length, expected) == EXL__STRINGS_OK) {
        MUST(strings.count == expected);
        for (uint32_t i = 0; i < expected && i < MOST_STRINGS; i++) {
            int status = exl__strings_get(&strings, i, out, sizeof out, &bytes);
            MUST(bytes <= strings.longest_bytes);
            if (status != EXL__STRINGS_OK || bytes < 2 || i > 3)
                continue;
            MUST(exl__strings_get(&strings, i, again, bytes / 2, &cut) == EXL__STRINGS_TOO_SMALL);
            MUST(cut == bytes && memcmp(again, out, bytes / 2) == 0);
        }
        (void)exl__strings_prefix(&strings, prefix, prefix_bytes, 0, found, 6, &count);
        (void)exl__strings_with_bytes(&strings, prefix, prefix_bytes, 0, found, 6, &count);
    }
    free(section);
    free(prefix);
    return 0;
}
