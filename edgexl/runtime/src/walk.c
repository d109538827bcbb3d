/* walk.c: operations that walk four axes with a stride for each operand: element by element functions,
 * reductions, shifts and running sums. */
#include "compiler.h"

#include <string.h>

#include "native.h"

EXL__OPTIMIZE_BEGIN("O2", "no-tree-vectorize") /* bytes of library are worth more here than time */

enum { WALK_CHUNK = 256 };

typedef struct walk_state {
    uint64_t sizes[EXL__PLAN_RANK];
    uint64_t strides[4][EXL__PLAN_RANK]; /* of up to four operands */
    uint8_t *at[4];
    uint32_t bytes[4]; /* of an element */
} walk_state;

void *exl__operand_at(const exl__run_state *run, const exl__operation *operation, int place) {
    const exl__operand *operand = &operation->operands[place];
    uint32_t type;

    if (operand->buffer == EXL__NO_BUFFER)
        return NULL;
    type = run->plan->buffers[operand->buffer].type;
    return (uint8_t *)run->buffers[operand->buffer] + exl__size_at(operand->offset, &run->at) * exl__type_bytes(type);
}

static walk_state walk_begin(const exl__run_state *run, const exl__operation *o, int operands) {
    walk_state w;

    memset(&w, 0, sizeof w);
    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        w.sizes[axis] = exl__size_at(o->sizes[axis], &run->at);
    for (int i = 0; i < operands; i++) {
        if (o->operands[i].buffer == EXL__NO_BUFFER)
            continue;
        w.bytes[i] = exl__type_bytes(run->plan->buffers[o->operands[i].buffer].type);
        w.at[i] = exl__operand_at(run, o, i);
        for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
            w.strides[i][axis] = exl__size_at(o->operands[i].strides[axis], &run->at);
    }
    return w;
}

/* Operand i at these places of the first three axes. */
static void *walk_place(const walk_state *w, int i, uint64_t a, uint64_t b, uint64_t c) {
    return w->at[i] ? w->at[i] + (a * w->strides[i][0] + b * w->strides[i][1] + c * w->strides[i][2]) * w->bytes[i]
                    : NULL;
}

/* ---- functions of elements --------------------------------------------------------------------------------------- */

/* Bodies of loops over out[n], for functions of one operand and of two: three loops, so that each has plain loads. */
#define WALK_EACH(expression)                                                                                          \
    for (uint32_t i = 0; i < n; i++)                                                                                   \
        out[i] = expression;                                                                                           \
    break
#define WALK_PAIRS(of)                                                                                                 \
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
#define WALK_MAX(p, q) (p) > (q) ? (p) : (q)
#define WALK_MIN(p, q) (p) < (q) ? (p) : (q)
#define WALK_EQUAL(p, q) (p) == (q)
#define WALK_GREATER(p, q) (p) > (q)
#define WALK_GREATER_OR_EQUAL(p, q) (p) >= (q)
#define WALK_AND(p, q) ((p) != 0) & ((q) != 0)
#define WALK_OR(p, q) ((p) != 0) | ((q) != 0)

/* Integers wrap as on any processor, where C has no answer. */
static inline int64_t walk_add(int64_t p, int64_t q) { return (int64_t)((uint64_t)p + (uint64_t)q); }
static inline int64_t walk_subtract(int64_t p, int64_t q) { return (int64_t)((uint64_t)p - (uint64_t)q); }
static inline int64_t walk_multiply(int64_t p, int64_t q) { return (int64_t)((uint64_t)p * (uint64_t)q); }

static inline int64_t walk_modulo(int64_t p, int64_t q) { /* the sign of q; 0 where q is */
    int64_t rest = q == 0 || q == -1 ? 0 : p % q;
    return rest != 0 && (rest < 0) != (q < 0) ? rest + q : rest;
}

static inline int64_t walk_divide(int64_t p, int64_t q) {
    if (q == 0)
        return 0;
    return q == -1 ? walk_subtract(0, p) : p / q;
}

