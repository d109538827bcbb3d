/* test_answers.c: what of an answer follows from the shortlist's logits, numbers that are none, and the self-test,
 * which holds answers against goldens: with sections that were changed for it.
 *
 *     test_answers BUNDLE SCRATCH        with $EDGEXL_ORT_LIBRARY set; SCRATCH is a file that may be overwritten
 */
#include <math.h>

#include "pieces.h"

/* ---- probabilities ----------------------------------------------------------------------------------------------- */

/* Linear between the knots, level outside of them. */
static double interpolate(double x) {
    uint32_t knots = word_of(EXL__CALIBRATION, KNOTS), i = 0;
    float xs[16], ps[16];
    double share;

    CHECK(knots <= 16);
    memcpy(xs, bytes_of[EXL__CALIBRATION] + 4 * X, 4 * knots);
    memcpy(ps, bytes_of[EXL__CALIBRATION] + 4 * (X + knots), 4 * knots);
    if (x <= (double)xs[0])
        return (double)ps[0];
    while (i + 1 < knots && (double)xs[i + 1] < x)
        i++;
    if (i + 1 == knots)
        return (double)ps[i];
    share = (x - (double)xs[i]) / ((double)xs[i + 1] - (double)xs[i]);
    return (double)ps[i] + share * ((double)ps[i + 1] - (double)ps[i]);
}

/* Everything of an answer that follows from the shortlist's logits, for each input of a calibration. */
static void check_answer(const exl_result *result, uint32_t input, double presence) {
    double largest = -1e30, sum = 0, total = 0;

    CHECK(result->count == 20 && result->shortlist == 20);
    for (uint32_t n = 0; n < 20; n++)
        largest = (double)result->shortlist_logits[n] > largest ? (double)result->shortlist_logits[n] : largest;
    for (uint32_t n = 0; n < 20; n++)
        sum += exp((double)result->shortlist_logits[n]);
    sum += input == 3; /* "none of these", at 0 */
    for (uint32_t i = 0; i < 20; i++) {
        const exl_prediction *one = result->predictions[i];
        double x = (double)one->logit - (input == 1 ? 0 : log(sum));
        uint32_t n = 0, ahead = 0;

        while (n < 20 && result->shortlist_labels[n] != one->label)
            n++;
        CHECK(n < 20 && result->shortlist_logits[n] == one->logit);
        for (uint32_t other = 0; other < 20; other++)
            ahead += result->shortlist_logits[other] > one->logit ||
                     (result->shortlist_logits[other] == one->logit && other < n);
        CHECK(ahead == i);
        CHECK(fabs((double)one->probability - interpolate(x)) < 2e-5);
        CHECK(n == 0 || result->shortlist_scores[n] <= result->shortlist_scores[n - 1]);
    }
    CHECK(result->none_fits == (largest < presence));
    CHECK(result->stage_count == EXL_STAGE_COUNT && strcmp(result->stage_names[EXL_STAGE_SCAN], "scan") == 0);
    for (int i = 0; i < EXL_STAGE_COUNT; i++) {
        CHECK(result->stage_ms[i] >= 0);
        total += result->stage_ms[i];
    }
    CHECK(fabs(result->total_ms - total) < 1e-6);
}

