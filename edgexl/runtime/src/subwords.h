/* subwords.h: Unigram, byte-pair encoding, and WordPiece with any normalizer, exactly as Hugging Face's tokenizers do
 * them, out of a bundle's tables (docs/format.md, "Tokenizer section").
 *
 * Nothing is allocated: a call takes about 24 KiB of stack. Time is linear in what is read: a word of any length goes
 * through a window, whose ids are given out as soon as nothing behind can change them. */
#ifndef EXL_SUBWORDS_H
#define EXL_SUBWORDS_H

#include "spelling.h"

enum { EXL__UNIGRAM = 2, EXL__BPE = 3, EXL__WORDPIECE = 4, EXL__NO_ID = 0xFFFFFF };

typedef struct exl__subwords {
    exl__spelling spelling;
    const uint8_t *slots;    /* u32[slot_count]: 8 bits of the hash, 1 + the record's place */
    const uint8_t *prefixes; /* bits: which hashes are those of a piece's beginning */
    const uint8_t *records;  /* u24 id, u8 length, u8 whether it is the encoding of itself (WordPiece:
                                stands inside words), the bytes */
    const uint8_t *scores;   /* Unigram: f32 or f64 an id */
    const uint8_t *merges;   /* BPE: u24[merge_slots][4]: left, right, rank, what they become */
    const uint8_t *made_by;  /* BPE: u32 an id: 1 + the slot of its last merge, 0: a character */
    const uint8_t *bytes;    /* byte-level BPE, byte fallback: u32[256] ids; EXL__NO_ID in the former: gone */
    const uint8_t *pairs;    /* BPE: 65536 bits: which pairs of characters, hashed, can merge; null: any */
    double unknown_score;
    uint32_t kind, slot_count, prefix_bits, merge_slots, ids, unknown_id, longest_bytes, word_chars;
    uint8_t wide_scores, byte_level, byte_fallback, fuse_unknown, ignore_merges;
} exl__subwords;

const char *exl__subwords_init(exl__subwords *s, uint32_t kind, const uint8_t *at, const uint8_t *end,
                               uint32_t vocabulary);

/* Writes at most `capacity` ids of a prompt and the text behind it, and returns how many. */
size_t exl__subwords_read(const exl__subwords *s, const uint8_t *prompt, size_t prompt_bytes, const uint8_t *text,
                          size_t text_bytes, int32_t *ids, size_t capacity);

#endif
