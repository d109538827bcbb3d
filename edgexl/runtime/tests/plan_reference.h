/* plan_reference.h: what docs/format.md says that a plan computes, element by element and in doubles; what it says
 * about quantised rows is done in floats, as there. */
#ifndef EXL_PLAN_REFERENCE_H
#define EXL_PLAN_REFERENCE_H

#include "plans.h"

typedef struct reference {
    const plan_case *p;
    exl__lengths at;
    void *buffers[MOST_BUFFERS];
    uint64_t n[EXL__PLAN_RANK];
    const exl__operation *o;
} reference;

static inline uint64_t place_of(const reference *r, int operand, const uint64_t where[EXL__PLAN_RANK], uint64_t more) {
    const exl__operand *of = &r->o->operands[operand];
    uint64_t place = exl__size_at(of->offset, &r->at) + more;

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        place += where[axis] * exl__size_at(of->strides[axis], &r->at);
    CHECK(place < exl__size_at(r->p->buffers[of->buffer].elements, &r->at));
    return place;
}

static inline int has(const reference *r, int operand) { return r->o->operands[operand].buffer != EXL__NO_BUFFER; }
static inline void *data(const reference *r, int operand) { return r->buffers[r->o->operands[operand].buffer]; }

static inline double number(const reference *r, int operand, const uint64_t where[EXL__PLAN_RANK], uint64_t more) {
    return (double)((float *)data(r, operand))[place_of(r, operand, where, more)];
}

static inline void put_number(const reference *r, int operand, const uint64_t where[EXL__PLAN_RANK], uint64_t more,
                              double value) {
    ((float *)data(r, operand))[place_of(r, operand, where, more)] = (float)value;
}

static inline int64_t integer(const reference *r, int operand, const uint64_t where[EXL__PLAN_RANK]) {
    return ((int64_t *)data(r, operand))[place_of(r, operand, where, 0)];
}

static inline double reference_activation(uint32_t which, double x) {
    switch (which) {
    case EXL__ACT_RELU: return x > 0 ? x : 0;
    case EXL__ACT_GELU: return x * erfc(-x / sqrt(2)) / 2;
    case EXL__ACT_TANH: return tanh(x);
    default: return x;
    }
}

/* ---- products ------------------------------------------------------------------------------------------------ */

/* A row's codes, its scale and zero point. */
static inline void reference_quantise(const float *x, uint64_t n, int32_t *codes, float *scale, int32_t *zero) {
    float low = 0, high = 0, unit, inverse;

    for (uint64_t k = 0; k < n; k++) {
        low = x[k] < low ? x[k] : low;
        high = x[k] > high ? x[k] : high;
    }
    unit = (high - low) * (1.0f / 255.0f);
    inverse = unit >= 1e-30f ? 1.0f / unit : 0.0f;
    *scale = inverse > 0 ? unit : 0;
    *zero = (int32_t)rintf(0.0f - low * inverse);
    for (uint64_t k = 0; k < n; k++) {
        int32_t code = (int32_t)rintf(x[k] * inverse) + *zero;
        codes[k] = code < 0 ? 0 : code > 255 ? 255 : code;
    }
}

/* A code of a packed matrix, at row k of column c. */
static inline int32_t packed_code(const reference *r, uint64_t k, uint64_t c) {
    uint64_t deep = (r->n[1] + 15) / 16 * 16, at;
    const int8_t *codes = data(r, 2);

    at = c / 16 * deep * 16 + k / 4 * 64 + c % 16 * 4 + k % 4;
    if (r->o->code == EXL__LINEAR_BLOCKS && r->n[3] == 4) {
        uint8_t both = ((const uint8_t *)codes)[at / 512 * 256 + at % 256];
        return (int32_t)(at % 512 < 256 ? both & 15 : both >> 4) - 8;
    }
    return codes[at];
}

static inline float table_number(const reference *r, uint64_t line, uint64_t c) {
    return ((const float *)data(r, 3))[line * ((r->n[2] + 15) / 16 * 16) + c];
}

