/* native_neon.c: kernels for AArch64, without and with dot product instructions. Codes are signed there: less 128. */
#if defined(__GNUC__) && !defined(__clang__) /* vectors are written out; and whatever the command line says: */
#pragma GCC optimize("no-tree-vectorize", "fp-contract=off")
#pragma GCC optimize("no-schedule-insns") /* which spills what the tiles just hold in registers */
#endif
#include <math.h>
#include <string.h>

#include "native.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define NATIVE_NAME(x) neon_##x
#define NATIVE_LANES 4
#define NATIVE_ROWS 4
#define NATIVE_LEAST(x, y) ((neon_vector)vminnmq_f32((float32x4_t)(x), (float32x4_t)(y)))
#define NATIVE_MOST(x, y) ((neon_vector)vmaxnmq_f32((float32x4_t)(x), (float32x4_t)(y)))

static inline void neon_narrow(const int32_t *panel, uint32_t code_bytes, uint32_t flip, uint8_t *to) {
    uint16x8_t low = vcombine_u16(vmovn_u32(vreinterpretq_u32_s32(vld1q_s32(panel))),
                                  vmovn_u32(vreinterpretq_u32_s32(vld1q_s32(panel + 4))));
    uint16x8_t high = vcombine_u16(vmovn_u32(vreinterpretq_u32_s32(vld1q_s32(panel + 8))),
                                   vmovn_u32(vreinterpretq_u32_s32(vld1q_s32(panel + 12))));

    uint8x16_t codes = veorq_u8(vcombine_u8(vmovn_u16(low), vmovn_u16(high)), vdupq_n_u8((uint8_t)flip));

    if (code_bytes == 1) {
        vst1q_u8(to, codes);
        return;
    }
    for (int step = 0; step < 4; step++)
        vst1q_u32((uint32_t *)(void *)(to + step * 16), vdupq_n_u32(vreinterpretq_u32_u8(codes)[step]));
}

#include "native_float.h"

/* ---- without dot products -------------------------------------------------------------------------------------- */

/* Each four codes stand there four times, for a load is one instruction where spreading them is three.
 *
 * Two products of bytes fit 16 bits, for |code| <= 128 and |weight| <= 127: two steps, then into 32 bits by pairs.
 * 8 columns at a time; each register of totals holds two columns, two halves each. Steps are even (K is padded). */
INLINE void neon_tile(const int8_t *codes, size_t code_stride, const int rows, const int8_t *weights, uint32_t steps,
                      int32_t *sums, size_t sum_stride) {
    for (int half = 0; half < 2; half++) {
        const int8_t *at = weights + half * 32;
        const int8_t *row[4];
        int32x4_t totals[4][4];

        for (int r = 0; r < rows; r++) {
            row[r] = codes + r * code_stride;
            for (int c = 0; c < 4; c++)
                totals[r][c] = vdupq_n_s32(0);
        }
        for (uint32_t s = 0; s < steps; s += 2, at += EXL__PANEL * 8) {
            int8x16_t w0 = vld1q_s8(at), w1 = vld1q_s8(at + 16);
            int8x16_t w2 = vld1q_s8(at + EXL__PANEL * 4), w3 = vld1q_s8(at + EXL__PANEL * 4 + 16);
            for (int r = 0; r < rows; r++) {
                int8x16_t first = vld1q_s8(row[r]), second = vld1q_s8(row[r] + 16);
                int16x8_t p;
                p = vmlal_s8(vmull_s8(vget_low_s8(w0), vget_low_s8(first)), vget_low_s8(w2), vget_low_s8(second));
                totals[r][0] = vpadalq_s16(totals[r][0], p);
                p = vmlal_high_s8(vmull_high_s8(w0, first), w2, second);
                totals[r][1] = vpadalq_s16(totals[r][1], p);
                p = vmlal_s8(vmull_s8(vget_low_s8(w1), vget_low_s8(first)), vget_low_s8(w3), vget_low_s8(second));
                totals[r][2] = vpadalq_s16(totals[r][2], p);
                p = vmlal_high_s8(vmull_high_s8(w1, first), w3, second);
                totals[r][3] = vpadalq_s16(totals[r][3], p);
                row[r] += 32;
            }
        }
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < 2; c++)
                vst1q_s32(sums + r * sum_stride + half * 8 + c * 4, vpaddq_s32(totals[r][2 * c], totals[r][2 * c + 1]));
    }
}

static void neon_dot(const void *codes, size_t code_stride, uint32_t rows, const int8_t *weights, size_t panel_bytes,
                     uint32_t panels, uint32_t steps, int32_t *sums) {
    for (uint32_t p = 0; p < panels; p++, weights += panel_bytes, sums += EXL__PANEL)
        switch (rows) {
#define NEON_TILE(n) neon_tile(codes, code_stride, n, weights, steps, sums, (size_t)panels *EXL__PANEL)
            ROWS_4(NEON_TILE);
        }
}

const exl__kernels exl__kernels_neon = {
    .name = "neon", .dot = neon_dot, .tile_rows = 4, .tile_panels = 1, .code_bytes = 4, .flip = 128, NATIVE_FLOATS};

/* ---- with dot products ----------------------------------------------------------------------------------------- */

#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("dotprod"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("arch=armv8.2-a+dotprod")
#endif

/* 16 bytes of each row serve 4 steps, one lane each. Steps are a multiple of 4. */
INLINE void neon_dot_tile(const int8_t *codes, size_t code_stride, const int rows, const int8_t *weights,
                          uint32_t steps, int32_t *sums, size_t sum_stride) {
    int32x4_t totals[4][4];

    for (int r = 0; r < rows; r++)
        for (int c = 0; c < 4; c++)
            totals[r][c] = vdupq_n_s32(0);
    for (uint32_t s = 0; s < steps; s += 4, weights += EXL__PANEL * 16) {
        int8x16_t code[4];
        for (int r = 0; r < rows; r++)
            code[r] = vld1q_s8(codes + r * code_stride + s * 4);
#define NEON_STEP(lane)                                                                                                \
    for (int c = 0; c < 4; c++) {                                                                                      \
        int8x16_t w = vld1q_s8(weights + lane * EXL__PANEL * 4 + c * 16);                                              \
        for (int r = 0; r < rows; r++)                                                                                 \
            totals[r][c] = vdotq_laneq_s32(totals[r][c], w, code[r], lane);                                            \
    }
        NEON_STEP(0)
        NEON_STEP(1)
        NEON_STEP(2)
        NEON_STEP(3)
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < 4; c++)
            vst1q_s32(sums + r * sum_stride + c * 4, totals[r][c]);
}

static void neon_dot_dot(const void *codes, size_t code_stride, uint32_t rows, const int8_t *weights,
                         size_t panel_bytes, uint32_t panels, uint32_t steps, int32_t *sums) {
    for (uint32_t p = 0; p < panels; p++, weights += panel_bytes, sums += EXL__PANEL)
        switch (rows) {
#define NEON_DOT_TILE(n) neon_dot_tile(codes, code_stride, n, weights, steps, sums, (size_t)panels *EXL__PANEL)
            ROWS_4(NEON_DOT_TILE);
        }
}

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

const exl__kernels exl__kernels_neon_dot = {.name = "neon-dot",
                                            .dot = neon_dot_dot,
                                            .tile_rows = 4,
                                            .tile_panels = 1,
                                            .code_bytes = 1,
                                            .flip = 128,
                                            NATIVE_FLOATS};
#endif
