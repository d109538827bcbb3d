/* predict.c: what a caller asks of a prediction, and what it is given: the first k labels, those above a threshold, or
 * the smallest set of a stated coverage. */
#include "compiler.h"

#include <math.h>

#include "options.h"
#include "overlay.h"
#include "predict.h"

enum { PREDICT_DEFAULT_K = 5 };

/* An f32 of a decimal fraction may be a little more than that, and is not to ask for another query's worth. */
#define PREDICT_ROUNDED (1 - 1.0 / 8388608)

/* Whether labels were added or retired since coverage was counted: over the bundle, or over it and one overlay. */
static int predict_has_changed(const exl_session *s) {
    const exl__overlays *overlays = s->bundle->overlays;

    if (!s->live)
        return 0;
    if (overlays && overlays->calibrated_by && overlays->count == 1)
        return s->live->added > s->live->overlaid || s->live->retired_overlaid > 0 ||
               s->live->retired_compiled > overlays->hidden_count;
    return s->live->added > 0 || s->live->retired_compiled > 0;
}

/* Whether so few of the text's tokens stand in any label's text that no label is likely to be meant. */
static int predict_is_strange(const exl_session *s) {
    const exl__parameters *p = &s->bundle->parameters;
    const uint8_t *known = s->bundle->sections[EXL__KNOWN_TOKENS].bytes;
    uint32_t first = s->bundle->tokenizer.prefix_count, around = first + s->bundle->tokenizer.suffix_count;
    uint32_t inner = s->text_tokens > around ? s->text_tokens - around : 0, count = 0;

    if (!known || inner == 0)
        return 0;
    for (uint32_t i = 0; i < inner; i++) {
        uint32_t token = (uint32_t)s->tokens[first + i];
        count += (uint32_t)known[token / 8] >> token % 8 & 1;
    }
    return (float)count < p->least_known * (float)inner;
}

/* Whether no label of the shortlist is likely to be right. One whose text, or an alias of which, is the query is not
 * doubted. */
static int predict_none_fits(const exl_session *s) {
    const exl__parameters *p = &s->bundle->parameters;
    const float *best;

    if (s->shortlist == 0)
        return 1;
    best = s->evidence + (size_t)s->order[0].index * EXL__EVIDENCE_COLUMNS;
    if (p->same_text > 0 && (best[EXL__BY_OWN] >= p->same_text || best[EXL__BY_ALIAS] >= p->same_text))
        return 0;
    return predict_is_strange(s) || s->logits[s->order[0].index] < exl__session_calibration(s)->presence;
}

/* The first k of the order, with ids and texts. */
static exl_status predict_answer(exl_session *s, const exl__choice *chosen, exl_error *error) {
    exl_result *result = &s->result;
    exl_status status = EXL_OK;

    for (uint32_t i = 0; i < chosen->k && i < s->shortlist && status == EXL_OK; i++) {
        uint32_t n = s->order[i].index;
        exl_prediction *prediction = &s->predictions[i];
        size_t bytes;

        s->answers[i] = prediction;
        prediction->struct_size = sizeof *prediction;
        prediction->label = s->labels[n];
        prediction->state = (int32_t)exl__label_origin(s->bundle, s->labels[n], &prediction->overlay);
        prediction->logit = s->logits[n];
        prediction->probability = exl__probability(s, s->logits[n]);
        if (prediction->probability < chosen->threshold || exl__session_score(s, s->logits[n]) < chosen->score)
            break; /* the order is by logit, and neither falls where the logit rises */
        status = exl__session_id(s, i, prediction->label, &prediction->id, error);
        if (status == EXL_OK)
            status = exl__session_text(s, n, &prediction->text, &bytes, error);
        result->count = i + 1u;
    }
    result->struct_size = sizeof *result;
    result->predictions = s->answers;
    result->shortlist = s->shortlist;
    result->shortlist_labels = s->labels;
    result->shortlist_scores = s->best_scores;
    result->shortlist_logits = s->logits;
    result->query_vector = s->query_vector;
    result->tokens = s->text_tokens;
    result->windows = s->window_count;
    result->truncated = s->truncated;
    result->none_fits = predict_none_fits(s) != 0;
    result->coverage_holds = chosen->coverage > 0 && !predict_has_changed(s);
    return status;
}

/* The least score of a set of this coverage: so many of the held-out queries' best gold labels have it that one more
 * query has it with this probability at least (split conformal prediction). */
static exl_status predict_cover(const exl_session *s, double coverage, float *score, exl_error *error) {
    const exl__calibration *c = exl__session_calibration(s);
    double wanted = ceil(((double)c->queries + 1) * coverage * PREDICT_ROUNDED);

    if (c->queries == 0)
        return exl__fail(error, EXL_NOT_SUPPORTED,
                         "the bundle knows no coverage: compile it with held-out queries to calibrate on");
    if (wanted > c->found)
        return exl__fail(error, EXL_NOT_SUPPORTED,
                         "shortlists of %u labels reach a coverage of %.4f at most: ask for less, or compile with a "
                         "larger n in [shortlist]",
                         s->bundle->parameters.shortlist, floor(1e4 * c->found / ((double)c->queries + 1)) / 1e4);
    *score = c->score[(uint32_t)wanted - 1];
    return EXL_OK;
}

