/* shortlist.h: from candidate rows to the shortlist of labels. */
#ifndef EXL_SHORTLIST_H
#define EXL_SHORTLIST_H

#include <stdint.h>

#include "bundle.h"
#include "rank.h"

/* The scores of a label's rows by kind: EXL__BY_OWN, EXL__BY_ALIAS, EXL__BY_DESCRIPTION. */
enum { EXL__ROW_KINDS = 3 };
typedef struct exl__row_scores {
    float best[EXL__ROW_KINDS];
    uint32_t kinds; /* bit set: of which kinds there is a row; the others mean nothing */
} exl__row_scores;

typedef struct exl__candidate {
    uint32_t label;
    exl__row_scores rows;
    float best;     /* of all of them */
    uint64_t votes; /* votes.h */
    float lexical;  /* of its candidate rows, the best */
} exl__candidate;

/* The scratch of one session; sizes from exl__shortlist_capacity. */
typedef struct exl__shortlist_scratch {
    uint32_t capacity;          /* labels that candidate rows can lead to, at most */
    uint32_t slot_count;        /* a power of two, 2 x capacity or more up to 2^31; also without aliases: live
                                   labels may have some */
    uint32_t *slots;            /* [slot_count]: candidate + 1, or 0 */
    exl__candidate *candidates; /* [capacity] */
    uint32_t *missing;          /* [capacity]: labels whose own row was not among the candidate rows */
    float *missing_scores;      /* [capacity] */
    exl__ranked *ranked;        /* [capacity] */
} exl__shortlist_scratch;

/* Where in a table of a power of two of slots a label or a row is looked for: Knuth's multiplicative hash, of which the
 * lower bits are taken. */
static inline uint32_t exl__spread(uint32_t number) { return (uint32_t)((uint64_t)number * 2654435761u); }

void exl__shortlist_capacity(const exl_bundle *bundle, exl__shortlist_scratch *scratch);

/* A query on a label set: the bundle's and what was added and retired since (null: nothing), and its codes. */
typedef struct exl__label_query {
    const exl_bundle *bundle;
    const exl__live *live;
    const int16_t *Q;                  /* [windows][fine_dims], each in steps of its unit (rescore.h) */
    const float *units;                /* [windows] */
    uint32_t windows;                  /* of the text, 1 or more: a row's score is the best of theirs */
    const exl__lexical_scratch *words; /* the lexical side's, where the bundle has one: of this query */
} exl__label_query;

/* Where the shortlist is written, best first. */
typedef struct exl__shortlisted {
    uint32_t *labels; /* [shortlist] */
    float *evidence;  /* [shortlist][EXL__EVIDENCE_COLUMNS] */
    float *scores;    /* [shortlist]: the screening scores, which put it in order */
} exl__shortlisted;

/* rows, scores: [row_count], rescored candidate rows, live ones behind the bundle's and numbered on from these.
 * Returns the shortlist's length. */
uint32_t exl__shortlist(const exl__label_query *query, exl__shortlist_scratch *scratch, const uint32_t *rows,
                        const float *scores, uint32_t row_count, const exl__shortlisted *out);

/* scores[i] = score of row rows[i] (null: of row i) of these fine codes. */
void exl__score_rows(const exl__label_query *query, const uint8_t *fine_codes, const uint32_t *rows, uint32_t count,
                     float *scores);

/* The fine codes of a label's own text. */
const uint8_t *exl__own_row(const exl_bundle *bundle, const exl__live *live, uint32_t label);

/* A label's scores over all of its rows, whether candidates or not. */
exl__row_scores exl__label_scores(const exl__label_query *query, uint32_t label);
/* The best of a label's rows. */
float exl__best_row(const exl__row_scores *rows);

#endif
