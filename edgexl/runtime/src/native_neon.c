/* native_neon.c: kernels for AArch64: plain, with dot products, with matrix products (i8mm). Codes are signed there:
 * less 128. */
#include "compiler.h"

#include <math.h>
#include <string.h>

#include "native.h"

#if defined(__aarch64__)
#include "neon.h"

#if defined(__clang__)
#define NATIVE_NEON_DOT_PRODUCTS "dotprod"
#define NATIVE_NEON_MATRIX_PRODUCTS "i8mm"
#else
#define NATIVE_NEON_DOT_PRODUCTS "arch=armv8.2-a+dotprod"
#define NATIVE_NEON_MATRIX_PRODUCTS "arch=armv8.2-a+i8mm"
#endif

/* Vectors are written out, and scheduling spills what the tiles just hold in registers. */
EXL__OPTIMIZE_BEGIN("no-tree-vectorize", "no-schedule-insns")

/* Keeps gcc from making one pointer that moves by loads into several that are added up: a tenth of the inner loops. */
#define NATIVE_NEON_STEPPED(pointer) __asm__("" : "+r"(pointer))

#define NATIVE_NAME(x) native_neon_##x
#define NATIVE_LANES 4
#define NATIVE_ROWS 4
#define NATIVE_LEAST(x, y) ((native_neon_vector)vminnmq_f32((float32x4_t)(x), (float32x4_t)(y)))
#define NATIVE_MOST(x, y) ((native_neon_vector)vmaxnmq_f32((float32x4_t)(x), (float32x4_t)(y)))

typedef int32_t native_neon_four_integers __attribute__((vector_size(16), aligned(4), may_alias));

EXL__INLINE void native_neon_narrow(const native_neon_four_integers *panel, uint32_t code_bytes, uint32_t flip,
                                    uint8_t *to) {
    uint16x8_t low = vqmovun_high_s32(vqmovun_s32((int32x4_t)panel[0]), (int32x4_t)panel[1]);
    uint16x8_t high = vqmovun_high_s32(vqmovun_s32((int32x4_t)panel[2]), (int32x4_t)panel[3]);
    uint8x16_t codes = veorq_u8(vqmovn_high_u16(vqmovn_u16(low), high), vdupq_n_u8((uint8_t)flip));

    if (code_bytes == 1) {
        vst1q_u8(to, codes);
        return;
    }
    for (uint32_t step = 0; step < 4; step++)
        vst1q_u32((uint32_t *)(void *)(to + step * 16), vdupq_n_u32(vreinterpretq_u32_u8(codes)[step]));
}

#include "native_float.h"

/* ---- without dot products -------------------------------------------------------------------------------------- */

/* Each four codes stand there four times, for a load is one instruction where spreading them is three.
 *
 * Two products of bytes fit 16 bits, for |code| <= 128 and |weight| <= 127: two steps, then into 32 bits by pairs.
 * 8 columns at a time; each register of totals holds two columns, two halves each. Steps are even (K is padded). */
EXL__INLINE void native_neon_tile(const int8_t *codes, size_t code_stride, const uint32_t rows, const int8_t *weights,
                                  uint32_t steps, int32_t *sums, size_t sum_stride) {
    for (uint32_t half = 0; half < 2; half++) {
        const int8_t *at = weights + half * 32;
        const int8_t *row[4];
        int32x4_t totals[4][4];

        for (uint32_t r = 0; r < rows; r++) {
            row[r] = codes + r * code_stride;
            for (uint32_t c = 0; c < 4; c++)
                totals[r][c] = vdupq_n_s32(0);
        }
        for (uint32_t s = 0; s < steps; s += 2, at += EXL__PANEL * 8) {
            int8x16x2_t w = vld1q_s8_x2(at), then = vld1q_s8_x2(at + EXL__PANEL * 4);
            for (uint32_t r = 0; r < rows; r++) {
                int8x16x2_t code = vld1q_s8_x2(row[r]);
                row[r] += 32;
                for (uint32_t c = 0; c < 2; c++) {
                    int16x8_t p = vmull_s8(vget_low_s8(w.val[c]), vget_low_s8(code.val[0]));
                    p = vmlal_s8(p, vget_low_s8(then.val[c]), vget_low_s8(code.val[1]));
                    totals[r][2 * c] = vpadalq_s16(totals[r][2 * c], p);
                    p = vmlal_high_s8(vmull_high_s8(w.val[c], code.val[0]), then.val[c], code.val[1]);
                    totals[r][2 * c + 1] = vpadalq_s16(totals[r][2 * c + 1], p);
                }
            }
        }
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t c = 0; c < 2; c++)
                vst1q_s32(sums + r * sum_stride + half * 8 + c * 4, vpaddq_s32(totals[r][2 * c], totals[r][2 * c + 1]));
    }
}