static exl_status predict_choose(const exl_session *s, const exl_predict_options *options, exl__choice *chosen,
                                 exl_error *error) {
    uint32_t N = s->bundle->parameters.shortlist;
    exl_predict_options known = {0};

    if (exl__take_struct(&known, sizeof known, options, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    if (known.k > N)
        return exl__fail(error, EXL_BAD_K, "k is %u, the bundle's shortlist is %u", known.k, N);
    if (isnan(known.threshold) || !(known.coverage >= 0 && known.coverage <= 1))
        return exl__fail(error, EXL_BAD_ARGUMENT, "the threshold is not a number, or the coverage not from 0 to 1");
    if (known.coverage > 0 && known.use_threshold)
        return exl__fail(error, EXL_BAD_ARGUMENT, "a set has a threshold or a coverage, not both");
    if (known.windows > exl__most_windows(s->bundle) || known.reserved != 0)
        return exl__fail(error, EXL_BAD_ARGUMENT, "windows is %u, the bundle has %u at most, and reserved must be 0",
                         known.windows, exl__most_windows(s->bundle));
    chosen->windows = known.windows;
    chosen->threshold = -1;
    chosen->score = -INFINITY;
    chosen->coverage = known.coverage;
    if (known.coverage > 0 && predict_cover(s, known.coverage, &chosen->score, error) != EXL_OK)
        return EXL_NOT_SUPPORTED;
    if (known.use_threshold)
        chosen->threshold = known.threshold < 0 ? exl__session_calibration(s)->threshold : known.threshold;
    chosen->k = known.k;
    if (known.k == 0)
        chosen->k = known.use_threshold || known.coverage > 0 || N < PREDICT_DEFAULT_K ? N : PREDICT_DEFAULT_K;
    return EXL_OK;
}

static exl_status predict_one(exl_session *s, const char *text, size_t text_bytes, const exl__choice *chosen,
                              exl_error *error) {
    exl_status status = exl__run_stages(s, text, text_bytes, chosen->windows, error);
    return status == EXL_OK ? predict_answer(s, chosen, error) : status;
}

exl_status exl__predict(exl_session *s, const char *text, size_t text_bytes, const exl_predict_options *options,
                        exl__choice *chosen, exl_error *error) {
    exl_status status = predict_choose(s, options, chosen, error);
    return status == EXL_OK ? predict_one(s, text, text_bytes, chosen, error) : status;
}

exl_status exl_predict(exl_session *session, const char *text, size_t text_bytes, const exl_predict_options *options,
                       const exl_result **result, exl_error *error) {
    exl__choice chosen = {0};
    exl_status status;

    if (result)
        *result = NULL;
    if (!exl__begin(error, session && result))
        return EXL_BAD_ARGUMENT;
    status = exl__predict(session, text, text_bytes, options, &chosen, error);
    if (status == EXL_OK)
        *result = &session->result;
    return status;
}

/* Answers so many texts of a batch from one on, together; nonzero: whom it answers has had enough. */
static int predict_together(exl_session *s, const exl_batch *batch, size_t from, uint32_t count,
                            const exl__choice *chosen) {
    int enough = 0;

    exl__run_together(s, batch->texts + from, batch->text_bytes + from, count, chosen->windows);
    for (uint32_t i = 0; i < count && !enough; i++) {
        exl__lane *lane = &s->lanes[i];
        if (lane->status == EXL_OK)
            lane->status = predict_answer(lane->session, chosen, &lane->error);
        enough = batch->answer(batch->context, from + i, lane->status == EXL_OK ? &lane->session->result : NULL,
                               &lane->error) != 0;
    }
    exl__end_together(s);
    return enough;
}

exl_status exl_predict_batch(exl_session *session, const exl_batch *batch, exl_error *error) {
    exl_batch known = {0};
    exl_error said = {.struct_size = sizeof said};
    exl__choice chosen = {0};
    exl_status status;

    if (!exl__begin(error, session && batch) || exl__take_struct(&known, sizeof known, batch, error) != EXL_OK)
        return EXL_BAD_ARGUMENT;
    if (!known.answer || (known.count > 0 && (!known.texts || !known.text_bytes)))
        return exl__fail(error, EXL_BAD_ARGUMENT, "the batch lacks texts, their lengths, or whom to answer");
    status = predict_choose(session, known.options, &chosen, error);
    for (size_t i = 0, count; status == EXL_OK && i < known.count; i += count) {
        count = known.count - i < session->batch ? known.count - i : session->batch;
        if (session->batch > 1) {
            if (predict_together(session, &known, i, (uint32_t)count, &chosen))
                break;
            continue;
        }
        int done =
            exl__begin(&said, 1) && predict_one(session, known.texts[i], known.text_bytes[i], &chosen, &said) == EXL_OK;
        if (known.answer(known.context, i, done ? &session->result : NULL, &said) != 0)
            break;
    }
    return status;
}
