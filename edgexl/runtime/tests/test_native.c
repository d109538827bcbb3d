/* test_native.c: every set of native kernels that this processor has gives the scalar set's bits, at random shapes and
 * at the ends of the ranges. Built for other processors and run under an emulator, it says the same of them. Arrays are
 * allocated to the element, so that the address sanitizer sees a read beyond one. With an argument: that set must be
 * there. */
#include <math.h>

#include "../src/native.h"
#include "testing.h"

static const char *const SETS[] = {"avx2", "avx2-vnni", "avx512-vnni", "neon", "neon-dot", "neon-i8mm", "wasm-simd128"};
enum { MOST_ROWS = 11, MOST_DEPTH = 80, TRIALS = 200 };

static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static void *room(size_t count, size_t bytes) {
    void *memory = calloc(count, bytes);

    CHECK(memory != NULL);
    return memory;
}

/* kind 0: about -4 to 4; 1: both ends of a range and nothing else; 2: huge; 3: zeros. */
static float *numbers(size_t count, uint32_t kind) {
    float *x = room(count, sizeof *x);

    for (size_t i = 0; i < count; i++) {
        float plain = ((float)draw(1u << 24) / (1 << 23) - 1.0f) * 4.0f;
        x[i] = kind == 0 ? plain : kind == 1 ? (plain < 0 ? -3.0f : 3.0f) : kind == 2 ? plain * 1e29f : 0.0f;
    }
    return x;
}

static uint32_t up(uint32_t n) { return (n + EXL__PANEL - 1) / EXL__PANEL * EXL__PANEL; }

static int same(const char *what, const char *set, const float *found, const float *expected, size_t count) {
    if (memcmp(found, expected, count * sizeof *found) == 0)
        return 1;
    for (size_t i = 0; i < count; i++)
        if (memcmp(found + i, expected + i, sizeof *found) != 0)
            printf("native, %s: %s: number %zu is %g, not %g\n", set, what, i, (double)found[i], (double)expected[i]);
    return 0;
}

typedef struct product {
    uint32_t bits, rows, depth, columns, activation;
    float *x, *table, *residual; /* table: bias, scales, code sums of two panels */
    int8_t *weights;             /* [2 panels][up(depth) / 4][16][4] */
} product;

/* Of a column's weights so far: sums that docs/format.md limits where they are of 7 bits. */
typedef struct seven_sums {
    uint32_t of_a_sign[MOST_DEPTH / 4 + 2][2], magnitudes[MOST_DEPTH / 4 + 4];
} seven_sums;

static int8_t draw_seven(seven_sums *sums, uint32_t k, uint32_t extreme) {
    uint32_t sign = draw(2), *of_a_sign = &sums->of_a_sign[k / 8 * 2 + k % 4 / 2][sign];
    uint32_t *magnitudes = &sums->magnitudes[k / 16 * 4 + k % 4], most = 127;

    most = 128 - *of_a_sign < most ? 128 - *of_a_sign : most;
    most = 255 - *magnitudes < most ? 255 - *magnitudes : most;
    most = extreme ? most : draw(most + 1);
    *of_a_sign += most;
    *magnitudes += most;
    return (int8_t)(sign ? -(int)most : (int)most);
}

static product draw_product(void) {
    product p = {7 + draw(2),
                 1 + draw(MOST_ROWS),
                 1 + draw(MOST_DEPTH),
                 1 + draw(2 * EXL__PANEL),
                 draw(EXL__ACTIVATIONS),
                 0,
                 0,
                 0,
                 0};
    uint32_t deep = up(p.depth), extreme = draw(2);
    int32_t *code_sums;

    p.x = numbers((size_t)p.rows * p.depth, draw(4));
    p.residual = draw(2) ? numbers((size_t)p.rows * p.columns, 0) : NULL;
    p.table = numbers(6 * EXL__PANEL, 0);
    code_sums = (int32_t *)(void *)(p.table + 4 * EXL__PANEL);
    memset(code_sums, 0, 2 * EXL__PANEL * sizeof *code_sums);
    p.weights = room((size_t)2 * deep * EXL__PANEL, 1);
    for (uint32_t c = 0; c < p.columns; c++) {
        seven_sums sums = {{{0}}, {0}};
        for (uint32_t k = 0; k < p.depth; k++) {
            int8_t weight = p.bits == 7 ? draw_seven(&sums, k, extreme)
                                        : (int8_t)(extreme ? (draw(2) ? 127 : -127) : (int)draw(255) - 127);
            p.weights[(c / EXL__PANEL * deep / 4 + k / 4) * EXL__PANEL * 4 + c % EXL__PANEL * 4 + k % 4] = weight;
            code_sums[c] += weight;
        }
    }
    return p;
}

