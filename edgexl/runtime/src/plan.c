/* plan.c: reads a plan as FORMAT.md has it, and refuses every one that is not exactly so.
 *
 * Sizes only grow with T and N, so what holds at the largest text and shortlist holds at all smaller ones; everything
 * is checked there, in numbers that cannot wrap. */
#include "compiler.h"

#include "plan.h"

#include <string.h>

enum {
    HEAD_BYTES = 64,
    MOST_RECORDS = 4096,
    VERSION = 1,
    ALIGNMENT_BYTES = 64,
    MOST_TOKENS = 8192,
    MOST_LABELS = 4096
};

/* Elements and bytes beyond this are refused: 2^40 x 2^12 still fits 64 bits, and no device has the memory. */
#define MOST ((uint64_t)1 << 40)
#define MOST_ARENA_BYTES ((uint64_t)1 << 31)

_Static_assert(sizeof(exl__plan_buffer) == 32, "FORMAT.md");
_Static_assert(sizeof(exl__operation) == 176, "FORMAT.md");

typedef struct checker {
    const exl__plan *plan;
    const exl__graph_source *source;
    const exl__operation *operation;
} checker;

/* ---- sizes --------------------------------------------------------------------------------------------------- */

exl__lengths exl__lengths_of(uint64_t tokens, uint64_t labels) {
    exl__lengths at = {{1, 0, 0, 0}, {1, 0, 0, 0}};

    for (int i = 1; i < 4; i++) {
        at.tokens[i] = at.tokens[i - 1] * tokens;
        at.labels[i] = at.labels[i - 1] * labels;
    }
    return at;
}

uint32_t exl__type_bytes(uint32_t type) {
    switch (type) {
    case EXL__F32:
    case EXL__I32: return 4;
    case EXL__U8:
    case EXL__I8: return 1;
    case EXL__I64: return 8;
    default: return 0;
    }
}

/* a x b, or MOST where it is more. */
static uint64_t times(uint64_t a, uint64_t b) {
    if (a == 0 || b == 0)
        return 0;
    return a > MOST / b ? MOST : a * b;
}

static uint64_t plus(uint64_t a, uint64_t b) { return a + b > MOST ? MOST : a + b; }

/* The size at the plan's largest text and shortlist; MOST where it is that or more. */
static uint64_t largest(const exl__plan *plan, exl__size size) {
    uint64_t value = size & 0xFFFFFFF;

    for (uint32_t i = 0; i < (size >> 28 & 3); i++)
        value = times(value, plan->max_tokens);
    for (uint32_t i = 0; i < size >> 30; i++)
        value = times(value, plan->max_labels);
    return value;
}

static uint64_t padded(uint64_t value) { return (value + 15) / 16 * 16; }

/* ---- buffers ------------------------------------------------------------------------------------------------- */

/* Whether a buffer agrees with the input, output or weight that it stands for, or with the arena. */
static int buffer_is_sound(const checker *c, const exl__plan_buffer *buffer) {
    uint64_t elements = largest(c->plan, buffer->elements), bytes = exl__type_bytes(buffer->type);
    const exl__graph_source *source = c->source;

    if (bytes == 0 || elements == 0 || elements >= MOST || buffer->reserved != 0)
        return 0;
    bytes = times(bytes, elements);
    if (buffer->place != EXL__ARENA && buffer->offset_bytes != 0)
        return 0;
    switch (buffer->place) {
    case EXL__ARENA:
        return buffer->index == 0 && buffer->offset_bytes % ALIGNMENT_BYTES == 0 &&
               buffer->offset_bytes <= c->plan->arena_bytes && bytes <= c->plan->arena_bytes - buffer->offset_bytes;
    case EXL__FROM_INPUT:
        for (size_t i = 0; i < source->input_count; i++)
            if (source->inputs[i].number == buffer->index)
                return source->inputs[i].type == buffer->type && source->inputs[i].elements == buffer->elements;
        return 0;
    case EXL__TO_OUTPUT:
        return buffer->index < source->output_count && source->outputs[buffer->index].type == buffer->type &&
               source->outputs[buffer->index].elements == buffer->elements;
    case EXL__FROM_WEIGHT:
        return buffer->index < source->weight_count && buffer->elements >> 28 == 0 &&
               source->weights[buffer->index].type == buffer->type &&
               source->weights[buffer->index].data_bytes == bytes;
    default: return 0;
    }
}

