/* compiler.h: what the sources ask of a compiler. Each of them includes it before all else, so that they give the same
 * answers however they are compiled: with or without a build system, as one file or as many. */
#ifndef EXL_COMPILER_H
#define EXL_COMPILER_H

/* What the system's headers declare is settled by the first of them. */
#ifndef _DEFAULT_SOURCE
#define _DEFAULT_SOURCE
#endif
#ifndef _DARWIN_C_SOURCE
#define _DARWIN_C_SOURCE
#endif
#if !defined(_POSIX_C_SOURCE) && !defined(__FreeBSD__) && !defined(__NetBSD__) && !defined(__OpenBSD__)
#define _POSIX_C_SOURCE 200809L /* the BSDs declare nothing else with it, and all without */
#endif
#if defined(_WIN32) && !defined(WIN32_LEAN_AND_MEAN)
#define WIN32_LEAN_AND_MEAN
#endif
#if defined(_WIN32) && !defined(NOMINMAX)
#define NOMINMAX
#endif
#ifndef _FILE_OFFSET_BITS
#define _FILE_OFFSET_BITS 64 /* without it a 32-bit system opens no file whose inode or size needs more bits */
#endif

#if !defined(__BYTE_ORDER__) || __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "edgexl: bundles are little-endian and are used in place; this processor is big-endian"
#endif
#if defined(__FAST_MATH__) || (defined(__FINITE_MATH_ONLY__) && __FINITE_MATH_ONLY__ > 0) ||                           \
    defined(__ASSOCIATIVE_MATH__) || defined(__RECIPROCAL_MATH__) || defined(__NO_SIGNED_ZEROS__)
#error "edgexl: compile without -ffast-math, -Ofast and their parts: a bundle would give other answers"
#endif
#if defined(__FLT_EVAL_METHOD__) && (__FLT_EVAL_METHOD__ == 1 || __FLT_EVAL_METHOD__ == 2)
#error "edgexl: floats are computed as wider numbers here, and a bundle would give other answers: -msse2 -mfpmath=sse"
#endif

/* No multiplication is fused into an addition, whatever the command line and the language mode say. clang has pragmas
 * for it, and for what -funsafe-math-optimizations does, of which no macro tells. gcc knows only options by function,
 * which at -O0, where it fuses nothing, would hide constants from its own intrinsics. Against clang's own
 * -ffp-contract=fast, which heeds no pragma, there is nothing to be done here. */
#if defined(__clang__)
#pragma clang fp contract(off) reassociate(off)
#if __clang_major__ >= 18
#pragma clang fp reciprocal(off)
#endif
#elif defined(__GNUC__) && defined(__OPTIMIZE__)
#pragma GCC optimize("fp-contract=off")
#endif

#define EXL__INLINE static inline __attribute__((always_inline))

/* The loop that follows, of few and constant turns, is written out, whatever the compiler thinks of its size. */
#if defined(__clang__)
#define EXL__UNROLL _Pragma("clang loop unroll(full)")
#else
#define EXL__UNROLL _Pragma("GCC unroll 16")
#endif

/* A pragma whose text is put together by macros. */
#define EXL__PRAGMA(text) _Pragma(#text)

/* Functions between these are for processors that have `features` (a string literal). */
#if defined(__clang__)
#define EXL__TARGET_BEGIN(features)                                                                                    \
    EXL__PRAGMA(clang attribute push(__attribute__((target(features))), apply_to = function))
#define EXL__TARGET_END _Pragma("clang attribute pop")
#else
#define EXL__TARGET_BEGIN(features) _Pragma("GCC push_options") EXL__PRAGMA(GCC target(features))
#define EXL__TARGET_END _Pragma("GCC pop_options")
#endif

/* gcc's options for functions between these, from the first on (a list of string literals). Whatever the command line
 * says, but not at -O0 (see above); clang has no such thing. */
#if defined(__GNUC__) && !defined(__clang__) && defined(__OPTIMIZE__)
#define EXL__OPTIMIZE_BEGIN(...) _Pragma("GCC push_options") EXL__PRAGMA(GCC optimize(__VA_ARGS__))
#define EXL__OPTIMIZE_END _Pragma("GCC pop_options")
#else
#define EXL__OPTIMIZE_BEGIN(...)
#define EXL__OPTIMIZE_END
#endif

#endif