static void test_answers(void) {
    static const char *const texts[] = {"red river stone", "storm and snow on the old bridge", "honey", "a b c d e f"};

    for (uint32_t way = 0; way < 6; way++) {
        exl_predict_options options = {.struct_size = sizeof options, .k = 20};
        uint32_t input = 1 + way % 3, knots = word_of(EXL__CALIBRATION, KNOTS);
        exl_status status;
        exl_bundle *bundle;
        exl_session *session = NULL;
        const exl_result *result = NULL;
        float best = 0;

        for (uint32_t i = 0; i < knots && way >= 3; i++) /* knots among the logits themselves, unevenly apart */
            put_number(EXL__CALIBRATION, X + i, input == 1 ? (float)(i * i) - 1.0f : (float)(i * i) - 9.0f);
        put_word(EXL__CALIBRATION, INPUT, input);
        for (int round = 0; round < 3; round++) { /* the best logit itself is enough to fit */
            float presence = round == 0 ? -INFINITY : round == 1 ? best : nextafterf(best, INFINITY);
            put_number(EXL__CALIBRATION, PRESENCE, presence);
            bundle = open_file(put_together(), 0, &status);
            CHECK_STATUS(status, EXL_OK);
            CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
            for (size_t t = 0; t < sizeof texts / sizeof *texts; t++) {
                size_t at = (t + 1) % 4; /* the first one last */
                CHECK_STATUS(exl_predict(session, texts[at], strlen(texts[at]), &options, &result, &said), EXL_OK);
                check_answer(result, input, (double)presence);
            }
            best = result->predictions[0]->logit;
            exl_session_close(session);
            exl_bundle_close(bundle);
        }
        restore();
    }
}

/* ---- numbers that are none --------------------------------------------------------------------------------------- */

/* All numbers of a weights tensor become NaN. */
static void spoil(uint32_t kind, uint32_t tensor) {
    const uint8_t *entry = bytes_of[kind] + 8 + 64 * (size_t)tensor;

    CHECK(tensor < word_of(kind, 0));
    memset(bytes_of[kind] + get64(entry + DATA_OFFSET), 0xff, (size_t)get64(entry + DATA_BYTES));
}

/* Whichever graph gives a number that is none, it is the one that is named. */
static void test_numbers_that_are_none(void) {
    static const char *const sentences[] = {"the screener gives a query vector that is not finite",
                                            "the reasoner gives a logit that is not finite"};

    for (uint32_t i = 0; i < 2; i++) { /* word vectors, and token states */
        exl_status status;
        exl_bundle *bundle;
        exl_session *session = NULL;
        const exl_result *result = NULL;

        spoil(EXL__SCREENER_WEIGHTS, i);
        bundle = open_file(put_together(), 0, &status);
        CHECK_STATUS(status, EXL_OK);
        CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
        CHECK_STATUS(exl_predict(session, "red river", 9, NULL, &result, &said), EXL_ENGINE_FAILED);
        CHECK(strcmp(said.sentence, sentences[i]) == 0 && result == NULL);
        exl_session_close(session);
        exl_bundle_close(bundle);
        restore();
    }
}

/* ---- goldens --------------------------------------------------------------------------------------------------- */

/* The self-test's status, its words in `said`. */
static exl_status self_test(exl_self_test_report *report) {
    exl_status status;
    exl_bundle *bundle = open_file(put_together(), 0, &status);
    exl_session *session = NULL;

    CHECK_STATUS(status, EXL_OK);
    CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
    memset(report, 0, sizeof *report);
    report->struct_size = sizeof *report;
    status = exl_self_test_run(session, report, &said);
    exl_session_close(session);
    exl_bundle_close(bundle);
    return status;
}

#define CHECK_GOLDENS(expected, words)                                                                                 \
    do {                                                                                                               \
        CHECK_STATUS(self_test(&report), expected);                                                                    \
        if (!strstr(said.sentence, words))                                                                             \
            fprintf(stderr, "it says: %s\n", said.sentence);                                                           \
        CHECK(strstr(said.sentence, words));                                                                           \
        restore();                                                                                                     \
    } while (0)

/* Of the section's first golden: tokens and text bytes before, then k answers (label, probability), then tokens. */
enum { COUNT = 0, K, TOLERANCE, GOLDENS_RESERVED, TEXT_BYTES, TOKEN_COUNT, ANSWERS };

