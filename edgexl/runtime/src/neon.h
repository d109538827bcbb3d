/* neon.h: arm_neon.h with the intrinsics of every instruction that the runtime chooses at run time. */
#ifndef EXL_NEON_H
#define EXL_NEON_H

#if defined(__aarch64__)
/* Before version 16, clang hides intrinsics for which the whole source is not compiled, whatever its functions are. */
#if defined(__clang__) && __clang_major__ < 16
#ifndef __ARM_FEATURE_DOTPROD
#define __ARM_FEATURE_DOTPROD 1
#define EXL__HIDE_DOTPROD
#endif
#ifndef __ARM_FEATURE_MATMUL_INT8
#define __ARM_FEATURE_MATMUL_INT8 1
#define EXL__HIDE_MATMUL_INT8
#endif
#ifndef __ARM_FEATURE_SHA2
#define __ARM_FEATURE_SHA2 1
#define EXL__HIDE_SHA2
#endif
#endif

#include <arm_neon.h>

#ifdef EXL__HIDE_DOTPROD
#undef __ARM_FEATURE_DOTPROD
#endif
#ifdef EXL__HIDE_MATMUL_INT8
#undef __ARM_FEATURE_MATMUL_INT8
#endif
#ifdef EXL__HIDE_SHA2
#undef __ARM_FEATURE_SHA2
#endif
#endif

#endif
