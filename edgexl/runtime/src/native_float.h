/* native_float.h: the float kernels, once for each instruction set. No include guard: the including file sets
 *
 *     NATIVE_NAME(x)   the name that x gets there
 *     NATIVE_LANES     floats in a vector: 4, 8 or 16
 *     NATIVE_ROWS      rows of a product's tile
 *
 * and the compiler's target. The loops are written for the compiler to make vectors of them; the sums' order is in the
 * code, so that vectors of any width give the same bits. */

typedef float NATIVE_NAME(vector) __attribute__((vector_size(NATIVE_LANES * 4), aligned(4), may_alias));
enum { NATIVE_NAME(vectors) = EXL__PANEL / NATIVE_LANES };

/* ---- numbers ------------------------------------------------------------------------------------------------- */

/* e^x, within 2e-7 of it, from e^-87 on; numbers outside of -87 to 88 are taken as these. Cody and Waite's reduction
 * and the polynomial of Cephes' expf. */
static inline float NATIVE_NAME(exp)(float x) {
    const float magic = 12582912.0f; /* 1.5 x 2^23: adding it rounds to an integer */
    float shifted, whole, r, p;
    union {
        float f;
        uint32_t u;
    } power;

    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    shifted = x * 1.44269504088896341f + magic;
    power.f = shifted;
    whole = shifted - magic;
    r = x - whole * 0.693359375f - whole * -2.12194440e-4f;
    p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    power.u = (power.u << 23) + 0x3F800000u; /* the integer stands in the low bits */
    return p * power.f;
}

/* erf(x), within 5e-7 of it: the rational function that Eigen uses, its range cut at 4. */
static inline float NATIVE_NAME(erf)(float x) {
    float s, p, q;

    x = x < -4.0f ? -4.0f : x;
    x = x > 4.0f ? 4.0f : x;
    s = x * x;
    p = -2.72614225801306e-10f;
    p = p * s + 2.77068142495902e-08f;
    p = p * s + -2.10102402082508e-06f;
    p = p * s + -5.69250639462346e-05f;
    p = p * s + -7.34990630326855e-04f;
    p = p * s + -2.95459980854025e-03f;
    p = p * s + -1.60960333262415e-02f;
    q = -1.45660718464996e-05f;
    q = q * s + -2.13374055278905e-04f;
    q = q * s + -1.68282697438203e-03f;
    q = q * s + -7.37332916720468e-03f;
    q = q * s + -1.42647390514189e-02f;
    return x * p / q;
}

/* tanh(x), within 5e-7 of it, in the same way. */
static inline float NATIVE_NAME(tanh)(float x) {
    float s, p, q;

    x = x < -7.90531110763549805f ? -7.90531110763549805f : x;
    x = x > 7.90531110763549805f ? 7.90531110763549805f : x;
    s = x * x;
    p = -2.76076847742355e-16f;
    p = p * s + 2.00018790482477e-13f;
    p = p * s + -8.60467152213735e-11f;
    p = p * s + 5.12229709037114e-08f;
    p = p * s + 1.48572235717979e-05f;
    p = p * s + 6.37261928875436e-04f;
    p = p * s + 4.89352455891786e-03f;
    q = 1.19825839466702e-06f;
    q = q * s + 1.18534705686654e-04f;
    q = q * s + 2.26843463243900e-03f;
    q = q * s + 4.89352518554385e-03f;
    return x * p / q;
}

static inline float NATIVE_NAME(gelu)(float x) {
    return 0.5f * x * (1.0f + NATIVE_NAME(erf)(x * 0.707106781186547524f));
}

static inline float NATIVE_NAME(sigmoid)(float x) { return 1.0f / (1.0f + NATIVE_NAME(exp)(-x)); }
static inline float NATIVE_NAME(relu)(float x) { return x > 0.0f ? x : 0.0f; }

/* The nearest integer, ties to the even one; any bits where x is beyond 2^22 or not a number. */
static inline int32_t NATIVE_NAME(round)(float x) {
    union {
        float f;
        uint32_t u;
    } shifted;

    shifted.f = x + 12582912.0f;
    return (int32_t)(shifted.u - 0x4B400000u);
}

/* ---- sums and ranges ------------------------------------------------------------------------------------------ */

static inline float NATIVE_NAME(join)(float lanes[EXL__PANEL]) {
    for (int width = EXL__PANEL / 2; width > 0; width /= 2)
        for (int l = 0; l < width; l++)
            lanes[l] += lanes[l + width];
    return lanes[0];
}

