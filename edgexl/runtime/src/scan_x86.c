/* scan_x86.c: the scan kernels for SSSE3, AVX2, AVX-512BW and AVX-512 with VBMI.
 *
 * A byte shuffle looks up 16, 32 or 64 rows in a table at once. The four look-ups of two code bytes are at most 255
 * together (scan.h), so they are added as bytes; sums beyond need 16 bits. Widening each time would double the work:
 * instead the register is added twice, as it is to `both` (even row + 256 x odd row, modulo 2^16) and shifted to `odd`.
 * In the end even = both - 256 x odd. Sums stay below 2^14, so that signed comparisons serve.
 *
 * VBMI's shuffle takes 6 bits of each index. With the table repeated four times the two upper ones choose among equals,
 * so that nibbles need no masks.
 *
 * Measured and not taken: tables of half the steps, of which eight entries fit a byte, so that widening comes half as
 * often: 3% (AVX2) and 7% (VBMI) less time on codes in the first cache, none on 11 MB of them, where memory decides. No
 * prefetching: 7% and 20% more there. AVX2 has no more to give at four instructions a cycle: 16 for 32 rows of two code
 * bytes, four of them masks that VBMI does without. */
#include "compiler.h"

#include "scan.h"

#if defined(__x86_64__)
#include <immintrin.h>

/* So many bytes ahead of what is read: codes that come from memory (a million rows and more) arrive a quarter sooner
 * than the processor's own prefetching, which stops at every 4 KiB page, would have them. 16 KiB would be 6% better
 * there, and cost 7% on the 11 MB of 354,068 rows. Beyond the codes' end it does nothing; the address is computed as a
 * number, since no pointer may point there. */
enum { SCAN_X86_BYTES_AHEAD = 12288 };

EXL__INLINE void scan_x86_fetch_ahead(const uint8_t *codes) {
    _mm_prefetch((const char *)((uintptr_t)codes + SCAN_X86_BYTES_AHEAD), _MM_HINT_T0);
}

/* ---- SSSE3 --------------------------------------------------------------------------------------------------- */

EXL__TARGET_BEGIN("ssse3")

EXL__INLINE __m128i scan_x86_load16(const void *at) { return _mm_loadu_si128((const __m128i *)at); }

/* The two look-ups of a code byte for 16 rows. */
EXL__INLINE __m128i scan_x86_pair16(const uint8_t *codes, const uint8_t *tables) {
    const __m128i nibble = _mm_set1_epi8(15);
    __m128i code = scan_x86_load16(codes);
    return _mm_add_epi8(_mm_shuffle_epi8(scan_x86_load16(tables), _mm_and_si128(code, nibble)),
                        _mm_shuffle_epi8(scan_x86_load16(tables + 16), _mm_and_si128(_mm_srli_epi16(code, 4), nibble)));
}

EXL__INLINE void scan_x86_widen16(__m128i sum, __m128i *both, __m128i *odd) {
    *both = _mm_add_epi16(*both, sum);
    *odd = _mm_add_epi16(*odd, _mm_srli_epi16(sum, 8));
}

EXL__INLINE uint64_t scan_x86_mark16(__m128i both, __m128i odd, __m128i below_minimum, uint16_t *scores) {
    __m128i even = _mm_sub_epi16(both, _mm_slli_epi16(odd, 8));
    __m128i low = _mm_unpacklo_epi16(even, odd), high = _mm_unpackhi_epi16(even, odd);
    __m128i above = _mm_packs_epi16(_mm_cmpgt_epi16(low, below_minimum), _mm_cmpgt_epi16(high, below_minimum));
    uint64_t mask = (uint64_t)_mm_movemask_epi8(above);
    if (mask != 0) {
        _mm_storeu_si128((__m128i *)(void *)scores, low);
        _mm_storeu_si128((__m128i *)(void *)(scores + 8), high);
    }
    return mask;
}

