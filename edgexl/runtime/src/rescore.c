/* rescore.c: query quantisation, the scalar kernels, and decompression of fine codes. */
#include "compiler.h"

#include "rescore.h"

#include <string.h>

enum { RESCORE_LARGEST_QUERY = 2047, RESCORE_ROWS_AHEAD = 16, RESCORE_CACHE_LINE = 64 };

float exl__f16_to_f32(uint16_t half) {
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16, exponent = half >> 10 & 31u, fraction = half & 0x3ffu, bits;
    float value;
    if (exponent == 31)
        bits = sign | 0x7f800000u | fraction << 13;
    else if (exponent != 0)
        bits = sign | (exponent + 112) << 23 | fraction << 13; /* 112 = 127 - 15, the biases */
    else {
        value = (float)fraction * 0x1p-24f; /* zero and subnormal halves are fractions of 2^-24: exact */
        return sign ? -value : value;
    }
    memcpy(&value, &bits, sizeof value);
    return value;
}

size_t exl__fine_stride(uint32_t fine_dims, uint32_t fine_bits) { return 2 + (size_t)fine_dims * fine_bits / 8; }

static float rescore_row_scale(const uint8_t *fine_row) {
    uint16_t half = (uint16_t)(fine_row[0] | fine_row[1] << 8);
    return (half & 0x7c00u) == 0x7c00u ? 0.0f : exl__f16_to_f32(half);
}

float exl__quantize_query(const float *q, uint32_t fine_dims, uint32_t gain_dims, float gain, int16_t *Q) {
    float largest = 0.0f;
    for (uint32_t i = 0; i < fine_dims; i++) {
        float value = i < gain_dims ? q[i] * gain : q[i];
        float magnitude = value < 0.0f ? -value : value;
        largest = magnitude > largest && magnitude <= 3.402823466e38f ? magnitude : largest;
    }
    const double most = RESCORE_LARGEST_QUERY;
    float unit = largest / (float)RESCORE_LARGEST_QUERY;
    for (uint32_t i = 0; i < fine_dims; i++) {
        float value = i < gain_dims ? q[i] * gain : q[i];
        double steps = unit > 0.0f ? (double)(value / unit) : 0.0; /* double: adding a half is exact */
        double rounded = steps < 0.0 ? steps - 0.5 : steps + 0.5;
        if (!(rounded >= -(most + 0.5) && rounded <= most + 0.5))
            rounded = steps > 0.0 ? most : steps < 0.0 ? -most : 0.0;
        Q[i] = (int16_t)rounded;
    }
    return unit;
}

int32_t exl__dot2_scalar(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < fine_dims; i++)
        sum += Q[i] * (2 * (codes[i / 4] >> i % 4 * 2 & 3) - 3);
    return sum;
}

int32_t exl__dot4_scalar(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    int32_t sum = 0;
    for (uint32_t b = 0; b < fine_dims / 2; b++) {
        sum += Q[2 * b] * (2 * (codes[b] & 15) - 15);
        sum += Q[2 * b + 1] * (2 * (codes[b] >> 4) - 15);
    }
    return sum;
}

static int32_t rescore_code8_value(uint8_t code) {
    int32_t value = code < 128 ? code : code - 256;
    return value < -127 ? -127 : value;
}

int32_t exl__dot8_scalar(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    int32_t sum = 0;
    for (uint32_t i = 0; i < fine_dims; i++)
        sum += Q[i] * rescore_code8_value(codes[i]);
    return sum;
}

static exl__dot_kernel *rescore_kernel_for(exl__isa isa, uint32_t fine_bits) {
    switch (isa) {
#if defined(__x86_64__)
    case EXL__AVX2:
    case EXL__AVX512:
    case EXL__VBMI: /* fetching the rows costs more than the arithmetic: wider registers gain nothing */
        return fine_bits == 2 ? exl__dot2_avx2 : fine_bits == 4 ? exl__dot4_avx2 : exl__dot8_avx2;
#elif defined(__aarch64__)
    case EXL__NEON: return fine_bits == 2 ? exl__dot2_neon : fine_bits == 4 ? exl__dot4_neon : exl__dot8_neon;
#elif defined(__wasm_simd128__)
    case EXL__WASM: return fine_bits == 2 ? exl__dot2_wasm : fine_bits == 4 ? exl__dot4_wasm : exl__dot8_wasm;
#endif
    default: return fine_bits == 2 ? exl__dot2_scalar : fine_bits == 4 ? exl__dot4_scalar : exl__dot8_scalar;
    }
}

static float rescore_score(exl__dot_kernel *dot, const uint8_t *fine_row, uint32_t fine_dims, const int16_t *Q,
                           float unit) {
    return (float)dot(fine_row + 2, Q, fine_dims) * rescore_row_scale(fine_row) * unit;
}

float exl__rescore_row(exl__isa isa, const uint8_t *fine_row, uint32_t fine_dims, uint32_t fine_bits, const int16_t *Q,
                       float unit) {
    return rescore_score(rescore_kernel_for(isa, fine_bits), fine_row, fine_dims, Q, unit);
}

void exl__rescore_rows(exl__isa isa, const uint8_t *fine_codes, const uint32_t *rows, uint32_t count,
                       uint32_t fine_dims, uint32_t fine_bits, const int16_t *Q, float unit, float *scores) {
    exl__dot_kernel *dot = rescore_kernel_for(isa, fine_bits);
    size_t stride = exl__fine_stride(fine_dims, fine_bits);
    for (uint32_t i = 0; i < count; i++) {
        if (count - i > RESCORE_ROWS_AHEAD) {
            const uint8_t *ahead = fine_codes + (rows ? rows[i + RESCORE_ROWS_AHEAD] : i + RESCORE_ROWS_AHEAD) * stride;
            for (size_t at = 0; at < stride; at += RESCORE_CACHE_LINE)
                __builtin_prefetch(ahead + at);
            __builtin_prefetch(ahead + stride - 1);
        }
        scores[i] = rescore_score(dot, fine_codes + (rows ? rows[i] : i) * stride, fine_dims, Q, unit);
    }
}

void exl__decompress_row(const uint8_t *fine_row, uint32_t fine_dims, uint32_t fine_bits, uint32_t gain_dims,
                         float gain, uint32_t dims, float *out) {
    float scale = rescore_row_scale(fine_row);
    const uint8_t *codes = fine_row + 2;
    if (fine_bits == 2)
        for (uint32_t i = 0; i < fine_dims; i++)
            out[i] = scale * (float)(2 * (codes[i / 4] >> i % 4 * 2 & 3) - 3);
    else if (fine_bits == 4)
        for (uint32_t b = 0; b < fine_dims / 2; b++) {
            out[2 * b] = scale * (float)(2 * (codes[b] & 15) - 15);
            out[2 * b + 1] = scale * (float)(2 * (codes[b] >> 4) - 15);
        }
    else
        for (uint32_t i = 0; i < fine_dims; i++)
            out[i] = scale * (float)rescore_code8_value(codes[i]);
    for (uint32_t i = 0; i < gain_dims && i < fine_dims; i++)
        out[i] *= gain;
    for (uint32_t i = fine_dims; i < dims; i++)
        out[i] = 0.0f;
}
