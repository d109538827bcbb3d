/* file.c: a bundle's bytes: of a file, of a part of one, or in memory already; mapped or copied. What each system has
 * of its own for it is in platform.c and win32.c; where there are no files, bare.c has the rest. */
#include "compiler.h"

#include <errno.h>
#include <string.h>

#include "memory.h"
#include "platform.h"
#include "storage.h"

exl_status exl__file_check_length(const exl__file *file, exl_error *error) {
    if (file->length == 0)
        return exl__fail(error, EXL_NOT_A_BUNDLE, "the file is empty");
    if (file->length > (uint64_t)(SIZE_MAX / 2))
        return exl__fail(error, EXL_OUT_OF_MEMORY,
                         "the file has %llu bytes, which do not fit into this device's %u-bit address space",
                         (unsigned long long)file->length, (unsigned)(8 * sizeof(size_t)));
    return EXL_OK;
}

exl_status exl__file_open_memory(const void *bytes, size_t length, const exl_allocator *copy_from, exl__file *file,
                                 exl_error *error) {
    uint8_t *copy;
    exl_status status;

    memset(file, 0, sizeof *file);
    file->descriptor = -1;
    file->length = length;
    status = exl__file_check_length(file, error);
    if (status != EXL_OK)
        return status;
    if (!copy_from && (uintptr_t)bytes % EXL__FILE_ALIGNMENT != 0)
        return exl__fail(error, EXL_BAD_ARGUMENT,
                         "the memory does not begin at a multiple of %d bytes: move it, or give EXL_OPEN_COPY",
                         EXL__FILE_ALIGNMENT);
    file->bytes = bytes;
    if (copy_from) {
        copy = exl__allocate_scratch(copy_from, length, 1);
        if (!copy)
            return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for a copy of the bundle");
        memcpy(copy, bytes, length);
        file->bytes = copy;
        file->copied = copy_from;
    }
    return EXL_OK;
}

#if !defined(EXL_BARE)

/* to_end: the file must end where its bytes do. */
static exl_status file_copy(const exl_allocator *allocator, int to_end, exl__file *file, exl_error *error) {
    const exl__file open = {.descriptor = file->descriptor, .start = file->start};
    uint8_t *bytes = exl__allocate_scratch(allocator, file->length, 1), more;
    exl_status status;

    if (!bytes)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for a copy of the file: map it instead");
    file->bytes = bytes;
    file->copied = allocator;
    status = exl__file_read(&open, 0, bytes, (size_t)file->length, error);
    if (status == EXL_OK && to_end &&
        exl__descriptor_read_at(file->descriptor, file->start + file->length, &more, 1) > 0)
        status = exl__fail(error, EXL_BUNDLE_TRUNCATED, "the file became longer while it was read");
    exl__descriptor_close(file->descriptor);
    file->descriptor = -1;
    return status;
}

exl_status exl__file_open(const char *path, const exl_allocator *copy_from, exl__file *file, exl_error *error) {
    exl_status status = EXL_OK;
    const char *why;

    memset(file, 0, sizeof *file);
    file->descriptor = exl__regular_open(path, 0, &file->length, &why);
    if (file->descriptor < 0)
        status = exl__fail(error, EXL_FILE_UNREADABLE, "the file cannot be read: %s", why);
    if (status == EXL_OK)
        status = exl__file_check_length(file, error);
    if (status == EXL_OK)
        status = copy_from ? file_copy(copy_from, 1, file, error) : exl__file_map(file, error);
    if (status != EXL_OK)
        exl__file_close(file);
    return status;
}

exl_status exl__file_open_part(int descriptor, uint64_t offset, uint64_t length, const exl_allocator *copy_from,
                               exl__file *file, exl_error *error) {
    exl_status status = EXL_OK;
    const char *why;
    uint64_t all;

    memset(file, 0, sizeof *file);
    file->descriptor = -1;
    why = exl__descriptor_measure(descriptor, &all);
    if (why)
        return exl__fail(error, EXL_FILE_UNREADABLE, "the descriptor cannot be used: %s", why);
    if (offset > all || length > all - offset)
        return exl__fail(error, EXL_BUNDLE_TRUNCATED, "the file ends before the bytes that are asked for");
    if (!copy_from && offset % EXL__FILE_ALIGNMENT != 0)
        return exl__fail(error, EXL_BAD_ARGUMENT,
                         "the offset is no multiple of %d bytes: align the file there, or give EXL_OPEN_COPY",
                         EXL__FILE_ALIGNMENT);
    file->start = offset;
    file->length = length ? length : all - offset;
    status = exl__file_check_length(file, error);
    if (status != EXL_OK)
        return status;
    file->descriptor = exl__descriptor_duplicate(descriptor);
    if (file->descriptor < 0)
        return exl__fail(error, EXL_FILE_UNREADABLE, "the descriptor cannot be used: %s", strerror(errno));
    status = copy_from ? file_copy(copy_from, 0, file, error) : exl__file_map(file, error);
    if (status != EXL_OK)
        exl__file_close(file);
    return status;
}

exl_status exl__file_read(const exl__file *file, uint64_t offset, void *buffer, size_t bytes, exl_error *error) {
    uint8_t *to = buffer;

    if (file->descriptor < 0 && bytes > 0)
        memcpy(buffer, file->bytes + offset, bytes);
    while (file->descriptor >= 0 && bytes > 0) {
        int64_t got = exl__descriptor_read_at(file->descriptor, file->start + offset, to, bytes);
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

void exl__file_close(exl__file *file) {
    if (file->copied)
        exl__release(file->copied, (void *)(uintptr_t)file->bytes, file->length, 1);
    else if (file->bytes && file->descriptor >= 0)
        exl__file_unmap(file);
    exl__descriptor_close(file->descriptor);
    memset(file, 0, sizeof *file);
    file->descriptor = -1;
}

#endif
