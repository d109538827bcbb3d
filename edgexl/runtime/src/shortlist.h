/* shortlist.h: from candidate rows to the shortlist of labels. */
#ifndef EXL_SHORTLIST_H
#define EXL_SHORTLIST_H

#include <stdint.h>

#include "bundle.h"
#include "rank.h"

typedef struct exl__candidate {
    uint32_t label;
    uint32_t has_alias;
    float own, alias; /* alias is only meaningful with has_alias */
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

void exl__shortlist_capacity(const exl_bundle *bundle, exl__shortlist_scratch *scratch);

/* A query on a label set: the bundle's and what was added and retired since (null: nothing), and its codes. */
typedef struct exl__label_query {
    const exl_bundle *bundle;
    const exl__live *live;
    const int16_t *Q; /* [fine_dims], in steps of `unit` (rescore.h) */
    float unit;
} exl__label_query;

/* rows, scores: [row_count], rescored candidate rows, live ones behind the bundle's and numbered on from these.
 * labels: [shortlist]; pairs: [shortlist][2], own and alias score. Returns the shortlist's length. */
uint32_t exl__shortlist(const exl__label_query *query, exl__shortlist_scratch *scratch, const uint32_t *rows,
                        const float *scores, uint32_t row_count, uint32_t *labels, float *pairs);

/* The fine codes of a label's own text. */
const uint8_t *exl__own_row(const exl_bundle *bundle, const exl__live *live, uint32_t label);

/* A label's own and alias score over all of its rows, whether candidates or not. */
void exl__label_scores(const exl__label_query *query, uint32_t label, float *own, float *alias);

#endif
