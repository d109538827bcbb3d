/* plans.h: makes plans, and runs what the reader admits: as the engine does, and with each buffer in memory of its own
 * that has exactly its bytes, so that the address sanitizer sees every element that is touched beside it. */
#ifndef EXL_PLANS_H
#define EXL_PLANS_H

#include <math.h>

#include "../src/checked.h"
#include "../src/memory.h"
#include "../src/native.h"
#include "testing.h"

#define SIZE(coefficient, t, n) ((exl__size)(coefficient) | (exl__size)(t) << 28 | (exl__size)(n) << 30)
#define T_OF(size) ((size) >> 28 & 3)
#define N_OF(size) ((size) >> 30)
#define COEFFICIENT(size) ((size) & 0xFFFFFFF)
#define WITH_T SIZE(1, 1, 0)
#define WITH_N SIZE(1, 0, 1)

enum { MOST_BUFFERS = 24, MOST_OPERATIONS = 12, MOST_WEIGHTS = 6 };

static const char *const KERNELS[] = {"scalar", "avx2",     "avx2-vnni", "avx512-vnni",
                                      "neon",   "neon-dot", "neon-i8mm", "wasm-simd128"};
enum { KERNEL_SETS = sizeof KERNELS / sizeof *KERNELS };

typedef struct plan_case {
    uint32_t max_tokens, max_labels;
    uint64_t arena_bytes;
    exl__plan_buffer buffers[MOST_BUFFERS];
    exl__operation operations[MOST_OPERATIONS];
    exl__tensor weights[MOST_WEIGHTS];
    uint32_t buffer_count, operation_count, weight_count;
    uint64_t id_limit[MOST_BUFFERS]; /* not 0: the buffer's integers are below it */
    uint32_t kind;                   /* of its numbers: 0 about -4 to 4, 1 whole ones */
} plan_case;

static uint32_t random_state = 1;

static inline uint32_t draw(uint32_t below) {
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(random_state >> 8) * below) >> 24);
}

static inline void *room(uint64_t bytes) {
    void *memory = exl__allocate_scratch(&exl__default_allocator, bytes > 0 ? bytes : 1, 1);

    CHECK(memory != NULL);
    return memory;
}

static inline float draw_number(uint32_t kind) {
    float number = ((float)draw(1u << 24) / (1 << 23) - 1.0f) * 4.0f;
    return kind == 1 ? rintf(number) : number;
}

/* Small ones, zeros among them, and now and then the smallest that there is. */
static inline int64_t draw_integer(uint64_t limit) {
    if (limit != 0)
        return (int64_t)draw((uint32_t)limit);
    return draw(40) == 0 ? INT64_MIN : (int64_t)draw(13) - 6;
}

static inline void fill(void *memory, uint32_t type, uint64_t elements, uint64_t limit, uint32_t kind) {
    for (uint64_t i = 0; i < elements; i++)
        switch (type) {
        case EXL__F32: ((float *)memory)[i] = draw_number(kind); break;
        case EXL__I64: ((int64_t *)memory)[i] = draw_integer(limit); break;
        case EXL__I32: ((int32_t *)memory)[i] = (int32_t)draw(2000) - 1000; break;
        default: ((int8_t *)memory)[i] = (int8_t)((int)draw(255) - 127);
        }
}

/* ---- making -------------------------------------------------------------------------------------------------- */

static inline plan_case new_case(uint32_t max_tokens, uint32_t max_labels) {
    plan_case made;

    memset(&made, 0, sizeof made);
    made.max_tokens = max_tokens, made.max_labels = max_labels;
    return made;
}

static inline uint64_t most_elements(const plan_case *p, exl__size size) {
    exl__lengths at = exl__lengths_of(p->max_tokens, p->max_labels);
    return exl__size_at(size, &at);
}

static inline uint32_t add_buffer(plan_case *p, uint32_t place, uint32_t index, uint32_t type, exl__size elements) {
    exl__plan_buffer buffer = {.place = place, .index = index, .type = type, .elements = elements};

    CHECK(p->buffer_count < MOST_BUFFERS);
    if (place == EXL__ARENA) {
        buffer.offset_bytes = p->arena_bytes;
        p->arena_bytes += (most_elements(p, elements) * exl__type_bytes(type) + 63) / 64 * 64;
    }
    p->buffers[p->buffer_count] = buffer;
    return p->buffer_count++;
}