void exl__scan_block_ssse3(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                           uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    const __m128i below_minimum = _mm_set1_epi16((int16_t)(minimum - 1));
    for (uint32_t word = 0; word < EXL__SCAN_BLOCK / 64; word++) {
        const uint8_t *codes = block + 64 * word, *table = tables;
        __m128i both[4], odd[4];
        uint32_t b = 0;
        for (int i = 0; i < 4; i++)
            both[i] = odd[i] = _mm_setzero_si128();
        for (; b + 2 <= code_bytes; b += 2, codes += 2 * EXL__SCAN_BLOCK, table += 64) {
            scan_x86_fetch_ahead(codes);
            scan_x86_fetch_ahead(codes + EXL__SCAN_BLOCK);
#pragma GCC unroll 4
            for (int i = 0; i < 4; i++)
                scan_x86_widen16(_mm_add_epi8(scan_x86_pair16(codes + 16 * i, table),
                                              scan_x86_pair16(codes + 16 * i + EXL__SCAN_BLOCK, table + 32)),
                                 &both[i], &odd[i]);
        }
        for (int i = 0; i < 4 && b < code_bytes; i++)
            scan_x86_widen16(scan_x86_pair16(codes + 16 * i, table), &both[i], &odd[i]);
        above[word] = 0;
        for (int i = 0; i < 4; i++)
            above[word] |= scan_x86_mark16(both[i], odd[i], below_minimum, scores + 64 * word + 16 * i) << 16 * i;
    }
}

EXL__TARGET_END

/* ---- AVX2 ---------------------------------------------------------------------------------------------------- */

EXL__TARGET_BEGIN("avx2")

EXL__INLINE __m256i scan_x86_table32(const uint8_t *table) {
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)table));
}

EXL__INLINE __m256i scan_x86_pair32(const uint8_t *codes, __m256i low_table, __m256i high_table) {
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i code = _mm256_loadu_si256((const __m256i *)(const void *)codes);
    return _mm256_add_epi8(_mm256_shuffle_epi8(low_table, _mm256_and_si256(code, nibble)),
                           _mm256_shuffle_epi8(high_table, _mm256_and_si256(_mm256_srli_epi16(code, 4), nibble)));
}

EXL__INLINE void scan_x86_widen32(__m256i sum, __m256i *both, __m256i *odd) {
    *both = _mm256_add_epi16(*both, sum);
    *odd = _mm256_add_epi16(*odd, _mm256_srli_epi16(sum, 8));
}

/* Marks 32 rows. */
EXL__INLINE uint64_t scan_x86_mark32(__m256i both, __m256i odd, __m256i below_minimum, uint16_t *scores) {
    __m256i even = _mm256_sub_epi16(both, _mm256_slli_epi16(odd, 8));
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

/* 128 rows at a time: 8 accumulators, 4 tables and their operands fit the 16 registers. */
EXL__INLINE void scan_x86_score128(const uint8_t *codes, uint32_t code_bytes, const uint8_t *tables,
                                   __m256i below_minimum, uint16_t *scores, uint64_t above[2]) {
    __m256i both[4], odd[4];
    uint32_t b = 0;
    for (int i = 0; i < 4; i++)
        both[i] = odd[i] = _mm256_setzero_si256();
    for (; b + 2 <= code_bytes; b += 2, codes += 2 * EXL__SCAN_BLOCK, tables += 64) {
        __m256i low0 = scan_x86_table32(tables), high0 = scan_x86_table32(tables + 16);
        __m256i low1 = scan_x86_table32(tables + 32), high1 = scan_x86_table32(tables + 48);
#pragma GCC unroll 4
        for (int i = 0; i < 4; i++) {
            if (i % 2 == 0) {
                scan_x86_fetch_ahead(codes + 32 * i);
                scan_x86_fetch_ahead(codes + 32 * i + EXL__SCAN_BLOCK);
            }
            scan_x86_widen32(_mm256_add_epi8(scan_x86_pair32(codes + 32 * i, low0, high0),
                                             scan_x86_pair32(codes + 32 * i + EXL__SCAN_BLOCK, low1, high1)),
                             &both[i], &odd[i]);
        }
    }
    for (int i = 0; i < 4 && b < code_bytes; i++)
        scan_x86_widen32(scan_x86_pair32(codes + 32 * i, scan_x86_table32(tables), scan_x86_table32(tables + 16)),
                         &both[i], &odd[i]);
    for (int i = 0; i < 2; i++)
        above[i] = scan_x86_mark32(both[2 * i], odd[2 * i], below_minimum, scores + 64 * i) |
                   scan_x86_mark32(both[2 * i + 1], odd[2 * i + 1], below_minimum, scores + 64 * i + 32) << 32;
}

void exl__scan_block_avx2(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                          uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    __m256i below_minimum = _mm256_set1_epi16((int16_t)(minimum - 1));
    scan_x86_score128(block, code_bytes, tables, below_minimum, scores, above);
    scan_x86_score128(block + 128, code_bytes, tables, below_minimum, scores + 128, above + 2);
}

EXL__TARGET_END

/* ---- AVX-512 ------------------------------------------------------------------------------------------------- */

EXL__TARGET_BEGIN("avx512f,avx512bw,avx512vl")

EXL__INLINE __m512i scan_x86_table64(const uint8_t *table) {
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)table));
}

