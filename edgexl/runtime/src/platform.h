/* platform.h: all that the runtime asks of the operating system: a mapped file, a loaded library, a clock. */
#ifndef EXL_PLATFORM_H
#define EXL_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* A file, mapped read-only. It must not be written to while it is open: replace it by renaming another over it. */
typedef struct exl__file {
    const uint8_t *bytes;
    uint64_t length;
    int descriptor;
} exl__file;

exl_status exl__file_open(const char *path, exl__file *file, exl__error *error);
/* Reads through the descriptor, so that what is only hashed does not become resident in the mapping. */
exl_status exl__file_read(const exl__file *file, uint64_t offset, void *buffer, size_t bytes, exl__error *error);
/* Says that these bytes are not needed for now. They stay readable, from the file. */
void exl__file_forget(const exl__file *file, uint64_t offset, uint64_t bytes);
void exl__file_close(exl__file *file);

/* Null when the library or the symbol is not there; `why` then holds the loader's words. */
void *exl__library_open(const char *path, char *why, size_t why_bytes);
void *exl__library_symbol(void *library, const char *name);
void exl__library_close(void *library);

/* Milliseconds on a clock that only goes forward. */
double exl__now_ms(void);

#endif
