/* plan.c: reads a plan as docs/format.md has it, and refuses every one that is not exactly so.
 *
 * What a file can make large is computed by checked.h. Inputs, outputs and arena buffers shrink with T and N while a
 * plan's constants stay, so that operands are compared with their buffers as polynomials in T and N, at every length at
 * once; what has a limit of its own only grows with T and N, and is computed at the largest. */
#include "compiler.h"

#include <string.h>

#include "checked.h"
#include "memory.h"
#include "plan.h"

enum {
    HEAD_BYTES = 64,
    MOST_RECORDS = 4096,
    VERSION = 1,
    PLAN_ALIGNMENT_BYTES = 64,
    MOST_TOKENS = 8192,
    MOST_LABELS = 4096,
    POWERS = 7 /* of T, and of N, in the product of two sizes: 0 to 6 */
};

#define MOST_ELEMENTS ((uint64_t)1 << 40) /* of a buffer: no device has the memory */
#define MOST_ARENA_BYTES ((uint64_t)1 << 31)
#define MOST_WORK_BYTES ((uint64_t)1 << 31)
#define MOST_SIZE ((uint64_t)1 << 30) /* kernels count in 32 bits, up to a multiple of 16 */
/* Multiply-adds. BERT-base takes 2^35.5 at 512 tokens; this is a second of one core with vectors. */
#define MOST_WORK ((uint64_t)1 << 36)

_Static_assert(sizeof(exl__plan_buffer) == 32, "docs/format.md");
_Static_assert(sizeof(exl__operation) == 176, "docs/format.md");

/* A size taken apart: of x T^t x N^n. */
typedef struct term {
    uint64_t of;
    uint32_t t, n;
} term;

/* Which of a buffer's elements have surely been written: the first `done` of each `period` of them. */
typedef struct cover {
    term period, done;
} cover;

