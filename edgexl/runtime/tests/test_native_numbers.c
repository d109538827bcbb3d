/* test_native_numbers.c: what the native kernels compute, held against the same in doubles with the C library's
 * functions, for every set that this processor has and every length around a panel. (That the sets agree to the bit is
 * test_native.c's.) Nothing may be written beside the numbers that were asked for.
 */
#include <math.h>

#include "../src/native.h"
#include "testing.h"

static const char *const SETS[] = {"scalar", "avx2",     "avx2-vnni", "avx512-vnni",
                                   "neon",   "neon-dot", "neon-i8mm", "wasm-simd128"};
enum { MOST = 40, ROOM = 96, GAP = 3 };

static const float UNTOUCHED = 12345.0f;
static const exl__kernels *set;
static uint32_t state = 1;

static uint32_t draw(uint32_t below) {
    state = state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(state >> 8) * below) >> 24);
}

static float draw_number(float most) { return ((float)draw(1u << 24) / (1 << 23) - 1.0f) * most; }

static void fill(float *x, size_t count, float most) {
    for (size_t i = 0; i < count; i++)
        x[i] = draw_number(most);
}

static void mark(float *x, size_t count) {
    for (size_t i = 0; i < count; i++)
        x[i] = UNTOUCHED;
}

/* Within a share of the expected number, or of `scale`, whichever is larger. */
static void check_near(const char *what, float found, double expected, double scale) {
    double most = 3e-6 * (fabs(expected) > scale ? fabs(expected) : scale);

    if (!(fabs((double)found - expected) <= most))
        fprintf(stderr, "%s, %s: %.9g, not %.9g\n", set->name, what, (double)found, expected);
    CHECK(fabs((double)found - expected) <= most);
}

/* ---- quantised rows ------------------------------------------------------------------------------------------- */

/* Codes are within half a step of the numbers, the step is the 255th part of their range with 0 in it, and 0 is one. */
static void check_row_codes_as(const exl__int8_products *as, const float *x, uint32_t n) {
    uint32_t padded = (n + EXL__PANEL - 1) / EXL__PANEL * EXL__PANEL;
    uint8_t codes[2 * ROOM];
    double low = 0, high = 0, step;
    float scale = -1;
    int32_t zero = -1;

    for (uint32_t i = 0; i < n; i++) {
        low = x[i] < low ? (double)x[i] : low;
        high = x[i] > high ? (double)x[i] : high;
    }
    step = (high - low) / 255;
    memset(codes, 0xAA, sizeof codes);
    set->quantize_row(x, n, padded, as->code_bytes, as->flip, codes, &scale, &zero);
    check_near("scale", scale, step, 0);
    for (uint32_t i = 0; i < padded; i++) {
        int32_t code = as->flip ? (int8_t)codes[i] : codes[i * as->code_bytes];
        double number = (double)scale * (code - zero);

        if (as->code_bytes == 2)
            CHECK(codes[2 * i + 1] == 0);
        if (i < n)
            CHECK(fabs(number - (double)x[i]) <= 0.5001 * step);
        else
            CHECK(code == zero);
    }
    CHECK(codes[padded * as->code_bytes] == 0xAA);
}

static void check_row_codes(const float *x, uint32_t n) {
    check_row_codes_as(&set->eight, x, n);
    check_row_codes_as(&set->seven, x, n);
}

static void check_quantize_row(void) {
    float x[MOST];

    if (set->eight.code_bytes > 2)
        return; /* in an order of its own */
    for (uint32_t n = 1; n <= MOST; n++) {
        fill(x, n, 3.0f);
        check_row_codes(x, n);
        for (uint32_t at = 0; at < n; at++) { /* each number in turn the largest, the smallest, all of one sign */
            fill(x, n, 1.0f);
            x[at] = at % 2 ? 7.0f : -7.0f;
            check_row_codes(x, n);
            for (uint32_t i = 0; i < n; i++)
                x[i] = at % 2 ? -1.0f - (float)draw(100) : 1.0f + (float)draw(100);
            check_row_codes(x, n);
        }
        memset(x, 0, sizeof x);
        check_row_codes(x, n);
    }
}

/* ---- finishing a tile ----------------------------------------------------------------------------------------- */

static double activated(uint32_t activation, double x) {
    switch (activation) {
    case EXL__ACT_RELU: return x > 0 ? x : 0;
    case EXL__ACT_GELU: return x * 0.5 * erfc(-x / sqrt(2.0));
    case EXL__ACT_TANH: return tanh(x);
    default: return x;
    }
}