/* [rows][columns], as run.c has a set do it. */
static float *run_product(const exl__kernels *k, const product *p) {
    const exl__int8_products *by = p->bits == 7 ? &k->seven : &k->eight;
    uint32_t deep = up(p->depth), panels = up(p->columns) / EXL__PANEL;
    size_t stride = (size_t)deep * by->code_bytes;
    uint8_t *codes = room(p->rows, stride);
    float *scales = room(p->rows, sizeof *scales), *out = room((size_t)p->rows * p->columns, sizeof *out);
    int32_t *zeros = room(p->rows, sizeof *zeros), *sums = room((size_t)p->rows * panels, EXL__PANEL * sizeof *sums);
    uint32_t wide = panels < by->tile_panels ? panels : by->tile_panels;

    for (uint32_t r = 0; r < p->rows; r++)
        k->quantize_row(p->x + (size_t)r * p->depth, p->depth, deep, by->code_bytes, by->flip, codes + r * stride,
                        &scales[r], &zeros[r]);
    for (uint32_t at = 0; at < panels; at += wide) {
        for (uint32_t r = 0, rows; r < p->rows; r += rows) {
            rows = p->rows - r < by->tile_rows ? p->rows - r : by->tile_rows;
            by->dot(codes + r * stride, stride, rows, p->weights + (size_t)at * deep * EXL__PANEL,
                    (size_t)deep * EXL__PANEL, wide, deep / 4, sums + (size_t)r * wide * EXL__PANEL);
        }
        for (uint32_t q = at; q < at + wide; q++) {
            uint32_t column = q * EXL__PANEL, left = p->columns - column;
            exl__finish f = {.rows = p->rows, .columns = left < EXL__PANEL ? left : EXL__PANEL};
            f.tile = sums + (q - at) * EXL__PANEL, f.tile_stride = (size_t)wide * EXL__PANEL;
            f.bias = p->table + column, f.scales = p->table + 2 * EXL__PANEL + column;
            f.code_sums = (const int32_t *)(const void *)(p->table + 4 * EXL__PANEL + column);
            f.row_scales = scales, f.row_zeros = zeros, f.activation = p->activation;
            f.residual = p->residual ? p->residual + column : NULL, f.residual_stride = p->columns;
            f.out = out + column, f.out_stride = p->columns;
            k->finish(&f);
        }
    }
    free(codes), free(scales), free(zeros), free(sums);
    return out;
}

static void check_products(const exl__kernels *k) {
    for (int trial = 0; trial < TRIALS; trial++) {
        product p = draw_product();
        float *found = run_product(k, &p), *expected = run_product(&exl__kernels_scalar, &p);

        CHECK(same("product", k->name, found, expected, (size_t)p.rows * p.columns));
        for (size_t i = 0; i < (size_t)p.rows * p.columns; i++)
            CHECK(isfinite(found[i]));
        free(found), free(expected), free(p.x), free(p.table), free(p.residual), free(p.weights);
    }
}

/* Runs the rest with k = the set and k = the scalar one, each on a copy of x[count] in `out`, and compares. */
#define BOTH(what, count, ...)                                                                                         \
    do {                                                                                                               \
        float *results[2];                                                                                             \
        for (int i = 0; i < 2; i++) {                                                                                  \
            const exl__kernels *k = i ? &exl__kernels_scalar : set;                                                    \
            float *out = results[i] = room(count, sizeof *out);                                                        \
            memcpy(out, x, (count) * sizeof *out);                                                                     \
            __VA_ARGS__;                                                                                               \
        }                                                                                                              \
        CHECK(same(what, set->name, results[0], results[1], count));                                                   \
        free(results[0]), free(results[1]);                                                                            \
    } while (0)

static void check_rows(const exl__kernels *set) {
    static const uint8_t functions[] = {EXL__ADD,  EXL__SUB, EXL__MUL,  EXL__MAX,  EXL__MIN,  EXL__SQRT,   EXL__ERF,
                                        EXL__TANH, EXL__EXP, EXL__RELU, EXL__GELU, EXL__COPY, EXL__SIGMOID};

    for (int trial = 0; trial < TRIALS; trial++) {
        uint32_t n = 1 + draw(MOST_DEPTH), line = up(n), kind = draw(2), step = draw(2), rows = 1 + draw(3);
        float *x = numbers(3 * (size_t)line, kind), *y = numbers(3 * (size_t)line, 0), top[1], sum = 0;
        int8_t codes[MOST_DEPTH];

        for (uint32_t i = 0; i < n; i++)
            codes[i] = (int8_t)((int)draw(255) - 127);
        for (size_t f = 0; f < sizeof functions; f++)
            BOTH("map", rows * n, {
                exl__mapping m = {.function = functions[f], .rows = rows, .n = n, .out = out, .out_stride = n};
                m.inputs[0] = x, m.steps[0] = 1, m.strides[0] = n;
                m.inputs[1] = functions[f] < EXL__SQRT ? y : NULL, m.steps[1] = step, m.strides[1] = step ? n : 1;
                k->map(&m);
            });
        BOTH("layer norm", n, k->layer_norm(x, n, 1e-12f, y, y, out));
        BOTH("softmax", line, k->softmax(out, 1, n, line, 0.5f, y, 0, top); out[0] += top[0]);
        BOTH("sum", n, sum = k->sum(x, n); out[0] = sum);
        BOTH("add", n, k->add(out, y, n));
        BOTH("keep larger", n, k->keep_larger(out, y, n));
        BOTH("widen", n, k->widen(codes, 0.37f, n, out));
        free(x), free(y);
    }
}

static void check_float_products(const exl__kernels *set) {
    for (int trial = 0; trial < TRIALS; trial++) {
        uint32_t rows = 1 + draw(4), depth = 1 + draw(MOST_DEPTH);
        float *a = numbers((size_t)rows * depth, 0), *b = numbers((size_t)depth * EXL__PANEL, 0);
        float *x = numbers(4 * EXL__PANEL, 0);

        BOTH("f32 product", (size_t)rows * EXL__PANEL,
             k->product_f32(a, depth, rows, b, EXL__PANEL, depth, out, EXL__PANEL));
        free(a), free(b), free(x);
    }
}

int main(int count, char **words) {
    int checked = 0, found = count < 2;

    for (size_t i = 0; i < sizeof SETS / sizeof *SETS; i++) {
        const exl__kernels *set = exl__kernels_named(SETS[i]);
        if (!set)
            continue;
        check_products(set);
        check_rows(set);
        check_float_products(set);
        checked++;
        found |= count > 1 && strcmp(set->name, words[1]) == 0;
    }
    CHECK(found);
    printf("native: %d sets equal the scalar one; %s is the first choice\n", checked, exl__kernels_best(0)->name);
    return 0;
}
