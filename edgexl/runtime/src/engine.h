/* engine.h: what executes the two graphs: `ort` (ONNX Runtime) or `native` (plans, native.h). The pipeline knows
 * engines by this table alone. */
#ifndef EXL_ENGINE_H
#define EXL_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "edgexl.h"
#include "status.h"

enum { EXL__MAX_RANK = 4, EXL__MAX_INPUTS = 8, EXL__MAX_OUTPUTS = 2 };

/* Element types carry ONNX's TensorProto.DataType numbers. */
enum { EXL__F32 = 1, EXL__I64 = 7 };

/* A tensor at a graph's boundary, or a weight inside the mapped bundle. The memory is never the engine's. */
typedef struct exl__tensor {
    const char *name; /* NUL-terminated */
    const void *data;
    uint64_t data_bytes;
    uint32_t number; /* of an input: its bit in the parameters */
    uint32_t type;
    uint32_t rank;
    int64_t dims[EXL__MAX_RANK];
} exl__tensor;

/* A size as plans write it: a coefficient in 28 bits, then 2 bits power of T (tokens), 2 bits power of N (labels). */
typedef uint32_t exl__size;
#define EXL__PER_TOKEN (1u << 28)
#define EXL__PER_LABEL (1u << 30)
static inline uint32_t exl__coefficient(exl__size size) { return size & (EXL__PER_TOKEN - 1); }
static inline uint32_t exl__token_power(exl__size size) { return size / EXL__PER_TOKEN & 3; }
static inline uint32_t exl__label_power(exl__size size) { return size / EXL__PER_LABEL; }
static inline int exl__is_constant(exl__size size) { return size < EXL__PER_TOKEN; }

/* A name and type that a graph must declare, no more and no fewer. */
typedef struct exl__port {
    const char *name;
    uint32_t type;
    uint32_t rank;
    uint32_t number; /* of an input: its bit in the parameters */
    exl__size elements;
} exl__port;

typedef struct exl__graph_source {
    const char *role; /* "screener" or "reasoner", for messages */
    const uint8_t *bytes;
    size_t length;
    const exl__tensor *weights;
    size_t weight_count;
    exl__port inputs[EXL__MAX_INPUTS], outputs[EXL__MAX_OUTPUTS];
    size_t input_count, output_count;
    uint32_t max_tokens, max_labels;
} exl__graph_source;

/* What one operation of a graph took, over all runs of a prediction. */
typedef struct exl__operation_cost {
    double ms;
    uint64_t runs, macs, bytes;
    uint64_t sizes[EXL__MAX_RANK]; /* of the last run */
} exl__operation_cost;

/* The most runs of a graph that can be made at once. */
enum { EXL__MOST_TOGETHER = 32 };

/* One of them: all of the graph's inputs, the outputs that are wanted, and scratch. */
typedef struct exl__call {
    exl__tensor inputs[EXL__MAX_INPUTS], outputs[EXL__MAX_OUTPUTS];
    size_t input_count, output_count;
    void *scratch;
} exl__call;

typedef struct exl__engine_state exl__engine_state; /* one a bundle */
typedef struct exl__graph exl__graph;               /* one a graph, shared by threads */

typedef struct exl__engine {
    const char *name;
    /* library: a path, or null for the engine's own search. threads: 1 or more. scalar: plain C kernels, where the
     * kernels are the runtime's own. */
    exl_status (*open)(const exl_allocator *allocator, const char *library, uint32_t threads, int scalar,
                       exl__engine_state **state, exl_error *error);
    void (*close)(exl__engine_state *state);
    /* The bytes and weights must stay in place until close_graph; they are used there and then, not copied. */
    exl_status (*open_graph)(exl__engine_state *state, const exl__graph_source *source, exl__graph **graph,
                             exl_error *error);
    void (*close_graph)(exl__engine_state *state, exl__graph *graph);
    /* Bytes of scratch, aligned to 64, that `run` needs; each thread brings its own. */
    uint64_t (*scratch_bytes)(const exl__graph *graph);
    /* All of the graph's inputs, and those outputs that are wanted (the first of them), of exactly the shape that the
     * graph gives: they are written in place. Behind each lies memory for the longest text and shortlist. Threads may
     * run one graph at the same time. Allocates nothing through our allocator. costs: null, or one an operation, to
     * which this run's is added. */
    exl_status (*run)(const exl__graph *graph, const exl__tensor *inputs, size_t input_count,
                      const exl__tensor *outputs, size_t output_count, void *scratch, exl__operation_cost *costs,
                      exl_error *error);
    /* `run` of calls that want the same outputs, with the same bits: weights are read once for all of them. Where one
     * of them fails all may have failed. Null: it would gain nothing. */
    exl_status (*run_together)(const exl__graph *graph, const exl__call *const *calls, uint32_t count,
                               exl_error *error);
    /* How many operations a graph has whose costs `run` tells; 0: it tells of none. */
    uint32_t (*operation_count)(const exl__graph *graph);
    void (*name_operation)(const exl__graph *graph, uint32_t number, const char **kind, const char **function);
} exl__engine;

extern const exl__engine exl__engine_ort, exl__engine_native;

#endif
