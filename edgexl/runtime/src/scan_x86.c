/* scan_x86.c: the scan kernels for AVX2 and AVX-512BW.
 *
 * A byte shuffle looks up 32 (64) rows in a table at once. The two look-ups of a code byte are at most 254 together,
 * so they are added as bytes; sums over bytes need 16 bits. Widening each time would double the work: instead the
 * register is added twice, as it is to `both` (even row + 256 x odd row, modulo 2^16) and shifted to `odd`. In the end
 * even = both - 256 x odd. Sums are at most 127 x 256 = 32512, so that signed comparisons serve. */
#include "scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl")))

/* So many bytes ahead of what is read: codes that come from memory (a million rows and more) arrive a quarter sooner
 * than the processor's own prefetching, which stops at every 4 KiB page, would have them. Beyond the codes' end it does
 * nothing; the address is computed as a number, since no pointer may point there. */
enum { BYTES_AHEAD = 8192 };

static inline void fetch_ahead(const uint8_t *codes) {
    _mm_prefetch((const char *)((uintptr_t)codes + BYTES_AHEAD), _MM_HINT_T0);
}

/* Marks 32 rows, given as sums of the even and of the odd rows. */
AVX2 static inline uint32_t mark32(__m256i even, __m256i odd, __m256i below_minimum, uint16_t *scores) {
    __m256i low = _mm256_unpacklo_epi16(even, odd);  /* rows 0-7, 16-23 */
    __m256i high = _mm256_unpackhi_epi16(even, odd); /* rows 8-15, 24-31 */
    __m256i above = _mm256_packs_epi16(_mm256_cmpgt_epi16(low, below_minimum), _mm256_cmpgt_epi16(high, below_minimum));
    uint32_t mask = (uint32_t)_mm256_movemask_epi8(above);
    if (mask != 0) {
        _mm256_storeu_si256((__m256i *)(void *)scores, _mm256_permute2x128_si256(low, high, 0x20));
        _mm256_storeu_si256((__m256i *)(void *)(scores + 16), _mm256_permute2x128_si256(low, high, 0x31));
    }
    return mask;
}

/* 128 rows at a time: 8 accumulators and their operands fit the 16 registers. */
AVX2 static inline void score128(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables,
                                 __m256i below_minimum, uint16_t *scores, uint64_t above[2]) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i both[4], odd[4];
    for (int i = 0; i < 4; i++)
        both[i] = odd[i] = _mm256_setzero_si256();
    for (uint32_t b = 0; b < code_bytes; b++, block += EXL__SCAN_BLOCK, tables += 32) {
        __m256i low_table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)tables));
        __m256i high_table = _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)(tables + 16)));
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            if (i % 2 == 0)
                fetch_ahead(block + 32 * i);
            __m256i code = _mm256_loadu_si256((const __m256i *)(const void *)(block + 32 * i));
            __m256i low = _mm256_shuffle_epi8(low_table, _mm256_and_si256(code, nibble));
            __m256i high = _mm256_shuffle_epi8(high_table, _mm256_and_si256(_mm256_srli_epi16(code, 4), nibble));
            __m256i pair = _mm256_add_epi8(low, high);
            both[i] = _mm256_add_epi16(both[i], pair);
            odd[i] = _mm256_add_epi16(odd[i], _mm256_srli_epi16(pair, 8));
        }
    }
    for (int i = 0; i < 4; i++) {
        __m256i even = _mm256_sub_epi16(both[i], _mm256_slli_epi16(odd[i], 8));
        uint64_t mask = mark32(even, odd[i], below_minimum, scores + 32 * i);
        above[i / 2] = i % 2 == 0 ? mask : above[i / 2] | mask << 32;
    }
}

AVX2 void exl__scan_block_avx2(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                               uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    __m256i below_minimum = _mm256_set1_epi16((int16_t)(minimum - 1));
    score128(block, code_bytes, tables, below_minimum, scores, above);
    score128(block + 128, code_bytes, tables, below_minimum, scores + 128, above + 2);
}

/* Marks 64 rows. */
AVX512 static inline uint64_t mark64(__m512i even, __m512i odd, __m512i minimum, uint16_t *scores) {
    if ((_mm512_cmpge_epi16_mask(even, minimum) | _mm512_cmpge_epi16_mask(odd, minimum)) == 0)
        return 0;
    const __m512i first = _mm512_setr_epi64(0, 1, 8, 9, 2, 3, 10, 11);
    const __m512i second = _mm512_setr_epi64(4, 5, 12, 13, 6, 7, 14, 15);
    __m512i low = _mm512_unpacklo_epi16(even, odd);  /* rows 0-7, 16-23, 32-39, 48-55 */
    __m512i high = _mm512_unpackhi_epi16(even, odd); /* rows 8-15, 24-31, 40-47, 56-63 */
    __m512i rows0 = _mm512_permutex2var_epi64(low, first, high), rows32 = _mm512_permutex2var_epi64(low, second, high);
    _mm512_storeu_si512(scores, rows0);
    _mm512_storeu_si512(scores + 32, rows32);
    return (uint64_t)_mm512_cmpge_epi16_mask(rows0, minimum) | (uint64_t)_mm512_cmpge_epi16_mask(rows32, minimum) << 32;
}

AVX512 void exl__scan_block_avx512(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                                   uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i both[4], odd[4];
    for (int i = 0; i < 4; i++)
        both[i] = odd[i] = _mm512_setzero_si512();
    for (uint32_t b = 0; b < code_bytes; b++, block += EXL__SCAN_BLOCK, tables += 32) {
        __m512i low_table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)tables));
        __m512i high_table = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)(tables + 16)));
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            fetch_ahead(block + 64 * i);
            __m512i code = _mm512_loadu_si512(block + 64 * i);
            __m512i low = _mm512_shuffle_epi8(low_table, _mm512_and_si512(code, nibble));
            __m512i high = _mm512_shuffle_epi8(high_table, _mm512_and_si512(_mm512_srli_epi16(code, 4), nibble));
            __m512i pair = _mm512_add_epi8(low, high);
            both[i] = _mm512_add_epi16(both[i], pair);
            odd[i] = _mm512_add_epi16(odd[i], _mm512_srli_epi16(pair, 8));
        }
    }
    __m512i least = _mm512_set1_epi16((int16_t)minimum);
    for (int i = 0; i < 4; i++) {
        __m512i even = _mm512_sub_epi16(both[i], _mm512_slli_epi16(odd[i], 8));
        above[i] = mark64(even, odd[i], least, scores + 64 * i);
    }
}
#endif
