/* codes.c: encoding one row, in the compiler's order of operations and without fused ones, so that a label added on a
 * device has the bytes that a compile would have given its vector. */
#include "compiler.h"

#include "codes.h"

#include <math.h>
#include <string.h>

enum { CODES_ENTRIES = 16 };

/* ---- coarse -------------------------------------------------------------------------------------------------- */

/* The entry of highest inner product less half its square: the nearest one. Ties go to the lower. */
static uint32_t codes_nearest(const float *point, const float *entries, uint32_t dims) {
    float best = 0.0f;
    uint32_t at = 0;
    for (uint32_t e = 0; e < CODES_ENTRIES; e++) {
        float product = 0.0f, square = 0.0f;
        for (uint32_t j = 0; j < dims; j++) {
            float entry = entries[e * dims + j];
            product += entry * point[j];
            square += entry * entry;
        }
        float closeness = product - 0.5f * square;
        if (e == 0 || closeness > best) {
            best = closeness;
            at = e;
        }
    }
    return at;
}

void exl__encode_coarse(const float *vector, const float *codebook, uint32_t subspaces, uint32_t subspace_dims,
                        uint8_t *codes) {
    memset(codes, 0, subspaces / 2);
    for (uint32_t m = 0; m < subspaces; m++) {
        uint32_t entry = codes_nearest(vector + (size_t)m * subspace_dims,
                                       codebook + (size_t)m * CODES_ENTRIES * subspace_dims, subspace_dims);
        codes[m / 2] = (uint8_t)(codes[m / 2] | entry << m % 2 * 4);
    }
}

/* ---- fine ---------------------------------------------------------------------------------------------------- */

uint16_t exl__f32_to_f16(float value) {
    uint32_t bits, sign, magnitude;
    memcpy(&bits, &value, sizeof bits);
    sign = bits >> 16 & 0x8000u;
    magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) /* 65520: half a step beyond the largest half rounds up to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude >=
        0x38800000u) { /* 2^-14, the smallest normal half; the carry of rounding goes on into the exponent */
        uint32_t rounded = magnitude + 0xfffu + (magnitude >> 13 & 1u);
        return (uint16_t)(sign | (rounded - 0x38000000u) >> 13);
    }
    float steps =
        rintf(fabsf(value) * 0x1p24f); /* subnormal halves are multiples of 2^-24: exact before the rounding */
    return (uint16_t)(sign | (uint32_t)steps);
}

/* The later half onto the earlier one, again and again; the middle one of an odd number stays. Uses up the terms. */
static float codes_folded_sum(float *terms, uint32_t count) {
    for (; count > 1; count = (count + 1) / 2)
        for (uint32_t i = 0, half = count / 2; i < half; i++)
            terms[i] += terms[count - half + i];
    return terms[0];
}

/* Of the largest magnitude: how much of a row's range the outer level covers (numpy's linspace). */
static float codes_clip_number(uint32_t fine_bits, uint32_t i, uint32_t count) {
    if (fine_bits == 8 || i + 1 == count)
        return 1.0f;
    return fine_bits == 2 ? (float)((double)i * (0.8 / 16) + 0.2) : (float)((double)i * (0.5 / 15) + 0.5);
}

/* The levels of `even` [dims] under a step: odd numbers in -3 to 3 or -15 to 15, or whole ones in -127 to 127. */
static void codes_levels(const float *even, uint32_t dims, uint32_t fine_bits, float step, float *values) {
    float half = (float)(1u << (fine_bits - 1));
    for (uint32_t i = 0; i < dims; i++) {
        float level = even[i] * step;
        if (fine_bits == 8) {
            level = rintf(level);
            values[i] = level < -127.0f ? -127.0f : level > 127.0f ? 127.0f : level;
        } else {
            level = floorf(level);
            level = level < -half ? -half : level > half - 1.0f ? half - 1.0f : level;
            values[i] = 2.0f * level + 1.0f;
        }
    }
}

static void codes_pack(const float *values, uint32_t dims, uint32_t fine_bits, uint8_t *codes) {
    uint32_t a_byte = 8 / fine_bits, most = (1u << fine_bits) - 1;
    memset(codes, 0, (size_t)dims / a_byte);
    for (uint32_t i = 0; i < dims; i++) {
        int32_t value = (int32_t)values[i];
        uint32_t code = fine_bits == 8 ? (uint32_t)value & 255u : (uint32_t)(value + (int32_t)most) / 2;
        codes[i / a_byte] = (uint8_t)(codes[i / a_byte] | code << i % a_byte * fine_bits);
    }
}

void exl__encode_fine(const float *vector, uint32_t fine_dims, uint32_t fine_bits, uint32_t leading_dims, float gain,
                      float *scratch, uint8_t *row) {
    float *even = scratch, *weighted = even + fine_dims, *values = weighted + fine_dims, *best = values + fine_dims,
          *terms = best + fine_dims;
    float inverse = (float)(1.0 / (double)gain), peak = 0.0f, best_cosine = -1.0f, best_dot = 0.0f, energy, scale;
    uint32_t clips = fine_bits == 2 ? 17 : fine_bits == 4 ? 16 : 1, half = 1u << (fine_bits - 1);
    uint16_t half_scale;

    for (uint32_t i = 0; i < fine_dims; i++) {
        even[i] = i < leading_dims ? vector[i] * inverse : vector[i];
        weighted[i] = i < leading_dims ? vector[i] * gain : vector[i]; /* its product with the codes is the row's with
                                                                          what they stand for */
        terms[i] = vector[i] * vector[i];
        best[i] = 0.0f;
        peak = fabsf(even[i]) > peak ? fabsf(even[i]) : peak;
    }
    energy = codes_folded_sum(terms, fine_dims);
    peak = peak == 0.0f ? 1.0f : peak;
    for (uint32_t clip = 0; clip < clips; clip++) {
        float share = codes_clip_number(fine_bits, clip, clips), dot, norm, cosine;
        codes_levels(even, fine_dims, fine_bits,
                     fine_bits == 8 ? 127.0f / (share * peak) : (float)(2 * half - 1) / (2.0f * share * peak), values);
        for (uint32_t i = 0; i < fine_dims; i++)
            terms[i] = values[i] * weighted[i];
        dot = codes_folded_sum(terms, fine_dims);
        for (uint32_t i = 0; i < fine_dims; i++)
            terms[i] = values[i] * values[i] * (i < leading_dims ? gain * gain : 1.0f);
        norm = codes_folded_sum(terms, fine_dims);
        cosine = dot / sqrtf(norm > 1e-6f ? norm : 1e-6f);
        if (cosine > best_cosine) {
            best_cosine = cosine;
            best_dot = dot;
            memcpy(best, values, fine_dims * sizeof *best);
        }
    }
    scale = best_dot > 0.0f ? energy / best_dot : 0.0f;
    half_scale = exl__f32_to_f16(scale);
    row[0] = (uint8_t)half_scale;
    row[1] = (uint8_t)(half_scale >> 8);
    codes_pack(best, fine_dims, fine_bits, row + 2);
}