static float NATIVE_NAME(sum)(const float *x, uint32_t n) {
    NATIVE_NAME(vector) totals[NATIVE_NAME(vectors)] = {{0}};
    float lanes[EXL__PANEL];
    uint32_t i = 0;

    for (; i + EXL__PANEL <= n; i += EXL__PANEL)
        for (int v = 0; v < NATIVE_NAME(vectors); v++)
            totals[v] += *(const NATIVE_NAME(vector) *)(const void *)(x + i + v * NATIVE_LANES);
    memcpy(lanes, totals, sizeof lanes);
    for (uint32_t l = 0; i + l < n; l++)
        lanes[l] += x[i + l];
    return NATIVE_NAME(join)(lanes);
}

static float NATIVE_NAME(squares)(const float *x, float mean, uint32_t n) {
    NATIVE_NAME(vector) totals[NATIVE_NAME(vectors)] = {{0}};
    float lanes[EXL__PANEL];
    uint32_t i = 0;

    for (; i + EXL__PANEL <= n; i += EXL__PANEL)
        for (int v = 0; v < NATIVE_NAME(vectors); v++) {
            NATIVE_NAME(vector) d = *(const NATIVE_NAME(vector) *)(const void *)(x + i + v * NATIVE_LANES) - mean;
            totals[v] += d * d;
        }
    memcpy(lanes, totals, sizeof lanes);
    for (uint32_t l = 0; i + l < n; l++)
        lanes[l] += (x[i + l] - mean) * (x[i + l] - mean);
    return NATIVE_NAME(join)(lanes);
}

/* Smallest and largest number of a row and 0. */
static void NATIVE_NAME(range)(const float *x, uint32_t n, float *low, float *high) {
    float lows[EXL__PANEL] = {0}, highs[EXL__PANEL] = {0};
    uint32_t i = 0;

    for (; i + EXL__PANEL <= n; i += EXL__PANEL)
        for (int l = 0; l < EXL__PANEL; l++) {
            lows[l] = x[i + l] < lows[l] ? x[i + l] : lows[l];
            highs[l] = x[i + l] > highs[l] ? x[i + l] : highs[l];
        }
    for (; i < n; i++) {
        lows[0] = x[i] < lows[0] ? x[i] : lows[0];
        highs[0] = x[i] > highs[0] ? x[i] : highs[0];
    }
    *low = lows[0];
    *high = highs[0];
    for (int l = 1; l < EXL__PANEL; l++) {
        *low = lows[l] < *low ? lows[l] : *low;
        *high = highs[l] > *high ? highs[l] : *high;
    }
}

/* ---- quantised rows -------------------------------------------------------------------------------------------- */

static inline int32_t NATIVE_NAME(code)(float x, float inverse, int32_t zero) {
    int32_t code = (int32_t)((uint32_t)NATIVE_NAME(round)(x * inverse) + (uint32_t)zero);

    code = code < 0 ? 0 : code;
    return code > 255 ? 255 : code;
}

static void NATIVE_NAME(quantize_row)(const float *x, uint32_t n, uint32_t padded, uint32_t code_bytes, uint32_t flip,
                                      void *codes, float *scale, int32_t *zero) {
    float low, high, unit, inverse;
    int32_t middle;

    NATIVE_NAME(range)(x, n, &low, &high);
    unit = (high - low) * (1.0f / 255.0f);
    inverse = unit >= 1e-30f ? 1.0f / unit : 0.0f; /* a row of zeros, or so small that 1 / unit would overflow */
    middle = NATIVE_NAME(round)(-low * inverse);
    *scale = inverse > 0.0f ? unit : 0.0f;
    *zero = (int32_t)((uint32_t)middle - flip);
    if (code_bytes == 2) {
        uint16_t *wide = codes;
        for (uint32_t i = 0; i < n; i++)
            wide[i] = (uint16_t)NATIVE_NAME(code)(x[i], inverse, middle);
    } else {
        uint8_t *narrow = codes, flipped = (uint8_t)flip;
        for (uint32_t i = 0; i < n; i++)
            narrow[i] = (uint8_t)NATIVE_NAME(code)(x[i], inverse, middle) ^ flipped;
    }
    memset((uint8_t *)codes + (size_t)n * code_bytes, 0, (size_t)(padded - n) * code_bytes);
}

