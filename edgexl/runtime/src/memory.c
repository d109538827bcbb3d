#include "compiler.h"

#include "memory.h"

#include <stdlib.h>
#include <string.h>
#if defined(_WIN32)
#include <malloc.h>
#endif

#include "checked.h"

enum { MEMORY_ALIGNMENT_BYTES = 64 }; /* a cache line, and the widest vector load */

#if defined(_WIN32)
static void *memory_allocate(void *context, size_t bytes) {
    (void)context;
    return _aligned_malloc(bytes, MEMORY_ALIGNMENT_BYTES);
}

static void memory_release(void *context, void *memory, size_t bytes) {
    (void)context, (void)bytes;
    _aligned_free(memory);
}
#else
static void *memory_allocate(void *context, size_t bytes) {
    void *memory = NULL;

    (void)context;
    return posix_memalign(&memory, MEMORY_ALIGNMENT_BYTES, bytes) == 0 ? memory : NULL;
}

static void memory_release(void *context, void *memory, size_t bytes) {
    (void)context;
    (void)bytes;
    free(memory);
}
#endif

const exl_allocator exl__default_allocator = {sizeof(exl_allocator), NULL, memory_allocate, memory_release};

void *exl__allocate_scratch(const exl_allocator *allocator, uint64_t count, uint64_t item_bytes) {
    uint64_t bytes = exl__times(count, item_bytes);

    if (bytes == 0 || bytes > SIZE_MAX / 2)
        return NULL;
    return allocator->allocate(allocator->context, (size_t)bytes);
}

void *exl__allocate(const exl_allocator *allocator, uint64_t count, uint64_t item_bytes) {
    void *memory = exl__allocate_scratch(allocator, count, item_bytes);

    if (memory)
        memset(memory, 0, (size_t)(count * item_bytes));
    return memory;
}

void exl__release(const exl_allocator *allocator, void *memory, uint64_t count, uint64_t item_bytes) {
    if (memory)
        allocator->release(allocator->context, memory, (size_t)(count * item_bytes));
}

void *exl__carve(exl__carver *from, uint64_t count, uint64_t item_bytes) {
    void *piece = from->base ? from->base + from->used : NULL;

    from->used = exl__round_up(exl__plus(from->used, exl__times(count, item_bytes)), MEMORY_ALIGNMENT_BYTES);
    return piece;
}
