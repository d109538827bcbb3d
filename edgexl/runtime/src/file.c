/* file.c: a bundle's bytes where they are in memory already. Files are platform.c's. */
#include "compiler.h"

#include <string.h>

#include "memory.h"
#include "platform.h"

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
