/* native_float.h: the float kernels, once for each instruction set. No include guard: the including file sets
 *
 *     NATIVE_NAME(x)               the name that x gets there
 *     NATIVE_LANES                 floats in a vector: 4, 8 or 16
 *     NATIVE_ROWS                  rows of a product's tile
 *     NATIVE_TILE_VECTORS          vectors of a panel that the tile has at a time; all, where it is not set
 *     NATIVE_LEAST, NATIVE_MOST    (x, y) the smaller and larger of two vectors; y where x is not a number
 *     NATIVE_NAME(narrow)          (panel, code_bytes, flip, to) 16 integers, cut to 0 to 255, as codes
 *
 * and the compiler's target. Everything goes by panels of 16 numbers, whatever the vectors' width, and no product is
 * fused into a sum, so that all instruction sets give the same bits. */

typedef float NATIVE_NAME(vector) __attribute__((vector_size(NATIVE_LANES * 4), aligned(4), may_alias));
typedef int32_t NATIVE_NAME(integers) __attribute__((vector_size(NATIVE_LANES * 4), aligned(4), may_alias));
/* For sums with a column's code sum, which comes out of a file and may be any number: they wrap. */
typedef uint32_t NATIVE_NAME(words) __attribute__((vector_size(NATIVE_LANES * 4), aligned(4), may_alias));
enum { NATIVE_NAME(vectors) = EXL__PANEL / NATIVE_LANES };

#ifndef NATIVE_TILE_VECTORS
#define NATIVE_TILE_VECTORS NATIVE_NAME(vectors)
#endif

#ifndef VECTOR /* the same text for every set */
#define VECTOR NATIVE_NAME(vector)
#define INTEGERS NATIVE_NAME(integers)
#define WORDS NATIVE_NAME(words)
/* Vector v of the panel at p. */
#define VECTOR_AT(p, v) (*(const VECTOR *)(const void *)((p) + (v) * NATIVE_LANES))
#define PUT_VECTOR(p, v, value) (*(VECTOR *)(void *)((p) + (v) * NATIVE_LANES) = (value))
#define EACH_VECTOR(v) for (uint32_t v = 0; v < NATIVE_NAME(vectors); v++)
/* 1.5 x 2^23: adding it rounds to an integer, which stands in the low bits. */
#define NATIVE_MAGIC 12582912.0f
#define NATIVE_MAGIC_BITS 0x4B400000
#endif

/* ---- numbers ------------------------------------------------------------------------------------------------- */

EXL__INLINE VECTOR NATIVE_NAME(clamp)(VECTOR x, float low, float high) {
    const VECTOR zero = {0};
    return NATIVE_LEAST(NATIVE_MOST(x, zero + low), zero + high);
}

/* e^x, within 2e-7 of it, from e^-87 on; numbers outside of -87 to 88 are taken as these. Cody and Waite's reduction
 * and the polynomial of Cephes' expf. */
EXL__INLINE VECTOR NATIVE_NAME(exp)(VECTOR x) {
    VECTOR shifted, whole, r, p;

    x = NATIVE_NAME(clamp)(x, -87.0f, 88.0f);
    shifted = x * 1.44269504088896341f + NATIVE_MAGIC;
    whole = shifted - NATIVE_MAGIC;
    r = x - whole * 0.693359375f - whole * -2.12194440e-4f;
    p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    return p * (VECTOR)(((INTEGERS)shifted << 23) + 0x3F800000);
}

/* erf(x), within 5e-7 of it: the rational function that Eigen uses, its range cut at 4. */
EXL__INLINE VECTOR NATIVE_NAME(erf)(VECTOR x) {
    VECTOR s, p, q;

    x = NATIVE_NAME(clamp)(x, -4.0f, 4.0f);
    s = x * x;
    p = s * -2.72614225801306e-10f + 2.77068142495902e-08f;
    p = p * s + -2.10102402082508e-06f;
    p = p * s + -5.69250639462346e-05f;
    p = p * s + -7.34990630326855e-04f;
    p = p * s + -2.95459980854025e-03f;
    p = p * s + -1.60960333262415e-02f;
    q = s * -1.45660718464996e-05f + -2.13374055278905e-04f;
    q = q * s + -1.68282697438203e-03f;
    q = q * s + -7.37332916720468e-03f;
    q = q * s + -1.42647390514189e-02f;
    return x * p / q;
}

