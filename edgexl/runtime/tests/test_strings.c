/* test_strings.c: the string decoder on a section written out by hand, cut to every length, and with every byte
 * changed. Sections are allocated to the byte, so that the address sanitizer sees a read beyond one.
 *
 *     test_strings [SECTION ...]    also decodes the given files with random bytes changed */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../src/strings.h"

enum { FIXED = 32 + 256 + 2048, COUNT = 65, LONGEST = 28 };

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static void put_u32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

#define EIGHT(what) what, what, what, what, what, what, what, what
// clang-format off: a line says what it stands for
static const char *const expected[COUNT] = {
    "", "mark", "markers", "markerX", "marksererererererersssssssss", "marksererererere", "", "",
    EIGHT(""), EIGHT(""), EIGHT(""), EIGHT(""), EIGHT(""), EIGHT(""), EIGHT(""), "marker"};

/* `expected`, written out by hand after docs/format.md. */
static uint8_t *example(size_t *length) {
    static const uint8_t data[] = {
        0x00,                                /* "" */
        0x01, 0,                             /* mark */
        0x42, 1,   2,                        /* 4 shared: mark + er + s */
        0x62, 255, 'X',                      /* 6 shared: marker + an escaped X */
        0x4f, 2,   2,   1, 1, 1, 1, 1, 1, 1, /* 4 shared, 15 + 2 codes: mark + s + 7 x er ... */
        2,    2,   2,   2, 2, 2, 2, 2, 2,    /* ... + 9 x s */
        0xf0, 1,                             /* 15 + 1 shared, no codes */
        0, 0, EIGHT(0), EIGHT(0), EIGHT(0), EIGHT(0), EIGHT(0), EIGHT(0), EIGHT(0), /* empty strings fill the block */
        0x02, 0,   1                         /* the second block: mark + er */
    };
    // clang-format on
    uint8_t *bytes;
    *length = FIXED + 12 + sizeof data;
    bytes = calloc(1, *length);
    put_u32(bytes, COUNT);
    put_u32(bytes + 4, LONGEST);
    put_u32(bytes + 8, 3);
    put_u32(bytes + 12, sizeof data);
    memcpy(bytes + 32, "\4\2\1", 3);
    memcpy(bytes + 288, "mark\0\0\0\0er\0\0\0\0\0\0s", 17);
    put_u32(bytes + FIXED + 4, sizeof data - 3);
    put_u32(bytes + FIXED + 8, sizeof data);
    memcpy(bytes + FIXED + 12, data, sizeof data);
    return bytes;
}

/* All strings at several capacities; 0 when what comes back is consistent, whatever it is. */
static int decode_all(const exl__strings *s) {
    static const size_t capacities[] = {0, 1, 5, 8, 9, 31};
    int failures = 0;
    char *whole = malloc(s->longest_bytes + 1);
    for (uint32_t i = 0; i < s->count; i++) {
        size_t bytes = 99, cut_bytes = 99;
        int status = exl__strings_get(s, i, whole, s->longest_bytes, &bytes);
        failures += status == EXL__STRINGS_TOO_SMALL || bytes > s->longest_bytes;
        failures += status == EXL__STRINGS_MALFORMED && bytes != 0;
        for (size_t c = 0; c < sizeof capacities / sizeof *capacities; c++) {
            size_t room = capacities[c];
            char *cut = malloc(room ? room : 1);
            int cut_status = exl__strings_get(s, i, cut, room, &cut_bytes);
            size_t written = bytes < room ? bytes : room;
            failures += cut_bytes != bytes || memcmp(cut, whole, written) != 0;
            failures += cut_status != (status == EXL__STRINGS_OK && bytes > room ? EXL__STRINGS_TOO_SMALL : status);
            free(cut);
        }
    }
    free(whole);
    return failures;
}

static char lower(char letter) { return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter; }

static int begins(const char *text, const char *prefix, size_t bytes) {
    for (size_t i = 0; i < bytes; i++)
        if (text[i] == 0 || lower(text[i]) != lower(prefix[i]))
            return 0;
    return 1;
}

