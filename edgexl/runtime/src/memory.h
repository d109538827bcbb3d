/* memory.h: the caller's allocator. Every allocation of the runtime goes through these two. */
#ifndef EXL_MEMORY_H
#define EXL_MEMORY_H

#include <stddef.h>
#include <stdint.h>

#include "edgexl.h"

/* What the C library gives, aligned to 64 bytes; used when the caller brings no allocator. */
extern const exl_allocator exl__default_allocator;

/* Zeroed memory for count items of item_bytes (64-byte aligned), or null: also when the product does not fit. */
void *exl__allocate(const exl_allocator *allocator, uint64_t count, uint64_t item_bytes);
/* The same, not zeroed: for what may be large and only partly used. */
void *exl__allocate_scratch(const exl_allocator *allocator, uint64_t count, uint64_t item_bytes);
/* The same count and item_bytes as at allocation. Null is allowed. */
void exl__release(const exl_allocator *allocator, void *memory, uint64_t count, uint64_t item_bytes);

/* One allocation for many arrays: a first pass with a null base counts, a second one hands out. */
typedef struct exl__carver {
    uint8_t *base;
    uint64_t used;
} exl__carver;

/* Room for count items of item_bytes, aligned to 64 bytes. What does not fit 64 bits leaves `used` at more than any
 * allocation gives, so that the pass that counts is the last one. */
void *exl__carve(exl__carver *from, uint64_t count, uint64_t item_bytes);

#endif