static inline void NATIVE_NAME(finish)(const exl__finish *f, const void *tile, uint32_t columns, float *out) {
    const float *numbers = tile;
    const int32_t *sums = tile;
    float row[EXL__PANEL];

    if (f->scales) {
        const uint32_t zero = (uint32_t)f->row_zero;
        for (int l = 0; l < EXL__PANEL; l++) {
            int32_t sum = (int32_t)((uint32_t)sums[l] - zero * (uint32_t)f->code_sums[l]);
            row[l] = (float)sum * (f->row_scale * f->scales[l]) + f->bias[l];
        }
    } else {
        for (int l = 0; l < EXL__PANEL; l++)
            row[l] = numbers[l] * f->row_scale + f->bias[l];
    }
    switch (f->activation) {
    case EXL__ACT_RELU:
        for (int l = 0; l < EXL__PANEL; l++)
            row[l] = NATIVE_NAME(relu)(row[l]);
        break;
    case EXL__ACT_GELU:
        for (int l = 0; l < EXL__PANEL; l++)
            row[l] = NATIVE_NAME(gelu)(row[l]);
        break;
    case EXL__ACT_TANH:
        for (int l = 0; l < EXL__PANEL; l++)
            row[l] = NATIVE_NAME(tanh)(row[l]);
        break;
    default: break;
    }
    if (columns == EXL__PANEL && f->residual) {
        for (int l = 0; l < EXL__PANEL; l++)
            out[l] = row[l] + f->residual[l];
    } else if (columns == EXL__PANEL) {
        memcpy(out, row, sizeof row);
    } else {
        for (uint32_t l = 0; l < columns; l++)
            out[l] = f->residual ? row[l] + f->residual[l] : row[l];
    }
}

static void NATIVE_NAME(finish_row)(const exl__finish *finish, const void *tile, uint32_t columns, float *out) {
    NATIVE_NAME(finish)(finish, tile, columns, out);
}

static void NATIVE_NAME(add_block)(const int32_t *sums, int32_t zero, const float *scales, const int32_t *code_sums,
                                   float *totals) {
    for (int l = 0; l < EXL__PANEL; l++) {
        int32_t sum = (int32_t)((uint32_t)sums[l] - (uint32_t)zero * (uint32_t)code_sums[l]);
        totals[l] += (float)sum * scales[l];
    }
}

/* ---- products -------------------------------------------------------------------------------------------------- */

static inline __attribute__((always_inline)) void NATIVE_NAME(float_tile)(const float *a, size_t a_stride, const int rows,
                                                                    const float *b, size_t b_stride, uint32_t depth,
                                                                    float *out) {
    NATIVE_NAME(vector) totals[NATIVE_ROWS][NATIVE_NAME(vectors)];

    for (int r = 0; r < rows; r++)
        for (int v = 0; v < NATIVE_NAME(vectors); v++)
            totals[r][v] = (NATIVE_NAME(vector)){0};
    for (uint32_t k = 0; k < depth; k++) {
        NATIVE_NAME(vector) line[NATIVE_NAME(vectors)];
        for (int v = 0; v < NATIVE_NAME(vectors); v++)
            line[v] = *(const NATIVE_NAME(vector) *)(const void *)(b + k * b_stride + v * NATIVE_LANES);
        for (int r = 0; r < rows; r++)
            for (int v = 0; v < NATIVE_NAME(vectors); v++)
                totals[r][v] += a[r * a_stride + k] * line[v];
    }
    for (int r = 0; r < rows; r++)
        for (int v = 0; v < NATIVE_NAME(vectors); v++)
            *(NATIVE_NAME(vector) *)(void *)(out + r * EXL__PANEL + v * NATIVE_LANES) = totals[r][v];
}

static void NATIVE_NAME(product_f32)(const float *a, size_t a_stride, uint32_t rows, const float *b, size_t b_stride,
                                     uint32_t depth, float *out) {
    switch (rows) {
#if NATIVE_ROWS == 8
    case 8: NATIVE_NAME(float_tile)(a, a_stride, 8, b, b_stride, depth, out); break;
    case 7: NATIVE_NAME(float_tile)(a, a_stride, 7, b, b_stride, depth, out); break;
    case 6: NATIVE_NAME(float_tile)(a, a_stride, 6, b, b_stride, depth, out); break;
    case 5: NATIVE_NAME(float_tile)(a, a_stride, 5, b, b_stride, depth, out); break;
#endif
    case 4: NATIVE_NAME(float_tile)(a, a_stride, 4, b, b_stride, depth, out); break;
    case 3: NATIVE_NAME(float_tile)(a, a_stride, 3, b, b_stride, depth, out); break;
    case 2: NATIVE_NAME(float_tile)(a, a_stride, 2, b, b_stride, depth, out); break;
    default: NATIVE_NAME(float_tile)(a, a_stride, 1, b, b_stride, depth, out); break;
    }
}

