/* platform.c: POSIX (Linux, Android, macOS, iOS, the BSDs), and WASI with its emulated mmap. */
#include "compiler.h"

#include "platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "memory.h"

/* ---- a mapped file ------------------------------------------------------------------------------------------- */

exl_status exl__file_open(const char *path, exl__file *file, exl__error *error) {
    exl_status status = EXL_OK;
    struct stat facts;
    void *mapping;

    memset(file, 0, sizeof *file);
    file->descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (file->descriptor < 0 || fstat(file->descriptor, &facts) != 0) {
        status = exl__fail(error, EXL_FILE_UNREADABLE, "the file cannot be read: %s", strerror(errno));
        goto done;
    }
    if (!S_ISREG(facts.st_mode)) {
        status = exl__fail(error, EXL_FILE_UNREADABLE, "this is not a regular file");
        goto done;
    }
    if (facts.st_size == 0) {
        status = exl__fail(error, EXL_NOT_A_BUNDLE, "the file is empty");
        goto done;
    }
    if ((uint64_t)facts.st_size > (uint64_t)(SIZE_MAX / 2)) {
        status = exl__fail(error, EXL_OUT_OF_MEMORY, "the file does not fit into this device's address space");
        goto done;
    }
    mapping = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, file->descriptor, 0);
    if (mapping == MAP_FAILED) {
        status = exl__fail(error, EXL_FILE_UNREADABLE, "the file cannot be mapped: %s", strerror(errno));
        goto done;
    }
    file->bytes = mapping;
    file->length = (uint64_t)facts.st_size;
done:
    if (status != EXL_OK)
        exl__file_close(file);
    return status;
}

