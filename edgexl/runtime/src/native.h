/* native.h: the native engine's kernels. One set an instruction set; all of them give the same bits.
 *
 * Integer products are exact. Floats are computed without fused multiply-add, and every sum is taken in one order that
 * is written down with its function, whatever the vectors' width: so a bundle answers alike on every processor. */
#ifndef EXL_NATIVE_H
#define EXL_NATIVE_H

#include <stddef.h>
#include <stdint.h>

#include "plan.h"

enum { EXL__PANEL = EXL__FILL, EXL__BLOCK = 32, EXL__MOST_TILE_ROWS = 8, EXL__MOST_TILE_PANELS = 2 };

/* sums[rows][panels * 16] of the codes' products with `panels` neighbouring panels of packed weights, `steps` groups of
 * 4 rows of the matrix. codes: `rows` rows that lie code_stride bytes apart, in the form that the kernels ask for. */
typedef void exl__dot_tile(const void *codes, size_t code_stride, uint32_t rows, const int8_t *weights,
                           size_t panel_bytes, uint32_t panels, uint32_t steps, int32_t *sums);

/* Cases of a switch over a tile's rows, up to 4, 6 or 8: in each of them the compiler knows their number. */
#define ROWS_4(tile, codes, stride, ...)                                                                               \
    case 4: tile(codes, stride, 4, __VA_ARGS__); break;                                                                \
    case 3: tile(codes, stride, 3, __VA_ARGS__); break;                                                                \
    case 2: tile(codes, stride, 2, __VA_ARGS__); break;                                                                \
    default: tile(codes, stride, 1, __VA_ARGS__); break
#define ROWS_6(tile, codes, stride, ...)                                                                               \
    case 6: tile(codes, stride, 6, __VA_ARGS__); break;                                                                \
    case 5:                                                                                                            \
        tile(codes, stride, 5, __VA_ARGS__);                                                                           \
        break;                                                                                                         \
        ROWS_4(tile, codes, stride, __VA_ARGS__)
#define ROWS_8(tile, codes, stride, ...)                                                                               \
    case 8: tile(codes, stride, 8, __VA_ARGS__); break;                                                                \
    case 7:                                                                                                            \
        tile(codes, stride, 7, __VA_ARGS__);                                                                           \
        break;                                                                                                         \
        ROWS_6(tile, codes, stride, __VA_ARGS__)
/* An exl__dot_tile that hands `tile` one panel at a time. */
#define DOT_BY_PANEL(name, tile, ROWS)                                                                                 \
    static void name(const void *codes, size_t code_stride, uint32_t rows, const int8_t *weights, size_t panel_bytes,  \
                     uint32_t panels, uint32_t steps, int32_t *sums) {                                                 \
        for (uint32_t p = 0; p < panels; p++, weights += panel_bytes, sums += EXL__PANEL)                              \
            switch (rows) { ROWS(tile, codes, code_stride, weights, steps, sums, (size_t)panels *EXL__PANEL); }        \
    }

/* The fields of exl__int8_products. */
#define INT8_PRODUCTS(...) {__VA_ARGS__}

/* What a product's tile of `rows` x `columns` (1 to 16) still needs to become numbers. Strides are in elements. */
typedef struct exl__finish {
    uint32_t rows, columns;
    void *tile; /* [rows][tile_stride] i32, or f32 where scales is null; any numbers afterwards */
    size_t tile_stride;
    const float *bias;        /* [16] */
    const float *scales;      /* [16] or null */
    const int32_t *code_sums; /* [16], with scales */
    const float *row_scales;  /* [rows] */
    const int32_t *row_zeros; /* [rows], with scales */
    uint32_t activation;
    const float *residual; /* [rows][residual_stride] or null */
    size_t residual_stride;
    float *out; /* [rows][out_stride] */
    size_t out_stride;
} exl__finish;

/* out[rows][n] = function of inputs, each of which moves on along n by its step, 0 or 1, and with a row by its stride.
 * Functions of one operand have a null second one. Numbers only. */
typedef struct exl__mapping {
    uint32_t function, rows, n;
    float *out;
    size_t out_stride;
    const float *inputs[2];
    uint32_t steps[2];
    size_t strides[2];
} exl__mapping;

/* Products with bytes: how, and the form of the codes that they take. */
typedef struct exl__int8_products {
    exl__dot_tile *dot;
    uint32_t tile_rows, tile_panels; /* the most that `dot` takes */
    uint32_t code_bytes;             /* 1; 2: codes as 16-bit integers; 4: each four codes four times over */
    uint32_t flip;                   /* 128: codes are stored less 128, as signed bytes; else 0 */
} exl__int8_products;

