/* platform.h: what the runtime asks of the operating system: a file to read, a loaded library, a lock, a clock, and
 * word of a fork. Files that are written are storage.h's. */
#ifndef EXL_PLATFORM_H
#define EXL_PLATFORM_H

#if defined(EXL_BARE) || (defined(__wasi__) && !defined(_REENTRANT))
#define EXL__ONE_THREAD /* nor has every C library for it a pthread.h */
#elif !defined(_WIN32)
#include <pthread.h>
#endif
#if !defined(EXL_BARE) && !defined(__wasm__)
#define EXL__STARTS_THREADS
#endif
#include <stddef.h>
#include <stdint.h>

#include "status.h"

/* Opens a regular file and nothing else, to read it or, with for_change, to change it; that makes an empty one where
 * there is none. A pipe or a device in its place makes nobody wait, and its descriptor is none of the standard
 * streams'. Negative, with errno and the reason in words, where it cannot be had. */
int exl__regular_open(const char *path, int for_change, uint64_t *length, const char **why);
/* The reason why an open file, or one that may be opened, is no regular file; null where it is one. */
const char *exl__not_regular(const char *path, int descriptor);

/* A file to be read, or a part of one: mapped, and then it must not be written to while it is open (replace it by
 * renaming another over it), or a copy in memory from the allocator; or memory of the caller's. */
typedef struct exl__file {
    const uint8_t *bytes;
    uint64_t length;
    int descriptor;              /* of a mapped file, our own; negative: the bytes are in memory alone */
    const exl_allocator *copied; /* where a copy's memory is from; null: mapped, or the caller's */
    uint64_t start;              /* where in the descriptor's file the bytes begin */
} exl__file;

/* Where a bundle begins in memory or in a file, unless it is copied: its numbers are read in place. */
enum { EXL__FILE_ALIGNMENT = 64 };

/* Fails for a file that is empty or too long for this device. */
exl_status exl__file_check_length(const exl__file *file, exl_error *error);
/* copy: null to map the file, or to use the caller's memory as it is. */
exl_status exl__file_open(const char *path, const exl_allocator *copy, exl__file *file, exl_error *error);
/* length: 0 = to the end. The caller's descriptor stays his. */
exl_status exl__file_open_part(int descriptor, uint64_t offset, uint64_t length, const exl_allocator *copy,
                               exl__file *file, exl_error *error);
exl_status exl__file_open_memory(const void *bytes, size_t length, const exl_allocator *copy, exl__file *file,
                                 exl_error *error);
/* Reads through the descriptor, so that what is only hashed does not become resident in the mapping. */
exl_status exl__file_read(const exl__file *file, uint64_t offset, void *buffer, size_t bytes, exl_error *error);
/* Says that these bytes are not needed for now. They stay readable, from the file. */
void exl__file_forget(const exl__file *file, uint64_t offset, uint64_t bytes);
void exl__file_close(exl__file *file);

/* What file.c has of each system. */
exl_status exl__file_map(exl__file *file, exl_error *error);
void exl__file_unmap(const exl__file *file);
/* How long the file of a caller's descriptor is; null, or the reason why it cannot be used. */
const char *exl__descriptor_measure(int descriptor, uint64_t *length);
/* A descriptor of our own beside the caller's; negative, with errno. */
int exl__descriptor_duplicate(int descriptor);
/* At an offset, wherever the descriptor stands: the bytes that were read, 0 at the end, negative with errno. */
int64_t exl__descriptor_read_at(int descriptor, uint64_t offset, void *buffer, size_t bytes);

/* Null when the library or the symbol is not there; `why` then holds the loader's words. */
void *exl__library_open(const char *path, char *why, size_t why_bytes);
void *exl__library_symbol(void *library, const char *name);

/* Sets a variable of the process's environment, unless it is set. */
void exl__set_variable(const char *name, const char *value);

/* Held for a few instructions. exl__mutex_init gives 0 when the system has no more of them. */
#ifdef EXL__ONE_THREAD
typedef char exl__mutex;
#define EXL__MUTEX 0
#elif defined(_WIN32)
typedef struct exl__mutex {
    void *lock; /* an SRWLOCK, for which nothing is allocated; windows.h defines too many words to be included here */
} exl__mutex;
#define EXL__MUTEX {0}
#else
typedef pthread_mutex_t exl__mutex;
#define EXL__MUTEX PTHREAD_MUTEX_INITIALIZER
#endif
int exl__mutex_init(exl__mutex *mutex);
void exl__mutex_destroy(exl__mutex *mutex);
void exl__mutex_lock(exl__mutex *mutex);
void exl__mutex_unlock(exl__mutex *mutex);

#ifdef EXL__STARTS_THREADS
/* A thread of our own: it takes none of the application's signals. It stays where it is until it is joined. */
typedef struct exl__thread {
#if defined(_WIN32)
    void *handle;
#else
    pthread_t id;
#endif
    void (*work)(void *of);
    void *of;
} exl__thread;
/* 0 when the system has no more of them. */
int exl__thread_start(exl__thread *thread, void (*work)(void *of), void *of);
void exl__thread_join(exl__thread *thread);

/* What threads wait for, with a mutex held that they give up meanwhile; they may wake without a reason. */
#if defined(_WIN32)
typedef struct exl__condition {
    void *variable; /* a CONDITION_VARIABLE */
} exl__condition;
#else
typedef pthread_cond_t exl__condition;
#endif
int exl__condition_init(exl__condition *condition);
void exl__condition_destroy(exl__condition *condition);
void exl__condition_wait(exl__condition *condition, exl__mutex *mutex);
void exl__condition_wake_all(exl__condition *condition);
#endif

/* This process: a child made by fork is another. */
long exl__process(void);
/* Has these called around every fork: before it, then after it in the parent and in the child. 0 when there is no room
 * for them. */
int exl__at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void));

/* Milliseconds on a clock that only goes forward. */
double exl__now_ms(void);

#endif