exl_status exl__file_read(const exl__file *file, uint64_t offset, void *buffer, size_t bytes, exl__error *error) {
    uint8_t *to = buffer;

    while (bytes > 0) {
        ssize_t got = pread(file->descriptor, to, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return exl__fail(error, EXL_FILE_UNREADABLE, "the file cannot be read: %s", strerror(errno));
        if (got == 0)
            return exl__fail(error, EXL_BUNDLE_TRUNCATED, "the file became shorter while it was read");
        to += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return EXL_OK;
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
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t from = (offset + page - 1) / page * page;
    uint64_t to = (offset + bytes) / page * page;

    if (from < to)
        (void)madvise((void *)(uintptr_t)(file->bytes + from), (size_t)(to - from), MADV_DONTNEED);
}
#endif

void exl__file_close(exl__file *file) {
    if (file->bytes)
        munmap((void *)(uintptr_t)file->bytes, (size_t)file->length);
    if (file->descriptor >= 0)
        close(file->descriptor);
    memset(file, 0, sizeof *file);
    file->descriptor = -1;
}

/* ---- a file that is written ---------------------------------------------------------------------------------- */

void exl__descriptor_close(int descriptor) {
    if (descriptor >= 0)
        close(descriptor);
}

/* A regular file's length; negative, with errno, where it is none. */
static int64_t length_of(int descriptor) {
    struct stat facts;

    if (fstat(descriptor, &facts) != 0)
        return -1;
    if (S_ISREG(facts.st_mode))
        return (int64_t)facts.st_size;
    errno = EINVAL;
    return -1;
}

exl_status exl__descriptor_open(const char *path, int *descriptor, exl__error *error) {
    *descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);     /* a pipe in its place must not make anyone wait */
    if (*descriptor < 0 && errno != ENOENT && errno != ENAMETOOLONG) /* a name that no file can have */
        return exl__fail(error, EXL_FILE_UNREADABLE, "the label file %s cannot be read: %s", path, strerror(errno));
    return EXL_OK;
}

exl_status exl__descriptor_read(const exl_allocator *allocator, int descriptor, size_t head_bytes, uint8_t **bytes,
                                uint64_t *length, exl__error *error) {
    const exl__file file = {NULL, 0, descriptor};
    uint8_t head[512];
    int64_t before = length_of(descriptor), all;
    size_t here = before < (int64_t)head_bytes ? (size_t)(before > 0 ? before : 0) : head_bytes;
    exl_status status = EXL_OK;

    *bytes = NULL;
    *length = 0;
    if (here > sizeof head)
        here = sizeof head;
    if (before > 0)
        status = exl__file_read(&file, 0, head, here, error);
    all = length_of(descriptor);
    if (before < 0 || all < (int64_t)here)
        return exl__fail(error, EXL_FILE_UNREADABLE, "the label file cannot be read: %s", strerror(errno));
    if (status != EXL_OK || before == 0)
        return status;
    *bytes = exl__allocate_scratch(allocator, (uint64_t)all, 1);
    if (!*bytes)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the label file");
    *length = (uint64_t)all;
    memcpy(*bytes, head, here);
    return exl__file_read(&file, here, *bytes + here, (size_t)all - here, error);
}

exl_status exl__file_peek(const char *path, void *buffer, size_t capacity, size_t *bytes, exl__error *error) {
    exl__file file = {NULL, 0, -1};
    exl_status status = exl__descriptor_open(path, &file.descriptor, error);
    int64_t length;

    *bytes = 0;
    if (status != EXL_OK || file.descriptor < 0)
        return status;
    length = length_of(file.descriptor);
    if (length < 0)
        status = exl__fail(error, EXL_FILE_UNREADABLE, "the label file cannot be read: %s", strerror(errno));
    else
        *bytes = length < (int64_t)capacity ? (size_t)length : capacity;
    if (status == EXL_OK)
        status = exl__file_read(&file, 0, buffer, *bytes, error);
    exl__descriptor_close(file.descriptor);
    return status;
}

exl_status exl__descriptor_lock(const char *path, int *descriptor, exl__error *error) {
    struct stat ours, named;

    for (;;) {
        *descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        if (*descriptor < 0)
            break;
        while (flock(*descriptor, LOCK_EX) != 0)
            if (errno != EINTR)
                goto failed;
        if (fstat(*descriptor, &ours) != 0)
            break;
        if (stat(path, &named) == 0 && ours.st_dev == named.st_dev && ours.st_ino == named.st_ino)
            return EXL_OK;
        close(*descriptor); /* while we waited another file took its place */
    }
failed:
    exl__descriptor_close(*descriptor);
    *descriptor = -1;
    return exl__fail(error, EXL_FILE_UNWRITABLE, "the label file %s cannot be written: %s", path, strerror(errno));
}

/* To the disk itself, where the system tells the two apart. */
static int flush(int descriptor) {
#if defined(F_FULLFSYNC)
    if (fcntl(descriptor, F_FULLFSYNC) == 0)
        return 0;
#endif
    return fsync(descriptor);
}

exl_status exl__descriptor_write(int descriptor, uint64_t offset, const void *bytes, size_t length, exl__error *error) {
    const uint8_t *from = bytes;

    while (length > 0) {
        ssize_t put = pwrite(descriptor, from, length, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return exl__fail(error, EXL_FILE_UNWRITABLE, "the label file cannot be written: %s", strerror(errno));
        from += put;
        offset += (uint64_t)put;
        length -= (size_t)put;
    }
    if (flush(descriptor) != 0)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "the label file cannot be written: %s", strerror(errno));
    return EXL_OK;
}

/* Makes a new name in a directory last. Some file systems cannot, and then it lasts without. */
static void flush_directory_of(const char *path) {
    char directory[4096];
    const char *slash = strrchr(path, '/');
    size_t bytes = slash ? (size_t)(slash - path) + 1 : 0;
    int descriptor;

    if (bytes >= sizeof directory)
        return;
    memcpy(directory, slash ? path : ".", slash ? bytes : 1);
    directory[slash ? bytes : 1] = '\0';
    descriptor = open(directory, O_RDONLY | O_CLOEXEC);
    if (descriptor >= 0)
        (void)fsync(descriptor);
    exl__descriptor_close(descriptor);
}

exl_status exl__file_replace(const char *path, const char *partial, const void *bytes, size_t length,
                             exl__error *error) {
    int descriptor = open(partial, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    exl_status status;

    if (descriptor < 0)
        return exl__fail(error, EXL_FILE_UNWRITABLE, "%s cannot be written: %s", partial, strerror(errno));
    status = exl__descriptor_write(descriptor, 0, bytes, length, error);
    if (close(descriptor) != 0 && status == EXL_OK)
        status = exl__fail(error, EXL_FILE_UNWRITABLE, "%s cannot be written: %s", partial, strerror(errno));
    if (status == EXL_OK && rename(partial, path) != 0)
        status = exl__fail(error, EXL_FILE_UNWRITABLE, "%s cannot be written: %s", path, strerror(errno));
    if (status == EXL_OK)
        flush_directory_of(path);
    else
        (void)unlink(partial);
    return status;
}

/* ---- libraries, locks, the clock ----------------------------------------------------------------------------- */

void *exl__library_open(const char *path, char *why, size_t why_bytes) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        const char *words = dlerror();
        snprintf(why, why_bytes, "%s", words ? words : "unknown reason");
    }
    return library;
}

void *exl__library_symbol(void *library, const char *name) { return dlsym(library, name); }

void exl__library_close(void *library) { dlclose(library); }

void exl__set_variable(const char *name, const char *value) { setenv(name, value, 0); }

int exl__mutex_init(exl__mutex *mutex) { return pthread_mutex_init(mutex, NULL) == 0; }
void exl__mutex_destroy(exl__mutex *mutex) { pthread_mutex_destroy(mutex); }
void exl__mutex_lock(exl__mutex *mutex) { pthread_mutex_lock(mutex); }
void exl__mutex_unlock(exl__mutex *mutex) { pthread_mutex_unlock(mutex); }

double exl__now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}
