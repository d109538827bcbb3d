/* lexical.h: the lexical side of screening (docs/format.md, "Lexical section"): rows by the words that they share with
 * a query, however these are spelled. Integers, and f32 in one order: the same bits on every processor. */
#ifndef EXL_LEXICAL_H
#define EXL_LEXICAL_H

#include <stddef.h>
#include <stdint.h>

#include "memory.h"
#include "rank.h"
#include "words.h"

enum {
    EXL__LEXICAL_WORDS = 63,   /* of a query */
    EXL__LEXICAL_MATCHES = 32, /* of a word */
    EXL__LEXICAL_FEATURES = 8,
    EXL__LEXICAL_TOUCHED = 131072 /* rows at most that a query looks at */
};

/* A section's tables, in place. Its numbers are checked as they are read, so that any bytes are safe. */
typedef struct exl__lexical {
    uint32_t rows, terms, dense, listed, features;
    uint32_t bitmap_words; /* of a dense term */
    uint32_t row_bytes;    /* of a single term's row */
    const float *inverse_norms;
    const uint32_t *term_starts, *feature_starts, *bitmaps;
    const uint8_t *singles, *sizes, *norms, *term_lists, *feature_lists;
    uint32_t term_bytes, feature_bytes;
} exl__lexical;

typedef struct exl__lexical_match {
    uint32_t term;
    uint32_t similarity; /* 4096: 1 */
    uint32_t idf;        /* in 1/256 */
    uint32_t points;     /* that a row with the term has of it */
} exl__lexical_match;

typedef struct exl__lexical_word {
    exl__word word;
    exl__lexical_match matches[EXL__LEXICAL_MATCHES]; /* descending in points once the query is weighed */
    uint32_t match_count;
    uint32_t best; /* similarity */
    uint32_t idf, norm_idf;
    uint32_t mixed; /* the flag of a word that both a dense and another term match, or 0 */
    int known;
} exl__lexical_word;

/* A match of a dense term, whose rows are looked up. */
typedef struct exl__lexical_dense {
    uint32_t term, points, mixed, word;
} exl__lexical_dense;

/* What a query works in, and what is known of the last one. */
typedef struct exl__lexical_scratch {
    uint8_t *counts;   /* [terms, filled up]: 0 but while a word is matched */
    uint32_t *cells;   /* [rows]: points, the last word, mixed words; 0 but for touched rows */
    uint32_t *touched; /* [touched_most] */
    exl__ranked *ranked;
    exl__lexical_word *words; /* [EXL__LEXICAL_WORDS] */
    exl__lexical_dense *dense;
    uint32_t touched_most, touched_count, most, word_count, dense_count;
    uint32_t dense_most; /* points that a row can have of dense terms */
    float factor;        /* of points */
    float best, average; /* of the scores of the ten best rows */
} exl__lexical_scratch;

/* 1, or 0 where the section is malformed or has more than `rows` rows. bytes: aligned to 4; they must outlive it. */
int exl__lexical_init(exl__lexical *lexical, const uint8_t *bytes, uint64_t length, uint32_t rows);

/* Carves what queries that ask for up to `most` rows work in; zeros it where there is a base. */
void exl__lexical_scratch_carve(const exl__lexical *lexical, uint32_t most, exl__carver *from,
                                exl__lexical_scratch *scratch);

/* The best rows of a text, at most the scratch's `most`, by score descending, ties by row; rows without a word in
 * common with it are not among them. Returns how many. */
uint32_t exl__lexical_query(const exl__lexical *lexical, const char *text, size_t bytes, exl__lexical_scratch *scratch,
                            uint32_t *rows, float *scores);

/* A row's score of the last query; 0 for one that the section does not have. */
float exl__lexical_score(const exl__lexical *lexical, const exl__lexical_scratch *scratch, uint32_t row);

/* What the weight of the lexical scores is made of, of the last query: out [EXL__LEXICAL_FEATURES]. dense: the best
 * score of a row by its vector. */
void exl__lexical_features(const exl__lexical_scratch *scratch, float dense, float *out);

#endif
