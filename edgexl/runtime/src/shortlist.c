#include "shortlist.h"

#include <string.h>

#include "rescore.h"

/* ---- rows to labels ------------------------------------------------------------------------------------------ */

void exl__shortlist_capacity(const exl_bundle *bundle, exl__shortlist_scratch *scratch) {
    const exl__parameters *p = &bundle->parameters;
    uint64_t rows = p->overfetch < p->rows ? p->overfetch : p->rows;
    uint64_t most = rows * (bundle->most_alias_labels > 1 ? bundle->most_alias_labels : 1);

    scratch->capacity = most < p->labels ? (uint32_t)most : p->labels;
    scratch->slot_count = 0;
    if (bundle->alias_start)
        for (scratch->slot_count = 4; scratch->slot_count / 2 < scratch->capacity && scratch->slot_count < 1u << 31;)
            scratch->slot_count *= 2; /* at 2^31 less than half are free, but labels are fewer: some always are */
}

/* The label's candidate, made when it is the first time that the label comes up. */
static exl__candidate *candidate_of(exl__shortlist_scratch *scratch, uint32_t *count, uint32_t label, int *is_new) {
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

static uint32_t without_aliases(exl__shortlist_scratch *scratch, const uint32_t *rows, const float *scores,
                                uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        scratch->candidates[i] = (exl__candidate){.label = rows[i], .own = scores[i]};
    return count;
}

/* Own rows first, so that what the aliases then bring up anew is exactly what lacks its own score. */
static uint32_t with_aliases(const exl_bundle *bundle, exl__shortlist_scratch *scratch, const uint32_t *rows,
                             const float *scores, uint32_t row_count, const int16_t *Q, float unit) {
    const exl__parameters *p = &bundle->parameters;
    uint32_t count = 0, own_count;
    int is_new;

    memset(scratch->slots, 0, scratch->slot_count * sizeof *scratch->slots);
    for (uint32_t i = 0; i < row_count; i++)
        if (rows[i] < p->labels)
            candidate_of(scratch, &count, rows[i], &is_new)->own = scores[i];
    own_count = count;
    for (uint32_t i = 0; i < row_count; i++) {
        if (rows[i] < p->labels)
            continue;
        for (uint32_t a = bundle->alias_start[rows[i] - p->labels]; a < bundle->alias_start[rows[i] - p->labels + 1];
             a++) {
            exl__candidate *candidate = candidate_of(scratch, &count, bundle->alias_labels[a], &is_new);
            if (is_new)
                scratch->missing[count - 1 - own_count] = candidate->label;
            if (!candidate->has_alias || scores[i] > candidate->alias)
                candidate->alias = scores[i];
            candidate->has_alias = 1;
        }
    }
    exl__rescore_rows(bundle->isa, bundle->sections[EXL__FINE_CODES].bytes, scratch->missing, count - own_count,
                      p->fine_dims, p->fine_bits, Q, unit, scratch->missing_scores);
    for (uint32_t i = own_count; i < count; i++)
        scratch->candidates[i].own = scratch->missing_scores[i - own_count];
    return count;
}

uint32_t exl__shortlist(const exl_bundle *bundle, exl__shortlist_scratch *scratch, const uint32_t *rows,
                        const float *scores, uint32_t row_count, const int16_t *Q, float unit, uint32_t *labels,
                        float *pairs) {
    uint32_t count, kept;

    count = bundle->alias_start ? with_aliases(bundle, scratch, rows, scores, row_count, Q, unit)
                                : without_aliases(scratch, rows, scores, row_count);
    for (uint32_t i = 0; i < count; i++) {
        exl__candidate *candidate = &scratch->candidates[i];
        if (!candidate->has_alias)
            candidate->alias = candidate->own;
        scratch->ranked[i].key =
            exl__rank_key(candidate->own > candidate->alias ? candidate->own : candidate->alias, candidate->label);
        scratch->ranked[i].index = i;
    }
    kept = exl__rank(scratch->ranked, count, bundle->parameters.shortlist);
    for (uint32_t n = 0; n < kept; n++) {
        const exl__candidate *candidate = &scratch->candidates[scratch->ranked[n].index];
        labels[n] = candidate->label;
        pairs[2 * n] = candidate->own;
        pairs[2 * n + 1] = candidate->alias;
    }
    return kept;
}

void exl__label_scores(const exl_bundle *bundle, uint32_t label, const int16_t *Q, float unit, float *own,
                       float *alias) {
    const exl__parameters *p = &bundle->parameters;
    const uint8_t *codes = bundle->sections[EXL__FINE_CODES].bytes;
    size_t stride = exl__fine_stride(p->fine_dims, p->fine_bits);
    int has_alias = 0;

    *own = *alias = exl__rescore_row(bundle->isa, codes + label * stride, p->fine_dims, p->fine_bits, Q, unit);
    for (uint32_t row = p->labels; row < p->rows; row++)
        for (uint32_t a = bundle->alias_start[row - p->labels]; a < bundle->alias_start[row - p->labels + 1]; a++)
            if (bundle->alias_labels[a] == label) {
                float score = exl__rescore_row(bundle->isa, codes + row * stride, p->fine_dims, p->fine_bits, Q, unit);
                if (!has_alias || score > *alias)
                    *alias = score;
                has_alias = 1;
            }
}
