/* cpu.h: what an x86-64 processor has. */
#ifndef EXL_CPU_H
#define EXL_CPU_H

#if defined(__x86_64__)
/* What of x86-64 this processor has and this system keeps for a thread. Asked of the processor: what compilers offer
 * for it knows different names, and knows nothing where it was linked by Zig. */
typedef enum exl__x86_feature {
    EXL__X86_SSSE3,
    EXL__X86_AVX2,
    EXL__X86_AVX_VNNI,
    EXL__X86_AVX512,      /* F, BW, DQ and VL */
    EXL__X86_AVX512_VBMI, /* and what is before it */
    EXL__X86_AVX512_VNNI, /* and AVX512 */
    EXL__X86_SHA          /* with SSSE3 and SSE4.1, by which its operands are arranged */
} exl__x86_feature;
int exl__x86_has(exl__x86_feature feature);
#endif

#endif
