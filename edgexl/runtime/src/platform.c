/* platform.c: POSIX (Linux, Android, macOS, iOS, the BSDs), and WASI with its emulated mmap. */
#define _DEFAULT_SOURCE
#define _DARWIN_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64 /* so that 32-bit systems open large files, if only to refuse them */

#include "platform.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

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
            return exl__fail(error, EXL_FILE_UNREADABLE, "the bundle cannot be read: %s", strerror(errno));
        if (got == 0)
            return exl__fail(error, EXL_BUNDLE_TRUNCATED, "the bundle became shorter while it was read");
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

double exl__now_ms(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}
