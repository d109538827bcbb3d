#include "compiler.h"

#include "shortlist.h"

#include <string.h>

#include "rescore.h"

/* ---- rows to labels ------------------------------------------------------------------------------------------ */

const uint8_t *exl__own_row(const exl_bundle *bundle, const exl__live *live, uint32_t label) {
    const exl__parameters *p = &bundle->parameters;
    size_t stride = exl__fine_stride(p->fine_dims, p->fine_bits);

    if (label < p->labels)
        return bundle->sections[EXL__FINE_CODES].bytes + label * stride;
    return live->fine + live->labels[label - p->labels].first_row * stride;
}

void exl__shortlist_capacity(const exl_bundle *bundle, exl__shortlist_scratch *scratch) {
    const exl__parameters *p = &bundle->parameters;
    uint64_t most = (uint64_t)p->overfetch * (bundle->most_alias_labels > 1 ? bundle->most_alias_labels : 1);
    uint64_t all = (uint64_t)p->labels + p->overfetch; /* a live row stands for one label */

    scratch->capacity = (uint32_t)(most < all ? most : all);
    for (scratch->slot_count = 4; scratch->slot_count / 2 < scratch->capacity && scratch->slot_count < 1u << 31;)
        scratch->slot_count *= 2; /* at 2^31 less than half are free, but labels are fewer: some always are */
}

/* The label's candidate, made when it is the first time that the label comes up. */
static exl__candidate *shortlist_candidate_of(exl__shortlist_scratch *scratch, uint32_t *count, uint32_t label,
                                              int *is_new) {
    uint32_t mask = scratch->slot_count - 1, slot = label * 2654435761u & mask; /* Knuth's multiplicative hash */

    while (scratch->slots[slot] != 0 && scratch->candidates[scratch->slots[slot] - 1].label != label)
        slot = (slot + 1) & mask;
    *is_new = scratch->slots[slot] == 0;
    if (*is_new) {
        scratch->slots[slot] = ++*count;
        scratch->candidates[*count - 1] = (exl__candidate){.label = label};
    }
    return &scratch->candidates[scratch->slots[slot] - 1];
}

/* The label of a row that stands for one: an own row of the bundle, or a live row. */
static uint32_t shortlist_label_of(const exl__label_query *q, uint32_t row) {
    const exl__parameters *p = &q->bundle->parameters;
    return row < p->rows ? row : p->labels + q->live->row_labels[row - p->rows];
}

static int shortlist_is_own(const exl__label_query *q, uint32_t row) {
    const exl__parameters *p = &q->bundle->parameters;
    if (row < p->rows)
        return row < p->labels;
    return q->live->labels[q->live->row_labels[row - p->rows]].first_row == row - p->rows;
}

static float shortlist_score_row(const exl__label_query *q, const uint8_t *fine_row) {
    const exl__parameters *p = &q->bundle->parameters;
    return exl__rescore_row(q->bundle->isa, fine_row, p->fine_dims, p->fine_bits, q->Q, q->unit);
}

static int shortlist_see_alias(exl__shortlist_scratch *scratch, uint32_t *count, uint32_t label, float score) {
    int is_new;
    exl__candidate *candidate = shortlist_candidate_of(scratch, count, label, &is_new);

    if (!candidate->has_alias || score > candidate->alias)
        candidate->alias = score;
    candidate->has_alias = 1;
    return is_new;
}

/* Alias rows of the bundle; labels that they bring up anew lack their own scores, which are fetched together. */
static uint32_t shortlist_see_compiled_aliases(const exl__label_query *q, exl__shortlist_scratch *scratch,
                                               uint32_t count, const uint32_t *rows, const float *scores,
                                               uint32_t row_count) {
    const exl_bundle *bundle = q->bundle;
    const exl__parameters *p = &bundle->parameters;
    uint32_t own_count = count;

    for (uint32_t i = 0; i < row_count; i++) {
        const uint32_t *labels;
        uint32_t label_count;
        if (rows[i] < p->labels || rows[i] >= p->rows)
            continue;
        labels = exl__row_labels(bundle, &rows[i], &label_count);
        for (uint32_t n = 0; n < label_count; n++)
            if (!exl__live_is_retired(bundle, q->live, labels[n]) &&
                shortlist_see_alias(scratch, &count, labels[n], scores[i]))
                scratch->missing[count - 1 - own_count] = labels[n];
    }
    exl__rescore_rows(bundle->isa, bundle->sections[EXL__FINE_CODES].bytes, scratch->missing, count - own_count,
                      p->fine_dims, p->fine_bits, q->Q, q->unit, scratch->missing_scores);
    for (uint32_t i = own_count; i < count; i++)
        scratch->candidates[i].own = scratch->missing_scores[i - own_count];
    return count;
}