static void check_finish(void) {
    enum { TILE = EXL__PANEL + GAP, OUT = EXL__PANEL + 2 * GAP, LINE = EXL__PANEL + 1 };
    float bias[EXL__PANEL], scales[EXL__PANEL], row_scales[4], residual[4 * LINE], out[4 * OUT], tile[4 * TILE];
    float kept[4 * TILE];
    int32_t code_sums[EXL__PANEL], row_zeros[4];

    for (uint32_t way = 0; way < 16 * EXL__ACTIVATIONS; way++)
        for (uint32_t columns = 1; columns <= EXL__PANEL; columns++) {
            exl__finish f = {.rows = 1 + way % 4, .columns = columns, .tile = tile, .tile_stride = TILE};
            int integers = way / 4 % 2, added = way / 8 % 2;

            f.activation = way / 16;
            fill(bias, EXL__PANEL, 1), fill(scales, EXL__PANEL, 0.01f), fill(row_scales, 4, 0.1f);
            fill(residual, 4 * LINE, 2), mark(out, 4 * OUT), fill(tile, 4 * TILE, 3);
            for (int i = 0; i < EXL__PANEL; i++)
                code_sums[i] = (int32_t)draw(2000) - 1000;
            for (int i = 0; i < 4; i++)
                row_zeros[i] = (int32_t)draw(256) - 128;
            for (int i = 0; i < 4 * TILE && integers; i++) {
                int32_t sum = (int32_t)draw(100000) - 50000;
                memcpy(tile + i, &sum, sizeof sum);
            }
            memcpy(kept, tile, sizeof tile);
            f.bias = bias, f.scales = integers ? scales : NULL, f.code_sums = integers ? code_sums : NULL;
            f.row_scales = row_scales, f.row_zeros = integers ? row_zeros : NULL;
            f.residual = added ? residual : NULL, f.residual_stride = LINE;
            f.out = out, f.out_stride = OUT;
            set->finish(&f);
            for (uint32_t r = 0; r < 4; r++)
                for (uint32_t c = 0; c < OUT; c++) {
                    double number;
                    int32_t sum;

                    if (r >= f.rows || c >= columns) {
                        CHECK(out[r * OUT + c] == UNTOUCHED);
                        continue;
                    }
                    memcpy(&sum, kept + r * TILE + c, sizeof sum);
                    number = integers ? (double)(sum - row_zeros[r] * code_sums[c]) * (double)scales[c]
                                      : (double)kept[r * TILE + c];
                    number = number * (double)row_scales[r] + (double)bias[c];
                    check_near("finish", out[r * OUT + c],
                               activated(f.activation, number) + (added ? (double)residual[r * LINE + c] : 0),
                               10 + fabs(number));
                }
        }
}

static void check_add_block(void) {
    int32_t sums[EXL__PANEL], code_sums[EXL__PANEL];
    float scales[EXL__PANEL], totals[EXL__PANEL + 1], before[EXL__PANEL + 1];

    for (int trial = 0; trial < 50; trial++) {
        int32_t zero = (int32_t)draw(256) - 128;
        for (int i = 0; i < EXL__PANEL; i++)
            sums[i] = (int32_t)draw(100000) - 50000, code_sums[i] = (int32_t)draw(2000) - 1000;
        fill(scales, EXL__PANEL, 0.01f), fill(totals, EXL__PANEL + 1, 5);
        memcpy(before, totals, sizeof totals);
        set->add_block(sums, zero, scales, code_sums, totals);
        for (int i = 0; i < EXL__PANEL; i++)
            check_near("add_block", totals[i],
                       (double)before[i] + (double)(sums[i] - zero * code_sums[i]) * (double)scales[i], 5);
        CHECK(totals[EXL__PANEL] == before[EXL__PANEL]);
    }
}

/* ---- products and rows ---------------------------------------------------------------------------------------- */

static void check_product(void) {
    enum { LINE = EXL__PANEL + GAP };
    float a[8 * ROOM], b[MOST * LINE], out[8 * LINE];

    for (uint32_t rows = 1; rows <= set->float_rows; rows++)
        for (uint32_t depth = 1; depth <= MOST; depth += depth < 6 ? 1 : 7) {
            size_t a_stride = depth + GAP;
            fill(a, sizeof a / sizeof *a, 2), fill(b, sizeof b / sizeof *b, 2), mark(out, 8 * LINE);
            set->product_f32(a, a_stride, rows, b, LINE, depth, out, LINE);
            for (uint32_t r = 0; r < 8; r++)
                for (uint32_t c = 0; c < LINE; c++) {
                    double sum = 0;
                    for (uint32_t k = 0; k < depth; k++)
                        sum += (double)a[r * a_stride + k] * (double)b[k * LINE + c];
                    if (r < rows && c < EXL__PANEL)
                        check_near("product_f32", out[r * LINE + c], sum, depth);
                    else
                        CHECK(out[r * LINE + c] == UNTOUCHED);
                }
        }
}

