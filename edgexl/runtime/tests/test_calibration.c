/* test_calibration.c: every rule of docs/format.md on the calibration section, from both sides, as test_sections.c has
 * those on others.
 *
 *     test_calibration BUNDLE SCRATCH        SCRATCH is a file that may be overwritten
 */
#include <math.h>

#include "pieces.h"

static void test_calibration_head(void) {
    static const char forbidden[] = "the calibration section holds a value that the format forbids";
    static const float thresholds[] = {-0.001f, 1.001f, NAN};
    uint32_t knots = word_of(EXL__CALIBRATION, KNOTS);

    length_of[EXL__CALIBRATION] = 47;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the calibration section is too short");
    for (uint32_t at = 0; at < 32; at += 31) {
        bytes_of[EXL__CALIBRATION][at] ^= 1;
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the calibration belongs to another label set");
    }
    for (uint32_t input = 0; input <= 4; input++) {
        put_word(EXL__CALIBRATION, INPUT, input);
        if (input == 0 || input == 4)
            CHECK_REFUSED(EXL_OPEN_NO_ENGINE, forbidden);
        else
            CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    }
    for (int more = -1; more <= 1; more += 2) {
        put_word(EXL__CALIBRATION, KNOTS, knots + (uint32_t)more);
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, forbidden);
    }
    length_of[EXL__CALIBRATION] = 48 + 8 * knots; /* nothing is known of coverage */
    CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    length_of[EXL__CALIBRATION] = 48 + 8 * knots + 4;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, forbidden);
    put_word(EXL__CALIBRATION, KNOTS, 1), length_of[EXL__CALIBRATION] = 48 + 8;
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, forbidden);
    for (uint32_t count = 4096; count <= 4097; count++) {
        put_word(EXL__CALIBRATION, KNOTS, count), length_of[EXL__CALIBRATION] = 48 + 8 * count;
        for (uint32_t i = 0; i < count; i++)
            put_number(EXL__CALIBRATION, X + i, (float)i), put_number(EXL__CALIBRATION, X + count + i, 0.5f);
        if (count == 4096)
            CHECK_OPENS(EXL_OPEN_NO_ENGINE);
        else
            CHECK_REFUSED(EXL_OPEN_NO_ENGINE, forbidden);
    }
    for (size_t i = 0; i < sizeof thresholds / sizeof *thresholds; i++) {
        put_number(EXL__CALIBRATION, THRESHOLD, thresholds[i]);
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, forbidden);
        put_number(EXL__CALIBRATION, THRESHOLD, i ? 1.0f : 0.0f);
        CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    }
    put_number(EXL__CALIBRATION, PRESENCE, INFINITY);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, forbidden);
    put_number(EXL__CALIBRATION, PRESENCE, NAN);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, forbidden);
    put_number(EXL__CALIBRATION, PRESENCE, -INFINITY);
    CHECK_OPENS(EXL_OPEN_NO_ENGINE);
}

static void test_calibration_scores(void) {
    uint32_t queries = X + 2 * word_of(EXL__CALIBRATION, KNOTS), first = queries + 2;
    uint32_t found = word_of(EXL__CALIBRATION, queries + 1);
    char words[64];

    put_word(EXL__CALIBRATION, queries, found - 1);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the calibration section holds a value that the format forbids");
    put_word(EXL__CALIBRATION, queries, found);
    CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    put_word(EXL__CALIBRATION, queries + 1, found - 1);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "the calibration section holds a value that the format forbids");
    for (uint32_t i = 0; i < found; i++) {
        snprintf(words, sizeof words, "score %u of the calibration is not in order", i);
        put_number(EXL__CALIBRATION, first + i, i % 2 ? NAN : -INFINITY);
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, words);
        if (i == 0)
            continue;
        put_number(EXL__CALIBRATION, first + i, 100);
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, words);
        put_word(EXL__CALIBRATION, first + i, word_of(EXL__CALIBRATION, first + i - 1)); /* twice the same */
        CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    }
}

static void test_calibration_knots(void) {
    uint32_t knots = word_of(EXL__CALIBRATION, KNOTS), p = X + knots;
    char words[64];

    for (uint32_t i = 0; i < knots; i++) {
        snprintf(words, sizeof words, "knot %u of the calibration is not in order", i);
        put_number(EXL__CALIBRATION, X + i, i + 1 < knots ? NAN : INFINITY);
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, words);
        put_number(EXL__CALIBRATION, p + i, i % 2 ? 1.001f : NAN);
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, words);
        if (i == 0)
            continue;
        put_word(EXL__CALIBRATION, X + i, word_of(EXL__CALIBRATION, X + i - 1)); /* twice the same */
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, words);
        put_number(EXL__CALIBRATION, p + i, 0.0f); /* descends */
        CHECK_REFUSED(EXL_OPEN_NO_ENGINE, words);
        put_word(EXL__CALIBRATION, p + i, word_of(EXL__CALIBRATION, p + i - 1)); /* a level stretch */
        CHECK_OPENS(EXL_OPEN_NO_ENGINE);
    }
    put_number(EXL__CALIBRATION, p, -0.001f);
    CHECK_REFUSED(EXL_OPEN_NO_ENGINE, "knot 0");
    put_number(EXL__CALIBRATION, p, 0.0f), put_number(EXL__CALIBRATION, p + knots - 1, 1.0f);
    CHECK_OPENS(EXL_OPEN_NO_ENGINE);
}

int main(int count, char **arguments) {
    CHECK(count == 3);
    take_apart(arguments[1], arguments[2]);
    CHECK_OPENS(EXL_OPEN_VERIFY);
    test_calibration_head();
    test_calibration_knots();
    test_calibration_scores();
    put_away();
    puts("test_calibration: done");
    return 0;
}
