/* engine_native.c: the engine that runs plans: nothing but libc, weights in place, no state but the caller's scratch.
 */
#include "compiler.h"

#include <string.h>

#include "checked.h"
#include "engine.h"
#include "memory.h"
#include "native.h"

typedef struct engine_native_state {
    const exl_allocator *allocator;
    const exl__kernels *kernels;
} engine_native_state;

typedef struct engine_native_graph {
    const engine_native_state *state;
    const char *role;
    exl__plan plan;
    const void **weights; /* [weight_count], in the mapped bundle */
    size_t weight_count;
} engine_native_graph;

/* The pipeline's names for them, of which each engine has its own idea. */
static engine_native_state *engine_native_state_of(exl__engine_state *state) {
    return (engine_native_state *)(void *)state;
}
static const engine_native_graph *engine_native_graph_of(const exl__graph *graph) {
    return (const engine_native_graph *)(const void *)graph;
}

/* Scratch of a run: where each buffer is, the arena, the operations' work. */
static uint64_t engine_native_pointer_bytes(const exl__plan *plan) {
    return exl__round_up(plan->buffer_count * (uint64_t)sizeof(void *), EXL__WORK_ALIGNMENT_BYTES);
}

static uint64_t engine_native_arena_bytes(const exl__plan *plan) {
    return exl__round_up(plan->arena_bytes, EXL__WORK_ALIGNMENT_BYTES);
}

static exl_status engine_native_open(const exl_allocator *allocator, const char *library, uint32_t threads, int scalar,
                                     exl__engine_state **out, exl_error *error) {
    engine_native_state *state;

    (void)library; /* there is none to load */
    if (threads != 1)
        return exl__fail(error, EXL_BAD_ARGUMENT,
                         "the native engine runs on the thread that calls it: leave threads at 1, open more sessions");
    state = exl__allocate(allocator, 1, sizeof *state);
    if (!state)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the engine");
    state->allocator = allocator;
    state->kernels = exl__kernels_best(scalar);
    *out = (exl__engine_state *)(void *)state;
    return EXL_OK;
}

int exl__native_choose(exl__engine_state *state, const char *kernels) {
    const exl__kernels *chosen = exl__kernels_named(kernels);

    if (chosen)
        engine_native_state_of(state)->kernels = chosen;
    return chosen != NULL;
}

const char *exl__native_kernels(const exl__engine_state *state) {
    return ((const engine_native_state *)(const void *)state)->kernels->name;
}

uint64_t exl__native_cleared_bytes(const exl__graph *graph) {
    const exl__plan *plan = &engine_native_graph_of(graph)->plan;
    return plan->cleared_bytes + plan->cleared_outputs;
}

static void engine_native_close(exl__engine_state *state) {
    if (state)
        exl__release(engine_native_state_of(state)->allocator, state, 1, sizeof(engine_native_state));
}

static void engine_native_close_graph(exl__engine_state *state, exl__graph *closed) {
    engine_native_graph *graph = (engine_native_graph *)(void *)closed;

    if (!graph)
        return;
    exl__release(engine_native_state_of(state)->allocator, (void *)graph->weights, graph->weight_count,
                 sizeof *graph->weights);
    exl__release(engine_native_state_of(state)->allocator, graph, 1, sizeof *graph);
}

static exl_status engine_native_open_graph(exl__engine_state *state, const exl__graph_source *source, exl__graph **out,
                                           exl_error *error) {
    const exl_allocator *allocator = engine_native_state_of(state)->allocator;
    engine_native_graph *graph = exl__allocate(allocator, 1, sizeof *graph);
    exl_status status = EXL_OK;

    if (!graph)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the %s graph", source->role);
    graph->state = engine_native_state_of(state);
    graph->role = source->role;
    graph->weight_count = source->weight_count;
    if (source->weight_count > 0) {
        graph->weights = exl__allocate(allocator, source->weight_count, sizeof *graph->weights);
        if (!graph->weights)
            status = exl__fail(error, EXL_OUT_OF_MEMORY, "no memory for the %s graph's weights", source->role);
    }
    if (status == EXL_OK)
        status = exl__plan_read(allocator, source, &graph->plan, error);
    for (size_t i = 0; i < source->weight_count && status == EXL_OK; i++)
        graph->weights[i] = source->weights[i].data;
    if (status == EXL_OK)
        *out = (exl__graph *)(void *)graph;
    else
        engine_native_close_graph(state, (exl__graph *)(void *)graph);
    return status;
}

static uint64_t engine_native_scratch_bytes(const exl__graph *graph) {
    const exl__plan *plan = &engine_native_graph_of(graph)->plan;
    return exl__plus(exl__plus(engine_native_pointer_bytes(plan), engine_native_arena_bytes(plan)), plan->work_bytes);
}

static const exl__tensor *engine_native_named(const exl__tensor *tensors, size_t count, uint32_t number) {
    for (size_t i = 0; i < count; i++)
        if (tensors[i].number == number)
            return &tensors[i];
    return NULL;
}

/* T and N, from the inputs that have them. */
static exl__lengths engine_native_lengths_of(const exl__plan *plan, const exl__tensor *inputs, size_t count) {
    uint64_t tokens = 1, labels = 1;

    for (uint32_t i = 0; i < plan->buffer_count; i++) {
        const exl__plan_buffer *buffer = &plan->buffers[i];
        const exl__tensor *tensor =
            buffer->place == EXL__FROM_INPUT ? engine_native_named(inputs, count, buffer->index) : NULL;
        if (!tensor)
            continue;
        uint64_t elements = tensor->data_bytes / exl__type_bytes(buffer->type) / exl__coefficient(buffer->elements);
        if (buffer->elements - exl__coefficient(buffer->elements) == EXL__PER_TOKEN)
            tokens = elements;
        else if (buffer->elements - exl__coefficient(buffer->elements) == EXL__PER_LABEL)
            labels = elements;
    }
    return exl__lengths_of(tokens, labels);
}