/* tanh(x), within 5e-7 of it, in the same way. */
EXL__INLINE VECTOR NATIVE_NAME(tanh)(VECTOR x) {
    VECTOR s, p, q;

    x = NATIVE_NAME(clamp)(x, -7.90531110763549805f, 7.90531110763549805f);
    s = x * x;
    p = s * -2.76076847742355e-16f + 2.00018790482477e-13f;
    p = p * s + -8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    q = s * 1.19825839466702e-06f + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}

/* x (1 + erf(x / sqrt(2))) / 2, within 1.3e-6 |x| of it: the odd rational function nearest to the normal distribution
 * less a half between -5 and 5, by linear programming; beyond, it is taken as there. A third less work than by erf. */
EXL__INLINE VECTOR NATIVE_NAME(gelu)(VECTOR x) {
    VECTOR t = NATIVE_NAME(clamp)(x, -5.0f, 5.0f), s = t * t, p, q;

    p = s * -7.076955537e-08f + 4.339375346e-05f;
    p = p * s + 4.069003620e-03f;
    p = p * s + 2.817381817e-02f;
    p = p * s + 3.989481449e-01f;
    q = s * 1.319558006e-03f + 2.466550938e-02f;
    q = q * s + 2.373574529e-01f;
    q = q * s + 1.0f;
    return x * (t * p / q + 0.5f);
}

EXL__INLINE VECTOR NATIVE_NAME(relu)(VECTOR x) { return NATIVE_MOST(x, (VECTOR){0}); }
EXL__INLINE VECTOR NATIVE_NAME(sigmoid)(VECTOR x) { return 1.0f / (1.0f + NATIVE_NAME(exp)(-x)); }

/* ---- sums and ranges ------------------------------------------------------------------------------------------ */

/* Lane l with lane l + 8, then + 4, + 2, + 1. */
EXL__INLINE float NATIVE_NAME(join)(VECTOR totals[NATIVE_NAME(vectors)]) {
    float lanes[NATIVE_LANES];

    for (uint32_t width = NATIVE_NAME(vectors) / 2; width > 0; width /= 2)
        for (uint32_t v = 0; v < width; v++)
            totals[v] += totals[v + width];
    PUT_VECTOR(lanes, 0, totals[0]);
    for (uint32_t width = NATIVE_LANES / 2; width > 0; width /= 2)
        for (uint32_t l = 0; l < width; l++)
            lanes[l] += lanes[l + width];
    return lanes[0];
}

/* The sum of x - mean, or of its squares, in 16 lanes; the numbers behind the last whole panel go each to its lane. */
static __attribute__((noinline)) float NATIVE_NAME(total)(const float *x, float mean, int squares, uint32_t n) {
    VECTOR totals[NATIVE_NAME(vectors)];
    uint32_t i = 0;

    EACH_VECTOR(v) totals[v] = (VECTOR){0};
    for (; i + EXL__PANEL <= n; i += EXL__PANEL)
        EACH_VECTOR(v) {
            VECTOR d = VECTOR_AT(x + i, v);
            if (squares)
                d = (d - mean) * (d - mean);
            totals[v] += d;
        }
    if (i < n) {
        float lanes[EXL__PANEL];
        EACH_VECTOR(v) PUT_VECTOR(lanes, v, totals[v]);
        for (uint32_t l = 0; i + l < n; l++)
            lanes[l] += squares ? (x[i + l] - mean) * (x[i + l] - mean) : x[i + l];
        EACH_VECTOR(v) totals[v] = VECTOR_AT(lanes, v);
    }
    return NATIVE_NAME(join)(totals);
}

static float NATIVE_NAME(sum)(const float *x, uint32_t n) { return NATIVE_NAME(total)(x, 0, 0, n); }

