/* counting.h: an allocator that counts, and fails when it is told to. posix_memalign wants _POSIX_C_SOURCE. */
#ifndef EXL_COUNTING_H
#define EXL_COUNTING_H

#include <stdlib.h>

typedef struct counting {
    long calls, outstanding;
    size_t outstanding_bytes;
    long fails_at; /* the call with this number, from 0; negative = never */
} counting;

static inline void *count_allocate(void *context, size_t bytes) {
    counting *c = context;
    void *memory = NULL;

    if (c->calls++ == c->fails_at || posix_memalign(&memory, 64, bytes) != 0)
        return NULL;
    c->outstanding++;
    c->outstanding_bytes += bytes;
    return memory;
}

static inline void count_release(void *context, void *memory, size_t bytes) {
    counting *c = context;

    c->outstanding--;
    c->outstanding_bytes -= bytes;
    free(memory);
}

#endif