static inline void reference_linear(const reference *r) {
    uint64_t depth = r->n[1], wide = (r->n[2] + 15) / 16 * 16, block = r->o->code == EXL__LINEAR_BLOCKS ? 32 : depth;
    int32_t *codes = room(depth * sizeof *codes), zero = 0;
    float *x = room(depth * sizeof *x), scale = 1;

    for (uint64_t row = 0; row < r->n[0]; row++) {
        const uint64_t where[EXL__PLAN_RANK] = {row, 0, 0, 0};
        for (uint64_t k = 0; k < depth; k++)
            x[k] = (float)number(r, 1, where, k);
        if (r->o->code != EXL__LINEAR_F32)
            reference_quantise(x, depth, codes, &scale, &zero);
        for (uint64_t c = 0; c < r->n[2]; c++) {
            double sum = 0;
            for (uint64_t first = 0; first < depth; first += block) {
                int64_t exact = 0;
                for (uint64_t k = first; k < first + block && r->o->code != EXL__LINEAR_F32; k++)
                    exact += (int64_t)codes[k] * packed_code(r, k, c);
                for (uint64_t k = first; k < first + block && r->o->code == EXL__LINEAR_F32; k++)
                    sum += (double)x[k] * (double)((const float *)data(r, 2))[c / 16 * depth * 16 + k * 16 + c % 16];
                if (r->o->code == EXL__LINEAR_F32)
                    continue;
                exact -= (int64_t)zero * ((const int32_t *)data(r, 3))[(2 + first / block * 2) * wide + c];
                sum += (double)exact * (double)table_number(r, 1 + first / block * 2, c);
            }
            sum = reference_activation(r->o->function, sum * (double)scale + (double)table_number(r, 0, c));
            put_number(r, 0, where, c, has(r, 4) ? sum + number(r, 4, where, c) : sum);
        }
    }
    free(codes), free(x);
}

static inline void reference_attention(const reference *r) {
    double *scores = room(r->n[2] * sizeof *scores);

    for (uint64_t h = 0; h < r->n[0]; h++)
        for (uint64_t q = 0; q < r->n[1]; q++) {
            const uint64_t row[EXL__PLAN_RANK] = {h, q, 0, 0};
            double top = -INFINITY, sum = 0;
            for (uint64_t k = 0; k < r->n[2]; k++) {
                scores[k] = 0;
                for (uint64_t w = 0; w < r->n[3]; w++)
                    scores[k] += number(r, 1, (uint64_t[]){h, q, 0, w}, 0) * number(r, 2, (uint64_t[]){h, 0, k, w}, 0);
                scores[k] *= (double)r->o->numbers[0];
                scores[k] += has(r, 4) ? number(r, 4, (uint64_t[]){h, q, k, 0}, 0) : 0;
                top = scores[k] > top ? scores[k] : top;
            }
            if (has(r, 5))
                put_number(r, 5, row, 0, top);
            for (uint64_t k = 0; k < r->n[2]; k++)
                sum += scores[k] = exp(scores[k] - top);
            for (uint64_t w = 0; w < r->n[3]; w++) {
                double mixed = 0;
                for (uint64_t k = 0; k < r->n[2]; k++)
                    mixed += scores[k] * number(r, 3, (uint64_t[]){h, 0, k, w}, 0);
                put_number(r, 0, (uint64_t[]){h, q, 0, w}, 0, mixed / sum);
            }
        }
    free(scores);
}