/* Smallest and largest number of a row and 0. */
EXL__INLINE void NATIVE_NAME(range)(const float *x, uint32_t n, float *low, float *high) {
    VECTOR lows[NATIVE_NAME(vectors)], highs[NATIVE_NAME(vectors)];
    float lanes[2][EXL__PANEL];
    const float *end = x + n, *panels_end = end - n % EXL__PANEL;

    EACH_VECTOR(v) lows[v] = highs[v] = (VECTOR){0};
    for (; x < panels_end; x += EXL__PANEL)
        EACH_VECTOR(v) {
            VECTOR numbers = VECTOR_AT(x, v);
            lows[v] = NATIVE_LEAST(numbers, lows[v]);
            highs[v] = NATIVE_MOST(numbers, highs[v]);
        }
    for (uint32_t v = 1; v < NATIVE_NAME(vectors); v++) {
        lows[0] = NATIVE_LEAST(lows[v], lows[0]);
        highs[0] = NATIVE_MOST(highs[v], highs[0]);
    }
    PUT_VECTOR(lanes[0], 0, lows[0]);
    PUT_VECTOR(lanes[1], 0, highs[0]);
    *low = *high = 0;
    for (uint32_t l = 0; l < NATIVE_LANES; l++) {
        *low = lanes[0][l] < *low ? lanes[0][l] : *low;
        *high = lanes[1][l] > *high ? lanes[1][l] : *high;
    }
    for (; x < end; x++) {
        *low = *x < *low ? *x : *low;
        *high = *x > *high ? *x : *high;
    }
}

/* ---- quantised rows -------------------------------------------------------------------------------------------- */

static void NATIVE_NAME(quantize_row)(const float *x, uint32_t n, uint32_t padded, uint32_t code_bytes, uint32_t flip,
                                      void *codes, float *scale, int32_t *zero) {
    float low, high, unit, inverse, rest[EXL__PANEL] = {0};
    union {
        float f;
        int32_t i;
    } middle;

    NATIVE_NAME(range)(x, n, &low, &high);
    unit = (high - low) * (1.0f / 255.0f);
    inverse = unit >= 1e-30f ? 1.0f / unit : 0.0f; /* a row of zeros, or so small that 1 / unit would overflow */
    middle.f = 0.0f - low * inverse + NATIVE_MAGIC;
    middle.i = (middle.i - NATIVE_MAGIC_BITS) & 0xFFFF; /* 0 to 255 where all is finite */
    *scale = inverse > 0.0f ? unit : 0.0f;
    *zero = middle.i - (int32_t)flip;
    for (uint32_t i = 0; i < padded; i += EXL__PANEL) {
        INTEGERS panel[NATIVE_NAME(vectors)];
        const float *from = x + i;

        if (i + EXL__PANEL > n) { /* codes of zeros behind the row, which meet weights of 0 */
            memcpy(rest, from, (n - i) * sizeof *rest);
            from = rest;
        }
        EACH_VECTOR(v) /* the nearest integer, ties to the even one, and the zero point; any where x is no number */
        panel[v] = (INTEGERS)(VECTOR_AT(from, v) * inverse + NATIVE_MAGIC) + (middle.i - NATIVE_MAGIC_BITS);
        NATIVE_NAME(narrow)(panel, code_bytes, flip, (uint8_t *)codes + (size_t)i * code_bytes);
    }
}

EXL__INLINE VECTOR NATIVE_NAME(activated)(uint32_t activation, VECTOR x) {
    switch (activation) {
    case EXL__ACT_RELU: return NATIVE_NAME(relu)(x);
    case EXL__ACT_GELU: return NATIVE_NAME(gelu)(x);
    case EXL__ACT_TANH: return NATIVE_NAME(tanh)(x);
    default: return x;
    }
}

