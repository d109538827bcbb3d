/* cpu.c: which kernels this processor can run. */
#include "compiler.h"

#include "cpu.h"
#include "scan.h"

#if defined(__x86_64__)
#include <cpuid.h>

/* What the system saves of a thread: bits of XCR0. */
enum { CPU_SAVES_AVX = 0x06, CPU_SAVES_AVX512 = 0xe6 };

static unsigned cpu_saved(void) {
    unsigned low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int cpu_bit(unsigned word, int bit) { return (int)(word >> bit & 1); }

int exl__x86_has(exl__x86_feature feature) {
    unsigned a, b = 0, c = 0, d, one, saved;
    int avx2, avx512;

    if (!__get_cpuid(1, &a, &b, &one, &d))
        return 0;
    saved = cpu_bit(one, 27) ? cpu_saved() : 0;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        b = c = 0;
    avx2 = cpu_bit(one, 28) && cpu_bit(b, 5) && (saved & CPU_SAVES_AVX) == CPU_SAVES_AVX;
    avx512 = avx2 && cpu_bit(b, 16) && cpu_bit(b, 17) && cpu_bit(b, 30) && cpu_bit(b, 31) &&
             (saved & CPU_SAVES_AVX512) == CPU_SAVES_AVX512;
    switch (feature) {
    case EXL__X86_SSSE3: return cpu_bit(one, 9);
    case EXL__X86_AVX2: return avx2;
    case EXL__X86_AVX_VNNI: return avx2 && __get_cpuid_count(7, 1, &a, &b, &c, &d) && cpu_bit(a, 4);
    case EXL__X86_AVX512: return avx512;
    case EXL__X86_AVX512_VBMI: return avx512 && cpu_bit(c, 1);
    case EXL__X86_AVX512_VNNI: return avx512 && cpu_bit(c, 11);
    case EXL__X86_SHA: return cpu_bit(one, 9) && cpu_bit(one, 19) && cpu_bit(b, 29);
    default: return 0;
    }
}
#endif

int exl__isa_available(exl__isa isa) {
    switch (isa) {
    case EXL__SCALAR: return 1;
#if defined(__x86_64__)
    case EXL__SSSE3: return exl__x86_has(EXL__X86_SSSE3);
    case EXL__AVX2: return exl__x86_has(EXL__X86_AVX2);
    case EXL__AVX512: return exl__x86_has(EXL__X86_AVX512);
    case EXL__VBMI: return exl__x86_has(EXL__X86_AVX512_VBMI);
#elif defined(__aarch64__)
    case EXL__NEON: /* part of every AArch64 application processor */ return 1;
#elif defined(__wasm_simd128__)
    case EXL__WASM: /* else the module would not run at all */ return 1;
#endif
    default: return 0;
    }
}

exl__isa exl__isa_best(void) {
    static const exl__isa fastest_first[] = {EXL__VBMI, EXL__AVX512, EXL__AVX2, EXL__SSSE3, EXL__NEON, EXL__WASM};
    for (size_t i = 0; i < sizeof fastest_first / sizeof *fastest_first; i++)
        if (exl__isa_available(fastest_first[i]))
            return fastest_first[i];
    return EXL__SCALAR;
}

const char *exl__isa_name(exl__isa isa) {
    switch (isa) {
    case EXL__SSSE3: return "ssse3";
    case EXL__AVX2: return "avx2";
    case EXL__AVX512: return "avx512";
    case EXL__VBMI: return "avx512vbmi";
    case EXL__NEON: return "neon";
    case EXL__WASM: return "wasm-simd128";
    default: return "scalar";
    }
}
