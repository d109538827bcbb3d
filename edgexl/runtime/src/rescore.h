/* rescore.h: exact integer scores of single rows from their fine codes (docs/format.md, "Fine codes section"). */
#ifndef EXL_RESCORE_H
#define EXL_RESCORE_H

#include <stddef.h>
#include <stdint.h>

#include "scan.h"

/* IEEE 754 half to single precision: exact, subnormal numbers, infinities and NaN included. */
float exl__f16_to_f32(uint16_t half);

/* Bytes of a row of fine codes. */
size_t exl__fine_stride(uint32_t fine_dims, uint32_t fine_bits);

/* Q[i] = q[i] / unit, rounded, -2047 to 2047; returns unit. q: [fine_dims], the leading dimensions of the query, of
 * which the first gain_dims are multiplied by gain beforehand, in place of the codes that they meet.
 * A NaN counts as 0 and an infinity as the largest: never undefined behaviour. */
float exl__quantize_query(const float *q, uint32_t fine_dims, uint32_t gain_dims, float gain, int16_t *Q);

/* Score of the row that begins at fine_row; reads exactly exl__fine_stride bytes of it. fine_dims even, 2 to 4096;
 * fine_bits 2, 4 or 8. Every ISA gives the same bits. */
float exl__rescore_row(exl__isa isa, const uint8_t *fine_row, uint32_t fine_dims, uint32_t fine_bits, const int16_t *Q,
                       float unit);

/* scores[i] = score of row rows[i] (null: of row i); fetches rows ahead, since they lie far apart. */
void exl__rescore_rows(exl__isa isa, const uint8_t *fine_codes, const uint32_t *rows, uint32_t count,
                       uint32_t fine_dims, uint32_t fine_bits, const int16_t *Q, float unit, float *scores);

/* out: [dims], the first gain_dims multiplied by gain, zeros from fine_dims on. */
void exl__decompress_row(const uint8_t *fine_row, uint32_t fine_dims, uint32_t fine_bits, uint32_t gain_dims,
                         float gain, uint32_t dims, float *out);

/* A kernel gives sum Q[i] x code value over fine_dims codes; |sum| <= 127 x 2047 x 4096 < 2^31. */
typedef int32_t exl__dot_kernel(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims);

exl__dot_kernel exl__dot2_scalar, exl__dot4_scalar, exl__dot8_scalar;
#if defined(__x86_64__)
exl__dot_kernel exl__dot2_avx2, exl__dot4_avx2, exl__dot8_avx2;
#elif defined(__aarch64__)
exl__dot_kernel exl__dot2_neon, exl__dot4_neon, exl__dot8_neon;
#elif defined(__wasm_simd128__)
exl__dot_kernel exl__dot2_wasm, exl__dot4_wasm, exl__dot8_wasm;
#endif

#endif
