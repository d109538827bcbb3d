#include "compiler.h"

#include "shortlist.h"

#include <string.h>

#include "rescore.h"
#include "votes.h"

enum { SHORTLIST_CHUNK_ROWS = 64 };

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
    uint64_t rows = (uint64_t)p->overfetch + p->lexical_candidates;
    uint64_t most = rows * (bundle->most_alias_labels > 1 ? bundle->most_alias_labels : 1);
    uint64_t all = p->labels + rows; /* a live row stands for one label */

    scratch->capacity = (uint32_t)(most < all ? most : all);
    for (scratch->slot_count = 4; scratch->slot_count / 2 < scratch->capacity && scratch->slot_count < 1u << 31;)
        scratch->slot_count *= 2; /* at 2^31 less than half are free, but labels are fewer: some always are */
}

/* The label's slot, or where it would be. */
static uint32_t *shortlist_slot_of(const exl__shortlist_scratch *scratch, uint32_t label) {
    uint32_t mask = scratch->slot_count - 1, slot = exl__spread(label) & mask;

    while (scratch->slots[slot] != 0 && scratch->candidates[scratch->slots[slot] - 1].label != label)
        slot = (slot + 1) & mask;
    return &scratch->slots[slot];
}

static void shortlist_see(exl__row_scores *rows, uint32_t kind, float score) {
    if (!(rows->kinds >> kind & 1) || score > rows->best[kind])
        rows->best[kind] = score;
    rows->kinds |= 1u << kind;
}

/* The score of one of the label's rows; whether the label comes up for the first time. */
static int shortlist_see_row(exl__shortlist_scratch *scratch, uint32_t *count, uint32_t label, uint32_t kind,
                             float score) {
    uint32_t *slot = shortlist_slot_of(scratch, label);
    int is_new = *slot == 0;

    if (is_new) {
        *slot = ++*count;
        scratch->candidates[*count - 1] = (exl__candidate){.label = label};
    }
    shortlist_see(&scratch->candidates[*slot - 1].rows, kind, score);
    return is_new;
}

/* The kind of one of the bundle's rows. */
static uint32_t shortlist_kind_of(const exl__parameters *p, uint32_t row) {
    if (row < p->labels)
        return EXL__BY_OWN;
    return row < p->rows - p->descriptions ? EXL__BY_ALIAS : EXL__BY_DESCRIPTION;
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

/* The labels of any row; `live_label` holds that of an added one. */
static const uint32_t *shortlist_labels_of(const exl__label_query *q, const uint32_t *row, uint32_t *count,
                                           uint32_t *live_label) {
    if (*row < q->bundle->parameters.rows)
        return exl__row_labels(q->bundle, row, count);
    *count = 1;
    *live_label = shortlist_label_of(q, *row);
    return live_label;
}

void exl__score_rows(const exl__label_query *q, const uint8_t *fine_codes, const uint32_t *rows, uint32_t count,
                     float *scores) {
    const exl__parameters *p = &q->bundle->parameters;
    size_t stride = exl__fine_stride(p->fine_dims, p->fine_bits);
    float others[SHORTLIST_CHUNK_ROWS];

    exl__rescore_rows(q->bundle->isa, fine_codes, rows, count, p->fine_dims, p->fine_bits, q->Q, q->units[0], scores);
    for (uint32_t w = 1; w < q->windows; w++)
        for (uint32_t from = 0; from < count; from += SHORTLIST_CHUNK_ROWS) {
            uint32_t some = count - from < SHORTLIST_CHUNK_ROWS ? count - from : SHORTLIST_CHUNK_ROWS;
            exl__rescore_rows(q->bundle->isa, rows ? fine_codes : fine_codes + from * stride, rows ? rows + from : NULL,
                              some, p->fine_dims, p->fine_bits, q->Q + (size_t)w * p->fine_dims, q->units[w], others);
            for (uint32_t i = 0; i < some; i++)
                scores[from + i] = others[i] > scores[from + i] ? others[i] : scores[from + i];
        }
}

static float shortlist_score_row(const exl__label_query *q, const uint8_t *fine_row) {
    float score;

    exl__score_rows(q, fine_row, NULL, 1, &score);
    return score;
}

/* Aliases and descriptions of the bundle; labels that they bring up anew lack their own scores, which are fetched
 * together. */
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
                shortlist_see_row(scratch, &count, labels[n], shortlist_kind_of(p, rows[i]), scores[i]))
                scratch->missing[count - 1 - own_count] = labels[n];
    }
    exl__score_rows(q, bundle->sections[EXL__FINE_CODES].bytes, scratch->missing, count - own_count,
                    scratch->missing_scores);
    for (uint32_t i = own_count; i < count; i++)
        shortlist_see(&scratch->candidates[i].rows, EXL__BY_OWN, scratch->missing_scores[i - own_count]);
    return count;
}

