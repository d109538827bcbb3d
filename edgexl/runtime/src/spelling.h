/* spelling.h: from a text's bytes to normalised characters in words, for the tokenizers other than BERT's: what Hugging
 * Face's normalizer, added tokens and pre-tokenizer make of a text, out of tables (docs/format.md, "Tokenizer
 * section").
 *
 * A reader is pulled, a character at a time. It is a plain struct of about 1 KiB: a copy of it reads on from the same
 * place, which is how everything that depends on what follows is decided without storing the text. */
#ifndef EXL_SPELLING_H
#define EXL_SPELLING_H

#include <stddef.h>
#include <stdint.h>

/* A table of a value for each code point, by pages of 128. */
typedef struct exl__code_points {
    const uint8_t *page_of; /* u16[8704] */
    const uint8_t *pages;   /* u16 or u8 [pages][128] */
} exl__code_points;

/* Characters that stand for one: u16[count + 1] places in items. */
typedef struct exl__expansions {
    const uint8_t *starts;
    const uint8_t *items; /* u32 */
} exl__expansions;

/* Added tokens by first byte: as in version 1, each record with a byte of options behind its id. */
typedef struct exl__added {
    const uint8_t *starts; /* u32[count + 1] */
    const uint8_t *records;
    uint16_t from[257];
} exl__added;

enum {
    EXL__ORDER_AS_IS = 0,
    EXL__ORDER_GRAPHEMES = 1, /* a charsmap of SentencePiece, which maps graphemes of less than 6 bytes whole */
    EXL__ORDER_CANONICAL = 2, /* Unicode's canonical order, and composition where there are pairs */

    EXL__COLLAPSE_SPACES = 1, /* two or more U+0020 become one replacement */
    EXL__COLLAPSE_WHITE = 2,  /* one or more white characters do */

    EXL__MARK_ALWAYS = 1, /* a mark before each part of a text, unless it begins with one */
    EXL__MARK_FIRST = 2,  /* only where the part begins the text */
    EXL__MARK_ANYWAY = 3, /* whether it begins with one or not */

    EXL__SPLIT_NONE = 0,
    EXL__SPLIT_AT_MARKS = 1, /* a word begins at each mark */
    EXL__SPLIT_AT_WHITE = 2, /* white characters part words and are gone; then as above */
    EXL__SPLIT_GPT2 = 3,     /* GPT-2's regular expression */
    EXL__SPLIT_BERT = 4,     /* white characters part words and are gone; punctuation is words of its own */

    EXL__NORMAL_MOST_MARKS = 128 /* that are put in canonical order; in a longer run each such part is by itself */
};

typedef struct exl__spelling {
    uint8_t order, collapse, strip_left, strip_right, start, split, digits_alone, mark_spaces, has_tail;
    uint32_t mark, collapsed; /* code points */
    exl__code_points map, tail, classes;
    exl__expansions expansions;
    const uint8_t *sequences; /* u32[count][4]: two or three characters (the third may be 0) and what they become */
    uint32_t sequence_count;
    exl__added literal, normal;
    int has_normal;
} exl__spelling;

typedef struct exl__text_reader {
    const exl__spelling *spelling;
    const uint8_t *at, *end, *next, *next_end; /* a part of the text: of the prompt and of what follows it */
    uint32_t item, item_end;                   /* of the map's expansion that is given out */
    uint32_t tail_item, tail_item_end;
    uint32_t known_white; /* so many white characters, the next one among them, are followed by another */
    uint32_t chars_left;  /* of a grapheme that is mapped character by character */
    uint8_t cluster, in_long_cluster, flags, ended;
    int32_t pending; /* a character read ahead by collapsing; -1: none */
    int32_t starter; /* canonical order: read but not yet given out; -1: none */
    uint32_t starter_kind;
    uint16_t queue_at, queue_count;
    int32_t queue[EXL__NORMAL_MOST_MARKS + 1];
} exl__text_reader;

/* What exl__next_character gives besides characters. */
enum { EXL__TEXT_ENDS = -1, EXL__TEXT_TOKEN = -2 };

typedef struct exl__word_reader {
    exl__text_reader text;
    const uint8_t *begin[2], *stop[2], *rest[2]; /* the prompt, the text; what is behind the part that `text` reads */
    int32_t ahead[4];
    uint8_t ahead_count, run, begun, part_begun, first_part, forced, literal_waits;
    uint32_t literal_id; /* of the added token behind the part */
    uint32_t token_id;   /* what EXL__TEXT_TOKEN stands for */
    int32_t last;        /* the character before, for added tokens that are words of their own */
    uint32_t ahead_id;
} exl__word_reader;

/* Checks a section's part and points `s` into it; *at goes behind it. Null, or the name of the field that is wrong. */
const char *exl__spelling_init(exl__spelling *s, const uint8_t *header, const uint8_t **at, const uint8_t *end,
                               uint32_t vocabulary);

/* Reads a prompt and the text behind it as one text. */
void exl__word_reader_start(exl__word_reader *reader, const exl__spelling *spelling, const uint8_t *prompt,
                            size_t prompt_bytes, const uint8_t *text, size_t text_bytes);

/* The next normalised character, EXL__TEXT_TOKEN or EXL__TEXT_ENDS; *begins: whether a word begins with it. */
int32_t exl__next_character(exl__word_reader *reader, int *begins);

#endif