static inline uint32_t add_weight(plan_case *p, uint32_t type, uint64_t elements) {
    exl__tensor *weight = &p->weights[p->weight_count];
    void *memory = room(elements * exl__type_bytes(type));

    CHECK(p->weight_count < MOST_WEIGHTS);
    fill(memory, type, elements, 0, 0);
    weight->data = memory, weight->data_bytes = elements * exl__type_bytes(type), weight->type = type;
    return add_buffer(p, EXL__FROM_WEIGHT, p->weight_count++, type, (exl__size)elements);
}

static inline exl__operation *add_operation(plan_case *p, exl__code code, uint32_t function, exl__size a, exl__size b,
                                            exl__size c, exl__size d) {
    exl__operation *o = &p->operations[p->operation_count++];

    CHECK(p->operation_count <= MOST_OPERATIONS);
    memset(o, 0, sizeof *o);
    o->code = (uint16_t)code, o->function = (uint16_t)function;
    o->sizes[0] = a, o->sizes[1] = b, o->sizes[2] = c, o->sizes[3] = d;
    for (int i = 0; i < EXL__PLAN_OPERANDS; i++)
        o->operands[i].buffer = EXL__NO_BUFFER;
    return o;
}

static inline void set_operand(exl__operation *o, int place, uint32_t buffer, exl__size offset, exl__size a,
                               exl__size b, exl__size c, exl__size d) {
    exl__operand operand = {buffer, offset, {a, b, c, d}};
    o->operands[place] = operand;
}