/* A row's 16 numbers, and what is added to them, to where they belong. */
EXL__INLINE void NATIVE_NAME(put_row)(const VECTOR *numbers, uint32_t columns, const float *residual, float *out) {
    float row[EXL__PANEL];

    if (columns < EXL__PANEL) {
        EACH_VECTOR(v) PUT_VECTOR(row, v, numbers[v]);
        for (uint32_t l = 0; l < columns; l++)
            out[l] = residual ? row[l] + residual[l] : row[l];
    } else if (residual) {
        EACH_VECTOR(v) PUT_VECTOR(out, v, numbers[v] + VECTOR_AT(residual, v));
    } else {
        EACH_VECTOR(v) PUT_VECTOR(out, v, numbers[v]);
    }
}

/* Sums to numbers. What a panel's rows share is read once; the description is a copy, which no store can change. An
 * activation has a loop of its own, for its constants fill the registers. */
EXL__INLINE void NATIVE_NAME(finish_as)(const exl__finish f, const int is_integer, const uint32_t activation) {
    VECTOR scales[NATIVE_NAME(vectors)], biases[NATIVE_NAME(vectors)], numbers[NATIVE_NAME(vectors)];
    WORDS code_sums[NATIVE_NAME(vectors)];
    const float *residual = f.residual;
    float *tile = f.tile, *out = f.out;

    EACH_VECTOR(v) {
        biases[v] = VECTOR_AT(f.bias, v);
        if (!is_integer)
            continue;
        scales[v] = VECTOR_AT(f.scales, v);
        code_sums[v] = *(const WORDS *)(const void *)(f.code_sums + v * NATIVE_LANES);
    }
    for (uint32_t r = 0; r < f.rows; r++, tile += f.tile_stride) {
        const float scale = f.row_scales[r];
        const uint32_t zero = is_integer ? (uint32_t)f.row_zeros[r] : 0;

        EACH_VECTOR(v) {
            if (is_integer) {
                WORDS sum = *(const WORDS *)(const void *)(tile + v * NATIVE_LANES) - zero * code_sums[v];
                numbers[v] = __builtin_convertvector((INTEGERS)sum, VECTOR) * (scales[v] * scale);
            } else {
                numbers[v] = VECTOR_AT(tile, v) * scale;
            }
            numbers[v] += biases[v];
        }
        if (activation == EXL__ACT_NONE) {
            NATIVE_NAME(put_row)(numbers, f.columns, residual, out);
            out += f.out_stride;
            residual = residual ? residual + f.residual_stride : NULL;
        } else {
            EACH_VECTOR(v) PUT_VECTOR(tile, v, numbers[v]);
        }
    }
    if (activation == EXL__ACT_NONE)
        return;
    tile = f.tile;
    for (uint32_t r = 0; r < f.rows; r++, tile += f.tile_stride, out += f.out_stride) {
        EACH_VECTOR(v) numbers[v] = NATIVE_NAME(activated)(activation, VECTOR_AT(tile, v));
        NATIVE_NAME(put_row)(numbers, f.columns, residual, out);
        residual = residual ? residual + f.residual_stride : NULL;
    }
}

static void NATIVE_NAME(finish)(const exl__finish *f) {
    if (f->scales && f->activation == EXL__ACT_NONE)
        NATIVE_NAME(finish_as)(*f, 1, EXL__ACT_NONE);
    else if (f->scales && f->activation == EXL__ACT_GELU)
        NATIVE_NAME(finish_as)(*f, 1, EXL__ACT_GELU);
    else if (f->activation == EXL__ACT_NONE)
        NATIVE_NAME(finish_as)(*f, 0, EXL__ACT_NONE);
    else
        NATIVE_NAME(finish_as)(*f, f->scales != NULL, f->activation);
}

static void NATIVE_NAME(add_block)(const int32_t *sums, int32_t zero, const float *scales, const int32_t *code_sums,
                                   float *totals) {
    EACH_VECTOR(v) {
        WORDS sum = *(const WORDS *)(const void *)(sums + v * NATIVE_LANES);
        sum -= (uint32_t)zero * *(const WORDS *)(const void *)(code_sums + v * NATIVE_LANES);
        PUT_VECTOR(totals, v,
                   VECTOR_AT(totals, v) + __builtin_convertvector((INTEGERS)sum, VECTOR) * VECTOR_AT(scales, v));
    }
}