/* ---- rows ------------------------------------------------------------------------------------------------------ */

static void NATIVE_NAME(layer_norm)(const float *x, uint32_t n, float epsilon, const float *gamma, const float *beta,
                                    float *out) {
    float mean = NATIVE_NAME(sum)(x, n) / (float)n;
    float scale = 1.0f / sqrtf(NATIVE_NAME(squares)(x, mean, n) / (float)n + epsilon);

    if (gamma && beta)
        for (uint32_t i = 0; i < n; i++)
            out[i] = (x[i] - mean) * scale * gamma[i] + beta[i];
    else
        for (uint32_t i = 0; i < n; i++) {
            float y = (x[i] - mean) * scale;
            y = gamma ? y * gamma[i] : y;
            out[i] = beta ? y + beta[i] : y;
        }
}

static float NATIVE_NAME(softmax)(float *x, uint32_t n, float scale, const float *bias, uint32_t bias_step) {
    float low, high, top = -3.4e38f, share;

    if (bias)
        for (uint32_t i = 0; i < n; i++)
            x[i] = x[i] * scale + bias[i * bias_step];
    else
        for (uint32_t i = 0; i < n; i++)
            x[i] = x[i] * scale;
    NATIVE_NAME(range)(x, n, &low, &high);
    if (high > 0.0f)
        top = high;
    else /* the range has 0 in it */
        for (uint32_t i = 0; i < n; i++)
            top = x[i] > top ? x[i] : top;
    for (uint32_t i = 0; i < n; i++)
        x[i] = NATIVE_NAME(exp)(x[i] - top);
    share = 1.0f / NATIVE_NAME(sum)(x, n);
    for (uint32_t i = 0; i < n; i++)
        x[i] *= share;
    return top;
}

#define NATIVE_EACH(expression)                                                                                        \
    for (uint32_t i = 0; i < n; i++)                                                                                   \
        out[i] = expression;                                                                                           \
    break
/* Three loops, so that each has plain loads. */
#define NATIVE_PAIRS(of)                                                                                               \
    if (a_step && b_step)                                                                                              \
        for (uint32_t i = 0; i < n; i++)                                                                               \
            out[i] = of(a[i], b[i]);                                                                                   \
    else if (a_step)                                                                                                   \
        for (uint32_t i = 0; i < n; i++)                                                                               \
            out[i] = of(a[i], b[0]);                                                                                   \
    else                                                                                                               \
        for (uint32_t i = 0; i < n; i++)                                                                               \
            out[i] = of(a[0], b[i * b_step]);                                                                          \
    break

#define NATIVE_ADD(p, q) (p) + (q)
#define NATIVE_SUB(p, q) (p) - (q)
#define NATIVE_MUL(p, q) (p) * (q)
#define NATIVE_DIV(p, q) (p) / (q)
#define NATIVE_MAX(p, q) (p) > (q) ? (p) : (q)
#define NATIVE_MIN(p, q) (p) < (q) ? (p) : (q)
#define NATIVE_EQUAL(p, q) (p) == (q)
#define NATIVE_GREATER(p, q) (p) > (q)
#define NATIVE_GREATER_OR_EQUAL(p, q) (p) >= (q)
#define NATIVE_AND(p, q) ((p) != 0) & ((q) != 0)
#define NATIVE_OR(p, q) ((p) != 0) | ((q) != 0)
/* Integers wrap as on any processor, where C has no answer. */
#define NATIVE_ADD_INT(p, q) (int64_t)((uint64_t)(p) + (uint64_t)(q))
#define NATIVE_SUB_INT(p, q) (int64_t)((uint64_t)(p) - (uint64_t)(q))
#define NATIVE_MUL_INT(p, q) (int64_t)((uint64_t)(p) * (uint64_t)(q))