EXL__INLINE void scan_x86_widen64(__m512i sum, __m512i *both, __m512i *odd) {
    *both = _mm512_add_epi16(*both, sum);
    *odd = _mm512_add_epi16(*odd, _mm512_srli_epi16(sum, 8));
}

/* Marks 64 rows. */
EXL__INLINE uint64_t scan_x86_mark64(__m512i both, __m512i odd, __m512i minimum, uint16_t *scores) {
    __m512i even = _mm512_sub_epi16(both, _mm512_slli_epi16(odd, 8));
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

EXL__INLINE __m512i scan_x86_pair64(const uint8_t *codes, __m512i low_table, __m512i high_table) {
    const __m512i nibble = _mm512_set1_epi8(15);
    __m512i code = _mm512_loadu_si512(codes);
    return _mm512_add_epi8(_mm512_shuffle_epi8(low_table, _mm512_and_si512(code, nibble)),
                           _mm512_shuffle_epi8(high_table, _mm512_and_si512(_mm512_srli_epi16(code, 4), nibble)));
}

/* The two kernels differ in the look-up alone; a function pointer would cost more than it. */
#define SCAN_X86_SCORE256(pair)                                                                                        \
    __m512i both[4], odd[4], least = _mm512_set1_epi16((int16_t)minimum);                                              \
    uint32_t b = 0;                                                                                                    \
    for (int i = 0; i < 4; i++)                                                                                        \
        both[i] = odd[i] = _mm512_setzero_si512();                                                                     \
    for (; b + 2 <= code_bytes; b += 2, block += 2 * EXL__SCAN_BLOCK, tables += 64) {                                  \
        __m512i low0 = scan_x86_table64(tables), high0 = scan_x86_table64(tables + 16);                                \
        __m512i low1 = scan_x86_table64(tables + 32), high1 = scan_x86_table64(tables + 48);                           \
        _Pragma("GCC unroll 4") for (int i = 0; i < 4; i++) {                                                          \
            scan_x86_fetch_ahead(block + 64 * i);                                                                      \
            scan_x86_fetch_ahead(block + 64 * i + EXL__SCAN_BLOCK);                                                    \
            scan_x86_widen64(_mm512_add_epi8(pair(block + 64 * i, low0, high0),                                        \
                                             pair(block + 64 * i + EXL__SCAN_BLOCK, low1, high1)),                     \
                             &both[i], &odd[i]);                                                                       \
        }                                                                                                              \
    }                                                                                                                  \
    for (int i = 0; i < 4 && b < code_bytes; i++)                                                                      \
        scan_x86_widen64(pair(block + 64 * i, scan_x86_table64(tables), scan_x86_table64(tables + 16)), &both[i],      \
                         &odd[i]);                                                                                     \
    for (int i = 0; i < 4; i++)                                                                                        \
    above[i] = scan_x86_mark64(both[i], odd[i], least, scores + 64 * i)

void exl__scan_block_avx512(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                            uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    SCAN_X86_SCORE256(scan_x86_pair64);
}

EXL__TARGET_END

EXL__TARGET_BEGIN("avx512f,avx512bw,avx512vl,avx512vbmi")

EXL__INLINE __m512i scan_x86_pair64_vbmi(const uint8_t *codes, __m512i low_table, __m512i high_table) {
    __m512i code = _mm512_loadu_si512(codes);
    return _mm512_add_epi8(_mm512_permutexvar_epi8(code, low_table),
                           _mm512_permutexvar_epi8(_mm512_srli_epi16(code, 4), high_table));
}

void exl__scan_block_vbmi(const uint8_t *block, uint32_t code_bytes, const uint8_t *tables, uint16_t minimum,
                          uint16_t scores[EXL__SCAN_BLOCK], uint64_t above[EXL__SCAN_BLOCK / 64]) {
    SCAN_X86_SCORE256(scan_x86_pair64_vbmi);
}

EXL__TARGET_END
#endif
