/* win32.h: what win32.c gives to win32_storage.c, and to the choice of kernels. windows.h, which defines common words,
 * is included by those two files alone; a HANDLE is a void * here. */
#ifndef EXL_WIN32_H
#define EXL_WIN32_H

#if defined(_WIN32) && !defined(EXL_BARE)
#include <stddef.h>
#include <stdint.h>

enum { EXL__WIN32_PATH = 4096 }; /* UTF-16 units of a path, with its end */

/* A path in UTF-8 as an absolute one in the form (\\?\) that may be long and in which no name is special. 0, or
 * Windows's error. */
unsigned long exl__win32_path(const char *path, wchar_t whole[EXL__WIN32_PATH]);
/* A descriptor of a regular file at such a path, to read it or, with for_change, to change it, made where there is
 * none. Negative, with errno. */
int exl__win32_open(const wchar_t *whole, int for_change);
/* The HANDLE of a descriptor; null where it is none. */
void *exl__win32_handle(int descriptor);
/* A descriptor, above the standard streams', that closes the HANDLE. Negative, with errno, and then it is closed. */
int exl__win32_descriptor(void *handle);
void exl__win32_close(int descriptor);
/* The errno that says what one of Windows's errors does. */
int exl__win32_errno(unsigned long reason);
/* IsProcessorFeaturePresent */
int exl__win32_cpu_has(unsigned feature);
#endif

#endif