/* Every beginning of every string, as it is and in the other case, from every string on, at two capacities. */
static int check_prefixes(const exl__strings *s) {
    char prefix[LONGEST + 2];
    uint32_t found[COUNT], count;
    int failures = 0;
    for (uint32_t of = 0; of < COUNT; of++)
        for (size_t bytes = 0; bytes <= strlen(expected[of]) + 1; bytes++)
            for (int way = 0; way < 2; way++)
                for (uint32_t from = 0; from < COUNT; from++)
                    for (uint32_t capacity = 2; capacity <= COUNT; capacity += COUNT - 2) {
                        uint32_t wanted = 0;
                        strcpy(prefix, expected[of]);
                        strcat(prefix, "s");
                        for (size_t i = 0; way && i < bytes; i++)
                            prefix[i] =
                                (char)(prefix[i] == lower(prefix[i]) ? prefix[i] - 'a' + 'A' : lower(prefix[i]));
                        failures += exl__strings_prefix(s, prefix, bytes, from, found, capacity, &count) != 0;
                        for (uint32_t i = from; i < COUNT && wanted < capacity; i++)
                            if (begins(expected[i], prefix, bytes))
                                failures += wanted >= count || found[wanted++] != i;
                        failures += wanted != count;
                    }
    if (failures)
        printf("strings: %d prefixes find other strings\n", failures);
    return failures;
}

/* Prefixes of damaged strings find what they find, within the array. */
static void try_prefixes(const exl__strings *s) {
    uint32_t found[4], count;
    for (uint32_t from = 0; from < s->count; from += 7)
        for (size_t bytes = 0; bytes < 7; bytes++)
            for (int way = 0; way < 3; way++)
                (void)(way < 2 ? exl__strings_prefix : exl__strings_with_bytes)(
                    s, way ? "m\xC3\xA9rker" : "marker", bytes, from, found, 1 + from % 4, &count);
}

static int decode_copy(const uint8_t *bytes, size_t length, uint32_t count) {
    exl__strings s;
    uint8_t *copy = malloc(length ? length : 1);
    memcpy(copy, bytes, length);
    int is_sound = exl__strings_init(&s, copy, length, count) == EXL__STRINGS_OK;
    int failures = is_sound ? decode_all(&s) : 0;
    if (is_sound)
        try_prefixes(&s);
    free(copy);
    return failures;
}

/* The example decodes to `expected`; cut short or with any one byte changed, it decodes to anything or is refused. */
static int check_example(void) {
    static const uint8_t changes[] = {1, 2, 15, 16, 127, 128, 255};
    size_t length, got;
    uint8_t *bytes = example(&length);
    char out[LONGEST];
    exl__strings s;
    int failures = exl__strings_init(&s, bytes, length, COUNT) != EXL__STRINGS_OK;
    for (uint32_t i = 0; i < COUNT && !failures; i++) {
        failures += exl__strings_get(&s, i, out, sizeof out, &got) != EXL__STRINGS_OK;
        failures += got != strlen(expected[i]) || memcmp(out, expected[i], got) != 0;
    }
    if (failures)
        printf("strings: the example does not decode\n");
    failures += check_prefixes(&s);
    failures += exl__strings_get(&s, COUNT, out, sizeof out, &got) != EXL__STRINGS_MALFORMED;
    failures += exl__strings_init(&s, bytes, length, COUNT + 1) != EXL__STRINGS_MALFORMED;
    for (size_t cut = 0; cut < length; cut++)
        failures += exl__strings_init(&s, bytes, cut, COUNT) != EXL__STRINGS_MALFORMED;
    for (size_t at = 0; at < length; at++)
        for (size_t c = 0; c < sizeof changes; c++) {
            bytes[at] ^= changes[c];
            failures += decode_copy(bytes, length, COUNT);
            bytes[at] ^= changes[c];
        }
    free(bytes);
    return failures;
}

/* The section with some bytes at `at` changed, and so many bytes more or less: whether it is taken as wanted. */
static int check_change(size_t at, const char *bytes, size_t changed, int more, int wanted) {
    size_t length;
    uint8_t *section = example(&length), *other = calloc(1, length + 8);
    exl__strings s;
    int found;

    memcpy(other, section, length);
    memcpy(other + at, bytes, changed);
    found = exl__strings_init(&s, other, length + (size_t)more, COUNT);
    if (found != wanted)
        printf("strings: changed at byte %zu, the section is%s taken\n", at, found == EXL__STRINGS_OK ? "" : " not");
    free(section);
    free(other);
    return found != wanted;
}

#define TAKEN(at, bytes) check_change(at, bytes, sizeof bytes - 1, 0, EXL__STRINGS_OK)
#define REFUSED(at, bytes) check_change(at, bytes, sizeof bytes - 1, 0, EXL__STRINGS_MALFORMED)

