/* cpu.c: which kernels this processor can run. */
#include "compiler.h"

#include "scan.h"

int exl__isa_available(exl__isa isa) {
#if defined(__x86_64__)
    __builtin_cpu_init();
#endif
    switch (isa) {
    case EXL__SCALAR: return 1;
#if defined(__x86_64__)
    case EXL__SSSE3: return __builtin_cpu_supports("ssse3") != 0;
    case EXL__AVX2: return __builtin_cpu_supports("avx2") != 0;
    case EXL__AVX512:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl");
    case EXL__VBMI: return exl__isa_available(EXL__AVX512) && __builtin_cpu_supports("avx512vbmi");
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
