/* scan_neon.c: the scan kernel for AArch64. 64 rows at a time: 8 accumulators, widened by the add itself.
 *
 * Processors with dot products get the same kernel. UDOT adds up four neighbouring bytes, which are four rows here: to
 * make them four sums of one row takes 8 ZIPs for the 16 rows of 8 code bytes, and then 4 UDOTs, where 8 UADDWs do. */
#include "compiler.h"

#include "scan.h"

#if defined(__aarch64__)
#include "neon.h"

/* The two look-ups of a code byte for 16 rows. */
EXL__INLINE uint8x16_t scan_neon_pair16(const uint8_t *codes, uint8x16_t low_table, uint8x16_t high_table) {
    uint8x16_t code = vld1q_u8(codes);
    return vaddq_u8(vqtbl1q_u8(low_table, vandq_u8(code, vdupq_n_u8(15))), vqtbl1q_u8(high_table, vshrq_n_u8(code, 4)));
}

/* Marks 8 rows. */
static inline uint64_t scan_neon_mark8(uint16x8_t sums, uint16x8_t least, uint16_t *scores) {
    static const uint8_t bits[8] = {1, 2, 4, 8, 16, 32, 64, 128};
    uint8x8_t above = vmovn_u16(vcgeq_u16(sums, least));
    vst1q_u16(scores, sums);
    return vaddv_u8(vand_u8(above, vld1_u8(bits)));
}

void exl__scan_block_neon(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                          uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    const uint16x8_t least = vdupq_n_u16(minimum);
    for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++, scores += 64) {
        const uint8_t *codes = block + 64 * word, *table = tables;
        uint16x8_t sums[8], most;
        uint32_t b = 0;
        for (int i = 0; i < 8; i++)
            sums[i] = vdupq_n_u16(0);
        for (; b + 2 <= code_bytes; b += 2, codes += 2 * EXL__SCAN_BLOCK, table += 64) {
            uint8x16_t low0 = vld1q_u8(table), high0 = vld1q_u8(table + 16);
            uint8x16_t low1 = vld1q_u8(table + 32), high1 = vld1q_u8(table + 48);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++) {
                /* at most 255: two code bytes need no wider sum */
                uint8x16_t sum = vaddq_u8(scan_neon_pair16(codes + 16 * i, low0, high0),
                                          scan_neon_pair16(codes + 16 * i + EXL__SCAN_BLOCK, low1, high1));
                sums[2 * i] = vaddw_u8(sums[2 * i], vget_low_u8(sum));
                sums[2 * i + 1] = vaddw_high_u8(sums[2 * i + 1], sum);
            }
        }
        for (int i = 0; i < 4 && b < code_bytes; i++) {
            uint8x16_t sum = scan_neon_pair16(codes + 16 * i, vld1q_u8(table), vld1q_u8(table + 16));
            sums[2 * i] = vaddw_u8(sums[2 * i], vget_low_u8(sum));
            sums[2 * i + 1] = vaddw_high_u8(sums[2 * i + 1], sum);
        }
        above[word] = 0;
        most = vmaxq_u16(vmaxq_u16(vmaxq_u16(sums[0], sums[1]), vmaxq_u16(sums[2], sums[3])),
                         vmaxq_u16(vmaxq_u16(sums[4], sums[5]), vmaxq_u16(sums[6], sums[7])));
        if (vmaxvq_u16(most) < minimum)
            continue;
        for (int i = 0; i < 8; i++)
            above[word] |= scan_neon_mark8(sums[i], least, scores + 8 * i) << 8 * i;
    }
}
#endif
