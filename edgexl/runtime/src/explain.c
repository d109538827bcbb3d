/* explain.c: a label's way through both stages. */
#include "compiler.h"

#include <math.h>
#include <string.h>

#include "options.h"
#include "rescore.h"
#include "session.h"

enum { EXPLAIN_CHUNK_ROWS = 256 };

/* Whether a label that scores so stands before the one asked about. */
static int explain_is_ahead(float score, uint32_t label, float than_score, uint32_t than_label) {
    return score > than_score || (score == than_score && label < than_label);
}

/* Marks the label as ahead; 1 when it was not marked yet. Without aliases a label comes by once. */
static uint32_t explain_mark(exl_session *s, uint32_t label) {
    uint64_t bit = (uint64_t)1 << label % 64;

    if (!s->seen)
        return 1;
    if (s->seen[label / 64] & bit)
        return 0;
    s->seen[label / 64] |= bit;
    return 1;
}

/* Of the labels that were added. */
static uint32_t explain_live_labels_ahead(const exl_session *s, uint32_t label, float score) {
    uint32_t compiled = s->bundle->parameters.labels, ahead = 0;
    exl__label_query query = exl__query_of(s);

    for (uint32_t other = compiled; other < exl__live_end(s->bundle, s->live); other++) {
        exl__row_scores rows;
        if (exl__live_is_retired(s->bundle, s->live, other))
            continue;
        rows = exl__label_scores(&query, other);
        ahead += (uint32_t)explain_is_ahead(exl__best_row(&rows), other, score, label);
    }
    return ahead;
}

/* Of the bundle's labels, those that a row with such a score stands for. */
static uint32_t explain_row_labels_ahead(exl_session *s, uint32_t row, float row_score, uint32_t label, float score) {
    uint32_t count, ahead = 0;
    const uint32_t *labels = exl__row_labels(s->bundle, &row, &count);

    for (uint32_t i = 0; i < count; i++)
        if (!exl__live_is_retired(s->bundle, s->live, labels[i]) &&
            explain_is_ahead(row_score, labels[i], score, label))
            ahead += explain_mark(s, labels[i]);
    return ahead;
}

/* How many labels come before this one, by the fine score of their best row, over the whole index. */
static uint32_t explain_labels_ahead(exl_session *s, uint32_t label, float score) {
    const exl_bundle *bundle = s->bundle;
    const exl__parameters *p = &bundle->parameters;
    size_t stride = exl__fine_stride(p->fine_dims, p->fine_bits);
    exl__label_query query = exl__query_of(s);
    uint32_t ahead = 0;
    float scores[EXPLAIN_CHUNK_ROWS];

    if (s->seen)
        memset(s->seen, 0, ((size_t)p->labels + 63) / 64 * sizeof *s->seen);
    for (uint32_t from = 0; from < p->rows; from += EXPLAIN_CHUNK_ROWS) {
        uint32_t count = p->rows - from < EXPLAIN_CHUNK_ROWS ? p->rows - from : EXPLAIN_CHUNK_ROWS;

        exl__score_rows(&query, bundle->sections[EXL__FINE_CODES].bytes + from * stride, NULL, count, scores);
        for (uint32_t i = 0; i < count; i++)
            ahead += explain_row_labels_ahead(s, from + i, scores[i], label, score);
    }
    return ahead + explain_live_labels_ahead(s, label, score);
}

/* Which kind of row found the label: of equal scores the first kind. */
static void explain_rows(const exl__row_scores *rows, exl_explanation *known) {
    float *const scores[EXL__ROW_KINDS] = {&known->text_score, &known->alias_score, &known->description_score};

    for (uint32_t left = EXL__ROW_KINDS; left > 0; left--) {
        uint32_t kind = left - 1;
        int has = rows->kinds >> kind & 1;
        *scores[kind] = has ? rows->best[kind] : -INFINITY;
        if (has && rows->best[kind] == known->screening_score)
            known->found_by = (int32_t)kind;
    }
}

exl_status exl_explain(exl_session *session, const char *text, size_t text_bytes, uint32_t label,
                       exl_explanation *explanation, exl_error *error) {
    exl_explanation known = {0};
    exl__label_query query;
    exl__row_scores rows;
    exl_status status;

    if (!exl__begin(error, session && exl__can_give(explanation)))
        return EXL_BAD_ARGUMENT;
    status = exl__run_stages(session, text, text_bytes, 0, error);
    if (status != EXL_OK)
        return status;
    if (label >= exl__live_end(session->bundle, session->live))
        return exl__fail(error, EXL_NO_SUCH_LABEL, "there is no label %u, they end at %u", label,
                         exl__live_end(session->bundle, session->live));
    if (exl__live_is_retired(session->bundle, session->live, label))
        return exl__fail(error, EXL_NO_SUCH_LABEL, "label %u is retired", label);
    query = exl__query_of(session);
    rows = exl__label_scores(&query, label);
    known.screening_score = exl__best_row(&rows);
    explain_rows(&rows, &known);
    known.screening_rank = explain_labels_ahead(session, label, known.screening_score) + 1;
    for (uint32_t i = 0; i < session->shortlist; i++) {
        uint32_t n = session->order[i].index;
        if (session->labels[n] != label)
            continue;
        known.shortlisted = 1;
        known.votes_score = session->evidence[n * EXL__EVIDENCE_COLUMNS + EXL__BY_VOTES];
        known.words_score = session->evidence[n * EXL__EVIDENCE_COLUMNS + EXL__BY_WORDS];
        known.reasoner_rank = i + 1;
        known.logit = session->logits[n];
        known.probability = exl__probability(session, known.logit);
    }
    exl__give_struct(explanation, &known, sizeof known);
    return EXL_OK;
}
