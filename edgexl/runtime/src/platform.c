/* platform.c: POSIX (Linux, Android, macOS, iOS, the BSDs), and WASI with its emulated mmap. Windows is win32.c's. */
#include "compiler.h"

#include "platform.h"

#if !defined(EXL_BARE) && !defined(_WIN32)

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifndef __wasi__
#include <dlfcn.h>
#include <signal.h>
#endif

#include "memory.h"

_Static_assert(sizeof(off_t) == 8, "without large files no bundle opens where inodes have 64 bits");

/* ---- opening -------------------------------------------------------------------------------------------------- */

static const char *platform_why_not_regular(mode_t mode) {
    if (S_ISREG(mode))
        return NULL;
    if (S_ISDIR(mode))
        return "it is a directory, not a regular file";
    if (S_ISCHR(mode) || S_ISBLK(mode))
        return "it is a device, not a regular file";
    return "it is a pipe or a socket, not a regular file";
}

const char *exl__not_regular(const char *path, int descriptor) {
    struct stat facts;

    if ((descriptor >= 0 ? fstat(descriptor, &facts) : stat(path, &facts)) != 0)
        return NULL; /* opening it says why */
    return platform_why_not_regular(facts.st_mode);
}

/* Whoever closed its standard streams must not find its output in a label file, nor a bundle in its input. */
static int platform_above_standard_streams(int descriptor) {
#if defined(F_DUPFD_CLOEXEC)
    if (descriptor >= 0 && descriptor <= 2) {
        int above = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
        close(descriptor);
        return above;
    }
#endif
    return descriptor;
}

int exl__regular_open(const char *path, int for_change, uint64_t *length, const char **why) {
    int flags = for_change ? O_RDWR | O_CREAT : O_RDONLY, descriptor, reason = EINVAL;
    struct stat facts;

    *length = 0;
    *why = exl__not_regular(path, -1); /* even to open a device may do something */
    if (*why) {
        errno = EINVAL;
        return -1;
    }
    descriptor = platform_above_standard_streams(open(path, flags | O_CLOEXEC | O_NONBLOCK, 0666));
    if (descriptor < 0 || fstat(descriptor, &facts) != 0) {
        reason = errno;
        *why = strerror(reason);
    } else
        *why = platform_why_not_regular(facts.st_mode);
    if (*why) {
        if (descriptor >= 0)
            close(descriptor);
        errno = reason;
        return -1;
    }
    (void)fcntl(descriptor, F_SETFL, 0); /* from here on it may wait for its disk */
    *length = (uint64_t)facts.st_size;
    return descriptor;
}

/* ---- a file to be read ----------------------------------------------------------------------------------------- */

/* A mapping begins with a page: by so many bytes before those that are wanted. */
static size_t platform_before(const exl__file *file) { return (size_t)(file->start % (uint64_t)sysconf(_SC_PAGESIZE)); }

exl_status exl__file_map(exl__file *file, exl_error *error) {
    size_t before = platform_before(file);
    uint8_t *mapping = mmap(NULL, (size_t)file->length + before, PROT_READ, MAP_PRIVATE, file->descriptor,
                            (off_t)(file->start - before));

    if (mapping == MAP_FAILED)
        return exl__fail(error, EXL_FILE_UNREADABLE, "the file cannot be mapped: %s", strerror(errno));
    file->bytes = mapping + before;
    return EXL_OK;
}

void exl__file_unmap(const exl__file *file) {
    munmap((void *)(uintptr_t)(file->bytes - platform_before(file)), (size_t)file->length + platform_before(file));
}

const char *exl__descriptor_measure(int descriptor, uint64_t *length) {
    struct stat facts;

    *length = 0;
    if (fstat(descriptor, &facts) != 0)
        return strerror(errno);
    *length = (uint64_t)facts.st_size;
    return platform_why_not_regular(facts.st_mode);
}

int exl__descriptor_duplicate(int descriptor) {
#if defined(F_DUPFD_CLOEXEC)
    return fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
#else
    (void)descriptor;
    errno = ENOSYS;
    return -1;
#endif
}