static void test_goldens_are_held_against_answers(void) {
    exl_self_test_report report;
    uint32_t k = word_of(EXL__GOLDENS, K);
    float first, second;

    CHECK_STATUS(self_test(&report), EXL_OK);
    CHECK(report.goldens == 3 && report.failed == 0 && said.sentence[0] == '\0');
    CHECK(report.largest_probability_difference >= 0 && report.largest_probability_difference < 1e-4f);
    put_word(EXL__GOLDENS, ANSWERS + 2 * k, word_of(EXL__GOLDENS, ANSWERS + 2 * k) + 1);
    CHECK_GOLDENS(EXL_SELF_TEST_FAILED, "1 of 3 goldens are not reproduced (the first: the tokens differ)");
    CHECK(report.goldens == 3 && report.failed == 1);
    put_word(EXL__GOLDENS, ANSWERS + 2 * k - 2, 299 - word_of(EXL__GOLDENS, ANSWERS + 2 * k - 2));
    CHECK_GOLDENS(EXL_SELF_TEST_FAILED, "(the first: the labels differ)");
    memcpy(&first, bytes_of[EXL__GOLDENS] + 4 * (ANSWERS + 1), 4);
    memcpy(&second, bytes_of[EXL__GOLDENS] + 4 * (ANSWERS + 3), 4);
    CHECK(first > second);
    put_number(EXL__GOLDENS, ANSWERS + 1, first + 0.002f); /* the tolerance is 0.001 */
    CHECK_GOLDENS(EXL_SELF_TEST_FAILED, "(the first: a probability differs)");
    CHECK(fabsf(report.largest_probability_difference - 0.002f) < 1e-4f);
    put_number(EXL__GOLDENS, ANSWERS + 1, first - 0.0008f);
    CHECK_GOLDENS(EXL_OK, "");
    CHECK(report.failed == 0 && fabsf(report.largest_probability_difference - 0.0008f) < 1e-4f);
    put_number(EXL__GOLDENS, ANSWERS + 1, NAN);
    CHECK_GOLDENS(EXL_SELF_TEST_FAILED, "(the first: a probability differs)");
    CHECK(isnan(report.largest_probability_difference));
    for (int near = 0; near < 2; near++) { /* the first two change places: allowed where they are as good as equal */
        uint32_t label = word_of(EXL__GOLDENS, ANSWERS);
        put_word(EXL__GOLDENS, ANSWERS, word_of(EXL__GOLDENS, ANSWERS + 2));
        put_word(EXL__GOLDENS, ANSWERS + 2, label);
        put_number(EXL__GOLDENS, ANSWERS + 1, second), put_number(EXL__GOLDENS, ANSWERS + 3, first);
        put_number(EXL__GOLDENS, TOLERANCE, near ? (first - second) * 1.1f : (first - second) * 0.9f);
        if (near)
            CHECK_GOLDENS(EXL_OK, "");
        else
            CHECK_GOLDENS(EXL_SELF_TEST_FAILED, "(the first: the labels' order differs)");
    }
}

static void test_goldens_are_well_formed(void) {
    static const char forbidden[] = "the goldens section holds a value that the format forbids";
    exl_self_test_report report;
    uint32_t count = word_of(EXL__GOLDENS, COUNT);

    length_of[EXL__GOLDENS] = 0;
    CHECK_GOLDENS(EXL_SELF_TEST_FAILED, "the bundle holds no goldens to test with");
    length_of[EXL__GOLDENS] = 15;
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, "the goldens section is too short");
    put_word(EXL__GOLDENS, COUNT, 0);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, forbidden);
    put_word(EXL__GOLDENS, K, 0);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, forbidden);
    put_word(EXL__GOLDENS, K, 21); /* the shortlist is 20 */
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, forbidden);
    put_word(EXL__GOLDENS, K, 20), length_of[EXL__GOLDENS] = 16 + 100;
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, "the goldens section ends inside a golden");
    put_number(EXL__GOLDENS, TOLERANCE, -0.001f);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, forbidden);
    put_number(EXL__GOLDENS, TOLERANCE, 1.001f);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, forbidden);
    put_number(EXL__GOLDENS, TOLERANCE, NAN);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, forbidden);
    put_number(EXL__GOLDENS, TOLERANCE, 1.0f);
    CHECK_GOLDENS(EXL_OK, "");
    put_word(EXL__GOLDENS, GOLDENS_RESERVED, 1);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, forbidden);
    put_word(EXL__GOLDENS, COUNT, count + 1);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, "the goldens section ends inside a golden");
    CHECK(report.goldens == count);
    put_word(EXL__GOLDENS, COUNT, count - 1);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, "there are bytes behind the last golden");
    put_word(EXL__GOLDENS, TOKEN_COUNT, 13); /* a text has at most 12 */
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, "the goldens section ends inside a golden");
    put_word(EXL__GOLDENS, TEXT_BYTES, UINT32_MAX);
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, "the goldens section ends inside a golden");
    length_of[EXL__GOLDENS] -= 4;
    CHECK_GOLDENS(EXL_BUNDLE_MALFORMED, "the goldens section ends inside a golden");
}