static void check_layer_norm(void) {
    float x[MOST], gamma[MOST], beta[MOST], out[MOST + 1];

    for (uint32_t n = 1; n <= MOST; n++)
        for (int way = 0; way < 4; way++) {
            double mean = 0, square = 0;
            float epsilon = way % 3 ? 0.25f : 1e-5f;

            fill(x, n, 3), fill(gamma, n, 2), fill(beta, n, 2), mark(out, MOST + 1);
            set->layer_norm(x, n, epsilon, way & 1 ? gamma : NULL, way & 2 ? beta : NULL, out);
            for (uint32_t i = 0; i < n; i++)
                mean += (double)x[i] / n;
            for (uint32_t i = 0; i < n; i++)
                square += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
            for (uint32_t i = 0; i < n; i++) {
                double y = ((double)x[i] - mean) / sqrt(square + (double)epsilon);
                y = way & 1 ? y * (double)gamma[i] : y;
                check_near("layer_norm", out[i], way & 2 ? y + (double)beta[i] : y, 10);
            }
            CHECK(out[n] == UNTOUCHED);
        }
}

static void check_softmax(void) {
    float x[3 * ROOM + 1], kept[3 * ROOM], bias[3 * ROOM], tops[4];

    for (uint32_t n = 1; n <= MOST; n++)
        for (int way = 0; way < 12; way++) {
            uint32_t line = (n + EXL__PANEL - 1) / EXL__PANEL * EXL__PANEL, rows = 1 + (uint32_t)way % 3;
            size_t stride = way / 3 == 2 ? line + GAP : 0; /* of the bias; 0: one for all rows */
            int biased = way / 3 > 0;

            fill(x, sizeof x / sizeof *x, 6), fill(bias, sizeof bias / sizeof *bias, 6), mark(tops, 4);
            memcpy(kept, x, sizeof kept);
            x[rows * line] = UNTOUCHED;
            set->softmax(x, rows, n, line, 0.75f, biased ? bias : NULL, stride, tops);
            for (uint32_t r = 0; r < rows; r++) {
                double logits[MOST], top = -1e30, sum = 0;

                for (uint32_t i = 0; i < n; i++) {
                    logits[i] = 0.75 * (double)kept[r * line + i] + (biased ? (double)bias[r * stride + i] : 0);
                    top = logits[i] > top ? logits[i] : top;
                }
                check_near("softmax's top", tops[r], top, 1);
                for (uint32_t i = 0; i < n; i++)
                    sum += exp(logits[i] - top);
                for (uint32_t i = 0; i < line; i++)
                    check_near("softmax", x[r * line + i], i < n ? exp(logits[i] - top) / sum : 0, i < n);
            }
            CHECK(x[rows * line] == UNTOUCHED && tops[rows] == UNTOUCHED);
        }
}

/* ---- element by element --------------------------------------------------------------------------------------- */

static double of(uint32_t function, double x, double y) {
    switch (function) {
    case EXL__ADD: return x + y;
    case EXL__SUB: return x - y;
    case EXL__MUL: return x * y;
    case EXL__DIV: return x / y;
    case EXL__MAX: return x > y ? x : y;
    case EXL__MIN: return x < y ? x : y;
    case EXL__SQRT: return sqrt(x);
    case EXL__ERF: return erf(x);
    case EXL__TANH: return tanh(x);
    case EXL__EXP: return exp(x);
    case EXL__RELU: return x > 0 ? x : 0;
    case EXL__GELU: return x * 0.5 * erfc(-x / sqrt(2.0));
    case EXL__SIGMOID: return 1 / (1 + exp(-x));
    default: return x;
    }
}

static void check_map(void) {
    static const uint32_t functions[] = {EXL__ADD, EXL__SUB,  EXL__MUL, EXL__DIV,  EXL__MAX,  EXL__MIN,  EXL__SQRT,
                                         EXL__ERF, EXL__TANH, EXL__EXP, EXL__RELU, EXL__GELU, EXL__COPY, EXL__SIGMOID};
    float inputs[2][3 * ROOM], out[3 * ROOM];

    for (size_t f = 0; f < sizeof functions / sizeof *functions; f++)
        for (uint32_t n = 1; n <= MOST; n++)
            for (uint32_t steps = 0; steps < 4; steps++) {
                exl__mapping m = {.function = functions[f], .rows = 1 + n % 3, .n = n, .out = out};
                int two = functions[f] != EXL__COPY && functions[f] < EXL__SQRT;

                for (size_t i = 0; i < 3 * ROOM; i++) {
                    inputs[0][i] = functions[f] == EXL__SQRT ? (float)draw(1000) / 50 : draw_number(6);
                    inputs[1][i] = (draw(2) ? 1.0f : -1.0f) * (0.5f + (float)draw(1000) / 200);
                }
                mark(out, 3 * ROOM);
                m.out_stride = n + GAP;
                for (int i = 0; i < 1 + two; i++) {
                    m.inputs[i] = inputs[i];
                    m.steps[i] = steps >> i & 1;
                    m.strides[i] = m.steps[i] ? n + 1 : n % 2;
                }
                set->map(&m);
                for (uint32_t r = 0; r < 3; r++)
                    for (uint32_t i = 0; i < n + GAP; i++) {
                        double x = (double)inputs[0][r * m.strides[0] + i * m.steps[0]];
                        double y = (double)inputs[1][r * m.strides[1] + i * m.steps[1]];
                        if (r < m.rows && i < n)
                            check_near("map", out[r * m.out_stride + i], of(functions[f], x, y),
                                       functions[f] == EXL__GELU ? 1 + fabs(x) : 1);
                        else
                            CHECK(out[r * m.out_stride + i] == UNTOUCHED);
                    }
            }
}