static void walk_map_integers(uint32_t function, uint32_t n, int64_t *restrict out, const int64_t *a, uint32_t a_step,
                              const int64_t *b, uint32_t b_step) {
    switch (function) {
    case EXL__COPY_INT: WALK_EACH(a[i * a_step]);
    case EXL__NOT: WALK_EACH(a[i * a_step] == 0);
    case EXL__ADD_INT: WALK_PAIRS(walk_add);
    case EXL__SUB_INT: WALK_PAIRS(walk_subtract);
    case EXL__MUL_INT: WALK_PAIRS(walk_multiply);
    case EXL__DIV_INT: WALK_PAIRS(walk_divide);
    case EXL__MOD_INT: WALK_PAIRS(walk_modulo);
    case EXL__MAX_INT: WALK_PAIRS(WALK_MAX);
    case EXL__MIN_INT: WALK_PAIRS(WALK_MIN);
    case EXL__EQUAL: WALK_PAIRS(WALK_EQUAL);
    case EXL__GREATER: WALK_PAIRS(WALK_GREATER);
    case EXL__GREATER_OR_EQUAL: WALK_PAIRS(WALK_GREATER_OR_EQUAL);
    case EXL__AND: WALK_PAIRS(WALK_AND);
    default: WALK_PAIRS(WALK_OR);
    }
}

typedef struct walk_lane { /* an operand along the last axis */
    uint8_t *at;
    uint64_t stride;
} walk_lane;

static void walk_gather(void *to, const walk_lane *from, uint64_t first, uint64_t n, uint32_t bytes) {
    if (bytes == 4)
        for (uint64_t i = 0; i < n; i++)
            ((float *)to)[i] = ((const float *)(const void *)from->at)[(first + i) * from->stride];
    else
        for (uint64_t i = 0; i < n; i++)
            ((int64_t *)to)[i] = ((const int64_t *)(const void *)from->at)[(first + i) * from->stride];
}

/* Functions with operands of two types, or three: rare, and plain. */
static void walk_map_mixed(uint32_t function, uint64_t n, const walk_lane lanes[4]) {
    const walk_lane *out = &lanes[0], *a = &lanes[1], *b = &lanes[2], *c = &lanes[3];
    float *numbers = (float *)(void *)out->at;
    int64_t *integers = (int64_t *)(void *)out->at;
    const int64_t *condition = (const int64_t *)(const void *)a->at;

    switch (function) {
    case EXL__TO_FLOAT:
        for (uint64_t i = 0; i < n; i++)
            numbers[i * out->stride] = (float)condition[i * a->stride];
        break;
    case EXL__TO_INT: /* towards zero; what does not fit is the nearest that does, and what is no number is 0 */
        for (uint64_t i = 0; i < n; i++) {
            float x = ((const float *)(const void *)a->at)[i * a->stride];
            int64_t whole = x > -9.2e18f && x < 9.2e18f ? (int64_t)x : 0;
            whole = x >= 9.2e18f ? INT64_MAX : whole;
            integers[i * out->stride] = x <= -9.2e18f ? INT64_MIN : whole;
        }
        break;
    case EXL__WHERE:
        for (uint64_t i = 0; i < n; i++)
            numbers[i * out->stride] = condition[i * a->stride] != 0
                                           ? ((const float *)(const void *)b->at)[i * b->stride]
                                           : ((const float *)(const void *)c->at)[i * c->stride];
        break;
    default:
        for (uint64_t i = 0; i < n; i++)
            integers[i * out->stride] = condition[i * a->stride] != 0
                                            ? ((const int64_t *)(const void *)b->at)[i * b->stride]
                                            : ((const int64_t *)(const void *)c->at)[i * c->stride];
    }
}

