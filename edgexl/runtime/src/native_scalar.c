/* native_scalar.c: the kernels in plain C, which every other set equals to the bit; and the choice among the sets. */
#include "compiler.h"

#include <math.h>
#include <string.h>

#include "cpu.h"
#include "native.h"
#include "win32.h"

/* A module that a page waits for runs with vectors or not at all. */
#if defined(EXL_BARE) && defined(__wasm_simd128__)
#define NATIVE_SCALAR_IS_LEFT_OUT
#else

#if defined(__x86_64__) || defined(__aarch64__) /* faster sets are there; of this one, bytes of library count */
EXL__OPTIMIZE_BEGIN("no-tree-vectorize", "Os")
#else
EXL__OPTIMIZE_BEGIN("no-tree-vectorize") /* vectors are written out */
#endif

#define NATIVE_NAME(x) native_scalar_##x
#define NATIVE_LANES 4
#define NATIVE_ROWS 4
#define NATIVE_SCALAR_CHOICE(of, x, y)                                                                                 \
    ((native_scalar_vector)((of & (native_scalar_integers)(x)) | (~(of) & (native_scalar_integers)(y))))
#define NATIVE_LEAST(x, y) NATIVE_SCALAR_CHOICE(((x) < (y)), x, y)
#define NATIVE_MOST(x, y) NATIVE_SCALAR_CHOICE(((x) > (y)), x, y)

typedef int32_t native_scalar_four_integers __attribute__((vector_size(16), aligned(4), may_alias));

static inline void native_scalar_narrow(const native_scalar_four_integers *panel, uint32_t code_bytes, uint32_t flip,
                                        uint8_t *to) {
    (void)code_bytes; /* 1 */
    (void)flip;       /* 0 */
    for (uint32_t l = 0; l < EXL__PANEL; l++) {
        int32_t code = panel[l / 4][l % 4];
        code = code > 0 ? code : 0;
        to[l] = (uint8_t)(code < 255 ? code : 255);
    }
}

#include "native_float.h"

void exl__dot_scalar(const void *codes, size_t code_stride, uint32_t rows, const int8_t *weights, size_t panel_bytes,
                     uint32_t panels, uint32_t steps, int32_t *sums) {
    for (uint32_t r = 0; r < rows; r++)
        for (uint32_t p = 0; p < panels; p++) {
            const uint8_t *row = (const uint8_t *)codes + r * code_stride;
            const int8_t *panel = weights + p * panel_bytes;
            int32_t *out = sums + (r * panels + p) * EXL__PANEL;

            memset(out, 0, EXL__PANEL * sizeof *out);
            for (uint32_t s = 0; s < steps; s++)
                for (uint32_t c = 0; c < EXL__PANEL; c++)
                    for (uint32_t k = 0; k < 4; k++)
                        out[c] += (int32_t)row[s * 4 + k] * panel[(s * EXL__PANEL + c) * 4 + k];
        }
}

const exl__kernels exl__kernels_scalar =
    NATIVE_KERNELS("scalar", INT8_PRODUCTS(exl__dot_scalar, 4, 1, 1, 0), INT8_PRODUCTS(exl__dot_scalar, 4, 1, 1, 0));

EXL__OPTIMIZE_END
#endif

/* ---- choice ---------------------------------------------------------------------------------------------------- */

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
/* HWCAP_ASIMDDP; HWCAP2_I8MM */
enum { NATIVE_SCALAR_HAS_DOT_PRODUCTS = 1 << 20, NATIVE_SCALAR_HAS_MATRIX_PRODUCTS = 1 << 13 };
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__aarch64__) && defined(_WIN32)
/* PF_ARM_V82_DP_INSTRUCTIONS_AVAILABLE; PF_ARM_V82_I8MM_INSTRUCTIONS_AVAILABLE */
enum { NATIVE_SCALAR_HAS_DOT_PRODUCTS = 43, NATIVE_SCALAR_HAS_MATRIX_PRODUCTS = 66 };
#endif

static int native_scalar_is_available(const exl__kernels *kernels) {
#if defined(__x86_64__)
    if (kernels == &exl__kernels_avx2)
        return exl__x86_has(EXL__X86_AVX2);
    if (kernels == &exl__kernels_avx2_vnni)
        return exl__x86_has(EXL__X86_AVX_VNNI);
    if (kernels == &exl__kernels_avx512_vnni)
        return exl__x86_has(EXL__X86_AVX512_VNNI);
#elif defined(__aarch64__) && defined(__linux__)
    if (kernels == &exl__kernels_neon_dot)
        return (getauxval(AT_HWCAP) & NATIVE_SCALAR_HAS_DOT_PRODUCTS) != 0;
    if (kernels == &exl__kernels_neon_i8mm)
        return (getauxval(AT_HWCAP2) & NATIVE_SCALAR_HAS_MATRIX_PRODUCTS) != 0;
#elif defined(__aarch64__) && defined(__APPLE__) /* every Apple processor has dot products */
    if (kernels == &exl__kernels_neon_i8mm) {
        int has = 0;
        size_t bytes = sizeof has;
        return sysctlbyname("hw.optional.arm.FEAT_I8MM", &has, &bytes, NULL, 0) == 0 && has;
    }
#elif defined(__aarch64__) && defined(_WIN32)
    if (kernels == &exl__kernels_neon_dot)
        return exl__win32_cpu_has(NATIVE_SCALAR_HAS_DOT_PRODUCTS);
    if (kernels == &exl__kernels_neon_i8mm)
        return exl__win32_cpu_has(NATIVE_SCALAR_HAS_MATRIX_PRODUCTS);
#elif defined(__aarch64__)
    if (kernels == &exl__kernels_neon_dot || kernels == &exl__kernels_neon_i8mm)
        return 0;
#endif
    (void)kernels;
    return 1;
}

static const exl__kernels *const NATIVE_SCALAR_FASTEST_FIRST[] = {
#if defined(__x86_64__)
    &exl__kernels_avx512_vnni,
    &exl__kernels_avx2_vnni,
    &exl__kernels_avx2,
#elif defined(__aarch64__)
    &exl__kernels_neon_i8mm,
    &exl__kernels_neon_dot,
    &exl__kernels_neon,
#elif defined(__wasm_simd128__)
    &exl__kernels_wasm,
#endif
#if !defined(NATIVE_SCALAR_IS_LEFT_OUT)
    &exl__kernels_scalar,
#endif
};

enum { NATIVE_SCALAR_SETS = sizeof NATIVE_SCALAR_FASTEST_FIRST / sizeof *NATIVE_SCALAR_FASTEST_FIRST };

const exl__kernels *exl__kernels_best(int scalar) {
    size_t i = scalar ? NATIVE_SCALAR_SETS - 1 : 0;

    while (i + 1 < NATIVE_SCALAR_SETS && !native_scalar_is_available(NATIVE_SCALAR_FASTEST_FIRST[i]))
        i++;
    return NATIVE_SCALAR_FASTEST_FIRST[i];
}

const exl__kernels *exl__kernels_named(const char *name) {
    for (size_t i = 0; i < NATIVE_SCALAR_SETS; i++)
        if (strcmp(NATIVE_SCALAR_FASTEST_FIRST[i]->name, name) == 0)
            return native_scalar_is_available(NATIVE_SCALAR_FASTEST_FIRST[i]) ? NATIVE_SCALAR_FASTEST_FIRST[i] : NULL;
    return NULL;
}