typedef struct checker {
    const exl__graph_source *source;
    exl__plan *plan;
    cover *covers; /* [buffers] */
    const exl__operation *operation;
    const exl__rule *rule;
    uint64_t sizes[EXL__PLAN_RANK]; /* of the operation, at the largest lengths */
    uint64_t work;                  /* of the operations so far */
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

static term term_of(exl__size size) {
    term result = {exl__coefficient(size), exl__token_power(size), exl__label_power(size)};
    return result;
}

static term plan_product(term a, term b) {
    term result = {exl__times(a.of, b.of), a.t + b.t, a.n + b.n};
    return result;
}

static int same(term a, term b) { return a.of == b.of && (a.of == 0 || (a.t == b.t && a.n == b.n)); }

/* At the plan's largest text and shortlist. */
static uint64_t largest(const exl__plan *plan, exl__size size) {
    term of = term_of(size);

    for (; of.t > 0; of.t--)
        of.of = exl__times(of.of, plan->max_tokens);
    for (; of.n > 0; of.n--)
        of.of = exl__times(of.of, plan->max_labels);
    return of.of;
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

/* Whether a buffer agrees with the input, output or weight that it stands for, or with the arena. */
static int buffer_is_sound(const checker *c, const exl__plan_buffer *buffer) {
    uint64_t elements = largest(c->plan, buffer->elements), bytes = exl__type_bytes(buffer->type);
    const exl__graph_source *source = c->source;

    if (bytes == 0 || elements == 0 || elements > MOST_ELEMENTS || buffer->reserved != 0)
        return 0;
    bytes = exl__times(bytes, elements);
    if (buffer->place != EXL__ARENA && buffer->offset_bytes != 0)
        return 0;
    switch (buffer->place) {
    case EXL__ARENA:
        return buffer->index == 0 && buffer->offset_bytes % PLAN_ALIGNMENT_BYTES == 0 &&
               exl__lies_within(buffer->offset_bytes, bytes, c->plan->arena_bytes);
    case EXL__FROM_INPUT:
        for (size_t i = 0; i < source->input_count; i++)
            if (source->inputs[i].number == buffer->index)
                return source->inputs[i].type == buffer->type && source->inputs[i].elements == buffer->elements;
        return 0;
    case EXL__TO_OUTPUT:
        return buffer->index < source->output_count && source->outputs[buffer->index].type == buffer->type &&
               source->outputs[buffer->index].elements == buffer->elements;
    case EXL__FROM_WEIGHT:
        return buffer->index < source->weight_count && exl__is_constant(buffer->elements) &&
               source->weights[buffer->index].type == buffer->type &&
               source->weights[buffer->index].data_bytes == bytes;
    default: return 0;
    }
}

/* Every input is a buffer, every output is one once and is written. */
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

/* ---- where operands lie -------------------------------------------------------------------------------------- */

static const exl__plan_buffer *buffer_of(const checker *c, int place) {
    uint32_t number = c->operation->operands[place].buffer;
    return number < c->plan->buffer_count ? &c->plan->buffers[number] : NULL;
}

static int absent(const checker *c, int place) { return c->operation->operands[place].buffer == EXL__NO_BUFFER; }

static int walks(const checker *c, int place, int axis) { return c->rule->operands[place].axes >> axis & 1; }

/* Elements that lie side by side at each place of the walked axes. */
static term run_of(const checker *c, int place) {
    static const term one = {1, 0, 0};
    uint32_t axis = c->rule->operands[place].run;
    return axis == EXL__NO_RUN ? one : term_of(c->operation->sizes[axis]);
}

/* offset + run + the sum of (size - 1) x stride: one more than the last element, at the largest lengths. */
static uint64_t largest_end(const checker *c, int place) {
    const exl__operand *operand = &c->operation->operands[place];
    uint32_t run = c->rule->operands[place].run;
    uint64_t end = exl__plus(largest(c->plan, operand->offset), run == EXL__NO_RUN ? 1 : c->sizes[run]);

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        if (walks(c, place, axis))
            end = exl__plus(end, exl__times(c->sizes[axis] - 1, largest(c->plan, operand->strides[axis])));
    return end;
}

/* Whether the same is at most the buffer's elements at every T and N from 1 on. Multiplied out it is a sum of terms, in
 * which equal powers cancel each other (rows that end where the next begins do). What remains is negative, and may be
 * left out, or grows no faster than the buffer, and then all of that together must not be more than it. */
static int ends_within(const checker *c, int place, exl__size elements) {
    const exl__operand *operand = &c->operation->operands[place];
    int64_t sums[POWERS][POWERS] = {{0}}; /* of at most 10 terms below 2^56 */
    term buffer = term_of(elements), one = term_of(operand->offset);
    uint64_t left = buffer.of;

    sums[one.t][one.n] += (int64_t)one.of;
    one = run_of(c, place);
    sums[one.t][one.n] += (int64_t)one.of;
    for (int axis = 0; axis < EXL__PLAN_RANK; axis++) {
        if (!walks(c, place, axis))
            continue;
        one = term_of(operand->strides[axis]);
        sums[one.t][one.n] -= (int64_t)one.of;
        one = plan_product(one, term_of(c->operation->sizes[axis]));
        sums[one.t][one.n] += (int64_t)one.of;
    }
    for (uint32_t t = 0; t < POWERS; t++)
        for (uint32_t n = 0; n < POWERS; n++) {
            if (sums[t][n] <= 0)
                continue;
            if (t > buffer.t || n > buffer.n || (uint64_t)sums[t][n] > left)
                return 0;
            left -= (uint64_t)sums[t][n];
        }
    return 1;
}

/* Whether an operand stays in its buffer at every length: by its end at the largest, where the buffer is as large at
 * the shortest (a weight), or as polynomials. */
static int stays_inside(const checker *c, int place) {
    const exl__plan_buffer *buffer = buffer_of(c, place);
    return largest_end(c, place) <= (buffer->elements & 0xFFFFFFF) || ends_within(c, place, buffer->elements);
}

/* ---- what is written ----------------------------------------------------------------------------------------- */

/* A written operand's elements: `run` side by side, `count` times, `apart` from each other. */
typedef struct span {
    term run, count, apart;
} span;

/* Takes the axis whose stride is `apart` out of those left, a bit each: gives its size, or 0. */
static term take_axis(const checker *c, int place, uint32_t *left, term apart) {
    static const term none = {0, 0, 0};

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        if (*left >> axis & 1 && same(term_of(c->operation->operands[place].strides[axis]), apart)) {
            *left &= ~(1u << axis);
            return term_of(c->operation->sizes[axis]);
        }
    return none;
}

/* Finds an operand's span; 0 where it has none, or one element is written twice. Totals of a reduction are written
 * along the other axes. */
static int find_span(const checker *c, int place, span *found) {
    const exl__operand *operand = &c->operation->operands[place];
    static const term one = {1, 0, 0};
    uint32_t left = 0;
    term size;

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        if (walks(c, place, axis) && !same(term_of(c->operation->sizes[axis]), one) &&
            (c->operation->code != EXL__REDUCE || (operand->strides[axis] & 0xFFFFFFF) != 0))
            left |= 1u << axis;
    found->run = run_of(c, place);
    while ((size = take_axis(c, place, &left, found->run)).of != 0)
        found->run = plan_product(found->run, size);
    found->count = one;
    found->apart = found->run;
    for (int first = 0; left != 0 && first < EXL__PLAN_RANK; first++) { /* the axis that moves by least is not known */
        uint32_t rest = left & ~(1u << first);
        if (rest == left)
            continue;
        found->apart = term_of(operand->strides[first]);
        found->count = term_of(c->operation->sizes[first]);
        while ((size = take_axis(c, place, &rest, plan_product(found->apart, found->count))).of != 0)
            found->count = plan_product(found->count, size);
        if (rest == 0)
            return found->run.of <= found->apart.of && found->run.t <= found->apart.t && found->run.n <= found->apart.n;
    }
    return left == 0;
}

/* Notes what an operation has written of a buffer: whole rows of it, or the next columns of all rows. */
static void note_written(const checker *c, int place, const span *made) {
    uint32_t number = c->operation->operands[place].buffer;
    term elements = term_of(c->plan->buffers[number].elements), offset = term_of(c->operation->operands[place].offset);
    term period = same(made->count, (term){1, 0, 0}) ? elements : made->apart;
    cover *so_far = &c->covers[number];

    if (same(so_far->done, so_far->period) && so_far->done.of != 0)
        return; /* all of it */
    if (offset.of == 0 && same(made->run, elements)) {
        so_far->done = so_far->period = elements;
        return;
    }
    if (!same(period, elements) && !same(plan_product(made->apart, made->count), elements))
        return;
    if (offset.of == 0) {
        so_far->done = made->run;
        so_far->period = period;
    } else if (same(period, so_far->period) && same(offset, so_far->done) && made->run.t == offset.t &&
               made->run.n == offset.n) {
        so_far->done.of += made->run.of;
    }
}

static int is_written(const checker *c, uint32_t number) {
    return c->covers[number].done.of != 0 && same(c->covers[number].done, c->covers[number].period);
}

/* Has a run begin by clearing an arena buffer that is read before all of it is written. */
static void plan_clear(exl__plan *plan, const exl__plan_buffer *buffer) {
    uint64_t from = buffer->offset_bytes, to = from + largest(plan, buffer->elements) * exl__type_bytes(buffer->type);
    uint64_t end = plan->cleared_offset + plan->cleared_bytes;

    if (plan->cleared_bytes == 0)
        plan->cleared_offset = end = from;
    plan->cleared_offset = from < plan->cleared_offset ? from : plan->cleared_offset;
    plan->cleared_bytes = (to > end ? to : end) - plan->cleared_offset;
}

static void note_reads(const checker *c) {
    for (int place = 1; place < EXL__PLAN_OPERANDS; place++) {
        const exl__plan_buffer *buffer = buffer_of(c, place);
        if (buffer && buffer->place == EXL__ARENA && c->rule->operands[place].use & EXL__READ &&
            !is_written(c, c->operation->operands[place].buffer))
            plan_clear(c->plan, buffer);
    }
}

/* Whether the written operand shares no byte of the arena with what the operation reads or writes besides. */
static int is_apart(const checker *c, int place) {
    const exl__plan_buffer *mine = buffer_of(c, place);
    uint64_t begin = mine->offset_bytes, end = begin + largest(c->plan, mine->elements) * exl__type_bytes(mine->type);

    for (int other = 0; other < EXL__PLAN_OPERANDS && mine->place == EXL__ARENA; other++) {
        const exl__plan_buffer *theirs = buffer_of(c, other);
        if (other == place || !theirs || theirs->place != EXL__ARENA)
            continue;
        if (theirs->offset_bytes < end &&
            begin < theirs->offset_bytes + largest(c->plan, theirs->elements) * exl__type_bytes(theirs->type))
            return 0;
    }
    return 1;
}

/* A written operand. Outputs may be left out of a run, with the operation that makes them: nothing else of it may be
 * relied on then. */
static int result_is_sound(const checker *c, int place) {
    const exl__plan_buffer *buffer = buffer_of(c, place);
    span made;

    if (buffer->place != EXL__ARENA && (place != 0 || buffer->place != EXL__TO_OUTPUT))
        return 0;
    if (!is_apart(c, place) || !find_span(c, place, &made))
        return 0;
    if (place == 0 || buffer_of(c, 0)->place == EXL__ARENA)
        note_written(c, place, &made);
    return 1;
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static int constant_is_sound(const checker *c, int place) {
    const exl__plan_buffer *buffer = buffer_of(c, place);
    uint64_t rows = buffer_of(c, 2)->elements / c->sizes[1]; /* a table is the first constant, so it is there */

    return buffer->place == EXL__FROM_WEIGHT && c->operation->operands[place].offset == 0 &&
           buffer->elements == exl__constant_elements(c->operation, place, c->sizes, rows);
}

static int operand_is_sound(const checker *c, int place) {
    const exl__operand_rule *rule = &c->rule->operands[place];
    const exl__plan_buffer *buffer = buffer_of(c, place);

    if (absent(c, place))
        return rule->use == 0 || rule->use & EXL__OPTIONAL;
    if (!buffer || !(rule->types >> buffer->type & 1))
        return 0;
    if (rule->use & EXL__CONSTANT)
        return constant_is_sound(c, place);
    if (rule->use & EXL__READ && buffer->place == EXL__TO_OUTPUT) /* may not be there */
        return 0;
    if (rule->use & EXL__SIDE_BY_SIDE && c->operation->operands[place].strides[rule->run] != 1)
        return 0;
    return stays_inside(c, place);
}

static int sizes_are_sound(checker *c) {
    const exl__operation *o = c->operation;

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++) {
        c->sizes[axis] = largest(c->plan, o->sizes[axis]);
        if (c->sizes[axis] == 0 || c->sizes[axis] > MOST_SIZE)
            return 0;
        if (c->rule->constant_sizes >> axis & 1 && !exl__is_constant(o->sizes[axis]))
            return 0;
    }
    if (c->rule->most_depth != 0 && c->sizes[1] > c->rule->most_depth)
        return 0;
    return o->code != EXL__LINEAR_BLOCKS || (c->sizes[1] % 32 == 0 && (c->sizes[3] == 4 || c->sizes[3] == 8));
}

static int operation_is_sound(checker *c) {
    uint64_t offsets[EXL__PIECES], bytes;

    c->rule = exl__rule_of(c->operation);
    if (!c->rule || c->operation->reserved != 0 || !sizes_are_sound(c))
        return 0;
    for (int place = 0; place < EXL__PLAN_OPERANDS; place++)
        if (!operand_is_sound(c, place))
            return 0;
    note_reads(c);
    for (int place = 0; place < EXL__PLAN_OPERANDS; place++)
        if (!absent(c, place) && c->rule->operands[place].use & EXL__WRITTEN && !result_is_sound(c, place))
            return 0;
    bytes = exl__lay_out_work(c->rule, c->sizes, offsets);
    c->plan->work_bytes = bytes > c->plan->work_bytes ? bytes : c->plan->work_bytes;
    c->work = exl__plus(c->work, exl__amount_at(c->rule->work, c->sizes));
    return 1;
}

static exl_status check_operations(checker *c, exl_error *error) {
    const char *role = c->source->role;

    for (uint32_t i = 0; i < c->plan->operation_count; i++) {
        c->operation = &c->plan->operations[i];
        if (!operation_is_sound(c))
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "operation %u of the %s's plan is not well formed", i, role);
        if (c->work > MOST_WORK)
            return exl__fail(error, EXL_BUNDLE_MALFORMED,
                             "the %s's plan may take more than 2^36 multiply-adds, which the format forbids", role);
        if (c->plan->work_bytes > MOST_WORK_BYTES)
            return exl__fail(error, EXL_BUNDLE_MALFORMED,
                             "operation %u of the %s's plan needs more than 2^31 bytes to work in", i, role);
    }
    if (!ports_are_bound(c))
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan does not take and give what the bundle declares",
                         role);
    for (uint32_t i = 0; i < c->plan->buffer_count; i++)
        if (c->plan->buffers[i].place == EXL__TO_OUTPUT && !is_written(c, i))
            c->plan->cleared_outputs |= 1u << c->plan->buffers[i].index;
    return EXL_OK;
}

/* ---- all ----------------------------------------------------------------------------------------------------- */

/* The head of a plan, and where its records lie. */
static exl_status read_head(const exl__graph_source *source, exl__plan *plan, exl_error *error) {
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
    return EXL_OK;
}

exl_status exl__plan_read(const exl_allocator *allocator, const exl__graph_source *source, exl__plan *plan,
                          exl_error *error) {
    checker c = {.source = source, .plan = plan};
    exl_status status = read_head(source, plan, error);

    for (uint32_t i = 0; i < plan->buffer_count && status == EXL_OK; i++)
        if (!buffer_is_sound(&c, &plan->buffers[i]))
            status = exl__fail(error, EXL_BUNDLE_MALFORMED, "buffer %u of the %s's plan is not well formed", i,
                               source->role);
    if (status != EXL_OK)
        return status;
    c.covers = exl__allocate(allocator, plan->buffer_count + 1ull, sizeof *c.covers);
    if (!c.covers)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory to check the %s's plan", source->role);
    status = check_operations(&c, error);
    exl__release(allocator, c.covers, plan->buffer_count + 1ull, sizeof *c.covers);
    return status;
}