/* Own rows first, so that what the aliases then bring up anew, from *own_count on, is exactly what lacks its own score.
 */
static uint32_t shortlist_with_aliases(const exl__label_query *q, exl__shortlist_scratch *scratch, const uint32_t *rows,
                                       const float *scores, uint32_t row_count, uint32_t *own_count) {
    uint32_t count = 0;

    memset(scratch->slots, 0, scratch->slot_count * sizeof *scratch->slots);
    for (uint32_t i = 0; i < row_count; i++)
        if (shortlist_is_own(q, rows[i]))
            shortlist_see_row(scratch, &count, shortlist_label_of(q, rows[i]), EXL__BY_OWN, scores[i]);
    *own_count = count;
    count = shortlist_see_compiled_aliases(q, scratch, count, rows, scores, row_count);
    for (uint32_t i = 0; i < row_count; i++) { /* those that were added */
        if (rows[i] < q->bundle->parameters.rows || shortlist_is_own(q, rows[i]))
            continue;
        if (shortlist_see_row(scratch, &count, shortlist_label_of(q, rows[i]), EXL__BY_ALIAS, scores[i]))
            shortlist_see(&scratch->candidates[count - 1].rows, EXL__BY_OWN,
                          shortlist_score_row(q, exl__own_row(q->bundle, q->live, shortlist_label_of(q, rows[i]))));
    }
    return count;
}

/* ---- from rows' scores to the label's ------------------------------------------------------------------------- */

float exl__best_row(const exl__row_scores *rows) {
    float best = rows->best[EXL__BY_OWN]; /* which every label has */

    for (uint32_t kind = EXL__BY_ALIAS; kind < EXL__ROW_KINDS; kind++)
        if (rows->kinds >> kind & 1 && rows->best[kind] > best)
            best = rows->best[kind];
    return best;
}

/* The votes of all candidate rows, and of the own rows that were fetched for the candidates from own_count on. */
static void shortlist_vote(const exl__label_query *q, exl__shortlist_scratch *scratch, const uint32_t *rows,
                           const float *scores, uint32_t row_count, uint32_t own_count, uint32_t count) {
    const exl__parameters *p = &q->bundle->parameters;

    for (uint32_t i = own_count; i < count; i++) {
        exl__candidate *candidate = &scratch->candidates[i];
        candidate->votes = exl__vote(candidate->rows.best[EXL__BY_OWN], candidate->best, p->votes_temperature);
    }
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t live_label, label_count;
        const uint32_t *labels = shortlist_labels_of(q, &rows[i], &label_count, &live_label);
        for (uint32_t n = 0; n < label_count; n++) {
            uint32_t slot = *shortlist_slot_of(scratch, labels[n]);
            if (slot != 0) /* it is 0 for a retired label */
                scratch->candidates[slot - 1].votes +=
                    exl__vote(scores[i], scratch->candidates[slot - 1].best, p->votes_temperature);
        }
    }
}

/* The number of a label's own text's row. */
static uint32_t shortlist_own_row_of(const exl__label_query *q, uint32_t label) {
    const exl__parameters *p = &q->bundle->parameters;
    return label < p->labels ? label : p->rows + q->live->labels[label - p->labels].first_row;
}

/* The lexical scores of the candidates: of each the best of its own text's and its candidate rows'. */
static void shortlist_match(const exl__label_query *q, exl__shortlist_scratch *scratch, const uint32_t *rows,
                            uint32_t row_count, uint32_t count) {
    const exl__lexical *lexical = &q->bundle->lexical;

    for (uint32_t i = 0; i < count; i++)
        scratch->candidates[i].lexical =
            exl__lexical_score(lexical, q->words, shortlist_own_row_of(q, scratch->candidates[i].label));
    for (uint32_t i = 0; i < row_count; i++) {
        uint32_t live_label, label_count;
        const uint32_t *labels;
        float score;
        if (shortlist_is_own(q, rows[i]))
            continue;
        labels = shortlist_labels_of(q, &rows[i], &label_count, &live_label);
        score = exl__lexical_score(lexical, q->words, rows[i]);
        for (uint32_t n = 0; n < label_count; n++) {
            uint32_t slot = *shortlist_slot_of(scratch, labels[n]);
            if (slot != 0 && score > scratch->candidates[slot - 1].lexical) /* it is 0 for a retired label */
                scratch->candidates[slot - 1].lexical = score;
        }
    }
}

/* How much a lexical score weighs for this query. */
static float shortlist_lexical_weight(const exl__label_query *q, const exl__shortlist_scratch *scratch,
                                      uint32_t count) {
    const exl__parameters *p = &q->bundle->parameters;
    float features[EXL__LEXICAL_FEATURES], weight = 0, best = 0;

    for (uint32_t i = 0; i < count; i++)
        if (i == 0 || scratch->candidates[i].best > best)
            best = scratch->candidates[i].best;
    exl__lexical_features(q->words, best, features);
    for (int i = 0; i < EXL__LEXICAL_FEATURES; i++)
        weight += p->lexical_weight[i] * features[i];
    if (!(weight > 0)) /* NaN, too */
        return 0;
    return weight < p->lexical_most ? weight : p->lexical_most;
}

