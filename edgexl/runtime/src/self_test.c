/* self_test.c: runs the goldens (goldens.h) and holds the answers against the recorded ones. */
#include "compiler.h"

#include <math.h>
#include <string.h>

#include "goldens.h"
#include "options.h"
#include "session.h"

static uint32_t self_test_golden_label(const exl__golden *one, uint32_t index) {
    uint32_t label;
    memcpy(&label, one->answers + 8 * (size_t)index, sizeof label);
    return label;
}

static float self_test_golden_probability(const exl__golden *one, uint32_t index) {
    float probability;
    memcpy(&probability, one->answers + 8 * (size_t)index + 4, sizeof probability);
    return probability;
}

/* Null when the answer is the golden's, else what differs. */
static const char *self_test_difference(const exl_session *s, const exl__goldens *g, const exl__golden *one,
                                        const exl_result *result, float *largest) {
    if (result->tokens != one->token_count ||
        (one->token_count > 0 && memcmp(s->tokens, one->tokens, one->token_count * sizeof *s->tokens) != 0))
        return "the tokens differ";
    if (result->count != g->k)
        return "the shortlist is shorter";
    for (uint32_t i = 0; i < g->k; i++) {
        uint32_t place = 0;
        float off;

        while (place < g->k && self_test_golden_label(one, place) != result->predictions[i]->label)
            place++;
        if (place == g->k)
            return "the labels differ";
        if (place != i &&
            !(fabsf(self_test_golden_probability(one, place) - self_test_golden_probability(one, i)) < g->tolerance))
            return "the labels' order differs";
        off = fabsf(result->predictions[i]->probability - self_test_golden_probability(one, place));
        if (isnan(off) || off > *largest) /* a golden that is NaN stays the largest */
            *largest = off;
        if (!(off <= g->tolerance))
            return "a probability differs";
    }
    return NULL;
}

exl_status exl_self_test_run(exl_session *session, exl_self_test_report *report, exl_error *error) {
    exl_self_test_report known = {0};
    exl__goldens all = {0};
    exl__golden one = {0};
    exl_status status;
    char first[64] = "";

    if (!exl__begin(error, session && exl__can_give(report)))
        return EXL_BAD_ARGUMENT;
    session->compiled_only = 1; /* goldens know nothing of labels that came later */
    status = exl__check_deferred(session->bundle, error);
    if (status == EXL_OK)
        status = exl__goldens_begin(session->bundle, &all, error);
    for (uint32_t i = 0; status == EXL_OK && i < all.count; i++) {
        exl_predict_options options = {.struct_size = sizeof options, .k = all.k};
        const exl_result *result = NULL;
        const char *what;

        status = exl__goldens_next(session->bundle, &all, &one, error);
        if (status == EXL_OK)
            status = exl_predict(session, one.text, one.text_bytes, &options, &result, error);
        if (status != EXL_OK)
            break;
        known.goldens++;
        what = self_test_difference(session, &all, &one, result, &known.largest_probability_difference);
        if (what && known.failed++ == 0)
            strncpy(first, what, sizeof first - 1);
    }
    if (status == EXL_OK && all.at != all.end)
        status = exl__fail(error, EXL_BUNDLE_MALFORMED, "there are bytes behind the last golden");
    if (status == EXL_OK && known.failed > 0)
        status = exl__fail(error, EXL_SELF_TEST_FAILED, "%u of %u goldens are not reproduced (the first: %s)",
                           known.failed, known.goldens, first);
    session->compiled_only = 0;
    known.tolerance = all.tolerance;
    exl__give_struct(report, &known, sizeof known);
    return status;
}
