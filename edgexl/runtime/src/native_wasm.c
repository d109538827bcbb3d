/* native_wasm.c: kernels for WebAssembly with 128-bit vectors (-msimd128). There is nothing to ask the processor: a
 * module with such instructions runs where they are, or not at all. */
#include "compiler.h"

#include <math.h>
#include <string.h>

#include "native.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

#define NATIVE_NAME(x) native_wasm_##x
#define NATIVE_LANES 4
#define NATIVE_ROWS 4
#define NATIVE_TILE_VECTORS 2 /* an x86 below has 16 registers: 8 totals, 2 of the matrix, and room to multiply */
#define NATIVE_LEAST(x, y) ((native_wasm_vector)wasm_f32x4_pmin((v128_t)(y), (v128_t)(x))) /* x < y ? x : y */
#define NATIVE_MOST(x, y) ((native_wasm_vector)wasm_f32x4_pmax((v128_t)(y), (v128_t)(x)))

typedef int32_t native_wasm_four_integers __attribute__((vector_size(16), aligned(4), may_alias));

EXL__INLINE void native_wasm_narrow(const native_wasm_four_integers *panel, uint32_t code_bytes, uint32_t flip,
                                    uint8_t *to) {
    const v128_t none = wasm_i16x8_splat(0), most = wasm_i16x8_splat(255);

    (void)code_bytes; /* 2 */
    (void)flip;       /* 0 */
    for (uint32_t half = 0; half < 2; half++) {
        v128_t wide = wasm_i16x8_narrow_i32x4((v128_t)panel[2 * half], (v128_t)panel[2 * half + 1]);
        wasm_v128_store(to + half * 16, wasm_i16x8_min(wasm_i16x8_max(wide, none), most));
    }
}

#include "native_float.h"

/* Codes as 16-bit integers, whose products are added by pairs. 4 columns at a time; each register of totals holds two
 * of them, two halves each. */
EXL__INLINE void native_wasm_tile(const uint8_t *codes, size_t code_stride, const uint32_t rows, const int8_t *weights,
                                  uint32_t steps, int32_t *sums, size_t sum_stride) {
    for (uint32_t quarter = 0; quarter < 4; quarter++) {
        const int8_t *at = weights + quarter * 16;
        v128_t totals[4][2];

        for (uint32_t r = 0; r < rows; r++)
            totals[r][0] = totals[r][1] = wasm_i32x4_splat(0);
        for (uint32_t s = 0; s < steps; s++, at += EXL__PANEL * 4) {
            v128_t first = wasm_i16x8_load8x8(at), second = wasm_i16x8_load8x8(at + 8);
            for (uint32_t r = 0; r < rows; r++) {
                v128_t code = wasm_v128_load64_splat(codes + r * code_stride + s * 8);
                totals[r][0] = wasm_i32x4_add(totals[r][0], wasm_i32x4_dot_i16x8(first, code));
                totals[r][1] = wasm_i32x4_add(totals[r][1], wasm_i32x4_dot_i16x8(second, code));
            }
        }
        for (uint32_t r = 0; r < rows; r++) {
            v128_t even = wasm_i32x4_shuffle(totals[r][0], totals[r][1], 0, 2, 4, 6);
            v128_t odd = wasm_i32x4_shuffle(totals[r][0], totals[r][1], 1, 3, 5, 7);
            wasm_v128_store(sums + r * sum_stride + quarter * 4, wasm_i32x4_add(even, odd));
        }
    }
}

DOT_BY_PANEL(native_wasm_dot, native_wasm_tile, ROWS_4)

const exl__kernels exl__kernels_wasm = NATIVE_KERNELS("wasm-simd128", INT8_PRODUCTS(native_wasm_dot, 4, 1, 2, 0),
                                                      INT8_PRODUCTS(native_wasm_dot, 4, 1, 2, 0));
#endif
