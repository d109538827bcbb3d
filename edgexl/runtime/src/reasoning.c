/* reasoning.c: from the shortlist to the answer: gather, reason, calibrate. */
#include "compiler.h"

#include "stages.h"

#include <string.h>

#include "exp_log.h"
#include "lookup.h"
#include "overlay.h"
#include "rescore.h"

/* A label's id or text, NUL-terminated, into its place. */
static exl_status reasoning_read_string(const exl__strings *strings, uint32_t label, char *place, size_t *bytes,
                                        exl_error *error) {
    exl_status status = exl__label_string(strings, label, place, strings->longest_bytes, bytes, error);

    if (status == EXL_OK)
        place[*bytes] = '\0';
    return status;
}

/* The live label of this number; null where it is one of the bundle's. */
static const exl__live_label *reasoning_live_label(const exl_session *s, uint32_t label) {
    uint32_t compiled = s->bundle->parameters.labels;
    return label < compiled ? NULL : &s->live->labels[label - compiled];
}

exl_status exl__session_text(exl_session *s, uint32_t n, const char **text, size_t *bytes, exl_error *error) {
    const exl__live_label *live = reasoning_live_label(s, s->labels[n]);
    char *place = s->texts + n * (s->bundle->texts.longest_bytes + (size_t)1);

    *text = live ? live->text : place;
    *bytes = live ? live->text_bytes : 0;
    return live ? EXL_OK : reasoning_read_string(&s->bundle->texts, s->labels[n], place, bytes, error);
}

exl_status exl__session_id(exl_session *s, uint32_t i, uint32_t label, const char **id, exl_error *error) {
    const exl__live_label *live = reasoning_live_label(s, label);
    char *place = s->ids + i * (s->bundle->ids.longest_bytes + (size_t)1);
    size_t bytes;

    *id = live ? live->id : place;
    return live ? EXL_OK : reasoning_read_string(&s->bundle->ids, label, place, &bytes, error);
}

static exl_status reasoning_gather_tokens(exl_session *s, uint32_t n, exl_error *error) {
    const exl_bundle *bundle = s->bundle;
    uint32_t S = bundle->parameters.label_tokens;
    int64_t *to = s->label_tokens + (size_t)n * S;
    const char *text;
    size_t bytes, count;
    exl_status status = exl__session_text(s, n, &text, &bytes, error);

    if (status != EXL_OK)
        return status;
    count = exl__tokenize(&bundle->tokenizer, text, bytes, EXL__AS_PIECES, s->piece_ids, S);
    for (uint32_t i = 0; i < S; i++)
        to[i] = i < count ? s->piece_ids[i] : 0;
    return EXL_OK;
}

/* What the reasoner is to see of the shortlist; nothing that it does not take. */
exl_status exl__stage_gather(exl_session *s, exl_error *error) {
    const exl__parameters *p = &s->bundle->parameters;
    exl_status status = EXL_OK;

    for (uint32_t n = 0; n < s->shortlist; n++) {
        const float *evidence = s->evidence + (size_t)n * EXL__EVIDENCE_COLUMNS;
        s->screening_scores[2 * n] = evidence[EXL__BY_OWN];
        s->screening_scores[2 * n + 1] = evidence[EXL__BY_ALIAS];
    }
    if (p->reasoner_inputs >> EXL__LABEL_VECTORS & 1)
        for (uint32_t n = 0; n < s->shortlist; n++)
            exl__decompress_row(exl__own_row(s->bundle, s->live, s->labels[n]), p->fine_dims, p->fine_bits,
                                p->subspaces * p->subspace_dims, p->fine_gain, p->dims,
                                s->label_vectors + (size_t)n * p->dims);
    for (uint32_t n = 0; n < s->shortlist && p->label_tokens > 0 && status == EXL_OK; n++)
        status = reasoning_gather_tokens(s, n, error);
    return status;
}

uint32_t exl__judged_windows(const exl_session *s) {
    const uint32_t of_text =
        1u << EXL__INPUT_IDS | 1u << EXL__ATTENTION_MASK | 1u << EXL__TOKEN_STATES | 1u << EXL__QUERY_VECTOR;

    if (!(s->bundle->parameters.reasoner_inputs & of_text))
        return 1;
    return s->window_count < EXL__JUDGED_WINDOWS ? s->window_count : EXL__JUDGED_WINDOWS;
}