static void NATIVE_NAME(map)(uint32_t function, uint32_t n, float *restrict out, const float *a, uint32_t a_step,
                             const float *b, uint32_t b_step) {
    switch (function) {
    case EXL__COPY: NATIVE_EACH(a[i * a_step]);
    case EXL__SQRT: NATIVE_EACH(sqrtf(a[i * a_step]));
    case EXL__ERF: NATIVE_EACH(NATIVE_NAME(erf)(a[i * a_step]));
    case EXL__TANH: NATIVE_EACH(NATIVE_NAME(tanh)(a[i * a_step]));
    case EXL__EXP: NATIVE_EACH(NATIVE_NAME(exp)(a[i * a_step]));
    case EXL__RELU: NATIVE_EACH(NATIVE_NAME(relu)(a[i * a_step]));
    case EXL__GELU: NATIVE_EACH(NATIVE_NAME(gelu)(a[i * a_step]));
    case EXL__SIGMOID: NATIVE_EACH(NATIVE_NAME(sigmoid)(a[i * a_step]));
    case EXL__ADD: NATIVE_PAIRS(NATIVE_ADD);
    case EXL__SUB: NATIVE_PAIRS(NATIVE_SUB);
    case EXL__MUL: NATIVE_PAIRS(NATIVE_MUL);
    case EXL__DIV: NATIVE_PAIRS(NATIVE_DIV);
    case EXL__MAX: NATIVE_PAIRS(NATIVE_MAX);
    default: NATIVE_PAIRS(NATIVE_MIN);
    }
}

static inline int64_t NATIVE_NAME(modulo)(int64_t p, int64_t q) { /* the sign of q; 0 where q is */
    int64_t rest = q == 0 || q == -1 ? 0 : p % q;
    return rest != 0 && (rest < 0) != (q < 0) ? rest + q : rest;
}

static inline int64_t NATIVE_NAME(divide)(int64_t p, int64_t q) {
    if (q == 0)
        return 0;
    return q == -1 ? (int64_t)(0 - (uint64_t)p) : p / q;
}

static void NATIVE_NAME(map_int)(uint32_t function, uint32_t n, int64_t *restrict out, const int64_t *a,
                                 uint32_t a_step, const int64_t *b, uint32_t b_step) {
    switch (function) {
    case EXL__COPY_INT: NATIVE_EACH(a[i * a_step]);
    case EXL__NOT: NATIVE_EACH(a[i * a_step] == 0);
    case EXL__ADD_INT: NATIVE_PAIRS(NATIVE_ADD_INT);
    case EXL__SUB_INT: NATIVE_PAIRS(NATIVE_SUB_INT);
    case EXL__MUL_INT: NATIVE_PAIRS(NATIVE_MUL_INT);
    case EXL__DIV_INT: NATIVE_PAIRS(NATIVE_NAME(divide));
    case EXL__MOD_INT: NATIVE_PAIRS(NATIVE_NAME(modulo));
    case EXL__MAX_INT: NATIVE_PAIRS(NATIVE_MAX);
    case EXL__MIN_INT: NATIVE_PAIRS(NATIVE_MIN);
    case EXL__EQUAL: NATIVE_PAIRS(NATIVE_EQUAL);
    case EXL__GREATER: NATIVE_PAIRS(NATIVE_GREATER);
    case EXL__GREATER_OR_EQUAL: NATIVE_PAIRS(NATIVE_GREATER_OR_EQUAL);
    case EXL__AND: NATIVE_PAIRS(NATIVE_AND);
    default: NATIVE_PAIRS(NATIVE_OR);
    }
}

static void NATIVE_NAME(add)(float *restrict totals, const float *x, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        totals[i] += x[i];
}

static void NATIVE_NAME(keep_larger)(float *restrict totals, const float *x, uint32_t n) {
    for (uint32_t i = 0; i < n; i++)
        totals[i] = x[i] > totals[i] ? x[i] : totals[i];
}

static void NATIVE_NAME(widen)(const int8_t *codes, float scale, uint32_t n, float *restrict out) {
    for (uint32_t i = 0; i < n; i++)
        out[i] = (float)codes[i] * scale;
}

/* The float part of a set of kernels. */
#define NATIVE_FLOATS                                                                                                  \
    .float_rows = NATIVE_ROWS, .quantize_row = NATIVE_NAME(quantize_row), .finish_row = NATIVE_NAME(finish_row),       \
    .add_block = NATIVE_NAME(add_block), .product_f32 = NATIVE_NAME(product_f32),                                      \
    .layer_norm = NATIVE_NAME(layer_norm), .softmax = NATIVE_NAME(softmax), .map = NATIVE_NAME(map),                   \
    .map_int = NATIVE_NAME(map_int), .sum = NATIVE_NAME(sum), .add = NATIVE_NAME(add),                                 \
    .keep_larger = NATIVE_NAME(keep_larger), .widen = NATIVE_NAME(widen)