DOT_BY_PANEL(native_neon_dot, native_neon_tile, ROWS_4)

/* Weights of 7 bits: four steps fit 16 bits. In assembly, for compilers run out of registers. */
EXL__INLINE void native_neon_seven_tile(const int8_t *codes, size_t code_stride, const uint32_t rows,
                                        const int8_t *weights, uint32_t steps, int32_t *sums, size_t sum_stride) {
    for (uint32_t half = 0; half < 2; half++) {
        const int8_t *at = weights + half * 32, *row[4];
        int32x4_t totals[4][4];

        EXL__UNROLL
        for (uint32_t r = 0; r < rows; r++) {
            row[r] = codes + r * code_stride;
            EXL__UNROLL
            for (uint32_t c = 0; c < 4; c++)
                totals[r][c] = vdupq_n_s32(0);
        }
        for (uint32_t s = 0; s < steps; s += 4, at += EXL__PANEL * 16) {
            int8x16_t w[4][2];
            EXL__UNROLL
            for (uint32_t k = 0; k < 4; k++)
                __asm__("ldp %q0, %q1, [%2]" : "=w"(w[k][0]), "=w"(w[k][1]) : "r"(at + k * EXL__PANEL * 4) : "memory");
            EXL__UNROLL
            for (uint32_t r = 0; r < rows; r++) {
                int8x16_t code[4];
                __asm__("ldp %q0, %q1, [%4], #32\n\t"
                        "ldp %q2, %q3, [%4], #32"
                        : "=&w"(code[0]), "=&w"(code[1]), "=&w"(code[2]), "=&w"(code[3]), "+r"(row[r])
                        :
                        : "memory");
                EXL__UNROLL
                for (uint32_t c = 0; c < 2; c++) {
                    int16x8_t low, high;
                    __asm__("smull %2.8h, %4.8b, %8.8b\n\t"
                            "smull2 %3.8h, %4.16b, %8.16b\n\t"
                            "smlal %2.8h, %5.8b, %9.8b\n\t"
                            "smlal2 %3.8h, %5.16b, %9.16b\n\t"
                            "smlal %2.8h, %6.8b, %10.8b\n\t"
                            "smlal2 %3.8h, %6.16b, %10.16b\n\t"
                            "smlal %2.8h, %7.8b, %11.8b\n\t"
                            "smlal2 %3.8h, %7.16b, %11.16b\n\t"
                            "sadalp %0.4s, %2.8h\n\t"
                            "sadalp %1.4s, %3.8h"
                            : "+w"(totals[r][2 * c]), "+w"(totals[r][2 * c + 1]), "=&w"(low), "=&w"(high)
                            : "w"(w[0][c]), "w"(w[1][c]), "w"(w[2][c]), "w"(w[3][c]), "w"(code[0]), "w"(code[1]),
                              "w"(code[2]), "w"(code[3]));
                }
            }
        }
        EXL__UNROLL
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t c = 0; c < 2; c++)
                vst1q_s32(sums + r * sum_stride + half * 8 + c * 4, vpaddq_s32(totals[r][2 * c], totals[r][2 * c + 1]));
    }
}

DOT_BY_PANEL(native_neon_seven_dot, native_neon_seven_tile, ROWS_4)

const exl__kernels exl__kernels_neon = NATIVE_KERNELS("neon", INT8_PRODUCTS(native_neon_dot, 4, 1, 4, 128),
                                                      INT8_PRODUCTS(native_neon_seven_dot, 4, 1, 4, 128));

/* ---- with dot products ----------------------------------------------------------------------------------------- */

EXL__TARGET_BEGIN(NATIVE_NEON_DOT_PRODUCTS)

/* 16 bytes of each row serve 4 steps, one lane each. Steps are a multiple of 4. */
EXL__INLINE void native_neon_dot_tile(const int8_t *codes, size_t code_stride, const uint32_t rows,
                                      const int8_t *weights, uint32_t steps, int32_t *sums, size_t sum_stride) {
    int32x4_t totals[4][4];
    const int8_t *row[4];

    for (uint32_t r = 0; r < rows; r++) {
        row[r] = codes + r * code_stride;
        for (uint32_t c = 0; c < 4; c++)
            totals[r][c] = vdupq_n_s32(0);
    }
    for (uint32_t s = 0; s < steps; s += 4) {
        int8x16_t code[4];
        for (uint32_t r = 0; r < rows; r++)
            code[r] = vld1q_s8(row[r]), row[r] += 16;
#define NATIVE_NEON_STEP(lane)                                                                                         \
    {                                                                                                                  \
        int8x16x4_t w = vld1q_s8_x4(weights);                                                                          \
        weights += EXL__PANEL * 4;                                                                                     \
        NATIVE_NEON_STEPPED(weights);                                                                                  \
        for (uint32_t c = 0; c < 4; c++)                                                                               \
            for (uint32_t r = 0; r < rows; r++)                                                                        \
                totals[r][c] = vdotq_laneq_s32(totals[r][c], w.val[c], code[r], lane);                                 \
    }
        NATIVE_NEON_STEP(0)
        NATIVE_NEON_STEP(1)
        NATIVE_NEON_STEP(2)
        NATIVE_NEON_STEP(3)
    }
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t c = 0; c < 4; c++)
            vst1q_s32(sums + r * sum_stride + c * 4, totals[r][c]);
}

