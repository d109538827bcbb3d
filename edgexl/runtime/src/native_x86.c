/* native_x86.c: kernels for AVX2, AVX2 with VNNI, and AVX-512 with VNNI. */
#include "compiler.h"

#include <math.h>
#include <string.h>

#include "native.h"

#if defined(__x86_64__)
#include <immintrin.h>

#if defined(__clang__) /* takes vectors of 64 bytes as they are written */
#define NATIVE_X86_AVX512_VNNI "avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"
#else
#define NATIVE_X86_AVX512_VNNI "avx2,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,prefer-vector-width=512"
#endif

EXL__OPTIMIZE_BEGIN("no-tree-vectorize") /* vectors are written out */

/* ---- AVX2 ------------------------------------------------------------------------------------------------------ */

EXL__TARGET_BEGIN("avx2")
#define NATIVE_NAME(x) native_x86_avx2_##x
#define NATIVE_LANES 8
#define NATIVE_ROWS 4
#define NATIVE_LEAST(x, y) ((native_x86_avx2_vector)_mm256_min_ps((__m256)(x), (__m256)(y)))
#define NATIVE_MOST(x, y) ((native_x86_avx2_vector)_mm256_max_ps((__m256)(x), (__m256)(y)))

typedef int32_t native_x86_eight_integers __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t native_x86_sixteen_integers __attribute__((vector_size(64), aligned(4), may_alias));

EXL__INLINE void native_x86_avx2_narrow(const native_x86_eight_integers *panel, uint32_t code_bytes, uint32_t flip,
                                        uint8_t *to) {
    __m256i wide = _mm256_packs_epi32((__m256i)panel[0], (__m256i)panel[1]);

    (void)flip; /* 0 */
    wide = _mm256_permute4x64_epi64(wide, 0xd8);
    if (code_bytes == 2)
        _mm256_storeu_si256((__m256i *)(void *)to,
                            _mm256_min_epi16(_mm256_max_epi16(wide, _mm256_setzero_si256()), _mm256_set1_epi16(255)));
    else
        _mm_storeu_si128((__m128i *)(void *)to,
                         _mm_packus_epi16(_mm256_castsi256_si128(wide), _mm256_extracti128_si256(wide, 1)));
}

#include "native_float.h"

/* Keeps gcc from moving sums between registers (and memory) once a step: a third of the loop's instructions. */
#define NATIVE_X86_KEPT(sum) __asm__("" : "+x"(sum))

/* Weights of 8 bits. Codes as 16-bit integers: vpmaddwd adds two exact products in 32 bits, where vpmaddubsw would
 * saturate. */
EXL__INLINE void native_x86_avx2_tile(const uint8_t *codes, size_t code_stride, const uint32_t rows,
                                      const int8_t *weights, uint32_t steps, int32_t *sums, size_t sum_stride) {
    for (uint32_t half = 0; half < 2; half++) { /* 8 of the 16 columns */
        const int8_t *at = weights + half * 32;
        const uint8_t *row[4];
        __m256i totals[4][2];

        for (uint32_t r = 0; r < rows; r++) {
            row[r] = codes + r * code_stride;
            totals[r][0] = totals[r][1] = _mm256_setzero_si256();
            __asm__("" : "+r"(row[r]));
        }
        for (size_t s = 0; s < steps; s++, at += EXL__PANEL * 4) {
            __m256i first = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)at));
            __m256i second = _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)(at + 16)));
            if (half == 0) /* the next panel's line, as avx512's tile does */
                _mm_prefetch((const char *)at + (size_t)steps * EXL__PANEL * 4, _MM_HINT_T0);
            for (uint32_t r = 0; r < rows; r++) {
                int64_t four;
                __m256i code;
                memcpy(&four, row[r] + s * 8, sizeof four);
                code = _mm256_set1_epi64x(four);
                totals[r][0] = _mm256_add_epi32(totals[r][0], _mm256_madd_epi16(first, code));
                totals[r][1] = _mm256_add_epi32(totals[r][1], _mm256_madd_epi16(second, code));
                NATIVE_X86_KEPT(totals[r][0]);
                NATIVE_X86_KEPT(totals[r][1]);
            }
        }
        for (uint32_t r = 0; r < rows; r++) { /* each column's two halves stand side by side */
            __m256i joined = _mm256_hadd_epi32(totals[r][0], totals[r][1]);
            joined = _mm256_permute4x64_epi64(joined, 0xd8);
            _mm256_storeu_si256((__m256i *)(void *)(sums + r * sum_stride + half * 8), joined);
        }
    }
}

