/* bare.h: what a program gives and gets where the library is compiled with EXL_BARE: with no operating system below. */
#ifndef EXL_BARE_H
#define EXL_BARE_H

#include <stdarg.h>
#include <stddef.h>

/* The program's: milliseconds on a clock that only goes forward. */
#if defined(__wasm__)
__attribute__((import_module("edgexl"), import_name("now_ms")))
#endif
double
exl_bare_now_ms(void);

/* The label file of this name, *length long; null where there is none. With `bytes`, *length of them, it becomes these
 * first. What is returned lives until the labels are changed. */
const void *exl_bare_file(const char *name, const void *bytes, size_t *length);

/* vsnprintf as far as this library's sentences go, without its 15 KB: %s with a precision or none, %d, %u, their forms
 * with ll and z, and %f of up to 9 decimals for numbers below 2^63. It tells no length. */
void exl__bare_format(char *to, size_t bytes, const char *format, va_list arguments);

#endif