typedef struct exl__kernels {
    const char *name;
    exl__int8_products eight, seven; /* with weights of 8 bits; with those of 7 (docs/format.md, "Packed matrices") */
    uint32_t float_rows;             /* the most that product_f32 takes */

    /* codes of one row of n numbers, zeros behind up to `padded`; 0 is a code, and so are the row's ends. */
    void (*quantize_row)(const float *x, uint32_t n, uint32_t padded, uint32_t code_bytes, uint32_t flip, void *codes,
                         float *scale, int32_t *zero);
    void (*finish)(const exl__finish *finish);
    /* totals[16] += f32(sums - zero * code_sums) * scales: one block of a row. */
    void (*add_block)(const int32_t *sums, int32_t zero, const float *scales, const int32_t *code_sums, float *totals);
    /* out[rows][16] = sum over k, in order, of a[row][k] * b[k][16]; their rows lie as many elements apart as said. */
    void (*product_f32)(const float *a, size_t a_stride, uint32_t rows, const float *b, size_t b_stride, uint32_t depth,
                        float *out, size_t out_stride);
    void (*layer_norm)(const float *x, uint32_t n, float epsilon, const float *gamma, const float *beta, float *out);
    /* For each of rows: x = scale * x + bias (null: none), tops = the largest of x, x = exp(x - tops) / their sum, over
     * n numbers, which 0 follows up to `line`, a multiple of 16. Rows lie `line`, of bias bias_stride apart. */
    void (*softmax)(float *x, uint32_t rows, uint32_t n, uint32_t line, float scale, const float *bias,
                    size_t bias_stride, float *tops);
    void (*map)(const exl__mapping *mapping);
    /* The sum in 16 lanes, then lane l + lane l + 8, + 4, + 2, + 1. */
    float (*sum)(const float *x, uint32_t n);
    /* totals[n] += x[n]; totals[n] = max(totals[n], x[n]). */
    void (*add)(float *totals, const float *x, uint32_t n);
    void (*keep_larger)(float *totals, const float *x, uint32_t n);
    /* out[n] = codes[n] * scale. */
    void (*widen)(const int8_t *codes, float scale, uint32_t n, float *out);
} exl__kernels;

/* The fastest set of this processor; `scalar`: the plain one. */
const exl__kernels *exl__kernels_best(int scalar);
/* A set by its name; null when this processor has no such instructions. */
const exl__kernels *exl__kernels_named(const char *name);
/* Has an engine use that set; 0 when it cannot. For tests and benchmarks. */
int exl__native_choose(exl__engine_state *state, const char *kernels);
/* The name of the set that an engine uses. */
const char *exl__native_kernels(const exl__engine_state *state);
/* 0: the graph's operations read and hand out nothing that they have not written in the same run. For tests. */
uint64_t exl__native_cleared_bytes(const exl__graph *graph);

exl__dot_tile exl__dot_scalar;
extern const exl__kernels exl__kernels_scalar;
#if defined(__x86_64__)
extern const exl__kernels exl__kernels_avx2, exl__kernels_avx2_vnni, exl__kernels_avx512_vnni;
#elif defined(__aarch64__)
extern const exl__kernels exl__kernels_neon, exl__kernels_neon_dot, exl__kernels_neon_i8mm;
#elif defined(__wasm_simd128__)
extern const exl__kernels exl__kernels_wasm;
#endif

/* One run of a plan: where each buffer is, how long the text and the shortlist are, and room to work in. */
typedef struct exl__run_state {
    const exl__plan *plan;
    const exl__kernels *kernels;
    exl__lengths at;
    void **buffers;             /* [buffer_count]; null for an output that is not wanted */
    uint8_t *work;              /* plan->work_bytes */
    exl__operation_cost *costs; /* [operation_count] or null */
    const char *role;
    exl_error *error;
} exl__run_state;

/* run.c: runs all operations, by walk.c where they go over four strided axes. `count` runs of one plan, 1 to
 * EXL__MOST_TOGETHER, that give or want the same outputs, share what they read of its weights; only one may have
 * costs. */
exl_status exl__plan_run(const exl__run_state *runs, uint32_t count);

/* walk.c */
void exl__walk_map(const exl__run_state *run, const exl__operation *operation);
void exl__walk_reduce(const exl__run_state *run, const exl__operation *operation);
void exl__walk_integers(const exl__run_state *run, const exl__operation *operation); /* shift, running sum */

/* Where an operand begins. */
void *exl__operand_at(const exl__run_state *run, const exl__operation *operation, int place);

#endif
