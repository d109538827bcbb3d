/* scan_neon.c: the scan kernel for AArch64. 64 rows at a time: 8 accumulators, widened by the add itself. */
#include "scan.h"

#if defined(__aarch64__)
#include <arm_neon.h>

void exl__scan_block_neon(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                          uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    const uint8x16_t nibble = vdupq_n_u8(15);
    const uint16x8_t least = vdupq_n_u16(minimum);
    for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++, scores += 64) {
        const uint8_t *codes = block + 64 * word, *table = tables;
        uint16x8_t sums[8];
        for (int i = 0; i < 8; i++)
            sums[i] = vdupq_n_u16(0);
        for (uint32_t b = 0; b < code_bytes; b++, codes += EXL__SCAN_BLOCK, table += 32) {
            uint8x16_t low_table = vld1q_u8(table), high_table = vld1q_u8(table + 16);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                uint8x16_t code = vld1q_u8(codes + 16 * i);
                /* at most 127 + 127: the pair needs no wider sum */
                uint8x16_t pair = vaddq_u8(vqtbl1q_u8(low_table, vandq_u8(code, nibble)),
                                           vqtbl1q_u8(high_table, vshrq_n_u8(code, 4)));
                sums[2 * i] = vaddw_u8(sums[2 * i], vget_low_u8(pair));
                sums[2 * i + 1] = vaddw_high_u8(sums[2 * i + 1], pair);
            }
        }
        above[word] = 0;
        for (uint32_t i = 0; i < 8; i++) {
            if (vmaxvq_u16(vcgeq_u16(sums[i], least)) == 0)
                continue;
            vst1q_u16(scores + 8 * i, sums[i]);
            for (uint32_t r = 8 * i; r < 8 * i + 8; r++)
                above[word] |= (uint64_t)(scores[r] >= minimum) << r;
        }
    }
}
#endif
