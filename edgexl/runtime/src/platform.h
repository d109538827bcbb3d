/* platform.h: all that the runtime asks of the operating system: a mapped file, a file that is written so that a crash
 * at any moment leaves the old or the new one, a loaded library, a lock, a clock. */
#ifndef EXL_PLATFORM_H
#define EXL_PLATFORM_H

#include <pthread.h>
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

/* A file to be read as it is now. A file that is not there is no error: *descriptor is then negative, which the other
 * functions must not get (closing it is allowed). */
exl_status exl__descriptor_open(const char *path, int *descriptor, exl__error *error);
void exl__descriptor_close(int descriptor);
/* All of an open file into memory from the allocator, *bytes long (null when it is empty). Its first head_bytes are
 * read before the rest is, so that what they say of the rest is there even where the file grows meanwhile. */
exl_status exl__descriptor_read(const exl_allocator *allocator, int descriptor, size_t head_bytes, uint8_t **bytes,
                                uint64_t *length, exl__error *error);
/* The first `capacity` bytes of a file, or all where it is shorter; none where it is not there. */
exl_status exl__file_peek(const char *path, void *buffer, size_t capacity, size_t *bytes, exl__error *error);
/* Opens a file for writing and waits until nobody else, in this process or another, has it locked; makes an empty one
 * where there is none. Closing it unlocks it. */
exl_status exl__descriptor_lock(const char *path, int *descriptor, exl__error *error);
/* Writes at an offset, and returns when that is on the disk. */
exl_status exl__descriptor_write(int descriptor, uint64_t offset, const void *bytes, size_t length, exl__error *error);
/* Puts a file of these bytes in the place of the one at `path`, in one step. `partial` is the name that it has until it
 * is whole, in the same directory. */
exl_status exl__file_replace(const char *path, const char *partial, const void *bytes, size_t length,
                             exl__error *error);

/* Null when the library or the symbol is not there; `why` then holds the loader's words. */
void *exl__library_open(const char *path, char *why, size_t why_bytes);
void *exl__library_symbol(void *library, const char *name);
void exl__library_close(void *library);

/* Sets a variable of the process's environment, unless it is set. */
void exl__set_variable(const char *name, const char *value);

/* Held for a few instructions. exl__mutex_init gives 0 when the system has no more of them. */
typedef pthread_mutex_t exl__mutex;
int exl__mutex_init(exl__mutex *mutex);
void exl__mutex_destroy(exl__mutex *mutex);
void exl__mutex_lock(exl__mutex *mutex);
void exl__mutex_unlock(exl__mutex *mutex);

/* Milliseconds on a clock that only goes forward. */
double exl__now_ms(void);

#endif