DOT_BY_PANEL(native_neon_dot_dot, native_neon_dot_tile, ROWS_4)

EXL__TARGET_END

/* ---- with matrix products (i8mm) ------------------------------------------------------------------------------- */

EXL__TARGET_BEGIN(NATIVE_NEON_MATRIX_PRODUCTS)

/* smmla multiplies 8 codes of two rows with 8 weights of two columns. Two steps' lines of the common packing, zipped,
 * are such pairs of columns. 8 rows x 8 columns at a time; of an odd number of rows the last goes twice. */
EXL__INLINE void native_neon_i8mm_tile(const int8_t *codes, size_t code_stride, const uint32_t rows,
                                       const int8_t *weights, uint32_t steps, int32_t *sums, size_t sum_stride) {
    const uint32_t pairs = (rows + 1) / 2;
    const int8_t *row[8];

    for (uint32_t r = 0; r < 2 * pairs; r++)
        row[r] = codes + (size_t)(r < rows ? r : r - 1) * code_stride;
    for (uint32_t half = 0; half < 2; half++) {
        const int8_t *at = weights + half * 32;
        int32x4_t totals[4][4];

        for (uint32_t p = 0; p < pairs; p++)
            for (uint32_t c = 0; c < 4; c++)
                totals[p][c] = vdupq_n_s32(0);
        for (uint32_t s = 0; s < steps; s += 4) {
            int8x16_t columns[2][4];
            for (uint32_t k = 0; k < 2; k++, at += EXL__PANEL * 8) {
                int8x16x2_t first = vld1q_s8_x2(at), second = vld1q_s8_x2(at + EXL__PANEL * 4);
                for (uint32_t c = 0; c < 2; c++) {
                    int32x4_t x = vreinterpretq_s32_s8(first.val[c]), y = vreinterpretq_s32_s8(second.val[c]);
                    columns[k][2 * c] = vreinterpretq_s8_s32(vzip1q_s32(x, y));
                    columns[k][2 * c + 1] = vreinterpretq_s8_s32(vzip2q_s32(x, y));
                }
            }
            for (uint32_t p = 0; p < pairs; p++) {
                int64x2_t x = vreinterpretq_s64_s8(vld1q_s8(row[2 * p] + s * 4));
                int64x2_t y = vreinterpretq_s64_s8(vld1q_s8(row[2 * p + 1] + s * 4));
                int8x16_t early = vreinterpretq_s8_s64(vzip1q_s64(x, y)), late = vreinterpretq_s8_s64(vzip2q_s64(x, y));
                for (uint32_t c = 0; c < 4; c++) {
                    totals[p][c] = vmmlaq_s32(totals[p][c], early, columns[0][c]);
                    totals[p][c] = vmmlaq_s32(totals[p][c], late, columns[1][c]);
                }
            }
        }
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t c = 0; c < 4; c += 2) {
                int64x2_t x = vreinterpretq_s64_s32(totals[r / 2][c]), y = vreinterpretq_s64_s32(totals[r / 2][c + 1]);
                int64x2_t joined = r % 2 == 0 ? vzip1q_s64(x, y) : vzip2q_s64(x, y);
                vst1q_s32(sums + r * sum_stride + half * 8 + c * 2, vreinterpretq_s32_s64(joined));
            }
    }
}

DOT_BY_PANEL(native_neon_i8mm_dot, native_neon_i8mm_tile, ROWS_8)

EXL__TARGET_END

const exl__kernels exl__kernels_neon_dot = NATIVE_KERNELS("neon-dot", INT8_PRODUCTS(native_neon_dot_dot, 4, 1, 1, 128),
                                                          INT8_PRODUCTS(native_neon_dot_dot, 4, 1, 1, 128));

const exl__kernels exl__kernels_neon_i8mm = NATIVE_KERNELS(
    "neon-i8mm", INT8_PRODUCTS(native_neon_i8mm_dot, 8, 1, 1, 128), INT8_PRODUCTS(native_neon_i8mm_dot, 8, 1, 1, 128));
EXL__OPTIMIZE_END
#endif