/* Far outside of where the functions bend, and what is not a number. */
static void check_ends(void) {
    static const struct {
        uint32_t function;
        float x;
        double expected;
    } ends[] = {{EXL__ERF, 50, 1},      {EXL__ERF, -50, -1},     {EXL__TANH, 1e30f, 1}, {EXL__TANH, -1e30f, -1},
                {EXL__SIGMOID, 200, 1}, {EXL__SIGMOID, -200, 0}, {EXL__EXP, -1000, 0},  {EXL__GELU, -100, 0},
                {EXL__GELU, 100, 100},  {EXL__RELU, -1e30f, 0},  {EXL__RELU, NAN, 0}};
    float out[2];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        exl__mapping m = {.function = ends[i].function, .rows = 1, .n = 1, .out = out, .out_stride = 1};
        m.inputs[0] = &ends[i].x;
        set->map(&m);
        CHECK(fabs((double)out[0] - ends[i].expected) <=
              1.5e-6 * (ends[i].function == EXL__GELU ? fabs((double)ends[i].x) : 1));
    }
    for (int way = 0; way < 4; way++) { /* the other one where the first is not a number; else the larger or smaller */
        const float x[2] = {way & 1 ? NAN : 2, way & 2 ? 1.0f : 3.0f};
        for (uint32_t function = EXL__MAX; function <= EXL__MIN; function += EXL__MIN - EXL__MAX) {
            exl__mapping m = {.function = function, .rows = 1, .n = 1, .out = out, .inputs = {x, x + 1}};
            set->map(&m);
            CHECK(out[0] == (way & 1 ? x[1] : (function == EXL__MAX) == (x[0] > x[1]) ? x[0] : x[1]));
        }
    }
}

static void check_totals(void) {
    float x[MOST], totals[MOST + 1], before[MOST];
    int8_t codes[MOST];

    for (uint32_t n = 1; n <= MOST; n++) {
        double sum = 0;

        fill(x, n, 3);
        for (uint32_t i = 0; i < n; i++)
            sum += (double)x[i];
        check_near("sum", set->sum(x, n), sum, n);
        for (int way = 0; way < 3; way++) {
            mark(totals, MOST + 1), fill(totals, n, 3);
            memcpy(before, totals, sizeof before);
            for (uint32_t i = 0; i < n; i++)
                codes[i] = (int8_t)((int)draw(256) - 128);
            if (way == 0)
                set->add(totals, x, n);
            else if (way == 1)
                set->keep_larger(totals, x, n);
            else
                set->widen(codes, 0.37f, n, totals);
            for (uint32_t i = 0; i < n; i++)
                check_near("totals", totals[i],
                           way == 0   ? (double)before[i] + (double)x[i]
                           : way == 1 ? of(EXL__MAX, (double)before[i], (double)x[i])
                                      : codes[i] * (double)0.37f,
                           1);
            CHECK(totals[n] == UNTOUCHED);
        }
    }
}

static void check_choice(void) {
    CHECK(exl__kernels_named("no such set") == NULL && exl__kernels_named("") == NULL);
    CHECK(exl__kernels_best(1) == &exl__kernels_scalar && exl__kernels_named("scalar") == &exl__kernels_scalar);
    CHECK(exl__kernels_named(exl__kernels_best(0)->name) == exl__kernels_best(0));
    for (size_t i = 0; i < sizeof SETS / sizeof *SETS; i++) {
        const exl__kernels *one = exl__kernels_named(SETS[i]);
        CHECK(!one || strcmp(one->name, SETS[i]) == 0);
    }
}

int main(void) {
    int checked = 0;

    check_choice();
    for (size_t i = 0; i < sizeof SETS / sizeof *SETS; i++) {
        if (!(set = exl__kernels_named(SETS[i])))
            continue;
        check_quantize_row();
        check_finish();
        check_add_block();
        check_product();
        check_layer_norm();
        check_softmax();
        check_map();
        check_ends();
        check_totals();
        checked++;
    }
    printf("native numbers: %d sets compute what they should\n", checked);
    return 0;
}