static exl_status engine_native_bind(exl__run_state *run, const engine_native_graph *graph, const exl__tensor *inputs,
                                     size_t input_count, const exl__tensor *outputs, size_t output_count,
                                     uint8_t *arena) {
    const exl__plan *plan = run->plan;

    if (run->at.tokens[1] < 1 || run->at.tokens[1] > plan->max_tokens || run->at.labels[1] < 1 ||
        run->at.labels[1] > plan->max_labels)
        return exl__fail(run->error, EXL_ENGINE_FAILED, "the %s was lowered for other lengths", graph->role);
    for (uint32_t i = 0; i < plan->buffer_count; i++) {
        const exl__plan_buffer *buffer = &plan->buffers[i];
        const exl__tensor *tensor = NULL;

        switch (buffer->place) {
        case EXL__ARENA: run->buffers[i] = arena + buffer->offset_bytes; continue;
        case EXL__FROM_WEIGHT: run->buffers[i] = (void *)(uintptr_t)graph->weights[buffer->index]; continue;
        case EXL__FROM_INPUT: tensor = engine_native_named(inputs, input_count, buffer->index); break;
        default: tensor = buffer->index < output_count ? &outputs[buffer->index] : NULL;
        }
        run->buffers[i] = tensor ? (void *)(uintptr_t)tensor->data : NULL;
        if ((!tensor && buffer->place == EXL__FROM_INPUT) ||
            (tensor && tensor->data_bytes != exl__size_at(buffer->elements, &run->at) * exl__type_bytes(buffer->type)))
            return exl__fail(run->error, EXL_ENGINE_FAILED, "the %s gets or gives a tensor of another size",
                             graph->role);
    }
    return EXL_OK;
}

/* What nothing has written reads as 0: neither an earlier text nor the heap shows in an answer. */
static void engine_native_clear(const exl__plan *plan, const exl__tensor *outputs, size_t output_count,
                                uint8_t *arena) {
    if (plan->cleared_bytes > 0)
        memset(arena + plan->cleared_offset, 0, (size_t)plan->cleared_bytes);
    for (size_t i = 0; i < output_count; i++)
        if (plan->cleared_outputs >> i & 1)
            memset((void *)(uintptr_t)outputs[i].data, 0, (size_t)outputs[i].data_bytes);
}

static exl_status engine_native_begin(exl__run_state *run, const engine_native_graph *graph, const exl__tensor *inputs,
                                      size_t input_count, const exl__tensor *outputs, size_t output_count,
                                      void *scratch, exl__operation_cost *costs, exl_error *error) {
    uint8_t *arena = (uint8_t *)scratch + engine_native_pointer_bytes(&graph->plan);
    exl_status status;

    *run = (exl__run_state){
        .plan = &graph->plan, .kernels = graph->state->kernels, .costs = costs, .role = graph->role, .error = error};
    run->at = engine_native_lengths_of(&graph->plan, inputs, input_count);
    run->buffers = scratch;
    run->work = arena + engine_native_arena_bytes(&graph->plan);
    status = engine_native_bind(run, graph, inputs, input_count, outputs, output_count, arena);
    if (status == EXL_OK)
        engine_native_clear(&graph->plan, outputs, output_count, arena);
    return status;
}

static exl_status engine_native_run(const exl__graph *opened, const exl__tensor *inputs, size_t input_count,
                                    const exl__tensor *outputs, size_t output_count, void *scratch,
                                    exl__operation_cost *costs, exl_error *error) {
    exl__run_state run;
    exl_status status = engine_native_begin(&run, engine_native_graph_of(opened), inputs, input_count, outputs,
                                            output_count, scratch, costs, error);

    return status == EXL_OK ? exl__plan_run(&run, 1) : status;
}

static exl_status engine_native_run_together(const exl__graph *opened, const exl__call *const *calls, uint32_t count,
                                             exl_error *error) {
    exl__run_state runs[EXL__MOST_TOGETHER];
    exl_status status = EXL_OK;

    for (uint32_t i = 0; i < count && status == EXL_OK; i++)
        status = engine_native_begin(&runs[i], engine_native_graph_of(opened), calls[i]->inputs, calls[i]->input_count,
                                     calls[i]->outputs, calls[i]->output_count, calls[i]->scratch, NULL, error);
    return status == EXL_OK ? exl__plan_run(runs, count) : status;
}

static uint32_t engine_native_operation_count(const exl__graph *graph) {
    return engine_native_graph_of(graph)->plan.operation_count;
}

static void engine_native_name_operation(const exl__graph *graph, uint32_t number, const char **kind,
                                         const char **function) {
    exl__name_operation(&engine_native_graph_of(graph)->plan.operations[number], kind, function);
}

const exl__engine exl__engine_native = {"native",
                                        engine_native_open,
                                        engine_native_close,
                                        engine_native_open_graph,
                                        engine_native_close_graph,
                                        engine_native_scratch_bytes,
                                        engine_native_run,
                                        engine_native_run_together,
                                        engine_native_operation_count,
                                        engine_native_name_operation};
