/* fuzz_plan.c: a plan that the reader admits is run by every set of kernels at a few lengths, in memory of exactly its
 * size: none leaves it, and all give the same bits.
 *
 * Input: max_tokens, max_labels, what numbers there are, a seed (1 byte each), then a plan section. Inputs, outputs and
 * weights are what its buffers say. */
#include "fuzz.h"

#include "../tests/plans.h"

enum { MOST_ELEMENTS = 1 << 14, MOST_ARENA_BYTES = 1 << 20, HEAD_BYTES = 64 };

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count, (void)arguments;
    return 0;
}

/* The section's records; 0 where they are too many or cut off, or what they name is too large for a target. */
static int read_case(const uint8_t *bytes, size_t length, uint32_t kind, plan_case *p) {
    uint32_t buffers = get32(bytes + 4), operations = get32(bytes + 8);

    memcpy(&p->arena_bytes, bytes + 32, 8);
    if (buffers > MOST_BUFFERS || operations > MOST_OPERATIONS || p->arena_bytes > MOST_ARENA_BYTES ||
        length < HEAD_BYTES + buffers * sizeof *p->buffers + operations * sizeof *p->operations)
        return 0;
    memcpy(p->buffers, bytes + HEAD_BYTES, buffers * sizeof *p->buffers);
    memcpy(p->operations, bytes + HEAD_BYTES + buffers * sizeof *p->buffers, operations * sizeof *p->operations);
    p->buffer_count = buffers, p->operation_count = operations;
    for (uint32_t i = 0; i < buffers; i++) {
        exl__plan_buffer *b = &p->buffers[i];
        exl__tensor *weight = &p->weights[p->weight_count];
        uint64_t elements = COEFFICIENT(b->elements), wide = exl__type_bytes(b->type);

        if (elements > MOST_ELEMENTS || most_elements(p, b->elements) > MOST_ELEMENTS)
            return 0;
        if (b->place == EXL__FROM_INPUT)
            b->index %= EXL__MAX_INPUTS; /* inputs are the runtime's own */
        p->id_limit[i] = b->place == EXL__FROM_INPUT && kind & 1 ? 3 : 0;
        if (b->place != EXL__FROM_WEIGHT || p->weight_count == MOST_WEIGHTS || wide == 0)
            continue;
        b->index = p->weight_count++; /* a weight for each buffer of one */
        weight->data = room(elements * wide);
        weight->data_bytes = elements * wide, weight->type = b->type;
        fill((void *)(uintptr_t)weight->data, b->type, elements, 0, 0);
    }
    return 1;
}

static void run_case(const plan_case *p, uint32_t seed) {
    const uint32_t lengths[][2] = {{p->max_tokens, p->max_labels}, {1, 1}, {p->max_tokens / 2 + 1, p->max_labels}};
    opened o;

    if (open_case(p, p, &o) == EXL_OK)
        for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            tensors found;
            (void)run_everywhere(&o, lengths[i][0], lengths[i][1], seed, &found);
            drop_tensors(&found);
        }
    close_case(&o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input from = {data, size};
    uint32_t tokens = take(&from, 1) % 24 + 1, labels = take(&from, 1) % 24 + 1;
    uint32_t kind = take(&from, 1), seed = take(&from, 1);
    plan_case p = new_case(tokens, labels);

    random_state = seed;
    p.kind = kind >> 1 & 1;
    if (from.left >= HEAD_BYTES && read_case(from.at, from.left, kind, &p))
        run_case(&p, seed);
    drop_case(&p);
    return 0;
}