int exl__call_reasoner(const exl_session *s, float *logits, exl__call *call) {
    const exl__port port = {"logits", EXL__F32, 2, 0, EXL__PER_LABEL | 1};

    if (!s->bundle->parameters.reasoner_inputs || s->shortlist == 0) /* it is 0 when all labels are retired */
        return 0;
    exl__session_take_inputs(s, s->bundle->parameters.reasoner_inputs, call);
    call->outputs[0] = exl__session_tensor(s, port, logits);
    call->output_count = 1;
    return 1;
}

/* A label's logit is the best that any window that is judged gives it. */
exl_status exl__end_reason(exl_session *s, int is_first, int is_last, exl_error *error) {
    const exl__parameters *p = &s->bundle->parameters;

    for (uint32_t n = 0; n < s->shortlist && !is_first; n++)
        s->logits[n] = s->more_logits[n] > s->logits[n] ? s->more_logits[n] : s->logits[n];
    for (uint32_t n = 0; n < s->shortlist && is_last && (p->reasoner_weight != 1 || p->screening_weight > 0); n++)
        s->logits[n] = p->reasoner_weight * s->logits[n] + p->screening_weight * s->best_scores[n];
    if (is_last && !exl__all_finite(s->logits, s->shortlist))
        return exl__fail(error, EXL_ENGINE_FAILED, "the reasoner gives a logit that is not finite");
    return EXL_OK;
}

exl_status exl__stage_reason(exl_session *s, exl_error *error) {
    int is_first = s->judged == 0, is_last = ++s->judged == exl__judged_windows(s);
    float *logits = is_first ? s->logits : s->more_logits;
    exl_status status = EXL_OK;
    exl__call call;

    if (exl__call_reasoner(s, logits, &call))
        status = exl__session_run_graph(s, s->bundle->reasoner, &call, error);
    else
        memset(logits, 0, s->shortlist * sizeof *logits);
    return status == EXL_OK ? exl__end_reason(s, is_first, is_last, error) : status;
}

/* log sum exp of the shortlist's logits, for calibrations that look at the logit's lead over the others; with
 * EXL__BY_LEAD_OR_NONE, "none of these" is one of them, at 0. */
static double reasoning_log_normaliser(const exl_session *s) {
    int or_none = exl__session_calibration(s)->input == EXL__BY_LEAD_OR_NONE;
    float largest = or_none ? 0 : s->logits[0];
    double sum = 0;

    for (uint32_t n = 0; n < s->shortlist; n++)
        largest = s->logits[n] > largest ? s->logits[n] : largest;
    for (uint32_t n = 0; n < s->shortlist; n++)
        sum += exl__exp((double)s->logits[n] - (double)largest);
    if (or_none)
        sum += exl__exp(-(double)largest);
    return (double)largest + exl__log(sum);
}

const exl__calibration *exl__session_calibration(const exl_session *s) {
    return s->compiled_only ? &s->bundle->calibration : exl__calibration_in_force(s->bundle);
}

float exl__session_score(const exl_session *s, float logit) { return logit - (float)s->log_normaliser; }

float exl__probability(const exl_session *s, float logit) {
    const exl__calibration *c = exl__session_calibration(s);
    float x = exl__session_score(s, logit);
    uint32_t low = 0, high = c->knots - 1;

    if (x <= c->x[0])
        return c->p[0];
    if (x >= c->x[high])
        return c->p[high];
    while (high - low > 1) { /* x[low] <= x < x[high] */
        uint32_t middle = (low + high) / 2;
        if (c->x[middle] <= x)
            low = middle;
        else
            high = middle;
    }
    return (float)(c->p[low] +
                   ((double)c->p[high] - c->p[low]) * ((double)x - c->x[low]) / ((double)c->x[high] - c->x[low]));
}

exl_status exl__stage_calibrate(exl_session *s, exl_error *error) {
    (void)error;
    s->log_normaliser =
        exl__session_calibration(s)->input != EXL__BY_LOGIT && s->shortlist > 0 ? reasoning_log_normaliser(s) : 0;
    for (uint32_t n = 0; n < s->shortlist; n++) {
        s->order[n].key = exl__rank_key(s->logits[n], n);
        s->order[n].index = n;
    }
    exl__rank(s->order, s->shortlist, s->shortlist);
    return EXL_OK;
}
