/* lexical.h: the lexical side of screening (docs/format.md, "Lexical section"): rows by the words that they share with
 * a query, however these are spelled. Integers, and f32 in one order: the same bits on every processor.
 *
 * lexical.c has the section and a query's way through it; terms.c finds the terms that are like a word; postings.c
 * gives points to the rows of the section, added.c to those of labels that were added since. */
#ifndef EXL_LEXICAL_H
#define EXL_LEXICAL_H

#include <stddef.h>
#include <stdint.h>

#include "bytes.h"
#include "memory.h"
#include "rank.h"
#include "words.h"

enum {
    EXL__LEXICAL_WORDS = 63,   /* of a query */
    EXL__LEXICAL_MATCHES = 32, /* of a word */
    EXL__LEXICAL_MIXED = 9,    /* words of a query that both dense and other terms match, with a flag each */
    EXL__LEXICAL_FEATURES = 8,
    EXL__LEXICAL_SAME = 4096,      /* the similarity of a term that has the same features */
    EXL__LEXICAL_LINE = 128,       /* counts that are looked at together */
    EXL__LEXICAL_TEN = 10,         /* best rows, whose mean is a feature */
    EXL__LEXICAL_TOUCHED = 131072, /* rows at most that a query looks at */
    EXL__LEXICAL_COUNTED = 4096,   /* terms at least that are counted together */
    EXL__LEXICAL_FAR = 65535       /* a step of a feature's list from which on it takes 4 bytes more */
};

#define EXL__NO_PLACE UINT32_MAX

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

/* The words of added rows (docs/format.md, "The words of added labels"). Their terms have places: first those of the
 * section, `known` of them, then those of their own, the `own` ones, whose numbers begin behind the section's. */
typedef struct exl__added_words {
    uint32_t rows, first_row; /* the number of the first row, behind all of the bundle's */
    uint32_t known, own;
    uint32_t *known_terms; /* [known], ascending */
    uint32_t *term_starts; /* [known + own + 1], in term_rows */
    uint32_t *term_rows;   /* ascending, of each place */
    uint32_t *row_starts;  /* [rows + 1], in row_places */
    uint32_t *row_places;  /* of each row, each place once */
    float *inverse_norms;  /* [rows] */
    uint8_t *sizes;        /* [own]: features, ascending */
    uint64_t *features;    /* [feature_count]: feature << 32 | own term, ascending */
    uint32_t feature_count;
    void *memory;
    uint64_t memory_bytes;
} exl__added_words;

typedef struct exl__lexical_match {
    uint32_t term;
    uint32_t similarity; /* EXL__LEXICAL_SAME: 1 */
    uint32_t idf;        /* in 1/256 */
    uint32_t points;     /* that a row with the term has of it */
    uint32_t place;      /* among the terms of added rows, or EXL__NO_PLACE */
    uint32_t next;       /* of the place's rows, while they are given points */
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
    uint8_t *counts;   /* [terms or EXL__LEXICAL_COUNTED, filled up]: 0 but while a word is matched */
    uint32_t *cells;   /* [rows]: points, the last word, mixed words; 0 but for touched rows */
    uint32_t *touched; /* [touched_most] */
    exl__ranked *ranked;
    exl__lexical_word *words; /* [EXL__LEXICAL_WORDS] */
    exl__lexical_dense *dense;
    uint32_t touched_most, touched_count, most, word_count, dense_count;
    uint32_t dense_most;           /* points that a row can have of dense terms */
    const exl__added_words *added; /* that the query was on, or null */
    const uint64_t *dead;          /* a bit for each row of the bundle that is none of the set's, or null */
    exl__ranked *given; /* [given_count]: matches that added rows have; key: place << 32 | word << 16 | 65535 - points,
                           ascending */
    uint32_t given_count;
    uint32_t ranked_count;
    float least;         /* of a row that may be among the best */
    float factor;        /* of points */
    float best, average; /* of the scores of the ten best rows */
} exl__lexical_scratch;

/* 1, or 0 where the section is malformed or has more than `rows` rows. bytes: aligned to 4; they must outlive it. */
int exl__lexical_init(exl__lexical *lexical, const uint8_t *bytes, uint64_t length, uint32_t rows);

/* Carves what queries that ask for up to `most` rows work in; zeros it where there is a base. */
void exl__lexical_scratch_carve(const exl__lexical *lexical, uint32_t most, exl__carver *from,
                                exl__lexical_scratch *scratch);

/* What a query is on, beside the section: words of added rows, and which of the bundle's rows are dead, a bit each;
 * either may be null. They must outlive the scores that are asked for afterwards. */
typedef struct exl__lexical_changes {
    const exl__added_words *added;
    const uint64_t *dead;
} exl__lexical_changes;

/* The best rows of a text, at most the scratch's `most`, by score descending, ties by row; rows without a word in
 * common with it are not among them. Returns how many. */
uint32_t exl__lexical_query(const exl__lexical *lexical, exl__lexical_changes changes, const char *text, size_t bytes,
                            exl__lexical_scratch *scratch, uint32_t *rows, float *scores);

/* A row's score of the last query; 0 for one that neither the section nor the added words have. */
float exl__lexical_score(const exl__lexical *lexical, const exl__lexical_scratch *scratch, uint32_t row);

/* What the weight of the lexical scores is made of, of the last query: out [EXL__LEXICAL_FEATURES]. dense: the best
 * score of a row by its vector. */
void exl__lexical_features(const exl__lexical_scratch *scratch, float dense, float *out);