/* One row of a function of one type. Operands with gaps go through a chunk of their own. */
static void walk_map_row(const exl__kernels *kernels, uint32_t function, uint64_t n, const walk_lane lanes[4],
                         uint32_t bytes) {
    int64_t chunks[3][WALK_CHUNK];

    for (uint64_t first = 0, length; first < n; first += length) {
        const void *inputs[2] = {NULL, NULL};
        uint32_t steps[2] = {0, 0};
        int straight = lanes[0].stride == 1;
        void *out = straight ? (void *)(lanes[0].at + first * bytes) : (void *)chunks[0];

        for (int i = 0; i < 2; i++)
            straight = straight && lanes[i + 1].stride <= 1;
        length = straight || n - first < WALK_CHUNK ? n - first : WALK_CHUNK;
        for (int i = 0; i < 2; i++) {
            const walk_lane *from = &lanes[i + 1];
            if (!from->at)
                continue;
            steps[i] = from->stride != 0;
            if (from->stride <= 1) {
                inputs[i] = from->at + first * from->stride * bytes;
            } else {
                walk_gather(chunks[i + 1], from, first, length, bytes);
                inputs[i] = chunks[i + 1];
            }
        }
        if (bytes == 4) {
            exl__mapping m = {.function = function, .rows = 1, .n = (uint32_t)length, .out = out};
            m.inputs[0] = inputs[0], m.inputs[1] = inputs[1], m.steps[0] = steps[0], m.steps[1] = steps[1];
            kernels->map(&m);
        } else
            walk_map_integers(function, (uint32_t)length, out, inputs[0], steps[0], inputs[1], steps[1]);
        if (out != (void *)chunks[0])
            continue;
        for (uint64_t i = 0; i < length; i++)
            memcpy(lanes[0].at + (first + i) * lanes[0].stride * bytes, (const uint8_t *)out + i * bytes, bytes);
    }
}

/* Numbers without gaps: the kernel takes all rows of the third axis at once. */
static void walk_map_rows(const exl__run_state *run, const walk_state *w, uint32_t function) {
    exl__mapping m = {.function = function, .rows = (uint32_t)w->sizes[2], .n = (uint32_t)w->sizes[3]};

    m.out_stride = w->strides[0][2];
    for (int i = 0; i < 2; i++) {
        m.steps[i] = (uint32_t)w->strides[i + 1][3];
        m.strides[i] = w->strides[i + 1][2];
    }
    for (uint64_t a = 0; a < w->sizes[0]; a++)
        for (uint64_t b = 0; b < w->sizes[1]; b++) {
            m.out = walk_place(w, 0, a, b, 0);
            m.inputs[0] = walk_place(w, 1, a, b, 0);
            m.inputs[1] = walk_place(w, 2, a, b, 0);
            run->kernels->map(&m);
        }
}

void exl__walk_map(const exl__run_state *run, const exl__operation *o) {
    walk_state w = walk_begin(run, o, 4);
    int mixed = o->function >= EXL__TO_FLOAT || o->function == EXL__WHERE_INT;
    walk_lane lanes[4];

    if (!mixed && w.bytes[0] == 4 && w.strides[0][3] == 1 && w.strides[1][3] <= 1 && w.strides[2][3] <= 1) {
        walk_map_rows(run, &w, o->function);
        return;
    }
    for (uint64_t a = 0; a < w.sizes[0]; a++)
        for (uint64_t b = 0; b < w.sizes[1]; b++)
            for (uint64_t c = 0; c < w.sizes[2]; c++) {
                for (int i = 0; i < 4; i++)
                    lanes[i] = (walk_lane){walk_place(&w, i, a, b, c), w.strides[i][3]};
                if (mixed)
                    walk_map_mixed(o->function, w.sizes[3], lanes);
                else
                    walk_map_row(run->kernels, o->function, w.sizes[3], lanes, w.bytes[0]);
            }
}

/* ---- reductions ------------------------------------------------------------------------------------------------ */