/* ---- products -------------------------------------------------------------------------------------------------- */

/* Some vectors of the panel after others: with as many totals as registers hold. */
EXL__INLINE void NATIVE_NAME(float_tile)(const float *a, size_t a_stride, const uint32_t rows, const float *b,
                                         size_t b_stride, uint32_t depth, float *out, size_t out_stride) {
    for (uint32_t part = 0; part < EXL__PANEL; part += NATIVE_TILE_VECTORS * NATIVE_LANES) {
        NATIVE_NAME(vector) totals[NATIVE_ROWS][NATIVE_TILE_VECTORS];

        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t v = 0; v < NATIVE_TILE_VECTORS; v++)
                totals[r][v] = (NATIVE_NAME(vector)){0};
        for (uint32_t k = 0; k < depth; k++) {
            NATIVE_NAME(vector) line[NATIVE_TILE_VECTORS];
            for (uint32_t v = 0; v < NATIVE_TILE_VECTORS; v++)
                line[v] = VECTOR_AT(b + k * b_stride + part, v);
            for (uint32_t r = 0; r < rows; r++)
                for (uint32_t v = 0; v < NATIVE_TILE_VECTORS; v++)
                    totals[r][v] += a[r * a_stride + k] * line[v];
        }
        for (uint32_t r = 0; r < rows; r++)
            for (uint32_t v = 0; v < NATIVE_TILE_VECTORS; v++)
                PUT_VECTOR(out + r * out_stride + part, v, totals[r][v]);
    }
}

