/* tokenize_batch.c: runs the runtime's tokenizer over many texts in one call, so that the time and the answers that
 * benchmarks/tokenizer.py sees are the tokenizer's own and not those of a call from Python for each text. */
#include "tokenizer.h"

/* Texts lie end to end; text i ends where text_ends[i] says. The ids of all texts lie end to end in `ids`, which holds
 * count * capacity of them; those of text i end at id_ends[i]. Returns 0, or 1 when the section is refused. */
int tokenize_batch(const uint8_t *section, uint64_t section_bytes, const char *texts, const uint64_t *text_ends,
                   uint64_t count, int add_special, uint64_t capacity, int32_t *ids, uint64_t *id_ends) {
    exl__tokenizer tokenizer;
    uint64_t from = 0, written = 0;
    if (exl__tokenizer_init(&tokenizer, section, (size_t)section_bytes) != 0)
        return 1;
    for (uint64_t i = 0; i < count; i++) {
        written += exl__tokenize(&tokenizer, texts + from, (size_t)(text_ends[i] - from), add_special, ids + written,
                                 (size_t)capacity);
        id_ends[i] = written;
        from = text_ends[i];
    }
    return 0;
}
