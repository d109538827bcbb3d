/* tokenizer.h: token ids exactly as Hugging Face's tokenizers give them, out of the tables of a bundle's tokenizer
 * section (docs/format.md, "Tokenizer section"; written by edgexl/bundle/tokenizer.py): BERT's WordPiece here, Unigram
 * and byte-pair encoding in subwords.h.
 *
 * Nothing is allocated and nothing is copied: the struct points into the section, which must outlive it. After init the
 * struct is read-only, so threads share it. The bytes need no alignment.
 */
#ifndef EXL_TOKENIZER_H
#define EXL_TOKENIZER_H

#include <stddef.h>
#include <stdint.h>

#include "subwords.h"

/* Longest word and longest piece that WordPiece may ask for; its stack use (about 3 KiB) follows from them. */
enum { EXL__MAX_WORD_CHARS = 256, EXL__MAX_PIECE_BYTES = 255, EXL__MOST_AROUND = 4 };

/* As what a text is read: as its pieces alone, or with special tokens around it behind the prompt of queries or labels.
 */
typedef enum exl__text_role { EXL__AS_PIECES = 0, EXL__AS_QUERY = 1, EXL__AS_LABEL = 2 } exl__text_role;

/* Pieces that stand at a word's start (heads) or inside a word (tails): an open-addressing hash table. */
typedef struct exl__pieces {
    const uint8_t *slots; /* u32[slot_count] */
    uint32_t slot_count;
    uint32_t longest_bytes;
    uint32_t basis; /* start value of the hash */
} exl__pieces;

typedef struct exl__tokenizer {
    uint32_t vocabulary; /* every id that comes out is below it */
    uint32_t prefix_count, suffix_count;
    uint32_t prefix[EXL__MOST_AROUND], suffix[EXL__MOST_AROUND]; /* [CLS] and [SEP], or what stands for them */
    const uint8_t *prompts[3];                                   /* by exl__text_role */
    uint32_t prompt_bytes[3];
    uint32_t kind;       /* 1: all below but `subwords`, which is for the others */
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
    exl__subwords subwords;
} exl__tokenizer;

/* Checks all of a section (it may be hostile) and points t into it. Null = well formed, else the name of the field (of
 * docs/format.md) that is wrong, and t must not be used. The section must have exactly `length` bytes. */
const char *exl__tokenizer_init(exl__tokenizer *t, const uint8_t *bytes, size_t length);

/* Writes at most `capacity` token ids of a text and returns how many. As a query or a label it is read behind its
 * prompt, and special tokens stand around it, when it is truncated too; none are written when the capacity is below
 * their number. As pieces: the first `capacity` of them. Reading stops when the capacity is used up. Bytes that are not
 * UTF-8 count as U+FFFD, one for each maximal invalid subpart (the replacement that Unicode recommends and that
 * Python's errors="replace" makes). `text` may be null when text_bytes is 0. */
size_t exl__tokenize(const exl__tokenizer *t, const char *text, size_t text_bytes, exl__text_role role, int32_t *ids,
                     size_t capacity);

/* Cuts ids that a query or a label gave with more room to `most`, the special tokens behind them put back. */
void exl__cut_tokens(const exl__tokenizer *t, int32_t *ids, size_t most);

#endif
