/* self_test.c: runs the goldens section (FORMAT.md): inputs with the answers that the compiler's machine gave. */
#include <math.h>
#include <string.h>

#include "options.h"
#include "session.h"

typedef struct golden {
    uint32_t text_bytes, token_count;
    const uint8_t *answers; /* k x (u32 label, f32 probability) */
    const uint8_t *tokens;  /* token_count x i32 */
    const char *text;
} golden;

typedef struct goldens {
    uint32_t count, k;
    float tolerance;
    const uint8_t *at, *end;
} goldens;

static uint32_t word(const uint8_t *at, uint32_t index) {
    uint32_t value;
    memcpy(&value, at + 4 * (size_t)index, sizeof value);
    return value;
}

static exl_status begin(exl_session *s, goldens *g) {
    const exl__section *section = &s->bundle->sections[EXL__GOLDENS];

    if (!section->bytes)
        return exl__fail(&s->error, EXL_SELF_TEST_FAILED, "the bundle holds no goldens to test with");
    if (section->length < 16)
        return exl__fail(&s->error, EXL_BUNDLE_MALFORMED, "the goldens section is too short");
    g->count = word(section->bytes, 0);
    g->k = word(section->bytes, 1);
    memcpy(&g->tolerance, section->bytes + 8, 4);
    g->at = section->bytes + 16;
    g->end = section->bytes + section->length;
    if (g->count == 0 || g->k == 0 || g->k > s->bundle->parameters.shortlist || !(g->tolerance >= 0 && g->tolerance <= 1) ||
        word(section->bytes, 3) != 0)
        return exl__fail(&s->error, EXL_BUNDLE_MALFORMED, "the goldens section holds a value that the format forbids");
    return EXL_OK;
}

/* Takes the next golden off the section: its sizes first, then their sum against what is left. */
static exl_status next(exl_session *s, goldens *g, golden *one) {
    uint64_t left = (uint64_t)(g->end - g->at), used;

    if (left >= 8) {
        one->text_bytes = word(g->at, 0);
        one->token_count = word(g->at, 1);
        used = 8 + (uint64_t)g->k * 8 + (uint64_t)one->token_count * 4 + one->text_bytes;
        used = (used + 3) / 4 * 4;
        if (used <= left && one->token_count <= s->bundle->parameters.max_tokens) {
            one->answers = g->at + 8;
            one->tokens = one->answers + (size_t)g->k * 8;
            one->text = (const char *)one->tokens + (size_t)one->token_count * 4;
            g->at += used;
            return EXL_OK;
        }
    }
    return exl__fail(&s->error, EXL_BUNDLE_MALFORMED, "the goldens section ends inside a golden");
}

static float golden_probability(const golden *one, uint32_t index) {
    float probability;
    memcpy(&probability, one->answers + 8 * (size_t)index + 4, sizeof probability);
    return probability;
}

/* Null when the answer is the golden's, else what differs. */
static const char *difference(const exl_session *s, const goldens *g, const golden *one, const exl_result *result,
                              float *largest) {
    if (result->tokens != one->token_count ||
        (one->token_count > 0 && memcmp(s->tokens, one->tokens, one->token_count * sizeof *s->tokens) != 0))
        return "the tokens differ";
    if (result->count != g->k)
        return "the shortlist is shorter";
    for (uint32_t i = 0; i < g->k; i++) {
        uint32_t place = 0;
        float off;

        while (place < g->k && word(one->answers, 2 * place) != result->predictions[i].label)
            place++;
        if (place == g->k)
            return "the labels differ";
        if (place != i && !(fabsf(golden_probability(one, place) - golden_probability(one, i)) < g->tolerance))
            return "the labels' order differs";
        off = fabsf(result->predictions[i].probability - golden_probability(one, place));
        if (!(off <= *largest)) /* also when a golden is NaN */
            *largest = off;
        if (!(off <= g->tolerance))
            return "a probability differs";
    }
    return NULL;
}

exl_status exl_self_test(exl_session *session, exl_self_test_report *report) {
    exl_self_test_report known = {0};
    goldens all = {0};
    golden one = {0};
    exl_status status;
    char first[64] = "";

    if (!session || !report || report->struct_size < sizeof(size_t))
        return EXL_BAD_ARGUMENT;
    session->error.text[0] = '\0';
    status = begin(session, &all);
    for (uint32_t i = 0; status == EXL_OK && i < all.count; i++) {
        exl_predict_options options = {.struct_size = sizeof options, .k = all.k};
        const exl_result *result = NULL;
        const char *what;

        status = next(session, &all, &one);
        if (status == EXL_OK)
            status = exl_predict(session, one.text, one.text_bytes, &options, &result);
        if (status != EXL_OK)
            break;
        known.goldens++;
        what = difference(session, &all, &one, result, &known.largest_probability_difference);
        if (what && known.failed++ == 0)
            strncpy(first, what, sizeof first - 1);
    }
    if (status == EXL_OK && all.at != all.end)
        status = exl__fail(&session->error, EXL_BUNDLE_MALFORMED, "there are bytes behind the last golden");
    if (status == EXL_OK && known.failed > 0)
        status = exl__fail(&session->error, EXL_SELF_TEST_FAILED, "%u of %u goldens are not reproduced (the first: %s)",
                           known.failed, known.goldens, first);
    exl__give_struct(report, report->struct_size, &known, sizeof known);
    return status;
}
