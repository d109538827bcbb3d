/* scan_wasm.c: the scan kernel for WebAssembly with 128-bit vectors (-msimd128), 64 rows at a time as on AArch64. */
#include "compiler.h"

#include "scan.h"

#if defined(__wasm_simd128__)
#include <wasm_simd128.h>

/* The two look-ups of a code byte for 16 rows. */
EXL__INLINE v128_t scan_wasm_pair16(const uint8_t *codes, const uint8_t *table) {
    v128_t code = wasm_v128_load(codes);
    return wasm_i8x16_add(wasm_i8x16_swizzle(wasm_v128_load(table), wasm_v128_and(code, wasm_i8x16_splat(15))),
                          wasm_i8x16_swizzle(wasm_v128_load(table + 16), wasm_u8x16_shr(code, 4)));
}

EXL__INLINE void scan_wasm_widen16(v128_t sum, v128_t sums[2]) {
    sums[0] = wasm_i16x8_add(sums[0], wasm_u16x8_extend_low_u8x16(sum));
    sums[1] = wasm_i16x8_add(sums[1], wasm_u16x8_extend_high_u8x16(sum));
}

void exl__scan_block_wasm(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                          uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    const v128_t least = wasm_i16x8_splat((int16_t)minimum);
    for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++, scores += 64) {
        const uint8_t *codes = block + 64 * word, *table = tables;
        v128_t sums[8];
        uint32_t b = 0;
        for (int i = 0; i < 8; i++)
            sums[i] = wasm_i16x8_splat(0);
        for (; b + 2 <= code_bytes; b += 2, codes += 2 * EXL__SCAN_BLOCK, table += 64)
            for (int i = 0; i < 4; i++) /* at most 255: two code bytes need no wider sum */
                scan_wasm_widen16(wasm_i8x16_add(scan_wasm_pair16(codes + 16 * i, table),
                                                 scan_wasm_pair16(codes + 16 * i + EXL__SCAN_BLOCK, table + 32)),
                                  sums + 2 * i);
        for (int i = 0; i < 4 && b < code_bytes; i++)
            scan_wasm_widen16(scan_wasm_pair16(codes + 16 * i, table), sums + 2 * i);
        above[word] = 0;
        for (int i = 0; i < 8; i++) {
            uint64_t mask = wasm_i16x8_bitmask(wasm_u16x8_ge(sums[i], least));
            if (mask != 0)
                wasm_v128_store(scores + 8 * i, sums[i]);
            above[word] |= mask << 8 * i;
        }
    }
}
#endif
