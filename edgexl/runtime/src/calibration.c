/* calibration.c: a calibration section's bytes, as docs/format.md has them: a bundle's, or an overlay's. */
#include "compiler.h"

#include <math.h>
#include <string.h>

#include "bundle.h"
#include "bytes.h"

enum { CALIBRATION_HEAD_BYTES = 48, CALIBRATION_MOST_KNOTS = 4096 };

static exl_status calibration_check_order(const exl__calibration *c, exl_status malformed, exl_error *error) {
    for (uint32_t i = 0; i < c->knots; i++)
        if (!isfinite(c->x[i]) || !(c->p[i] >= 0 && c->p[i] <= 1) ||
            (i > 0 && (!(c->x[i] > c->x[i - 1]) || c->p[i] < c->p[i - 1])))
            return exl__fail(error, malformed, "knot %u of the calibration is not in order", i);
    for (uint32_t i = 0; i < c->found; i++)
        if (!isfinite(c->score[i]) || (i > 0 && c->score[i] > c->score[i - 1]))
            return exl__fail(error, malformed, "score %u of the calibration is not in order", i);
    return EXL_OK;
}

exl_status exl__calibration_read(const exl__section *section, const uint8_t label_set[32], exl_status malformed,
                                 exl__calibration *c, exl_error *error) {
    const uint8_t *at = section->bytes;
    uint64_t knots_end;
    int is_covered; /* coverage was counted */

    if (section->length < CALIBRATION_HEAD_BYTES)
        return exl__fail(error, malformed, "the calibration section is too short");
    if (memcmp(at, label_set, 32) != 0)
        return exl__fail(error, malformed, "the calibration belongs to another label set");
    c->input = exl__get32(at + 32);
    c->knots = exl__get32(at + 36);
    memcpy(&c->threshold, at + 40, 4);
    memcpy(&c->presence, at + 44, 4);
    knots_end = CALIBRATION_HEAD_BYTES + 8ull * c->knots;
    is_covered = section->length >= knots_end + 8;
    c->queries = is_covered ? exl__get32(at + knots_end) : 0;
    c->found = is_covered ? exl__get32(at + knots_end + 4) : 0;
    if (c->input < EXL__BY_LOGIT || c->input > EXL__BY_LEAD_OR_NONE || c->knots < 2 ||
        c->knots > CALIBRATION_MOST_KNOTS || c->found > c->queries ||
        section->length != knots_end + (is_covered ? 8 + 4ull * c->found : 0) ||
        !(c->threshold >= 0 && c->threshold <= 1) || !(c->presence < INFINITY))
        return exl__fail(error, malformed, "the calibration section holds a value that the format forbids");
    c->x = (const float *)(const void *)(at + CALIBRATION_HEAD_BYTES);
    c->p = c->x + c->knots;
    c->score = is_covered ? c->p + c->knots + 2 : NULL;
    return calibration_check_order(c, malformed, error);
}
