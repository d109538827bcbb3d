/* tokenizer.h: WordPiece, exactly as Hugging Face's BERT tokenizers do it, out of the tables of a bundle's tokenizer
 * section (docs/format.md, "Tokenizer section"; written by edgexl/bundle/tokenizer.py).
 *
 * Nothing is allocated and nothing is copied: the struct points into the section, which must outlive it. After init the
 * struct is read-only, so threads share it. The bytes need no alignment.
 */
#ifndef EXL_TOKENIZER_H
#define EXL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

/* Longest word and longest piece that a section may ask for; exl__tokenize's stack use (about 3 KiB) follows from them.
 */
enum { EXL__MAX_WORD_CHARS = 256, EXL__MAX_PIECE_BYTES = 255 };

/* Pieces that stand at a word's start (heads) or inside a word (tails): an open-addressing hash table. */
typedef struct exl__pieces {
    const uint8_t *slots; /* u32[slot_count] */
    uint32_t slot_count;
    uint32_t longest_bytes;
    uint32_t basis; /* start value of the hash */
} exl__pieces;

typedef struct exl__tokenizer {
    uint32_t vocabulary; /* every id that comes out is below it */
    uint32_t prefix_id;  /* [CLS] */
    uint32_t suffix_id;  /* [SEP] */
    uint32_t unknown_id; /* [UNK] */
    uint32_t max_word_chars;
    exl__pieces heads;
    exl__pieces tails;
    const uint8_t *page_of;    /* u16[8704]: a page of the character table for each 128 code points */
    const uint8_t *pages;      /* u16[pages][128] */
    const uint8_t *expansions; /* u16[expansions + 1]: where an expansion's items start */
    const uint8_t *items;      /* u32[items] */
    const uint8_t *records;    /* the pieces' ids and bytes */
    const uint8_t *added;      /* u32[added_count + 1]: where an added token's record starts */
    const uint8_t *added_records;
    uint16_t added_from[257]; /* added tokens whose first byte is b: added_from[b] up to added_from[b + 1] */
    uint8_t step[256];        /* what to do on a byte, ASCII's part of the character table: see tokenizer.c */
} exl__tokenizer;

/* Checks all of a section (it may be hostile) and points t into it. Null = well formed, else the name of the field (of
 * docs/format.md) that is wrong, and t must not be used. The section must have exactly `length` bytes. */
const char *exl__tokenizer_init(exl__tokenizer *t, const uint8_t *bytes, size_t length);

/* Writes at most `capacity` token ids of a text and returns how many. With add_special they are [CLS] .. [SEP], closed
 * by [SEP] when truncated too; none are written when capacity is below 2. Without, the first `capacity` pieces. Reading
 * stops when the capacity is used up. Bytes that are not UTF-8 count as U+FFFD, one for each maximal invalid subpart
 * (the replacement that Unicode recommends and that Python's errors="replace" makes). `text` may be null when
 * text_bytes is 0. */
size_t exl__tokenize(const exl__tokenizer *t, const char *text, size_t text_bytes, int add_special, int32_t *ids,
                     size_t capacity);

#endif
