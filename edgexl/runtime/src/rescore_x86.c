/* rescore_x86.c: dot products of a 16-bit query with codes of 2, 4 and 8 bits for AVX2. No load goes beyond the row:
 * whole registers first, the rest by the scalar kernel. */
#include "compiler.h"

#include "rescore.h"

#if defined(__x86_64__)
#include <immintrin.h>

EXL__TARGET_BEGIN("avx2")

static inline __m256i rescore_x86_dot16(__m128i values, const int16_t *Q) {
    return _mm256_madd_epi16(_mm256_cvtepi8_epi16(values), _mm256_loadu_si256((const __m256i *)(const void *)Q));
}

static inline int32_t rescore_x86_sum_of(__m256i sums) {
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return _mm_cvtsi128_si32(four);
}

int32_t exl__dot2_avx2(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    const __m128i two_bits = _mm_set1_epi8(3), value = _mm_set1_epi32((int32_t)0x0301fffdu); /* -3, -1, 1, 3 */
    __m256i even = _mm256_setzero_si256(), odd = even;
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        __m128i fours = _mm_loadl_epi64((const __m128i *)(const void *)(codes + i / 4));
        __m128i c0 = _mm_and_si128(fours, two_bits), c1 = _mm_and_si128(_mm_srli_epi16(fours, 2), two_bits);
        __m128i c2 = _mm_and_si128(_mm_srli_epi16(fours, 4), two_bits);
        __m128i c3 = _mm_and_si128(_mm_srli_epi16(fours, 6), two_bits);
        __m128i c01 = _mm_unpacklo_epi8(c0, c1), c23 = _mm_unpacklo_epi8(c2, c3);
        __m128i first = _mm_unpacklo_epi16(c01, c23), second = _mm_unpackhi_epi16(c01, c23);
        even = _mm256_add_epi32(even, rescore_x86_dot16(_mm_shuffle_epi8(value, first), Q + i));
        odd = _mm256_add_epi32(odd, rescore_x86_dot16(_mm_shuffle_epi8(value, second), Q + i + 16));
    }
    return rescore_x86_sum_of(_mm256_add_epi32(even, odd)) + exl__dot2_scalar(codes + i / 4, Q + i, fine_dims - i);
}

int32_t exl__dot4_avx2(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    const __m128i nibble = _mm_set1_epi8(15);
    const __m128i value = _mm_setr_epi8(-15, -13, -11, -9, -7, -5, -3, -1, 1, 3, 5, 7, 9, 11, 13, 15);
    __m256i even = _mm256_setzero_si256(), odd = even;
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        __m128i pairs = _mm_loadu_si128((const __m128i *)(const void *)(codes + i / 2));
        __m128i low = _mm_shuffle_epi8(value, _mm_and_si128(pairs, nibble));
        __m128i high = _mm_shuffle_epi8(value, _mm_and_si128(_mm_srli_epi16(pairs, 4), nibble));
        even = _mm256_add_epi32(even, rescore_x86_dot16(_mm_unpacklo_epi8(low, high), Q + i));
        odd = _mm256_add_epi32(odd, rescore_x86_dot16(_mm_unpackhi_epi8(low, high), Q + i + 16));
    }
    return rescore_x86_sum_of(_mm256_add_epi32(even, odd)) + exl__dot4_scalar(codes + i / 2, Q + i, fine_dims - i);
}

int32_t exl__dot8_avx2(const uint8_t *codes, const int16_t *Q, uint32_t fine_dims) {
    const __m128i least = _mm_set1_epi8(-127); /* -128 is read as -127 */
    __m256i even = _mm256_setzero_si256(), odd = even;
    uint32_t i = 0;
    for (; i + 32 <= fine_dims; i += 32) {
        __m128i first = _mm_loadu_si128((const __m128i *)(const void *)(codes + i));
        __m128i second = _mm_loadu_si128((const __m128i *)(const void *)(codes + i + 16));
        even = _mm256_add_epi32(even, rescore_x86_dot16(_mm_max_epi8(first, least), Q + i));
        odd = _mm256_add_epi32(odd, rescore_x86_dot16(_mm_max_epi8(second, least), Q + i + 16));
    }
    return rescore_x86_sum_of(_mm256_add_epi32(even, odd)) + exl__dot8_scalar(codes + i, Q + i, fine_dims - i);
}

EXL__TARGET_END
#endif