DOT_BY_PANEL(native_x86_avx2_dot, native_x86_avx2_tile, ROWS_4)

/* Weights of 7 bits: vpmaddubsw does not saturate, and two steps of it fit 16 bits. In assembly, for gcc spreads codes
 * by way of other registers, adds rows' addresses up, and moves sums about: twice the instructions. */
EXL__INLINE void native_x86_avx2_seven_tile(const uint8_t *codes, size_t code_stride, const uint32_t rows,
                                            const int8_t *weights, uint32_t steps, int32_t *sums, size_t sum_stride) {
    const ptrdiff_t bytes = (ptrdiff_t)steps * 4;
    const __m256i ones = _mm256_set1_epi16(1);
    const uint8_t *row[4];
    __m256i totals[4][2];

    EXL__UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        row[r] = codes + r * code_stride + bytes;
        __asm__("" : "+r"(row[r]));
        totals[r][0] = totals[r][1] = _mm256_setzero_si256();
    }
    for (ptrdiff_t s = -bytes; s != 0; s += 8, weights += EXL__PANEL * 8) {
        EXL__UNROLL
        for (uint32_t r = 0; r < rows; r++) {
            __m256i first, second;
            __asm__("vpbroadcastd (%2,%3), %0\n\t"
                    "vpbroadcastd 4(%2,%3), %1"
                    : "=&x"(first), "=x"(second)
                    : "r"(row[r]), "r"(s)
                    : "memory");
            EXL__UNROLL
            for (uint32_t half = 0; half < 2; half++) {
                const __m256i_u *at = (const __m256i_u *)(const void *)(weights + half * 32);
                __m256i x, y;
                __asm__("vpmaddubsw %5, %3, %1\n\t"
                        "vpmaddubsw %6, %4, %2\n\t"
                        "vpaddw %2, %1, %1\n\t"
                        "vpmaddwd %7, %1, %1\n\t"
                        "vpaddd %1, %0, %0"
                        : "+x"(totals[r][half]), "=&x"(x), "=&x"(y)
                        : "x"(first), "x"(second), "m"(at[0]), "m"(at[2]), "x"(ones));
            }
        }
    }
    EXL__UNROLL
    for (uint32_t r = 0; r < rows; r++) {
        _mm256_storeu_si256((__m256i *)(void *)(sums + r * sum_stride), totals[r][0]);
        _mm256_storeu_si256((__m256i *)(void *)(sums + r * sum_stride + 8), totals[r][1]);
    }
}

DOT_BY_PANEL(native_x86_avx2_seven_dot, native_x86_avx2_seven_tile, ROWS_4)

const exl__kernels exl__kernels_avx2 = NATIVE_KERNELS("avx2", INT8_PRODUCTS(native_x86_avx2_dot, 4, 1, 2, 0),
                                                      INT8_PRODUCTS(native_x86_avx2_seven_dot, 4, 1, 1, 0));
EXL__TARGET_END

/* ---- AVX2 with VNNI -------------------------------------------------------------------------------------------- */

EXL__TARGET_BEGIN("avx2,avxvnni")
EXL__INLINE void native_x86_avx2_vnni_tile(const uint8_t *codes, size_t code_stride, const uint32_t rows,
                                           const int8_t *weights, uint32_t steps, int32_t *sums, size_t sum_stride) {
    __m256i totals[6][2];

    for (uint32_t r = 0; r < rows; r++)
        totals[r][0] = totals[r][1] = _mm256_setzero_si256();
    for (uint32_t s = 0; s < steps; s++, weights += EXL__PANEL * 4) {
        __m256i first = _mm256_loadu_si256((const __m256i *)(const void *)weights);
        __m256i second = _mm256_loadu_si256((const __m256i *)(const void *)(weights + 32));
        for (uint32_t r = 0; r < rows; r++) {
            int32_t four;
            __m256i code;
            memcpy(&four, codes + r * code_stride + s * 4, sizeof four);
            code = _mm256_set1_epi32(four);
            totals[r][0] = _mm256_dpbusd_avx_epi32(totals[r][0], code, first);
            totals[r][1] = _mm256_dpbusd_avx_epi32(totals[r][1], code, second);
        }
    }
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t half = 0; half < 2; half++)
            _mm256_storeu_si256((__m256i *)(void *)(sums + r * sum_stride + half * 8), totals[r][half]);
}