int64_t exl__descriptor_read_at(int descriptor, uint64_t offset, void *buffer, size_t bytes) {
    ssize_t got;

    do
        got = pread(descriptor, buffer, bytes, (off_t)offset);
    while (got < 0 && errno == EINTR);
    return got;
}

#if defined(__wasi__) /* mmap is a copy there (wasi-libc's emulation), and nothing can be given back */
void exl__file_forget(const exl__file *file, uint64_t offset, uint64_t bytes) {
    (void)file;
    (void)offset;
    (void)bytes;
}
#else
void exl__file_forget(const exl__file *file, uint64_t offset, uint64_t bytes) {
    /* Whole pages only: what lies around may be in use. Sections are aligned, so little is left over. */
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), begin = (uint64_t)(uintptr_t)file->bytes + offset;
    uint64_t from = (begin + page - 1) / page * page;
    uint64_t to = (begin + bytes) / page * page;

    if (from < to && file->descriptor >= 0)
        (void)madvise((void *)(uintptr_t)from, (size_t)(to - from), MADV_DONTNEED);
}
#endif

/* ---- libraries, locks, forks, the clock ---------------------------------------------------------------------- */

#if defined(__wasi__) /* a module loads no other */
void *exl__library_open(const char *path, char *why, size_t why_bytes) {
    (void)path;
    snprintf(why, why_bytes, "WebAssembly loads no libraries");
    return NULL;
}

void *exl__library_symbol(void *library, const char *name) {
    (void)library, (void)name;
    return NULL;
}
#else
void *exl__library_open(const char *path, char *why, size_t why_bytes) {
    const char *words = strchr(path, '/') ? exl__not_regular(path, -1) : NULL; /* the loader would wait for a pipe */
    void *library = words ? NULL : dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        words = words ? words : dlerror();
        snprintf(why, why_bytes, "%s", words ? words : "unknown reason");
    }
    return library;
}

void *exl__library_symbol(void *library, const char *name) { return dlsym(library, name); }
#endif

void exl__set_variable(const char *name, const char *value) { setenv(name, value, 0); }

#ifdef EXL__ONE_THREAD
int exl__mutex_init(exl__mutex *mutex) {
    *mutex = EXL__MUTEX;
    return 1;
}
void exl__mutex_destroy(exl__mutex *mutex) { (void)mutex; }
void exl__mutex_lock(exl__mutex *mutex) { (void)mutex; }
void exl__mutex_unlock(exl__mutex *mutex) { (void)mutex; }
#else
int exl__mutex_init(exl__mutex *mutex) { return pthread_mutex_init(mutex, NULL) == 0; }
void exl__mutex_destroy(exl__mutex *mutex) { pthread_mutex_destroy(mutex); }
void exl__mutex_lock(exl__mutex *mutex) { pthread_mutex_lock(mutex); }
void exl__mutex_unlock(exl__mutex *mutex) { pthread_mutex_unlock(mutex); }
#endif

#ifdef EXL__STARTS_THREADS
static void *platform_run_thread(void *of) {
    const exl__thread *thread = of;

    thread->work(thread->of);
    return NULL;
}

int exl__thread_start(exl__thread *thread, void (*work)(void *of), void *of) {
    sigset_t all, before;
    int failed;

    thread->work = work;
    thread->of = of;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&thread->id, NULL, platform_run_thread, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0;
}

void exl__thread_join(exl__thread *thread) { pthread_join(thread->id, NULL); }

int exl__condition_init(exl__condition *condition) { return pthread_cond_init(condition, NULL) == 0; }
void exl__condition_destroy(exl__condition *condition) { pthread_cond_destroy(condition); }
void exl__condition_wait(exl__condition *condition, exl__mutex *mutex) { pthread_cond_wait(condition, mutex); }
void exl__condition_wake_all(exl__condition *condition) { pthread_cond_broadcast(condition); }
#endif

#if defined(__wasm__) /* there is one process, and it does not fork */
long exl__process(void) { return 1; }

int exl__at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    (void)before, (void)in_parent, (void)in_child;
    return 1;
}
#else
long exl__process(void) { return (long)getpid(); }

int exl__at_fork(void (*before)(void), void (*in_parent)(void), void (*in_child)(void)) {
    return pthread_atfork(before, in_parent, in_child) == 0;
}
#endif

double exl__now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

#endif