/* The last value that each rule takes, and the first that it refuses. */
static int check_limits(void) {
    enum { LENGTHS = 32, SYMBOLS = 288 };
    size_t length;
    uint8_t *bytes = example(&length);
    exl__strings s;
    int failures = 0;

    failures += TAKEN(4, "\xff\xff\0\0") + REFUSED(4, "\0\0\1\0");
    for (size_t at = 16; at < 32; at++)
        failures += REFUSED(at, "\1");
    failures += REFUSED(LENGTHS, "\3") + REFUSED(LENGTHS, "\5") + REFUSED(LENGTHS, "\0");
    failures += REFUSED(SYMBOLS + 8, "er\0\0\0\0\0x") + REFUSED(SYMBOLS + 8, "e\0") + REFUSED(SYMBOLS + 8, "er\1");
    failures += REFUSED(LENGTHS + 3, "\1") + REFUSED(SYMBOLS + 24, "s"); /* a symbol behind the last one */
    failures += REFUSED(LENGTHS + 255, "\1") + REFUSED(SYMBOLS + 8 * 255, "s");
    failures += REFUSED(8, "\2") + REFUSED(8, "\4") + REFUSED(8, "\0\1");
    failures += REFUSED(FIXED, "\1") + REFUSED(FIXED + 8, "\1");
    failures += check_change(0, "", 0, 1, EXL__STRINGS_MALFORMED) + check_change(0, "", 0, -1, EXL__STRINGS_MALFORMED);
    failures += REFUSED(12, "\1"); /* bytes of data that are not there */
    failures += exl__strings_init(&s, bytes, length, 0) != EXL__STRINGS_MALFORMED;
    memset(bytes + LENGTHS, 1, 255); /* every code a symbol, but for the one that escapes */
    memset(bytes + SYMBOLS, 0, 2048);
    for (size_t code = 0; code < 255; code++)
        bytes[SYMBOLS + 8 * code] = (uint8_t)(1 + code);
    put_u32(bytes + 8, 255);
    failures += exl__strings_init(&s, bytes, length, COUNT) != EXL__STRINGS_OK;
    bytes[LENGTHS + 7] = 8;
    memcpy(bytes + SYMBOLS + 8 * 7, "eight is", 8);
    failures += exl__strings_init(&s, bytes, length, COUNT) != EXL__STRINGS_OK;
    bytes[LENGTHS + 7] = 9;
    failures += exl__strings_init(&s, bytes, length, COUNT) != EXL__STRINGS_MALFORMED;
    bytes[LENGTHS + 7] = 8, bytes[LENGTHS + 255] = 1, bytes[SYMBOLS + 8 * 255] = 'x';
    put_u32(bytes + 8, 256);
    failures += exl__strings_init(&s, bytes, length, COUNT) != EXL__STRINGS_MALFORMED;
    free(bytes);
    return failures;
}

static int check_file(const char *path) {
    FILE *file = fopen(path, "rb");
    long size = file && fseek(file, 0, SEEK_END) == 0 ? ftell(file) : -1;
    int failures = 0;
    if (size < FIXED || fseek(file, 0, SEEK_SET) != 0) {
        printf("strings: cannot read %s\n", path);
        return 1;
    }
    uint8_t *bytes = malloc((size_t)size);
    if (fread(bytes, 1, (size_t)size, file) != (size_t)size)
        failures++;
    fclose(file);
    uint32_t count = (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    failures += decode_copy(bytes, (size_t)size, count);
    for (int round = 0; round < 500; round++) {
        size_t at[3];
        uint8_t was[3];
        for (int i = 0; i < 3; i++) {
            at[i] =
                i == 0 && round % 4 == 0 ? draw(32) : FIXED - 2304 * (round % 3 == 0) + draw((uint32_t)size - FIXED);
            was[i] = bytes[at[i]];
            bytes[at[i]] = (uint8_t)draw(256);
        }
        failures += decode_copy(bytes, (size_t)size, count);
        for (int i = 3; i-- > 0;)
            bytes[at[i]] = was[i];
    }
    free(bytes);
    return failures;
}

int main(int count, char **paths) {
    int failures = check_example() + check_limits();
    for (int i = 1; i < count; i++)
        failures += check_file(paths[i]);
    printf("strings: %d failures\n", failures);
    return failures != 0;
}
