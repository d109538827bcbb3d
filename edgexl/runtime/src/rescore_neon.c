/* rescore_neon.c: dot products of a 16-bit query with codes of 2, 4 and 8 bits for AArch64. No load goes beyond the
 * row.
 *
 * Dot products (SDOT) take 8-bit numbers only; the query split into two of them would save some 40% of the
 * instructions here, which is 1% of a query's over 354,000 labels: the scan is all the rest.
 */
#include "compiler.h"

#include "rescore.h"

#if defined(__aarch64__)
#include "neon.h"

static inline int32x4_t rescore_neon_add_dot16(int32x4_t sum, int8x16_t values, const int16_t *Q) {
    int16x8_t first = vmovl_s8(vget_low_s8(values)), second = vmovl_high_s8(values);
    int16x8_t q0 = vld1q_s16(Q), q1 = vld1q_s16(Q + 8);
    sum = vmlal_s16(sum, vget_low_s16(first), vget_low_s16(q0));
    sum = vmlal_high_s16(sum, first, q0);
    sum = vmlal_s16(sum, vget_low_s16(second), vget_low_s16(q1));
    return vmlal_high_s16(sum, second, q1);
}

int32_t exl__dot2_neon(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    static const int8_t values[16] = {-3, -1, 1, 3};
    const int8x16_t value = vld1q_s8(values);
    const uint8x8_t two_bits = vdup_n_u8(3);
    int32x4_t even = vdupq_n_s32(0), odd = even;
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        uint8x8_t fours = vld1_u8(codes + i / 4);
        uint8x8x2_t c01 = vzip_u8(vand_u8(fours, two_bits), vand_u8(vshr_n_u8(fours, 2), two_bits));
        uint8x8x2_t c23 = vzip_u8(vand_u8(vshr_n_u8(fours, 4), two_bits), vshr_n_u8(fours, 6));
        uint16x8_t low = vcombine_u16(vreinterpret_u16_u8(c01.val[0]), vreinterpret_u16_u8(c01.val[1]));
        uint16x8_t high = vcombine_u16(vreinterpret_u16_u8(c23.val[0]), vreinterpret_u16_u8(c23.val[1]));
        uint8x16_t first = vreinterpretq_u8_u16(vzip1q_u16(low, high));
        uint8x16_t second = vreinterpretq_u8_u16(vzip2q_u16(low, high));
        even = rescore_neon_add_dot16(even, vqtbl1q_s8(value, first), Q + i);
        odd = rescore_neon_add_dot16(odd, vqtbl1q_s8(value, second), Q + i + 16);
    }
    return vaddvq_s32(vaddq_s32(even, odd)) + exl__dot2_scalar(codes + i / 4, Q + i, fine_dims - i);
}

int32_t exl__dot4_neon(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    static const int8_t values[16] = {-15, -13, -11, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 11, 13, 15};
    const int8x16_t value = vld1q_s8(values);
    int32x4_t even = vdupq_n_s32(0), odd = even;
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        uint8x16_t pairs = vld1q_u8(codes + i / 2);
        int8x16_t low = vqtbl1q_s8(value, vandq_u8(pairs, vdupq_n_u8(15)));
        int8x16_t high = vqtbl1q_s8(value, vshrq_n_u8(pairs, 4));
        even = rescore_neon_add_dot16(even, vzip1q_s8(low, high), Q + i);
        odd = rescore_neon_add_dot16(odd, vzip2q_s8(low, high), Q + i + 16);
    }
    return vaddvq_s32(vaddq_s32(even, odd)) + exl__dot4_scalar(codes + i / 2, Q + i, fine_dims - i);
}

int32_t exl__dot8_neon(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    const int8x16_t least = vdupq_n_s8(-127); /* -128 is read as -127 */
    int32x4_t even = vdupq_n_s32(0), odd = even;
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        even = rescore_neon_add_dot16(even, vmaxq_s8(vreinterpretq_s8_u8(vld1q_u8(codes + i)), least), Q + i);
        odd = rescore_neon_add_dot16(odd, vmaxq_s8(vreinterpretq_s8_u8(vld1q_u8(codes + i + 16)), least), Q + i + 16);
    }
    return vaddvq_s32(vaddq_s32(even, odd)) + exl__dot8_scalar(codes + i, Q + i, fine_dims - i);
}
#endif