/* Own rows first, so that what the aliases then bring up anew is exactly what lacks its own score. */
static uint32_t shortlist_with_aliases(const exl__label_query *q, exl__shortlist_scratch *scratch, const uint32_t *rows,
                                       const float *scores, uint32_t row_count) {
    uint32_t count = 0;
    int is_new;

    memset(scratch->slots, 0, scratch->slot_count * sizeof *scratch->slots);
    for (uint32_t i = 0; i < row_count; i++)
        if (shortlist_is_own(q, rows[i]))
            shortlist_candidate_of(scratch, &count, shortlist_label_of(q, rows[i]), &is_new)->own = scores[i];
    count = shortlist_see_compiled_aliases(q, scratch, count, rows, scores, row_count);
    for (uint32_t i = 0; i < row_count; i++) { /* those that were added */
        if (rows[i] < q->bundle->parameters.rows || shortlist_is_own(q, rows[i]))
            continue;
        if (shortlist_see_alias(scratch, &count, shortlist_label_of(q, rows[i]), scores[i]))
            scratch->candidates[count - 1].own =
                shortlist_score_row(q, exl__own_row(q->bundle, q->live, shortlist_label_of(q, rows[i])));
    }
    return count;
}

uint32_t exl__shortlist(const exl__label_query *q, exl__shortlist_scratch *scratch, const uint32_t *rows,
                        const float *scores, uint32_t row_count, uint32_t *labels, float *pairs) {
    uint32_t count = row_count, kept;

    if (q->bundle->alias_start || (q->live && q->live->has_aliases))
        count = shortlist_with_aliases(q, scratch, rows, scores, row_count);
    else
        for (uint32_t i = 0; i < row_count; i++)
            scratch->candidates[i] = (exl__candidate){.label = shortlist_label_of(q, rows[i]), .own = scores[i]};
    for (uint32_t i = 0; i < count; i++) {
        exl__candidate *candidate = &scratch->candidates[i];
        if (!candidate->has_alias)
            candidate->alias = candidate->own;
        scratch->ranked[i].key =
            exl__rank_key(candidate->own > candidate->alias ? candidate->own : candidate->alias, candidate->label);
        scratch->ranked[i].index = i;
    }
    kept = exl__rank(scratch->ranked, count, q->bundle->parameters.shortlist);
    for (uint32_t n = 0; n < kept; n++) {
        const exl__candidate *candidate = &scratch->candidates[scratch->ranked[n].index];
        labels[n] = candidate->label;
        pairs[2 * n] = candidate->own;
        pairs[2 * n + 1] = candidate->alias;
    }
    return kept;
}

static void shortlist_best_alias(float score, int *has_alias, float *alias) {
    if (!*has_alias || score > *alias)
        *alias = score;
    *has_alias = 1;
}

void exl__label_scores(const exl__label_query *q, uint32_t label, float *own, float *alias) {
    const exl_bundle *bundle = q->bundle;
    const exl__parameters *p = &bundle->parameters;
    const uint8_t *codes = bundle->sections[EXL__FINE_CODES].bytes, *first = exl__own_row(bundle, q->live, label);
    size_t stride = exl__fine_stride(p->fine_dims, p->fine_bits);
    int has_alias = 0;

    *own = *alias = shortlist_score_row(q, first);
    if (label >= p->labels) {
        for (uint32_t i = 1; i < q->live->labels[label - p->labels].row_count; i++)
            shortlist_best_alias(shortlist_score_row(q, first + i * stride), &has_alias, alias);
        return;
    }
    for (uint32_t row = p->labels; row < p->rows; row++) {
        uint32_t count;
        const uint32_t *labels = exl__row_labels(bundle, &row, &count);
        for (uint32_t i = 0; i < count; i++)
            if (labels[i] == label)
                shortlist_best_alias(shortlist_score_row(q, codes + row * stride), &has_alias, alias);
    }
}
