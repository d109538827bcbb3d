/* Runs one screener's plan by itself, for counting its instructions on an emulated CPU (benchmarks/engine.py).
 *
 *     engine_program PLAN WEIGHTS TOKENS MAX_TOKENS DIMS STATE_DIMS RUNS KERNELS */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bundle.h"
#include "memory.h"
#include "native.h"

static exl__section read_file(const char *path) {
    exl__section section = {NULL, 0};
    FILE *file = fopen(path, "rb");
    uint8_t *bytes;

    if (!file)
        return section;
    fseek(file, 0, SEEK_END);
    section.length = (uint64_t)ftell(file);
    rewind(file);
    bytes = exl__allocate(&exl__default_allocator, section.length, 1);
    if (bytes && fread(bytes, 1, section.length, file) == section.length)
        section.bytes = bytes;
    fclose(file);
    return section;
}

int main(int count, char **words) {
    const exl__engine *engine = &exl__engine_native;
    exl__graph_source source = {.role = "screener", .input_count = 2, .output_count = 2};
    exl__section plan, packed;
    exl__tensor *weights = NULL, inputs[2], outputs[2];
    exl__engine_state *state = NULL;
    exl__graph *graph = NULL;
    exl_error error = {.struct_size = sizeof error};
    void *scratch;

    if (count != 9)
        return 2;
    uint32_t tokens = (uint32_t)atoi(words[3]), most = (uint32_t)atoi(words[4]), dims = (uint32_t)atoi(words[5]);
    uint32_t wide = (uint32_t)atoi(words[6]);
    plan = read_file(words[1]);
    packed = read_file(words[2]);
    if (!plan.bytes || !packed.bytes ||
        exl__weights_read(&exl__default_allocator, &packed, "screener", &weights, &source.weight_count, &error))
        return puts(error.sentence), 1;
    source.bytes = plan.bytes;
    source.length = plan.length;
    source.weights = weights;
    source.max_tokens = most;
    source.max_labels = ((const uint32_t *)(const void *)plan.bytes)[5];
    for (uint32_t i = 0; i < 2; i++)
        source.inputs[i] = (exl__port){"", EXL__I64, 2, i, EXL__PER_TOKEN | 1};
    source.outputs[0] = (exl__port){"", EXL__F32, 2, 0, dims};
    source.outputs[1] = (exl__port){"", EXL__F32, 3, 0, EXL__PER_TOKEN | wide};
    if (engine->open(&exl__default_allocator, NULL, 1, 0, &state, &error) || !exl__native_choose(state, words[8]) ||
        engine->open_graph(state, &source, &graph, &error))
        return puts(error.sentence), 1;
    scratch = exl__allocate(&exl__default_allocator, engine->scratch_bytes(graph), 1);
    for (uint32_t i = 0; i < 2; i++) {
        int64_t *ids = exl__allocate(&exl__default_allocator, most, 8);
        for (uint32_t t = 0; t < tokens; t++)
            ids[t] = i == 0 ? 1000 + 37 * t : 1;
        inputs[i] = (exl__tensor){.data = ids, .data_bytes = 8ull * tokens, .number = i, .type = EXL__I64};
    }
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t elements = i == 0 ? dims : (uint64_t)wide * tokens;
        outputs[i] = (exl__tensor){.data = exl__allocate(&exl__default_allocator, (uint64_t)wide * most + dims, 4),
                                   .data_bytes = 4 * elements,
                                   .type = EXL__F32};
    }
    for (int run = atoi(words[7]); run > 0; run--)
        if (engine->run(graph, inputs, 2, outputs, 2, scratch, NULL, &error))
            return puts(error.sentence), 1;
    const float *vector = outputs[0].data;
    uint32_t digest = 0; /* of the bits: the same on every CPU */
    for (uint32_t i = 0; i < dims; i++) {
        uint32_t bits;
        memcpy(&bits, vector + i, 4);
        digest = digest * 31 + bits;
    }
    printf("%s %08x\n", exl__native_kernels(state), digest);
    return 0;
}
