/* rescore_wasm.c: dot products of a 16-bit query with codes of 2, 4 and 8 bits for WebAssembly with 128-bit vectors
 * (-msimd128). No load goes beyond the row. Codes become values by shifts: look-ups take one instruction more there. */
#include "compiler.h"

#include "rescore.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

EXL__INLINE v128_t rescore_wasm_add_dot16(v128_t sum, v128_t values, const int16_t *Q) {
    v128_t first = wasm_i16x8_extend_low_i8x16(values), second = wasm_i16x8_extend_high_i8x16(values);
    sum = wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(first, wasm_v128_load(Q)));
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(second, wasm_v128_load(Q + 8)));
}

EXL__INLINE int32_t rescore_wasm_sum_of(v128_t sums) {
    return wasm_i32x4_extract_lane(sums, 0) + wasm_i32x4_extract_lane(sums, 1) + wasm_i32x4_extract_lane(sums, 2) +
           wasm_i32x4_extract_lane(sums, 3);
}

EXL__INLINE v128_t rescore_wasm_zip_low(v128_t x, v128_t y) {
    return wasm_i8x16_shuffle(x, y, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

EXL__INLINE v128_t rescore_wasm_zip_high(v128_t x, v128_t y) {
    return wasm_i8x16_shuffle(x, y, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

int32_t exl__dot2_wasm(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    const v128_t twice = wasm_i8x16_splat(6), three = wasm_i8x16_splat(3); /* twice a code, less 3 */
    v128_t sum = wasm_i32x4_splat(0);
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        v128_t fours = wasm_v128_load64_zero(codes + i / 4);
        v128_t c0 = wasm_v128_and(wasm_i16x8_shl(fours, 1), twice);
        v128_t c1 = wasm_v128_and(wasm_u16x8_shr(fours, 1), twice);
        v128_t c2 = wasm_v128_and(wasm_u16x8_shr(fours, 3), twice);
        v128_t c3 = wasm_v128_and(wasm_u16x8_shr(fours, 5), twice);
        v128_t c01 = rescore_wasm_zip_low(c0, c1), c23 = rescore_wasm_zip_low(c2, c3);
        v128_t first = wasm_i16x8_shuffle(c01, c23, 0, 8, 1, 9, 2, 10, 3, 11);
        v128_t second = wasm_i16x8_shuffle(c01, c23, 4, 12, 5, 13, 6, 14, 7, 15);
        sum = rescore_wasm_add_dot16(sum, wasm_i8x16_sub(first, three), Q + i);
        sum = rescore_wasm_add_dot16(sum, wasm_i8x16_sub(second, three), Q + i + 16);
    }
    return rescore_wasm_sum_of(sum) + exl__dot2_scalar(codes + i / 4, Q + i, fine_dims - i);
}

int32_t exl__dot4_wasm(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    const v128_t twice = wasm_i8x16_splat(30), fifteen = wasm_i8x16_splat(15); /* twice a code, less 15 */
    v128_t sum = wasm_i32x4_splat(0);
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        v128_t pairs = wasm_v128_load(codes + i / 2);
        v128_t low = wasm_i8x16_sub(wasm_v128_and(wasm_i16x8_shl(pairs, 1), twice), fifteen);
        v128_t high = wasm_i8x16_sub(wasm_v128_and(wasm_u16x8_shr(pairs, 3), twice), fifteen);
        sum = rescore_wasm_add_dot16(sum, rescore_wasm_zip_low(low, high), Q + i);
        sum = rescore_wasm_add_dot16(sum, rescore_wasm_zip_high(low, high), Q + i + 16);
    }
    return rescore_wasm_sum_of(sum) + exl__dot4_scalar(codes + i / 2, Q + i, fine_dims - i);
}

int32_t exl__dot8_wasm(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    const v128_t least = wasm_i8x16_splat(-127); /* -128 is read as -127 */
    v128_t sum = wasm_i32x4_splat(0);
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        sum = rescore_wasm_add_dot16(sum, wasm_i8x16_max(wasm_v128_load(codes + i), least), Q + i);
        sum = rescore_wasm_add_dot16(sum, wasm_i8x16_max(wasm_v128_load(codes + i + 16), least), Q + i + 16);
    }
    return rescore_wasm_sum_of(sum) + exl__dot8_scalar(codes + i, Q + i, fine_dims - i);
}
#endif