/* The label's evidence; its screening score. */
static float shortlist_weigh(const exl__parameters *p, const exl__candidate *candidate, float lexical_weight,
                             float evidence[EXL__EVIDENCE_COLUMNS]) {
    const exl__row_scores *rows = &candidate->rows;
    float own = rows->best[EXL__BY_OWN];
    float alias = rows->kinds >> EXL__BY_ALIAS & 1 ? rows->best[EXL__BY_ALIAS] : own;
    float better = own > alias ? own : alias;

    evidence[EXL__BY_OWN] = own;
    evidence[EXL__BY_ALIAS] = alias;
    evidence[EXL__BY_DESCRIPTION] = rows->kinds >> EXL__BY_DESCRIPTION & 1 ? rows->best[EXL__BY_DESCRIPTION] : better;
    evidence[EXL__BY_VOTES] = candidate->best;
    if (candidate->votes > 0)
        evidence[EXL__BY_VOTES] = exl__votes(candidate->best, candidate->votes, p->votes_temperature);
    evidence[EXL__BY_WORDS] = candidate->lexical;
    return candidate->best + p->votes_weight * (evidence[EXL__BY_VOTES] - candidate->best) +
           lexical_weight * candidate->lexical;
}

uint32_t exl__shortlist(const exl__label_query *q, exl__shortlist_scratch *scratch, const uint32_t *rows,
                        const float *scores, uint32_t row_count, const exl__shortlisted *out) {
    const exl__parameters *p = &q->bundle->parameters;
    int has_aliases = q->bundle->alias_start || (q->live && q->live->has_aliases);
    uint32_t count = row_count, own_count = row_count, kept;
    float evidence[EXL__EVIDENCE_COLUMNS], lexical_weight = 0;

    if (has_aliases)
        count = shortlist_with_aliases(q, scratch, rows, scores, row_count, &own_count);
    else
        for (uint32_t i = 0; i < row_count; i++)
            scratch->candidates[i] =
                (exl__candidate){.label = shortlist_label_of(q, rows[i]), .rows = {{scores[i]}, 1u << EXL__BY_OWN}};
    for (uint32_t i = 0; i < count; i++)
        scratch->candidates[i].best = exl__best_row(&scratch->candidates[i].rows);
    if (has_aliases && (p->votes_weight > 0 || p->reasoner_inputs >> EXL__EVIDENCE & 1))
        shortlist_vote(q, scratch, rows, scores, row_count, own_count, count);
    if (p->lexical_candidates > 0) {
        shortlist_match(q, scratch, rows, row_count, count);
        lexical_weight = shortlist_lexical_weight(q, scratch, count);
    }
    for (uint32_t i = 0; i < count; i++) {
        const exl__candidate *candidate = &scratch->candidates[i];
        scratch->ranked[i].key =
            exl__rank_key(shortlist_weigh(p, candidate, lexical_weight, evidence), candidate->label);
        scratch->ranked[i].index = i;
    }
    kept = exl__rank(scratch->ranked, count, p->shortlist);
    for (uint32_t n = 0; n < kept; n++) {
        const exl__candidate *candidate = &scratch->candidates[scratch->ranked[n].index];
        out->labels[n] = candidate->label;
        out->scores[n] =
            shortlist_weigh(p, candidate, lexical_weight, out->evidence + (size_t)n * EXL__EVIDENCE_COLUMNS);
    }
    return kept;
}

exl__row_scores exl__label_scores(const exl__label_query *q, uint32_t label) {
    const exl_bundle *bundle = q->bundle;
    const exl__parameters *p = &bundle->parameters;
    const uint8_t *codes = bundle->sections[EXL__FINE_CODES].bytes, *first = exl__own_row(bundle, q->live, label);
    size_t stride = exl__fine_stride(p->fine_dims, p->fine_bits);
    exl__row_scores found = {{shortlist_score_row(q, first)}, 1u << EXL__BY_OWN};

    if (label >= p->labels) {
        for (uint32_t i = 1; i < q->live->labels[label - p->labels].row_count; i++)
            shortlist_see(&found, EXL__BY_ALIAS, shortlist_score_row(q, first + i * stride));
        return found;
    }
    for (uint32_t row = p->labels; row < p->rows; row++) {
        uint32_t count;
        const uint32_t *labels = exl__row_labels(bundle, &row, &count);
        for (uint32_t i = 0; i < count; i++)
            if (labels[i] == label)
                shortlist_see(&found, shortlist_kind_of(p, row), shortlist_score_row(q, codes + row * stride));
    }
    return found;
}