static void NATIVE_NAME(product_f32)(const float *a, size_t a_stride, uint32_t rows, const float *b, size_t b_stride,
                                     uint32_t depth, float *out, size_t out_stride) {
#if NATIVE_ROWS == 8
    switch (rows) { ROWS_8(NATIVE_NAME(float_tile), a, a_stride, b, b_stride, depth, out, out_stride); }
#else
    switch (rows) { ROWS_4(NATIVE_NAME(float_tile), a, a_stride, b, b_stride, depth, out, out_stride); }
#endif
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

static void NATIVE_NAME(layer_norm)(const float *x, uint32_t n, float epsilon, const float *gamma, const float *beta,
                                    float *out) {
    const float mean = NATIVE_NAME(total)(x, 0, 0, n) / (float)n;
    const float scale = 1.0f / sqrtf(NATIVE_NAME(total)(x, mean, 1, n) / (float)n + epsilon);
    uint32_t i = 0;

    for (; i + EXL__PANEL <= n; i += EXL__PANEL)
        EACH_VECTOR(v) {
            VECTOR y = (VECTOR_AT(x + i, v) - mean) * scale;
            if (gamma)
                y *= VECTOR_AT(gamma + i, v);
            if (beta)
                y += VECTOR_AT(beta + i, v);
            PUT_VECTOR(out + i, v, y);
        }
    for (; i < n; i++) {
        float y = (x[i] - mean) * scale;
        y = gamma ? y * gamma[i] : y;
        out[i] = beta ? y + beta[i] : y;
    }
}

/* The row's last panel has `left` numbers; what is behind them weighs nothing. */
EXL__INLINE VECTOR NATIVE_NAME(cut_off)(const float *ramp, uint32_t v, VECTOR x, VECTOR instead, float left) {
    const INTEGERS is_in = (INTEGERS)(VECTOR_AT(ramp, v) < left);
    return (VECTOR)((is_in & (INTEGERS)x) | (~is_in & (INTEGERS)instead));
}

EXL__INLINE float NATIVE_NAME(softmax_row)(float *x, uint32_t n, uint32_t line, float scale, const float *bias) {
    static const float ramp[EXL__PANEL] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const uint32_t last = line - EXL__PANEL;
    const float left = (float)(n - last);
    const VECTOR none = (VECTOR){0} - 3.4e38f;
    VECTOR tops = none, totals[NATIVE_NAME(vectors)];
    float lanes[NATIVE_LANES], top, share;

    for (uint32_t i = 0; i < line; i += EXL__PANEL)
        EACH_VECTOR(v) {
            VECTOR number = VECTOR_AT(x + i, v) * scale;
            if (bias)
                number += VECTOR_AT(bias + i, v);
            if (i == last)
                number = NATIVE_NAME(cut_off)(ramp, v, number, none, left);
            PUT_VECTOR(x + i, v, number);
            tops = NATIVE_MOST(number, tops);
        }
    PUT_VECTOR(lanes, 0, tops);
    top = lanes[0];
    for (uint32_t l = 1; l < NATIVE_LANES; l++)
        top = lanes[l] > top ? lanes[l] : top;
    EACH_VECTOR(v) totals[v] = (VECTOR){0};
    for (uint32_t i = 0; i < line; i += EXL__PANEL)
        EACH_VECTOR(v) {
            VECTOR number = NATIVE_NAME(exp)(VECTOR_AT(x + i, v) - top);
            if (i == last)
                number = NATIVE_NAME(cut_off)(ramp, v, number, (VECTOR){0}, left);
            PUT_VECTOR(x + i, v, number);
            totals[v] += number;
        }
    share = 1.0f / NATIVE_NAME(join)(totals);
    for (uint32_t i = 0; i < line; i += EXL__PANEL)
        EACH_VECTOR(v) PUT_VECTOR(x + i, v, VECTOR_AT(x + i, v) * share);
    return top;
}

static void NATIVE_NAME(softmax)(float *x, uint32_t rows, uint32_t n, uint32_t line, float scale, const float *bias,
                                 size_t bias_stride, float *tops) {
    for (uint32_t r = 0; r < rows; r++)
        if (bias)
            tops[r] = NATIVE_NAME(softmax_row)(x + (size_t)r * line, n, line, scale, bias + r * bias_stride);
        else
            tops[r] = NATIVE_NAME(softmax_row)(x + (size_t)r * line, n, line, scale, NULL);
}

/* ---- element by element ---------------------------------------------------------------------------------------- */

EXL__INLINE VECTOR NATIVE_NAME(of)(uint32_t function, VECTOR x, VECTOR y) {
    switch (function) {
    case EXL__ADD: return x + y;
    case EXL__SUB: return x - y;
    case EXL__MUL: return x * y;
    case EXL__DIV: return x / y;
    case EXL__MAX: return NATIVE_MOST(x, y);
    case EXL__MIN: return NATIVE_LEAST(x, y);
    case EXL__ERF: return NATIVE_NAME(erf)(x);
    case EXL__TANH: return NATIVE_NAME(tanh)(x);
    case EXL__EXP: return NATIVE_NAME(exp)(x);
    case EXL__RELU: return NATIVE_NAME(relu)(x);
    case EXL__GELU: return NATIVE_NAME(gelu)(x);
    case EXL__SIGMOID: return NATIVE_NAME(sigmoid)(x);
    default: return x;
    }
}

/* The last numbers go through a panel of their own; one that all share is spread over a panel once. */
EXL__INLINE void NATIVE_NAME(map_as)(const uint32_t function, uint32_t n, float *out, const float *a, uint32_t a_step,
                                     const float *b, uint32_t b_step) {
    const uint32_t whole = n - n % EXL__PANEL, left = n - whole;
    float spread[2][EXL__PANEL], last[EXL__PANEL];
    const float *x = a, *y = b;

    if (!a_step || !b_step || left > 0)
        EACH_VECTOR(v) {
            PUT_VECTOR(spread[0], v, (VECTOR){0} + a[0]);
            PUT_VECTOR(spread[1], v, (VECTOR){0} + b[0]);
        }
    x = a_step ? a : spread[0];
    y = b_step ? b : spread[1];
    for (uint32_t i = 0; i < whole; i += EXL__PANEL, x += a_step * EXL__PANEL, y += b_step * EXL__PANEL)
        EACH_VECTOR(v) PUT_VECTOR(out + i, v, NATIVE_NAME(of)(function, VECTOR_AT(x, v), VECTOR_AT(y, v)));
    if (left == 0)
        return;
    for (uint32_t l = 0; l < left; l++) {
        spread[0][l] = a_step ? x[l] : spread[0][l];
        spread[1][l] = b_step ? y[l] : spread[1][l];
    }
    EACH_VECTOR(v) PUT_VECTOR(last, v, NATIVE_NAME(of)(function, VECTOR_AT(spread[0], v), VECTOR_AT(spread[1], v)));
    for (uint32_t l = 0; l < left; l++)
        out[whole + l] = last[l];
}

/* Functions of one operand get it twice. */
static void NATIVE_NAME(map)(const exl__mapping *m) {
    const int other = m->inputs[1] != NULL;

    for (uint32_t r = 0; r < m->rows; r++) {
        float *out = m->out + r * m->out_stride;
        const float *a = m->inputs[0] + r * m->strides[0], *b = m->inputs[other] + r * m->strides[other];

        if (m->function == EXL__SQRT)
            for (uint32_t i = 0; i < m->n; i++)
                out[i] = sqrtf(a[i * m->steps[0]]);
        else if (m->function == EXL__ADD) /* of what plans have, these are most */
            NATIVE_NAME(map_as)(EXL__ADD, m->n, out, a, m->steps[0], b, m->steps[other]);
        else if (m->function == EXL__MUL)
            NATIVE_NAME(map_as)(EXL__MUL, m->n, out, a, m->steps[0], b, m->steps[other]);
        else if (m->function == EXL__RELU)
            NATIVE_NAME(map_as)(EXL__RELU, m->n, out, a, m->steps[0], b, m->steps[other]);
        else
            NATIVE_NAME(map_as)(m->function, m->n, out, a, m->steps[0], b, m->steps[other]);
    }
}

static void NATIVE_NAME(add)(float *totals, const float *x, uint32_t n) {
    const exl__mapping m = {EXL__ADD, 1, n, totals, 0, {totals, x}, {1, 1}, {0, 0}};

    NATIVE_NAME(map)(&m);
}

static void NATIVE_NAME(keep_larger)(float *totals, const float *x, uint32_t n) {
    const exl__mapping m = {EXL__MAX, 1, n, totals, 0, {x, totals}, {1, 1}, {0, 0}};

    NATIVE_NAME(map)(&m);
}

static void NATIVE_NAME(widen)(const int8_t *codes, float scale, uint32_t n, float *out) {
    typedef int8_t bytes __attribute__((vector_size(NATIVE_LANES), aligned(1), may_alias));
    uint32_t i = 0;

    for (; i + NATIVE_LANES <= n; i += NATIVE_LANES)
        PUT_VECTOR(out + i, 0, __builtin_convertvector(*(const bytes *)(const void *)(codes + i), VECTOR) * scale);
    for (; i < n; i++)
        out[i] = (float)codes[i] * scale;
}

/* A set of kernels: its name, its products with weights of 8 and of 7 bits, and the float kernels. */
#define NATIVE_KERNELS(called, of_eight, of_seven)                                                                     \
    {.name = called,                                                                                                   \
     .eight = of_eight,                                                                                                \
     .seven = of_seven,                                                                                                \
     .float_rows = NATIVE_ROWS,                                                                                        \
     .quantize_row = NATIVE_NAME(quantize_row),                                                                        \
     .finish = NATIVE_NAME(finish),                                                                                    \
     .add_block = NATIVE_NAME(add_block),                                                                              \
     .product_f32 = NATIVE_NAME(product_f32),                                                                          \
     .layer_norm = NATIVE_NAME(layer_norm),                                                                            \
     .softmax = NATIVE_NAME(softmax),                                                                                  \
     .map = NATIVE_NAME(map),                                                                                          \
     .sum = NATIVE_NAME(sum),                                                                                          \
     .add = NATIVE_NAME(add),                                                                                          \
     .keep_larger = NATIVE_NAME(keep_larger),                                                                          \
     .widen = NATIVE_NAME(widen)}