static inline void reference_matmul(const reference *r) {
    for (uint64_t b = 0; b < r->n[0]; b++)
        for (uint64_t m = 0; m < r->n[1]; m++)
            for (uint64_t c = 0; c < r->n[3]; c++) {
                double sum = 0;
                for (uint64_t k = 0; k < r->n[2]; k++)
                    sum += number(r, 1, (uint64_t[]){b, m, k, 0}, 0) * number(r, 2, (uint64_t[]){b, 0, k, c}, 0);
                put_number(r, 0, (uint64_t[]){b, m, 0, c}, 0, sum);
            }
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static inline void reference_layer_norm(const reference *r, const uint64_t where[EXL__PLAN_RANK]) {
    static const uint64_t nowhere[EXL__PLAN_RANK] = {0};
    double mean = 0, spread = 0, n = (double)r->n[1], y;

    for (uint64_t i = 0; i < r->n[1]; i++)
        mean += number(r, 1, where, i) / n;
    for (uint64_t i = 0; i < r->n[1]; i++)
        spread += (number(r, 1, where, i) - mean) * (number(r, 1, where, i) - mean) / n;
    for (uint64_t i = 0; i < r->n[1]; i++) {
        y = (number(r, 1, where, i) - mean) / sqrt(spread + (double)r->o->numbers[0]);
        y = has(r, 2) ? y * number(r, 2, nowhere, i) : y;
        put_number(r, 0, where, i, has(r, 3) ? y + number(r, 3, nowhere, i) : y);
    }
}

static inline void reference_softmax(const reference *r, const uint64_t where[EXL__PLAN_RANK]) {
    double top = -INFINITY, sum = 0;

    for (uint64_t i = 0; i < r->n[1]; i++)
        top = number(r, 1, where, i) > top ? number(r, 1, where, i) : top;
    for (uint64_t i = 0; i < r->n[1]; i++)
        sum += exp(number(r, 1, where, i) - top);
    for (uint64_t i = 0; i < r->n[1]; i++)
        put_number(r, 0, where, i, exp(number(r, 1, where, i) - top) / sum);
}

static inline exl_status reference_embed(const reference *r, const uint64_t where[EXL__PLAN_RANK]) {
    const exl__plan_buffer *table = &r->p->buffers[r->o->operands[2].buffer];
    uint64_t id = (uint64_t)integer(r, 1, where), wide = r->n[1], of_blocks = r->o->function == EXL__OF_BLOCKS;

    if (id >= table->elements / (of_blocks ? wide / 2 : wide))
        return EXL_ENGINE_FAILED;
    for (uint64_t i = 0; i < wide && of_blocks; i++) {
        uint64_t at = id * wide + i;
        uint8_t pair = ((const uint8_t *)data(r, 2))[at / 2];
        double scale = (double)((const float *)data(r, 3))[at / 32];
        put_number(r, 0, where, i, ((at % 2 ? pair >> 4 : pair & 15) - 8) * scale);
    }
    if (of_blocks)
        return EXL_OK;
    for (uint64_t i = 0; i < wide; i++) {
        double x = table->type == EXL__F32 ? (double)((const float *)data(r, 2))[id * wide + i]
                                           : (double)((const int8_t *)data(r, 2))[id * wide + i];
        if (table->type == EXL__I8 && has(r, 3))
            x *= (double)((const float *)data(r, 3))[id];
        put_number(r, 0, where, i, x);
    }
    return EXL_OK;
}

/* ---- elements ------------------------------------------------------------------------------------------------ */

static inline double reference_function(uint32_t function, double a, double b) {
    switch (function) {
    case EXL__ADD: return a + b;
    case EXL__SUB: return a - b;
    case EXL__MUL: return a * b;
    case EXL__DIV: return a / b;
    case EXL__MAX: return a > b ? a : b;
    case EXL__MIN: return a < b ? a : b;
    case EXL__SQRT: return sqrt(a);
    case EXL__ERF: return erf(a);
    case EXL__TANH: return tanh(a);
    case EXL__EXP: return exp(a);
    case EXL__RELU: return a > 0 ? a : 0;
    case EXL__GELU: return reference_activation(EXL__ACT_GELU, a);
    case EXL__SIGMOID: return 1 / (1 + exp(-a));
    default: return a;
    }
}

static inline int64_t reference_integers(uint32_t function, int64_t a, int64_t b) {
    uint64_t p = (uint64_t)a, q = (uint64_t)b;

    switch (function) {
    case EXL__ADD_INT: return (int64_t)(p + q);
    case EXL__SUB_INT: return (int64_t)(p - q);
    case EXL__MUL_INT: return (int64_t)(p * q);
    case EXL__DIV_INT: return b == 0 ? 0 : b == -1 ? (int64_t)(0 - p) : a / b;
    case EXL__MOD_INT: /* the divisor's sign */
        if (b == 0 || b == -1)
            return 0;
        return a % b != 0 && ((a < 0) != (b < 0)) ? a % b + b : a % b;
    case EXL__MAX_INT: return a > b ? a : b;
    case EXL__MIN_INT: return a < b ? a : b;
    case EXL__EQUAL: return a == b;
    case EXL__GREATER: return a > b;
    case EXL__GREATER_OR_EQUAL: return a >= b;
    case EXL__AND: return a != 0 && b != 0;
    case EXL__OR: return a != 0 || b != 0;
    case EXL__NOT: return a == 0;
    default: return a;
    }
}

static inline void reference_map(const reference *r, const uint64_t where[EXL__PLAN_RANK]) {
    uint32_t f = r->o->function;
    int64_t *whole = data(r, 0);
    double x;

    if (f < EXL__COPY_INT) {
        put_number(r, 0, where, 0,
                   reference_function(f, number(r, 1, where, 0), has(r, 2) ? number(r, 2, where, 0) : 0));
    } else if (f < EXL__WHERE_INT) {
        whole[place_of(r, 0, where, 0)] =
            reference_integers(f, integer(r, 1, where), has(r, 2) ? integer(r, 2, where) : 0);
    } else if (f == EXL__WHERE_INT) {
        whole[place_of(r, 0, where, 0)] = integer(r, integer(r, 1, where) != 0 ? 2 : 3, where);
    } else if (f == EXL__WHERE) {
        put_number(r, 0, where, 0, number(r, integer(r, 1, where) != 0 ? 2 : 3, where, 0));
    } else if (f == EXL__TO_FLOAT) {
        put_number(r, 0, where, 0, (double)(float)integer(r, 1, where));
    } else {
        x = trunc(number(r, 1, where, 0));
        x = x >= 0x1p63 ? 0x1p63 : x <= -0x1p63 ? -0x1p63 : x;
        whole[place_of(r, 0, where, 0)] = isnan(x) ? 0 : x >= 0x1p63 ? INT64_MAX : (int64_t)x;
    }
}

/* The elements of x that go to the total at `where`, which is not walked along the axes of stride 0. */
static inline void reference_total(const reference *r, const uint64_t where[EXL__PLAN_RANK]) {
    double sum = 0, top = -INFINITY, count = 0;
    uint64_t whole = 0, first[4], last[4], at[4];

    for (int axis = 0; axis < 4; axis++) {
        int is_summed = r->o->operands[0].strides[axis] == 0;
        first[axis] = is_summed ? 0 : where[axis];
        last[axis] = is_summed ? r->n[axis] - 1 : where[axis];
    }
    for (at[0] = first[0]; at[0] <= last[0]; at[0]++)
        for (at[1] = first[1]; at[1] <= last[1]; at[1]++)
            for (at[2] = first[2]; at[2] <= last[2]; at[2]++)
                for (at[3] = first[3]; at[3] <= last[3]; at[3]++, count++) {
                    if (r->o->function == EXL__SUM_INT) {
                        whole += (uint64_t)integer(r, 1, at);
                        continue;
                    }
                    sum += number(r, 1, at, 0);
                    top = number(r, 1, at, 0) > top ? number(r, 1, at, 0) : top;
                }
    if (r->o->function == EXL__SUM_INT)
        ((int64_t *)data(r, 0))[place_of(r, 0, where, 0)] = (int64_t)whole;
    else
        put_number(r, 0, where, 0,
                   r->o->function == EXL__LARGEST ? top
                   : r->o->function == EXL__MEAN  ? sum / count
                                                  : sum);
}

static inline void reference_along(const reference *r, const uint64_t where[EXL__PLAN_RANK]) {
    uint64_t at[EXL__PLAN_RANK] = {where[0], where[1], where[2], where[3]}, total = 0;

    if (r->o->code == EXL__RUNNING_SUM) {
        for (at[3] = 0; at[3] <= where[3]; at[3]++)
            total += (uint64_t)integer(r, 1, at);
    } else {
        at[3] = r->o->function == 1 ? where[3] - 1 : where[3] + 1; /* before the first: a large number */
        total = at[3] < r->n[3] ? (uint64_t)integer(r, 1, at) : 0;
    }
    ((int64_t *)data(r, 0))[place_of(r, 0, where, 0)] = (int64_t)total;
}

static inline exl_status reference_rows(const reference *r) {
    exl_status status = EXL_OK;

    for (uint64_t row = 0; row < r->n[0] && status == EXL_OK; row++) {
        const uint64_t where[EXL__PLAN_RANK] = {row, 0, 0, 0};
        if (r->o->code == EXL__EMBED)
            status = reference_embed(r, where);
        else if (r->o->code == EXL__SOFTMAX)
            reference_softmax(r, where);
        else
            reference_layer_norm(r, where);
    }
    return status;
}

static inline void reference_elements(const reference *r) {
    uint64_t at[4];

    for (at[0] = 0; at[0] < r->n[0]; at[0]++)
        for (at[1] = 0; at[1] < r->n[1]; at[1]++)
            for (at[2] = 0; at[2] < r->n[2]; at[2]++)
                for (at[3] = 0; at[3] < r->n[3]; at[3]++) {
                    int is_first = 1; /* a total is made once */
                    for (int axis = 0; axis < 4 && r->o->code == EXL__REDUCE; axis++)
                        is_first = is_first && (r->o->operands[0].strides[axis] != 0 || at[axis] == 0);
                    if (r->o->code == EXL__MAP)
                        reference_map(r, at);
                    else if (r->o->code != EXL__REDUCE)
                        reference_along(r, at);
                    else if (is_first)
                        reference_total(r, at);
                }
}

/* Runs the plan on `t`'s inputs and puts its outputs into `t`'s; arena and outputs begin as zeros. */
static inline exl_status reference_run(const plan_case *p, uint64_t T, uint64_t N, tensors *t) {
    reference r = {.p = p, .at = exl__lengths_of(T, N)};
    exl_status status = EXL_OK;

    for (uint32_t i = 0; i < p->buffer_count; i++) {
        const exl__plan_buffer *b = &p->buffers[i];
        uint64_t bytes = exl__size_at(b->elements, &r.at) * exl__type_bytes(b->type);
        r.buffers[i] = NULL;
        if (b->place == EXL__ARENA)
            memset(r.buffers[i] = room(bytes), 0, (size_t)bytes);
        else if (b->place == EXL__FROM_WEIGHT)
            r.buffers[i] = (void *)(uintptr_t)p->weights[b->index].data;
        else if (b->place == EXL__TO_OUTPUT)
            memset(r.buffers[i] = (void *)(uintptr_t)t->outputs[b->index].data, 0, (size_t)bytes);
        for (size_t k = 0; k < t->input_count && b->place == EXL__FROM_INPUT; k++)
            if (t->inputs[k].number == b->index)
                r.buffers[i] = (void *)(uintptr_t)t->inputs[k].data;
    }
    for (uint32_t i = 0; i < p->operation_count && status == EXL_OK; i++) {
        r.o = &p->operations[i];
        for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
            r.n[axis] = exl__size_at(r.o->sizes[axis], &r.at);
        switch (r.o->code) {
        case EXL__LINEAR_INT8:
        case EXL__LINEAR_F32:
        case EXL__LINEAR_BLOCKS: reference_linear(&r); break;
        case EXL__ATTENTION: reference_attention(&r); break;
        case EXL__MATMUL: reference_matmul(&r); break;
        case EXL__LAYER_NORM:
        case EXL__EMBED:
        case EXL__SOFTMAX: status = reference_rows(&r); break;
        default: reference_elements(&r);
        }
    }
    for (uint32_t i = 0; i < p->buffer_count; i++)
        if (p->buffers[i].place == EXL__ARENA)
            free(r.buffers[i]);
    return status;
}

#endif