/* ---- damaged strings -------------------------------------------------------------------------------------------- */

/* What open does not look at is met by whoever asks for it, and is no other label's string. */
static void test_damaged_strings(void) {
    for (uint32_t kind = EXL__LABEL_TEXTS; kind <= EXL__LABEL_IDS; kind++) {
        label_field field = kind == EXL__LABEL_IDS ? FIELD_ID : FIELD_TEXT;
        exl_status status;
        exl_bundle *bundle;
        exl_session *session = NULL;
        const exl_result *result = NULL;
        uint32_t found[8], count = 9, label = 77;
        const char *id = "L0299";
        size_t bytes = 5;
        char buffer[64];

        memset(bytes_of[kind] + length_of[kind] - 64, 0xff, 64); /* the last labels' */
        bundle = open_file(put_together(), 0, &status);
        CHECK_STATUS(status, EXL_OK);
        CHECK_STATUS(read_field(bundle, 299, field, buffer, sizeof buffer, &bytes), EXL_BUNDLE_CORRUPT);
        CHECK(bytes == 0);
        CHECK_STATUS(read_field(bundle, 0, field, buffer, sizeof buffer, &bytes), EXL_OK);
        status = exl_label_find(bundle, id, 5, &label, &said);
        CHECK(status == (field == FIELD_ID ? EXL_BUNDLE_CORRUPT : EXL_OK));
        CHECK(label == (field == FIELD_ID ? 77 : 299));
        status = exl_labels_complete(bundle, "zz", 2, 0, found, 8, &count, &said);
        CHECK(status == (field == FIELD_TEXT ? EXL_BUNDLE_CORRUPT : EXL_OK));
        bytes = 5;
        if (field == FIELD_ID) {
            CHECK_STATUS(exl_labels_retire(bundle, &id, &bytes, 1, &said), EXL_BUNDLE_CORRUPT);
            CHECK(strstr(said.sentence, "are damaged: copy the bundle again"));
        }
        exl_bundle_close(bundle);
        restore();
        memset(bytes_of[kind] + length_of[kind] / 2, 0xff, (size_t)length_of[kind] / 2); /* half of all labels' */
        bundle = open_file(put_together(), 0, &status);
        if (bundle) {
            exl_predict_options options = {.struct_size = sizeof options, .k = 20};
            CHECK_STATUS(exl_session_open(bundle, NULL, &session, &said), EXL_OK);
            CHECK_STATUS(exl_predict(session, "red river", 9, &options, &result, &said), EXL_BUNDLE_CORRUPT);
            CHECK(strstr(said.sentence, "damaged") && result == NULL);
            exl_session_close(session);
            exl_bundle_close(bundle);
        }
        restore();
    }
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    take_apart(arguments[1], arguments[2]);
    test_answers();
    test_numbers_that_are_none();
    test_goldens_are_held_against_answers();
    test_goldens_are_well_formed();
    test_damaged_strings();
    put_away();
    puts("test_answers: done");
    return 0;
}