/* Remembers a row if it may be one of the best, of which the scratch then has `ranked_count` in no order. */
static inline void exl__lexical_offer(exl__lexical_scratch *scratch, float score, uint32_t row) {
    uint32_t most = scratch->most > EXL__LEXICAL_TEN ? scratch->most : EXL__LEXICAL_TEN;

    if (score < scratch->least)
        return;
    scratch->ranked[scratch->ranked_count++] = (exl__ranked){exl__rank_key(score, row), row};
    if (scratch->ranked_count == 2 * most) {
        scratch->ranked_count = exl__rank(scratch->ranked, scratch->ranked_count, most);
        scratch->least = exl__rank_score(scratch->ranked[most - 1].key);
    }
}

/* The terms of a feature, ascending, whatever the list's bytes are. */
typedef struct exl__feature_list {
    const uint8_t *at, *end;
    uint32_t kinds; /* of the steps that are left of this group: a bit for each, in front of a 1 */
    uint32_t term, terms;
} exl__feature_list;

static inline exl__feature_list exl__feature_begin(const exl__lexical *lexical, uint32_t feature) {
    return (exl__feature_list){.at = lexical->feature_lists + lexical->feature_starts[feature],
                               .end = lexical->feature_lists + lexical->feature_starts[feature + 1],
                               .kinds = 1,
                               .term = UINT32_MAX,
                               .terms = lexical->terms};
}

/* The next of them, in list->term; 0 where there is none. A byte behind the lists is read, and no more. */
static inline int exl__feature_next(exl__feature_list *list) {
    uint32_t step;

    if (list->kinds == 1 && list->at < list->end)
        list->kinds = *list->at++ | 0x100u;
    if (list->at >= list->end)
        return 0;
    step = exl__get16(list->at) & (0xffu | (list->kinds & 1) * 0xff00u);
    list->at += 1 + (list->kinds & 1);
    list->kinds >>= 1;
    if (step == EXL__LEXICAL_FAR) {
        if (list->end - list->at < 4)
            return list->at = list->end, 0;
        step = exl__get32(list->at);
        list->at += 4;
        if (step >= list->terms)
            return list->at = list->end, 0;
    }
    list->term += step + 1; /* of at most 2^31 terms; one before the first at the beginning */
    if (list->term >= list->terms)
        return list->at = list->end, 0;
    return 1;
}

/* The next number of a term's list. The last byte of these ends a number, so that none leaves them. */
static inline uint32_t exl__lexical_number(const uint8_t **at) {
    uint32_t byte = *(*at)++, number = byte & 127;

    for (int shift = 7; byte >= 128; shift += 7) {
        byte = *(*at)++;
        if (shift < 32)
            number |= (byte & 127) << shift;
    }
    return number;
}

/* So many terms are counted together. */
static inline uint32_t exl__lexical_counted(const exl__lexical *lexical) {
    return lexical->terms > EXL__LEXICAL_COUNTED ? lexical->terms : EXL__LEXICAL_COUNTED;
}

/* ---- terms.c --------------------------------------------------------------------------------------------------- */

/* log((rows + 1) / (count + .5)) in 1/256, at least .05 */
uint32_t exl__terms_idf(uint64_t rows, uint64_t count);
/* In how many rows of the section a term of it stands. */
uint32_t exl__terms_rows(const exl__lexical *lexical, uint32_t term);
/* A word's distinct features, without those that the section leaves out; returns how many. */
uint32_t exl__terms_features(const exl__lexical *lexical, const exl__word *word, uint32_t features[EXL__WORD_POINTS]);
/* The scratch's words, of the text, and the terms that are like each, with what they weigh. */
void exl__terms_match(const exl__lexical *lexical, const char *text, size_t bytes, exl__lexical_scratch *scratch);

/* ---- postings.c ------------------------------------------------------------------------------------------------ */

/* Gives their points to the rows of the section, of the scratch's words. */
void exl__postings_give(const exl__lexical *lexical, exl__lexical_scratch *scratch);
/* Those of a row. */
uint32_t exl__postings_points(const exl__lexical *lexical, const exl__lexical_scratch *scratch, uint32_t row);
/* Offers those rows that are looked at and not dead. */
void exl__postings_rank(const exl__lexical *lexical, exl__lexical_scratch *scratch);

/* ---- added.c --------------------------------------------------------------------------------------------------- */

typedef struct exl__added_text {
    const char *text;
    size_t bytes;
} exl__added_text;

/* The words of added rows with these texts, numbered from first_row on; 0 where there is no memory for them. They are
 * to be released whatever comes of it. */
int exl__added_read(const exl_allocator *allocator, const exl__lexical *lexical, const exl__added_text *texts,
                    uint32_t rows, uint32_t first_row, exl__added_words *added);
void exl__added_release(const exl_allocator *allocator, exl__added_words *added);
/* A term's place, or EXL__NO_PLACE where no added row has it. */
uint32_t exl__added_place(const exl__added_words *added, const exl__lexical *lexical, uint32_t term);
/* In how many added rows the term at a place stands. */
uint32_t exl__added_count(const exl__added_words *added, uint32_t place);
/* Lists what the scratch's words give to added rows. */
void exl__added_give(exl__lexical_scratch *scratch);
/* A row's score, by its number. */
float exl__added_score(const exl__lexical_scratch *scratch, uint32_t row);
/* Offers those rows that have a word of the query. */
void exl__added_rank(const exl__lexical *lexical, exl__lexical_scratch *scratch);

#endif
