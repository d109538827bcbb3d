/* scan_wasm.c: the scan kernel for WebAssembly with 128-bit vectors (-msimd128), 64 rows at a time as on AArch64. Sums
 * of two code bytes are widened as in scan_x86.c. Engines take a module as it is, and compilers unroll no loop of this
 * size on their own: without it the sums would lie in memory.
 *
 * Nibbles are below 16, where a relaxed look-up (-mrelaxed-simd) is what a plain one is, and on x86 one instruction of
 * two: a fifth less time. Relaxed products of bytes bring nothing there without VNNI: activations are of 8 bits and
 * these take 7, so that each is two of three instructions, where products of 16 bits take four for as many numbers. */
#include "compiler.h"

#include "scan.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

#if defined(__wasm_relaxed_simd__)
#define SCAN_WASM_LOOK_UP wasm_i8x16_relaxed_swizzle
#else
#define SCAN_WASM_LOOK_UP wasm_i8x16_swizzle
#endif

enum { SCAN_WASM_VECTORS = 4 }; /* of 16 rows */

/* The two look-ups of a code byte for 16 rows. */
EXL__INLINE v128_t scan_wasm_pair16(const uint8_t *codes, v128_t low_table, v128_t high_table) {
    const v128_t nibble = wasm_i8x16_splat(15);
    v128_t code = wasm_v128_load(codes);
    return wasm_i8x16_add(SCAN_WASM_LOOK_UP(low_table, wasm_v128_and(code, nibble)),
                          SCAN_WASM_LOOK_UP(high_table, wasm_v128_and(wasm_u16x8_shr(code, 4), nibble)));
}

EXL__INLINE void scan_wasm_widen16(v128_t sum, v128_t *both, v128_t *odd) {
    *both = wasm_i16x8_add(*both, sum);
    *odd = wasm_i16x8_add(*odd, wasm_u16x8_shr(sum, 8));
}

/* Marks 16 rows. */
EXL__INLINE uint64_t scan_wasm_mark16(v128_t both, v128_t odd, v128_t below_minimum, uint16_t *scores) {
    v128_t even = wasm_i16x8_sub(both, wasm_i16x8_shl(odd, 8));
    v128_t low = wasm_i16x8_shuffle(even, odd, 0, 8, 1, 9, 2, 10, 3, 11);
    v128_t high = wasm_i16x8_shuffle(even, odd, 4, 12, 5, 13, 6, 14, 7, 15);
    uint64_t mask = wasm_i8x16_bitmask(
        wasm_i8x16_narrow_i16x8(wasm_i16x8_gt(low, below_minimum), wasm_i16x8_gt(high, below_minimum)));
    if (mask != 0) {
        wasm_v128_store(scores, low);
        wasm_v128_store(scores + 8, high);
    }
    return mask;
}

void exl__scan_block_wasm(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                          uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    const v128_t below_minimum = wasm_i16x8_splat((int16_t)(minimum - 1));
    for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++, scores += 64) {
        const uint8_t *codes = block + 64 * word, *table = tables;
        v128_t both[SCAN_WASM_VECTORS], odd[SCAN_WASM_VECTORS];
        uint32_t b = 0;

        EXL__UNROLL
        for (int i = 0; i < SCAN_WASM_VECTORS; i++)
            both[i] = odd[i] = wasm_i16x8_splat(0);
        for (; b + 2 <= code_bytes; b += 2, codes += 2 * EXL__SCAN_BLOCK, table += 64) {
            const v128_t low0 = wasm_v128_load(table), high0 = wasm_v128_load(table + 16);
            const v128_t low1 = wasm_v128_load(table + 32), high1 = wasm_v128_load(table + 48);
            EXL__UNROLL
            for (int i = 0; i < SCAN_WASM_VECTORS; i++) /* at most 255: two code bytes need no wider sum */
                scan_wasm_widen16(wasm_i8x16_add(scan_wasm_pair16(codes + 16 * i, low0, high0),
                                                 scan_wasm_pair16(codes + 16 * i + EXL__SCAN_BLOCK, low1, high1)),
                                  &both[i], &odd[i]);
        }
        if (b < code_bytes) {
            EXL__UNROLL
            for (int i = 0; i < SCAN_WASM_VECTORS; i++)
                scan_wasm_widen16(scan_wasm_pair16(codes + 16 * i, wasm_v128_load(table), wasm_v128_load(table + 16)),
                                  &both[i], &odd[i]);
        }
        above[word] = 0;
        EXL__UNROLL
        for (int i = 0; i < SCAN_WASM_VECTORS; i++)
            above[word] |= scan_wasm_mark16(both[i], odd[i], below_minimum, scores + 16 * i) << 16 * i;
    }
}
#endif