DOT_BY_PANEL(native_x86_avx2_vnni_dot, native_x86_avx2_vnni_tile, ROWS_6)

const exl__kernels exl__kernels_avx2_vnni =
    NATIVE_KERNELS("avx2-vnni", INT8_PRODUCTS(native_x86_avx2_vnni_dot, 6, 1, 1, 0),
                   INT8_PRODUCTS(native_x86_avx2_vnni_dot, 6, 1, 1, 0));
EXL__TARGET_END
#undef NATIVE_NAME
#undef NATIVE_LANES
#undef NATIVE_ROWS
#undef NATIVE_LEAST
#undef NATIVE_MOST

/* ---- AVX-512 with VNNI ----------------------------------------------------------------------------------------- */

EXL__TARGET_BEGIN(NATIVE_X86_AVX512_VNNI)
#define NATIVE_NAME(x) native_x86_avx512_##x
#define NATIVE_LANES 16
#define NATIVE_ROWS 8
#define NATIVE_LEAST(x, y) ((native_x86_avx512_vector)_mm512_min_ps((__m512)(x), (__m512)(y)))
#define NATIVE_MOST(x, y) ((native_x86_avx512_vector)_mm512_max_ps((__m512)(x), (__m512)(y)))

EXL__INLINE void native_x86_avx512_narrow(const native_x86_sixteen_integers *panel, uint32_t code_bytes, uint32_t flip,
                                          uint8_t *to) {
    (void)code_bytes; /* 1 */
    (void)flip;       /* 0 */
    _mm_storeu_si128((__m128i *)(void *)to,
                     _mm512_cvtusepi32_epi8(_mm512_max_epi32((__m512i)*panel, _mm512_setzero_si512())));
}

#include "native_float.h"

/* While the last rows of a panel are at work, the next panels' lines are asked for: weights come from memory once a
 * text, and without it a third of the time is waiting. */
EXL__INLINE void native_x86_avx512_tile(const uint8_t *codes, size_t code_stride, const uint32_t rows,
                                        const int8_t *weights, size_t panel_bytes, const uint32_t panels,
                                        uint32_t steps, int32_t *sums) {
    __m512i totals[8][2];

    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t p = 0; p < panels; p++)
            totals[r][p] = _mm512_setzero_si512();
    for (uint32_t s = 0; s < steps; s++) {
        __m512i line[2];
        for (uint32_t p = 0; p < panels; p++) {
            const int8_t *at = weights + p * panel_bytes + (size_t)s * EXL__PANEL * 4;
            line[p] = _mm512_loadu_si512(at);
            _mm_prefetch((const char *)at + panels * panel_bytes, _MM_HINT_T0);
        }
        for (uint32_t r = 0; r < rows; r++) {
            int32_t four;
            __m512i code;
            memcpy(&four, codes + r * code_stride + s * 4, sizeof four);
            code = _mm512_set1_epi32(four);
            for (uint32_t p = 0; p < panels; p++)
                totals[r][p] = _mm512_dpbusd_epi32(totals[r][p], code, line[p]);
        }
    }
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t p = 0; p < panels; p++)
            _mm512_storeu_si512(sums + (r * panels + p) * EXL__PANEL, totals[r][p]);
}

static void native_x86_avx512_dot(const void *codes, size_t code_stride, uint32_t rows, const int8_t *weights,
                                  size_t panel_bytes, uint32_t panels, uint32_t steps, int32_t *sums) {
    if (panels == 2)
        switch (rows) { ROWS_8(native_x86_avx512_tile, codes, code_stride, weights, panel_bytes, 2, steps, sums); }
    else
        switch (rows) { ROWS_8(native_x86_avx512_tile, codes, code_stride, weights, panel_bytes, 1, steps, sums); }
}

const exl__kernels exl__kernels_avx512_vnni = NATIVE_KERNELS(
    "avx512-vnni", INT8_PRODUCTS(native_x86_avx512_dot, 8, 2, 1, 0), INT8_PRODUCTS(native_x86_avx512_dot, 8, 2, 1, 0));
EXL__TARGET_END
EXL__OPTIMIZE_END
#endif