static inline void drop_case(plan_case *p) {
    for (uint32_t i = 0; i < p->weight_count; i++)
        free((void *)(uintptr_t)p->weights[i].data);
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

typedef struct opened {
    const plan_case *from;
    uint8_t *bytes; /* the section, in memory of its size */
    exl__graph_source source;
    exl__engine_state *state;
    exl__graph *graph;
    exl__plan plan;
    exl_error error;
} opened;

static inline void describe_ports(const plan_case *p, exl__graph_source *source) {
    source->input_count = source->output_count = 0;
    for (uint32_t i = 0; i < p->buffer_count; i++) {
        const exl__plan_buffer *b = &p->buffers[i];
        exl__port port = {"port", b->type, 2, b->index, b->elements};
        if (b->place == EXL__FROM_INPUT && source->input_count < EXL__MAX_INPUTS)
            source->inputs[source->input_count++] = port;
        else if (b->place == EXL__TO_OUTPUT && b->index < EXL__MAX_OUTPUTS) {
            source->outputs[b->index] = port;
            source->output_count = b->index + 1 > source->output_count ? b->index + 1 : source->output_count;
        }
    }
}

/* `ports`: of the plan before it was changed. */
static inline exl_status open_case(const plan_case *p, const plan_case *ports, opened *to) {
    uint32_t head[8] = {1, p->buffer_count, p->operation_count, p->weight_count, p->max_tokens, p->max_labels, 0, 0};
    size_t buffers = p->buffer_count * sizeof *p->buffers, operations = p->operation_count * sizeof *p->operations;
    exl_status status;

    memset(to, 0, sizeof *to);
    to->error.struct_size = sizeof to->error;
    to->from = p;
    to->source = (exl__graph_source){.role = "tested", .weights = p->weights, .weight_count = p->weight_count};
    to->source.length = 64 + buffers + operations;
    to->bytes = room(to->source.length);
    memset(to->bytes, 0, 64);
    memcpy(to->bytes, head, sizeof head);
    memcpy(to->bytes + sizeof head, &p->arena_bytes, sizeof p->arena_bytes);
    memcpy(to->bytes + 64, p->buffers, buffers);
    memcpy(to->bytes + 64 + buffers, p->operations, operations);
    to->source.bytes = to->bytes;
    to->source.max_tokens = ports->max_tokens, to->source.max_labels = ports->max_labels;
    describe_ports(ports, &to->source);
    CHECK_STATUS(exl__engine_native.open(&exl__default_allocator, NULL, 1, 0, &to->state, &to->error), EXL_OK);
    status = exl__engine_native.open_graph(to->state, &to->source, &to->graph, &to->error);
    CHECK(exl__plan_read(&exl__default_allocator, &to->source, &to->plan, &to->error) == status);
    return status;
}

static inline void close_case(opened *o) {
    exl__engine_native.close_graph(o->state, o->graph);
    exl__engine_native.close(o->state);
    free(o->bytes);
}

/* Whether the plan is admitted; opens and closes it. */
static inline exl_status admit(const plan_case *p, exl_error *error) {
    opened o;
    exl_status status = open_case(p, p, &o);

    if (error)
        *error = o.error;
    close_case(&o);
    return status;
}

/* ---- running ------------------------------------------------------------------------------------------------- */

typedef struct tensors {
    exl__tensor inputs[EXL__MAX_INPUTS], outputs[EXL__MAX_OUTPUTS];
    size_t input_count, output_count;
} tensors;

static inline exl__tensor port_tensor(const exl__port *port, const exl__lengths *at) {
    exl__tensor tensor = {.number = port->number, .type = port->type};

    tensor.data_bytes = exl__size_at(port->elements, at) * exl__type_bytes(port->type);
    tensor.data = room(tensor.data_bytes);
    return tensor;
}

/* Inputs with numbers, and outputs full of `poison`, each in memory of its size. */
static inline tensors make_tensors(const opened *o, uint64_t T, uint64_t N, int poison, uint32_t seed) {
    exl__lengths at = exl__lengths_of(T, N);
    tensors made = {.input_count = o->source.input_count, .output_count = o->source.output_count};

    random_state = seed;
    for (size_t i = 0; i < made.input_count; i++) {
        const exl__port *port = &o->source.inputs[i];
        uint64_t limit = 0;
        for (uint32_t b = 0; b < o->from->buffer_count; b++)
            if (o->from->buffers[b].place == EXL__FROM_INPUT && o->from->buffers[b].index == port->number)
                limit = o->from->id_limit[b];
        made.inputs[i] = port_tensor(port, &at);
        fill((void *)(uintptr_t)made.inputs[i].data, port->type, exl__size_at(port->elements, &at), limit,
             o->from->kind);
    }
    for (size_t i = 0; i < made.output_count; i++) {
        made.outputs[i] = port_tensor(&o->source.outputs[i], &at);
        memset((void *)(uintptr_t)made.outputs[i].data, poison, (size_t)made.outputs[i].data_bytes);
    }
    return made;
}

static inline void drop_tensors(tensors *t) {
    for (size_t i = 0; i < t->input_count; i++)
        free((void *)(uintptr_t)t->inputs[i].data);
    for (size_t i = 0; i < t->output_count; i++)
        free((void *)(uintptr_t)t->outputs[i].data);
}

/* A run in scratch that was full of `poison`. */
static inline exl_status run_poisoned(opened *o, tensors *t, int poison) {
    uint64_t bytes = exl__engine_native.scratch_bytes(o->graph);
    void *scratch = room(bytes);
    exl_status status;

    memset(scratch, poison, (size_t)bytes);
    status = exl__engine_native.run(o->graph, t->inputs, t->input_count, t->outputs, t->output_count, scratch, NULL,
                                    &o->error);
    free(scratch);
    return status;
}

/* To the bit, but for which of the NaNs stands where there is one. */
static inline int same_outputs(const tensors *a, const tensors *b) {
    for (size_t i = 0; i < a->output_count; i++) {
        const float *x = a->outputs[i].data, *y = b->outputs[i].data;
        if (a->outputs[i].type != EXL__F32 && memcmp(x, y, (size_t)a->outputs[i].data_bytes) != 0)
            return 0;
        for (uint64_t k = 0; k < a->outputs[i].data_bytes / 4 && a->outputs[i].type == EXL__F32; k++)
            if (memcmp(&x[k], &y[k], sizeof *x) != 0 && !(isnan(x[k]) && isnan(y[k])))
                return 0;
    }
    return 1;
}

static inline void fill_call(opened *o, tensors *t, exl__call *call) {
    memcpy(call->inputs, t->inputs, sizeof call->inputs);
    memcpy(call->outputs, t->outputs, sizeof call->outputs);
    call->input_count = t->input_count, call->output_count = t->output_count;
    call->scratch = room(exl__engine_native.scratch_bytes(o->graph));
}

/* A run together with another one, of half its lengths, where that one can be run at all. */
static inline exl_status run_beside(opened *o, tensors *t, uint64_t T, uint64_t N, uint32_t seed) {
    tensors other = make_tensors(o, (T + 1) / 2, (N + 1) / 2, 0, seed + 1);
    exl_status status = run_poisoned(o, &other, 0x22);
    exl__call calls[2];
    const exl__call *both[2] = {&calls[0], &calls[1]};

    if (status == EXL_OK) {
        tensors again = make_tensors(o, (T + 1) / 2, (N + 1) / 2, 0x3C, seed + 1);
        fill_call(o, &again, &calls[0]), fill_call(o, t, &calls[1]);
        status = exl__engine_native.run_together(o->graph, both, 2, &o->error);
        CHECK(status != EXL_OK || same_outputs(&other, &again));
        free(calls[0].scratch), free(calls[1].scratch);
        drop_tensors(&again);
    } else
        status = run_poisoned(o, t, 0x33);
    drop_tensors(&other);
    return status;
}

/* The operations alone, each buffer of the arena and each weight in memory of its own and of its size at T and N. */
static inline exl_status run_exact(opened *o, tensors *t, const exl__kernels *kernels, uint64_t T, uint64_t N) {
    exl__run_state run = {.plan = &o->plan, .kernels = kernels, .role = "tested", .error = &o->error};
    void *buffers[MOST_BUFFERS], *owned[MOST_BUFFERS] = {NULL};
    exl_status status;

    run.at = exl__lengths_of(T, N);
    run.buffers = buffers;
    run.work = room(o->plan.work_bytes);
    for (uint32_t i = 0; i < o->plan.buffer_count; i++) {
        const exl__plan_buffer *b = &o->plan.buffers[i];
        uint64_t bytes = exl__size_at(b->elements, &run.at) * exl__type_bytes(b->type);
        buffers[i] = NULL;
        if (b->place == EXL__ARENA || b->place == EXL__FROM_WEIGHT) {
            buffers[i] = owned[i] = room(bytes);
            memset(owned[i], 0, (size_t)bytes);
            if (b->place == EXL__FROM_WEIGHT)
                memcpy(owned[i], o->source.weights[b->index].data, (size_t)bytes);
        } else if (b->place == EXL__TO_OUTPUT)
            buffers[i] = (void *)(uintptr_t)t->outputs[b->index].data;
        for (size_t k = 0; k < t->input_count && b->place == EXL__FROM_INPUT; k++)
            if (t->inputs[k].number == b->index)
                buffers[i] = (void *)(uintptr_t)t->inputs[k].data;
    }
    status = exl__plan_run(&run, 1);
    for (uint32_t i = 0; i < o->plan.buffer_count; i++)
        free(owned[i]);
    free(run.work);
    return status;
}

static inline void describe(const plan_case *p) {
    for (uint32_t i = 0; i < p->operation_count; i++) {
        const exl__operation *o = &p->operations[i];
        fprintf(stderr, "code %u, function %u, sizes %x %x %x %x\n", o->code, o->function, o->sizes[0], o->sizes[1],
                o->sizes[2], o->sizes[3]);
        for (int k = 0; k < EXL__PLAN_OPERANDS && o->operands[k].buffer < p->buffer_count; k++)
            fprintf(stderr, "  operand %d: place %u, elements %x, offset %x, strides %x %x %x %x\n", k,
                    p->buffers[o->operands[k].buffer].place, p->buffers[o->operands[k].buffer].elements,
                    o->operands[k].offset, o->operands[k].strides[0], o->operands[k].strides[1],
                    o->operands[k].strides[2], o->operands[k].strides[3]);
    }
}

/* Runs at T and N by every set of kernels, each twice in differently poisoned memory, once in exact buffers and once
 * beside another run: the outputs may not differ, nor the status. Gives the status, and the outputs of the first run.
 */
static inline exl_status run_everywhere(opened *o, uint64_t T, uint64_t N, uint32_t seed, tensors *first) {
    exl_status expected = EXL_OK;

    *first = make_tensors(o, T, N, 0xA5, seed);
    for (int set = 0; set < KERNEL_SETS; set++) {
        const exl__kernels *kernels = exl__kernels_named(KERNELS[set]);
        if (!kernels || !exl__native_choose(o->state, KERNELS[set]))
            continue;
        for (int poison = 0; poison < 4; poison++) {
            tensors again = make_tensors(o, T, N, poison ? 0x3C : 0xFF, seed);
            tensors *t = set == 0 && poison == 0 ? first : &again;
            exl_status status = poison == 2   ? run_exact(o, t, kernels, T, N)
                                : poison == 3 ? run_beside(o, t, T, N, seed)
                                              : run_poisoned(o, t, poison ? 0x11 : 0xFF);
            if (set == 0 && poison == 0)
                expected = status;
            else if (poison != 2 && status == EXL_OK && !same_outputs(first, t)) {
                fprintf(stderr, "%s, poison %d, T %d, N %d: other bits\n", KERNELS[set], poison, (int)T, (int)N);
                describe(o->from);
                CHECK(same_outputs(first, t));
            }
            CHECK(poison == 2 || status == expected);
            drop_tensors(&again);
        }
    }
    return expected;
}

#endif