/* Every input is a buffer once, every output is one once and is written. */
static int ports_are_bound(const checker *c) {
    size_t inputs = 0, outputs = 0;
    uint32_t seen_inputs = 0, seen_outputs = 0, written = 0;

    for (uint32_t i = 0; i < c->plan->buffer_count; i++) {
        const exl__plan_buffer *buffer = &c->plan->buffers[i];
        if (buffer->place == EXL__FROM_INPUT) {
            inputs += !(seen_inputs >> buffer->index & 1);
            seen_inputs |= 1u << buffer->index;
        } else if (buffer->place == EXL__TO_OUTPUT) {
            if (seen_outputs >> buffer->index & 1)
                return 0;
            outputs++;
            seen_outputs |= 1u << buffer->index;
        }
    }
    for (uint32_t i = 0; i < c->plan->operation_count; i++) {
        uint32_t buffer = c->plan->operations[i].operands[0].buffer;
        if (c->plan->buffers[buffer].place == EXL__TO_OUTPUT)
            written |= 1u << c->plan->buffers[buffer].index;
    }
    return inputs == c->source->input_count && outputs == c->source->output_count && written == seen_outputs;
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static const exl__plan_buffer *buffer_of(const checker *c, int place) {
    uint32_t number = c->operation->operands[place].buffer;
    return number < c->plan->buffer_count ? &c->plan->buffers[number] : NULL;
}

static int absent(const checker *c, int place) { return c->operation->operands[place].buffer == EXL__NO_BUFFER; }

static int has_type(const checker *c, int place, uint32_t type) {
    const exl__plan_buffer *buffer = buffer_of(c, place);
    return buffer && buffer->type == type;
}

/* Whether an operand that walks `sizes` with its strides, and then reads `run` elements in a row, stays inside. */
static int stays_inside(const checker *c, int place, const int walks[EXL__PLAN_RANK], uint64_t run) {
    const exl__operand *operand = &c->operation->operands[place];
    const exl__plan_buffer *buffer = buffer_of(c, place);
    uint64_t last;

    if (!buffer)
        return 0;
    last = plus(largest(c->plan, operand->offset), run);
    for (int i = 0; i < EXL__PLAN_RANK; i++)
        if (walks[i])
            last =
                plus(last, times(largest(c->plan, c->operation->sizes[i]) - 1, largest(c->plan, operand->strides[i])));
    return last <= largest(c->plan, buffer->elements);
}

static const int ROWS[EXL__PLAN_RANK] = {1, 0, 0, 0}, ALL[EXL__PLAN_RANK] = {1, 1, 1, 1}, NONE[EXL__PLAN_RANK] = {0};

static int whole_weight(const checker *c, int place, uint32_t type, uint64_t elements) {
    const exl__plan_buffer *buffer = buffer_of(c, place);
    return buffer && buffer->place == EXL__FROM_WEIGHT && buffer->type == type &&
           c->operation->operands[place].offset == 0 && largest(c->plan, buffer->elements) == elements;
}

static int linear_is_sound(const checker *c, const uint64_t n[EXL__PLAN_RANK]) {
    uint64_t depth = n[1], columns = padded(n[2]), bits = n[3], lines, codes;
    uint32_t type = EXL__I8;

    if (depth > 1u << 20 || columns > 1u << 20 || c->operation->function >= EXL__ACTIVATIONS ||
        (c->operation->sizes[1] | c->operation->sizes[2] | c->operation->sizes[3]) >> 28 != 0)
        return 0;
    lines = 3;
    codes = padded(depth) * columns;
    if (c->operation->code == EXL__LINEAR_F32) {
        lines = 1;
        codes = depth * columns;
        type = EXL__F32;
    } else if (c->operation->code == EXL__LINEAR_BLOCKS) {
        if (depth % 32 != 0 || (bits != 4 && bits != 8))
            return 0;
        lines = 1 + 2 * (depth / 32);
        codes = codes * bits / 8;
    }
    if (!whole_weight(c, 2, type, codes) || !whole_weight(c, 3, EXL__I32, lines * columns))
        return 0;
    if (!has_type(c, 0, EXL__F32) || !has_type(c, 1, EXL__F32) || !stays_inside(c, 0, ROWS, n[2]) ||
        !stays_inside(c, 1, ROWS, depth))
        return 0;
    return absent(c, 4) || (has_type(c, 4, EXL__F32) && stays_inside(c, 4, ROWS, n[2]));
}

static int layer_norm_is_sound(const checker *c, const uint64_t n[EXL__PLAN_RANK]) {
    for (int place = 0; place < 2; place++)
        if (!has_type(c, place, EXL__F32) || !stays_inside(c, place, ROWS, n[1]))
            return 0;
    for (int place = 2; place < 4; place++)
        if (!absent(c, place) && (!has_type(c, place, EXL__F32) || !stays_inside(c, place, NONE, n[1])))
            return 0;
    return c->operation->function == 0;
}

static int attention_is_sound(const checker *c) {
    for (int place = 0; place < 6; place++) {
        if (place >= 4 && absent(c, place))
            continue;
        if (!has_type(c, place, EXL__F32) || !stays_inside(c, place, ALL, 1))
            return 0;
    }
    return c->operation->function == 0 && c->operation->operands[0].strides[3] == 1 &&
           c->operation->operands[1].strides[3] == 1;
}

static int embed_is_sound(const checker *c, const uint64_t n[EXL__PLAN_RANK]) {
    const exl__plan_buffer *table = buffer_of(c, 2);
    uint64_t rows = table && n[1] > 0 ? largest(c->plan, table->elements) / n[1] : 0;

    return c->operation->function == 0 && rows > 0 && c->operation->sizes[1] >> 28 == 0 &&
           (whole_weight(c, 2, EXL__F32, rows * n[1]) || whole_weight(c, 2, EXL__I8, rows * n[1])) &&
           (absent(c, 3) || whole_weight(c, 3, EXL__F32, rows)) && has_type(c, 0, EXL__F32) &&
           has_type(c, 1, EXL__I64) && stays_inside(c, 0, ROWS, n[1]) && stays_inside(c, 1, ROWS, 1);
}

/* Operands that a function takes, and their types; 0 operands: no such function. */
static int function_types(uint32_t function, uint32_t types[4]) {
    uint32_t plain = function < 32 ? EXL__F32 : EXL__I64;
    int inputs = 2;

    types[0] = types[1] = types[2] = types[3] = plain;
    switch (function) {
    case EXL__COPY:
    case EXL__SQRT:
    case EXL__ERF:
    case EXL__TANH:
    case EXL__EXP:
    case EXL__RELU:
    case EXL__GELU:
    case EXL__SIGMOID:
    case EXL__COPY_INT:
    case EXL__NOT: inputs = 1; break;
    case EXL__WHERE_INT: inputs = 3; break;
    case EXL__TO_FLOAT: inputs = 1, types[0] = EXL__F32; break;
    case EXL__TO_INT: inputs = 1, types[1] = EXL__F32; break;
    case EXL__WHERE: inputs = 3, types[0] = types[2] = types[3] = EXL__F32; break;
    default:
        if (function < EXL__COPY || function >= EXL__FUNCTIONS ||
            (function > EXL__SIGMOID && function < EXL__COPY_INT) ||
            (function > EXL__WHERE_INT && function < EXL__TO_FLOAT))
            inputs = 0;
    }
    return inputs;
}

static int map_is_sound(const checker *c) {
    uint32_t types[4];
    int inputs = function_types(c->operation->function, types);

    for (int place = 0; place <= inputs; place++)
        if (!has_type(c, place, types[place]) || !stays_inside(c, place, ALL, 1))
            return 0;
    return inputs > 0;
}

/* Operations of one operand, of one type, over all four sizes. */
static int plain_is_sound(const checker *c, uint32_t type) {
    for (int place = 0; place < 2; place++)
        if (!has_type(c, place, type) || !stays_inside(c, place, ALL, 1))
            return 0;
    return 1;
}

static int reduce_is_sound(const checker *c) {
    uint32_t function = c->operation->function;

    if (function == EXL__SUM_INT)
        return plain_is_sound(c, EXL__I64);
    return function >= EXL__SUM && function <= EXL__MEAN && plain_is_sound(c, EXL__F32);
}

static int softmax_is_sound(const checker *c, const uint64_t n[EXL__PLAN_RANK]) {
    for (int place = 0; place < 2; place++)
        if (!has_type(c, place, EXL__F32) || !stays_inside(c, place, ROWS, n[1]))
            return 0;
    return c->operation->function == 0;
}

static int matmul_is_sound(const checker *c) {
    for (int place = 0; place < 3; place++)
        if (!has_type(c, place, EXL__F32) || !stays_inside(c, place, ALL, 1))
            return 0;
    return c->operation->function == 0 && c->operation->operands[0].strides[3] == 1 &&
           c->operation->operands[1].strides[2] == 1;
}

static int operation_is_sound(const checker *c) {
    const exl__operation *o = c->operation;
    const exl__plan_buffer *out = buffer_of(c, 0);
    uint64_t n[EXL__PLAN_RANK];

    for (int i = 0; i < EXL__PLAN_RANK; i++) {
        n[i] = largest(c->plan, o->sizes[i]);
        if (n[i] == 0 || n[i] >= MOST)
            return 0;
    }
    if (o->reserved != 0 || !out || (out->place != EXL__ARENA && out->place != EXL__TO_OUTPUT))
        return 0;
    for (int place = 1; place < EXL__PLAN_OPERANDS; place++) {
        const exl__plan_buffer *buffer = buffer_of(c, place);
        if (!buffer && !absent(c, place))
            return 0;
        if (buffer && buffer->place == EXL__TO_OUTPUT) /* may not be there */
            return 0;
        if (buffer && o->code == EXL__ATTENTION && place == 5 && buffer->place != EXL__ARENA)
            return 0; /* the one further operand that is written */
    }
    switch (o->code) {
    case EXL__LINEAR_INT8:
    case EXL__LINEAR_F32:
    case EXL__LINEAR_BLOCKS: return linear_is_sound(c, n);
    case EXL__LAYER_NORM: return layer_norm_is_sound(c, n);
    case EXL__ATTENTION: return attention_is_sound(c);
    case EXL__EMBED: return embed_is_sound(c, n);
    case EXL__MAP: return map_is_sound(c);
    case EXL__REDUCE: return reduce_is_sound(c);
    case EXL__SOFTMAX: return softmax_is_sound(c, n);
    case EXL__MATMUL: return matmul_is_sound(c);
    case EXL__SHIFT: return (o->function == 1 || o->function == 2) && plain_is_sound(c, EXL__I64);
    case EXL__RUNNING_SUM: return o->function == 0 && plain_is_sound(c, EXL__I64);
    default: return 0;
    }
}

/* ---- all ----------------------------------------------------------------------------------------------------- */

exl_status exl__plan_read(const exl__graph_source *source, exl__plan *plan, exl__error *error) {
    checker c = {plan, source, NULL};
    uint32_t head[8];

    memset(plan, 0, sizeof *plan);
    if (source->length < HEAD_BYTES)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan is cut off", source->role);
    memcpy(head, source->bytes, sizeof head);
    memcpy(&plan->arena_bytes, source->bytes + sizeof head, sizeof plan->arena_bytes);
    plan->buffer_count = head[1];
    plan->operation_count = head[2];
    plan->max_tokens = head[4];
    plan->max_labels = head[5];
    for (size_t i = sizeof head + 8; i < HEAD_BYTES; i++)
        if (source->bytes[i] != 0)
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan has a reserved byte that is not 0",
                             source->role);
    if (head[0] != VERSION || head[6] != 0 || head[7] != 0 || plan->buffer_count > MOST_RECORDS ||
        plan->operation_count > MOST_RECORDS || head[3] != source->weight_count ||
        source->length != HEAD_BYTES + (size_t)plan->buffer_count * sizeof *plan->buffers +
                              (size_t)plan->operation_count * sizeof *plan->operations)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan does not have the size that it states",
                         source->role);
    if (plan->max_tokens != source->max_tokens || plan->max_labels != source->max_labels || plan->max_tokens < 1 ||
        plan->max_tokens > MOST_TOKENS || plan->max_labels < 1 || plan->max_labels > MOST_LABELS ||
        plan->arena_bytes > MOST_ARENA_BYTES)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan is made for other lengths than the bundle's",
                         source->role);
    plan->buffers = (const exl__plan_buffer *)(const void *)(source->bytes + HEAD_BYTES);
    plan->operations = (const exl__operation *)(const void *)(plan->buffers + plan->buffer_count);
    for (uint32_t i = 0; i < plan->buffer_count; i++)
        if (!buffer_is_sound(&c, &plan->buffers[i]))
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "buffer %u of the %s's plan is not well formed", i,
                             source->role);
    for (uint32_t i = 0; i < plan->operation_count; i++) {
        c.operation = &plan->operations[i];
        if (!operation_is_sound(&c))
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "operation %u of the %s's plan is not well formed", i,
                             source->role);
    }
    if (!ports_are_bound(&c))
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan does not take and give what the bundle declares",
                         source->role);
    return EXL_OK;
}
