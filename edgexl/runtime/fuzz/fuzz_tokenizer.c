/* fuzz_tokenizer.c: a tokenizer section that is admitted gives ids of its vocabulary, as many as there is room for.
 *
 * Input: the text's length (2 bytes), the text, then the section. */
#include "fuzz.h"

#include "../src/tokenizer.h"

enum { ROOM = 600 };

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count, (void)arguments;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    size_t text_bytes = take(&from, 2), length;
    char *text = (char *)take_exactly(&from, text_bytes < from.left ? text_bytes : from.left);
    uint8_t *section;
    exl__tokenizer tokenizer;

    text_bytes = text_bytes < size - 2 - from.left ? text_bytes : size - 2 - from.left;
    length = from.left;
    section = take_exactly(&from, length);
    if (size > 2 && !exl__tokenizer_init(&tokenizer, section, length))
        for (exl__text_role role = EXL__AS_PIECES; role <= EXL__AS_LABEL; role++)
            for (size_t capacity = 1; capacity <= ROOM; capacity = 3 * capacity + 1) {
                int32_t *ids = malloc(capacity * sizeof *ids);
                size_t count = exl__tokenize(&tokenizer, text, text_bytes, role, ids, capacity);
                MUST(count <= capacity);
                for (size_t i = 0; i < count; i++)
                    MUST(ids[i] >= 0 && (uint32_t)ids[i] < tokenizer.vocabulary);
                if (role != EXL__AS_PIECES && count == capacity && capacity > 8)
                    exl__cut_tokens(&tokenizer, ids, capacity - 1);
                free(ids);
            }
    free(section);
    free(text);
    return 0;
}