/* One row: its numbers go each to their own total (out_stride 1), or all to one (0). */
static void walk_reduce_row(const exl__kernels *kernels, uint32_t function, uint64_t n, float *out, uint64_t out_stride,
                            const float *x, uint64_t stride) {
    if (out_stride == 1 && stride == 1) {
        if (function == EXL__LARGEST)
            kernels->keep_larger(out, x, (uint32_t)n);
        else
            kernels->add(out, x, (uint32_t)n);
    } else if (out_stride == 0 && stride == 1 && function != EXL__LARGEST) {
        *out += kernels->sum(x, (uint32_t)n);
    } else {
        for (uint64_t i = 0; i < n; i++) {
            float *total = out + i * out_stride, number = x[i * stride];
            *total = function != EXL__LARGEST ? *total + number : number > *total ? number : *total;
        }
    }
}

/* Every total is set to `value`; or, with `factor`, multiplied by it. Axes of stride 0 are walked once. */
static void walk_set_totals(const walk_state *w, float value, float factor, int is_integer) {
    uint64_t n[EXL__PLAN_RANK];

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        n[axis] = w->strides[0][axis] ? w->sizes[axis] : 1;
    for (uint64_t a = 0; a < n[0]; a++)
        for (uint64_t b = 0; b < n[1]; b++)
            for (uint64_t c = 0; c < n[2]; c++) {
                void *row = walk_place(w, 0, a, b, c);
                for (uint64_t d = 0; d < n[3]; d++) {
                    float *total = (float *)row + d * w->strides[0][3];
                    if (is_integer)
                        ((int64_t *)row)[d * w->strides[0][3]] = 0;
                    else
                        *total = factor != 0 ? *total * factor : value;
                }
            }
}

void exl__walk_reduce(const exl__run_state *run, const exl__operation *o) {
    walk_state w = walk_begin(run, o, 2);
    int is_integer = o->function == EXL__SUM_INT;
    double count = 1;

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        count *= w.strides[0][axis] ? 1.0 : (double)w.sizes[axis];
    walk_set_totals(&w, o->function == EXL__LARGEST ? -3.4028234663852886e38f : 0.0f, 0, is_integer);
    for (uint64_t a = 0; a < w.sizes[0]; a++)
        for (uint64_t b = 0; b < w.sizes[1]; b++)
            for (uint64_t c = 0; c < w.sizes[2]; c++) {
                void *out = walk_place(&w, 0, a, b, c);
                const void *x = walk_place(&w, 1, a, b, c);
                if (!is_integer) {
                    walk_reduce_row(run->kernels, o->function, w.sizes[3], out, w.strides[0][3], x, w.strides[1][3]);
                    continue;
                }
                for (uint64_t d = 0; d < w.sizes[3]; d++) {
                    int64_t *total = (int64_t *)out + d * w.strides[0][3];
                    *total = walk_add(*total, ((const int64_t *)x)[d * w.strides[1][3]]);
                }
            }
    if (o->function == EXL__MEAN)
        walk_set_totals(&w, 0, (float)(1.0 / count), 0);
}

/* ---- along the last axis --------------------------------------------------------------------------------------- */

void exl__walk_integers(const exl__run_state *run, const exl__operation *o) {
    walk_state w = walk_begin(run, o, 2);
    uint64_t n = w.sizes[3], step = w.strides[1][3];

    for (uint64_t a = 0; a < w.sizes[0]; a++)
        for (uint64_t b = 0; b < w.sizes[1]; b++)
            for (uint64_t c = 0; c < w.sizes[2]; c++) {
                int64_t *out = walk_place(&w, 0, a, b, c);
                const int64_t *x = walk_place(&w, 1, a, b, c);
                int64_t total = 0;
                for (uint64_t d = 0; d < n; d++) {
                    int64_t *to = out + d * w.strides[0][3];
                    total = walk_add(total, x[d * step]);
                    if (o->code == EXL__RUNNING_SUM)
                        *to = total;
                    else if (o->function == EXL__FROM_BEFORE)
                        *to = d > 0 ? x[(d - 1) * step] : 0;
                    else
                        *to = d + 1 < n ? x[(d + 1) * step] : 0;
                }
            }
}

EXL__OPTIMIZE_END
