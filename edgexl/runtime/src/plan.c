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
    PLAN_HEAD_BYTES = 64,
    PLAN_MOST_RECORDS = 4096,
    PLAN_VERSION = 1,
    PLAN_ALIGNMENT_BYTES = 64,
    PLAN_MOST_TOKENS = 8192,
    PLAN_MOST_LABELS = 4096,
    PLAN_POWERS = 7 /* of T, and of N, in the product of two sizes: 0 to 6 */
};

#define PLAN_MOST_ELEMENTS ((uint64_t)1 << 40) /* of a buffer: no device has the memory */
#define PLAN_MOST_ARENA_BYTES ((uint64_t)1 << 31)
#define PLAN_MOST_WORK_BYTES ((uint64_t)1 << 31)
#define PLAN_MOST_SIZE ((uint64_t)1 << 30) /* kernels count in 32 bits, up to a multiple of 16 */
/* Multiply-adds. BERT-base takes 2^35.5 at 512 tokens; this is a second of one core with vectors, and less than that
 * for a fuzz target, which has thousands of plans to run. */
#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
#define PLAN_MOST_WORK ((uint64_t)1 << 36)
#else
#define PLAN_MOST_WORK ((uint64_t)1 << 22)
#endif

_Static_assert(sizeof(exl__plan_buffer) == 32, "docs/format.md");
_Static_assert(sizeof(exl__operation) == 176, "docs/format.md");

/* A size taken apart: of x T^t x N^n. */
typedef struct plan_term {
    uint64_t of;
    uint32_t t, n;
} plan_term;

/* Which of a buffer's elements have surely been written: the first `done` of each `period` of them. */
typedef struct plan_cover {
    plan_term period, done;
} plan_cover;

typedef struct plan_checker {
    const exl__graph_source *source;
    exl__plan *plan;
    plan_cover *covers; /* [buffers] */
    const exl__operation *operation;
    const exl__rule *rule;
    uint64_t sizes[EXL__PLAN_RANK]; /* of the operation, at the largest lengths */
    uint64_t work;                  /* of the operations so far */
} plan_checker;

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

static plan_term plan_term_of(exl__size size) {
    plan_term result = {exl__coefficient(size), exl__token_power(size), exl__label_power(size)};
    return result;
}

static plan_term plan_product(plan_term a, plan_term b) {
    plan_term result = {exl__times(a.of, b.of), a.t + b.t, a.n + b.n};
    return result;
}

static int plan_same(plan_term a, plan_term b) { return a.of == b.of && (a.of == 0 || (a.t == b.t && a.n == b.n)); }

/* At the plan's largest text and shortlist. */
static uint64_t plan_largest(const exl__plan *plan, exl__size size) {
    plan_term of = plan_term_of(size);

    for (; of.t > 0; of.t--)
        of.of = exl__times(of.of, plan->max_tokens);
    for (; of.n > 0; of.n--)
        of.of = exl__times(of.of, plan->max_labels);
    return of.of;
}

/* ---- buffers ------------------------------------------------------------------------------------------------- */

/* Whether a buffer agrees with the input, output or weight that it stands for, or with the arena. */
static int plan_buffer_is_sound(const plan_checker *c, const exl__plan_buffer *buffer) {
    uint64_t elements = plan_largest(c->plan, buffer->elements), bytes = exl__type_bytes(buffer->type);
    const exl__graph_source *source = c->source;

    if (bytes == 0 || elements == 0 || elements > PLAN_MOST_ELEMENTS || buffer->reserved != 0)
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
static int plan_ports_are_bound(const plan_checker *c) {
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

static const exl__plan_buffer *plan_buffer_of(const plan_checker *c, int place) {
    uint32_t number = c->operation->operands[place].buffer;
    return number < c->plan->buffer_count ? &c->plan->buffers[number] : NULL;
}

static int plan_absent(const plan_checker *c, int place) {
    return c->operation->operands[place].buffer == EXL__NO_BUFFER;
}

static int plan_walks(const plan_checker *c, int place, int axis) { return c->rule->operands[place].axes >> axis & 1; }

/* Elements that lie side by side at each place of the walked axes. */
static plan_term plan_run_of(const plan_checker *c, int place) {
    static const plan_term one = {1, 0, 0};
    uint32_t axis = c->rule->operands[place].run;
    return axis == EXL__NO_RUN ? one : plan_term_of(c->operation->sizes[axis]);
}

/* offset + run + the sum of (size - 1) x stride: one more than the last element, at the largest lengths. */
static uint64_t plan_largest_end(const plan_checker *c, int place) {
    const exl__operand *operand = &c->operation->operands[place];
    uint32_t run = c->rule->operands[place].run;
    uint64_t end = exl__plus(plan_largest(c->plan, operand->offset), run == EXL__NO_RUN ? 1 : c->sizes[run]);

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        if (plan_walks(c, place, axis))
            end = exl__plus(end, exl__times(c->sizes[axis] - 1, plan_largest(c->plan, operand->strides[axis])));
    return end;
}

/* Whether the same is at most the buffer's elements at every T and N from 1 on. Multiplied out it is a sum of terms, in
 * which equal powers cancel each other (rows that end where the next begins do). What remains is negative, and may be
 * left out, or grows no faster than the buffer, and then all of that together must not be more than it. */
static int plan_ends_within(const plan_checker *c, int place, exl__size elements) {
    const exl__operand *operand = &c->operation->operands[place];
    int64_t sums[PLAN_POWERS][PLAN_POWERS] = {{0}}; /* of at most 10 terms below 2^56 */
    plan_term buffer = plan_term_of(elements), one = plan_term_of(operand->offset);
    uint64_t left = buffer.of;

    sums[one.t][one.n] += (int64_t)one.of;
    one = plan_run_of(c, place);
    sums[one.t][one.n] += (int64_t)one.of;
    for (int axis = 0; axis < EXL__PLAN_RANK; axis++) {
        if (!plan_walks(c, place, axis))
            continue;
        one = plan_term_of(operand->strides[axis]);
        sums[one.t][one.n] -= (int64_t)one.of;
        one = plan_product(one, plan_term_of(c->operation->sizes[axis]));
        sums[one.t][one.n] += (int64_t)one.of;
    }
    for (uint32_t t = 0; t < PLAN_POWERS; t++)
        for (uint32_t n = 0; n < PLAN_POWERS; n++) {
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
static int plan_stays_inside(const plan_checker *c, int place) {
    const exl__plan_buffer *buffer = plan_buffer_of(c, place);
    return plan_largest_end(c, place) <= (buffer->elements & 0xFFFFFFF) || plan_ends_within(c, place, buffer->elements);
}

/* ---- what is written ----------------------------------------------------------------------------------------- */

/* A written operand's elements: `run` side by side, `count` times, `apart` from each other. */
typedef struct plan_span {
    plan_term run, count, apart;
} plan_span;

/* Takes the axis whose stride is `apart` out of those left, a bit each: gives its size, or 0. */
static plan_term plan_take_axis(const plan_checker *c, int place, uint32_t *left, plan_term apart) {
    static const plan_term none = {0, 0, 0};

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        if (*left >> axis & 1 && plan_same(plan_term_of(c->operation->operands[place].strides[axis]), apart)) {
            *left &= ~(1u << axis);
            return plan_term_of(c->operation->sizes[axis]);
        }
    return none;
}

/* Finds an operand's span; 0 where it has none, or one element is written twice. Totals of a reduction are written
 * along the other axes. */
static int plan_find_span(const plan_checker *c, int place, plan_span *found) {
    const exl__operand *operand = &c->operation->operands[place];
    static const plan_term one = {1, 0, 0};
    uint32_t left = 0;
    plan_term size;

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        if (plan_walks(c, place, axis) && !plan_same(plan_term_of(c->operation->sizes[axis]), one) &&
            (c->operation->code != EXL__REDUCE || (operand->strides[axis] & 0xFFFFFFF) != 0))
            left |= 1u << axis;
    found->run = plan_run_of(c, place);
    while ((size = plan_take_axis(c, place, &left, found->run)).of != 0)
        found->run = plan_product(found->run, size);
    found->count = one;
    found->apart = found->run;
    for (int first = 0; left != 0 && first < EXL__PLAN_RANK; first++) { /* the axis that moves by least is not known */
        uint32_t rest = left & ~(1u << first);
        if (rest == left)
            continue;
        found->apart = plan_term_of(operand->strides[first]);
        found->count = plan_term_of(c->operation->sizes[first]);
        while ((size = plan_take_axis(c, place, &rest, plan_product(found->apart, found->count))).of != 0)
            found->count = plan_product(found->count, size);
        if (rest == 0)
            return found->run.of <= found->apart.of && found->run.t <= found->apart.t && found->run.n <= found->apart.n;
    }
    return left == 0;
}

/* Notes what an operation has written of a buffer: whole rows of it, or the next columns of all rows. */
static void plan_note_written(const plan_checker *c, int place, const plan_span *made) {
    uint32_t number = c->operation->operands[place].buffer;
    plan_term elements = plan_term_of(c->plan->buffers[number].elements),
              offset = plan_term_of(c->operation->operands[place].offset);
    plan_term period = plan_same(made->count, (plan_term){1, 0, 0}) ? elements : made->apart;
    plan_cover *so_far = &c->covers[number];

    if (plan_same(so_far->done, so_far->period) && so_far->done.of != 0)
        return; /* all of it */
    if (offset.of == 0 && plan_same(made->run, elements)) {
        so_far->done = so_far->period = elements;
        return;
    }
    if (!plan_same(period, elements) && !plan_same(plan_product(made->apart, made->count), elements))
        return;
    if (offset.of == 0) {
        so_far->done = made->run;
        so_far->period = period;
    } else if (plan_same(period, so_far->period) && plan_same(offset, so_far->done) && made->run.t == offset.t &&
               made->run.n == offset.n) {
        so_far->done.of += made->run.of;
    }
}

static int plan_is_written(const plan_checker *c, uint32_t number) {
    return c->covers[number].done.of != 0 && plan_same(c->covers[number].done, c->covers[number].period);
}

/* Has a run begin by clearing an arena buffer that is read before all of it is written. */
static void plan_clear(exl__plan *plan, const exl__plan_buffer *buffer) {
    uint64_t from = buffer->offset_bytes,
             to = from + plan_largest(plan, buffer->elements) * exl__type_bytes(buffer->type);
    uint64_t end = plan->cleared_offset + plan->cleared_bytes;

    if (plan->cleared_bytes == 0)
        plan->cleared_offset = end = from;
    plan->cleared_offset = from < plan->cleared_offset ? from : plan->cleared_offset;
    plan->cleared_bytes = (to > end ? to : end) - plan->cleared_offset;
}

static void plan_note_reads(const plan_checker *c) {
    for (int place = 1; place < EXL__PLAN_OPERANDS; place++) {
        const exl__plan_buffer *buffer = plan_buffer_of(c, place);
        if (buffer && buffer->place == EXL__ARENA && c->rule->operands[place].use & EXL__READ &&
            !plan_is_written(c, c->operation->operands[place].buffer))
            plan_clear(c->plan, buffer);
    }
}

/* Whether the written operand shares no byte of the arena with what the operation reads or writes besides. */
static int plan_is_apart(const plan_checker *c, int place) {
    const exl__plan_buffer *mine = plan_buffer_of(c, place);
    uint64_t begin = mine->offset_bytes,
             end = begin + plan_largest(c->plan, mine->elements) * exl__type_bytes(mine->type);

    for (int other = 0; other < EXL__PLAN_OPERANDS && mine->place == EXL__ARENA; other++) {
        const exl__plan_buffer *theirs = plan_buffer_of(c, other);
        if (other == place || !theirs || theirs->place != EXL__ARENA)
            continue;
        if (theirs->offset_bytes < end &&
            begin < theirs->offset_bytes + plan_largest(c->plan, theirs->elements) * exl__type_bytes(theirs->type))
            return 0;
    }
    return 1;
}

/* A written operand. Outputs may be left out of a run, with the operation that makes them: nothing else of it may be
 * relied on then. */
static int plan_result_is_sound(const plan_checker *c, int place) {
    const exl__plan_buffer *buffer = plan_buffer_of(c, place);
    plan_span made;

    if (buffer->place != EXL__ARENA && (place != 0 || buffer->place != EXL__TO_OUTPUT))
        return 0;
    if (!plan_is_apart(c, place) || !plan_find_span(c, place, &made))
        return 0;
    if (place == 0 || plan_buffer_of(c, 0)->place == EXL__ARENA)
        plan_note_written(c, place, &made);
    return 1;
}

/* ---- operations ---------------------------------------------------------------------------------------------- */

static int plan_constant_is_sound(const plan_checker *c, int place) {
    const exl__plan_buffer *buffer = plan_buffer_of(c, place);
    int of_blocks = c->operation->code == EXL__EMBED && c->operation->function == EXL__OF_BLOCKS;
    uint64_t row = of_blocks ? c->sizes[1] / 2 : c->sizes[1];
    uint64_t rows = plan_buffer_of(c, 2)->elements / row; /* a table is the first constant, so it is there */

    return buffer->place == EXL__FROM_WEIGHT && c->operation->operands[place].offset == 0 &&
           buffer->elements == exl__constant_elements(c->operation, place, c->sizes, rows);
}

static int plan_operand_is_sound(const plan_checker *c, int place) {
    const exl__operand_rule *rule = &c->rule->operands[place];
    const exl__plan_buffer *buffer = plan_buffer_of(c, place);

    if (plan_absent(c, place))
        return rule->use == 0 || rule->use & EXL__OPTIONAL;
    if (!buffer || !(rule->types >> buffer->type & 1))
        return 0;
    if (rule->use & EXL__CONSTANT)
        return plan_constant_is_sound(c, place);
    if (rule->use & EXL__READ && buffer->place == EXL__TO_OUTPUT) /* may not be there */
        return 0;
    if (rule->use & EXL__SIDE_BY_SIDE && c->operation->operands[place].strides[rule->run] != 1)
        return 0;
    return plan_stays_inside(c, place);
}

static int plan_sizes_are_sound(plan_checker *c) {
    const exl__operation *o = c->operation;

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++) {
        c->sizes[axis] = plan_largest(c->plan, o->sizes[axis]);
        if (c->sizes[axis] == 0 || c->sizes[axis] > PLAN_MOST_SIZE)
            return 0;
        if (c->rule->constant_sizes >> axis & 1 && !exl__is_constant(o->sizes[axis]))
            return 0;
    }
    if (c->rule->most_depth != 0 && c->sizes[1] > c->rule->most_depth)
        return 0;
    if (o->code == EXL__EMBED && o->function == EXL__OF_BLOCKS)
        return c->sizes[1] % 32 == 0;
    return o->code != EXL__LINEAR_BLOCKS || (c->sizes[1] % 32 == 0 && (c->sizes[3] == 4 || c->sizes[3] == 8));
}

static int plan_operation_is_sound(plan_checker *c) {
    uint64_t offsets[EXL__PIECES], bytes;

    c->rule = exl__rule_of(c->operation);
    if (!c->rule || c->operation->reserved != 0 || !plan_sizes_are_sound(c))
        return 0;
    for (int place = 0; place < EXL__PLAN_OPERANDS; place++)
        if (!plan_operand_is_sound(c, place))
            return 0;
    plan_note_reads(c);
    for (int place = 0; place < EXL__PLAN_OPERANDS; place++)
        if (!plan_absent(c, place) && c->rule->operands[place].use & EXL__WRITTEN && !plan_result_is_sound(c, place))
            return 0;
    bytes = exl__lay_out_work(c->rule, c->sizes, offsets);
    c->plan->work_bytes = bytes > c->plan->work_bytes ? bytes : c->plan->work_bytes;
    c->work = exl__plus(c->work, exl__amount_at(c->rule->work, c->sizes));
    return 1;
}

static exl_status plan_check_operations(plan_checker *c, exl_error *error) {
    const char *role = c->source->role;

    for (uint32_t i = 0; i < c->plan->operation_count; i++) {
        c->operation = &c->plan->operations[i];
        if (!plan_operation_is_sound(c))
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "operation %u of the %s's plan is not well formed", i, role);
        if (c->work > PLAN_MOST_WORK)
            return exl__fail(error, EXL_BUNDLE_MALFORMED,
                             "the %s's plan may take more than 2^36 multiply-adds, which the format forbids", role);
        if (c->plan->work_bytes > PLAN_MOST_WORK_BYTES)
            return exl__fail(error, EXL_BUNDLE_MALFORMED,
                             "operation %u of the %s's plan needs more than 2^31 bytes to work in", i, role);
    }
    if (!plan_ports_are_bound(c))
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan does not take and give what the bundle declares",
                         role);
    for (uint32_t i = 0; i < c->plan->buffer_count; i++)
        if (c->plan->buffers[i].place == EXL__TO_OUTPUT && !plan_is_written(c, i))
            c->plan->cleared_outputs |= 1u << c->plan->buffers[i].index;
    return EXL_OK;
}

/* ---- all ----------------------------------------------------------------------------------------------------- */

/* The head of a plan, and where its records lie. */
static exl_status plan_read_head(const exl__graph_source *source, exl__plan *plan, exl_error *error) {
    uint32_t head[8];

    memset(plan, 0, sizeof *plan);
    if (source->length < PLAN_HEAD_BYTES)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan is cut off", source->role);
    memcpy(head, source->bytes, sizeof head);
    memcpy(&plan->arena_bytes, source->bytes + sizeof head, sizeof plan->arena_bytes);
    plan->buffer_count = head[1];
    plan->operation_count = head[2];
    plan->max_tokens = head[4];
    plan->max_labels = head[5];
    for (size_t i = sizeof head + 8; i < PLAN_HEAD_BYTES; i++)
        if (source->bytes[i] != 0)
            return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan has a reserved byte that is not 0",
                             source->role);
    if (head[0] != PLAN_VERSION || head[6] != 0 || head[7] != 0 || plan->buffer_count > PLAN_MOST_RECORDS ||
        plan->operation_count > PLAN_MOST_RECORDS || head[3] != source->weight_count ||
        source->length != PLAN_HEAD_BYTES + (size_t)plan->buffer_count * sizeof *plan->buffers +
                              (size_t)plan->operation_count * sizeof *plan->operations)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan does not have the size that it states",
                         source->role);
    if (plan->max_tokens != source->max_tokens || plan->max_labels != source->max_labels || plan->max_tokens < 1 ||
        plan->max_tokens > PLAN_MOST_TOKENS || plan->max_labels < 1 || plan->max_labels > PLAN_MOST_LABELS ||
        plan->arena_bytes > PLAN_MOST_ARENA_BYTES)
        return exl__fail(error, EXL_BUNDLE_MALFORMED, "the %s's plan is made for other lengths than the bundle's",
                         source->role);
    plan->buffers = (const exl__plan_buffer *)(const void *)(source->bytes + PLAN_HEAD_BYTES);
    plan->operations = (const exl__operation *)(const void *)(plan->buffers + plan->buffer_count);
    return EXL_OK;
}

exl_status exl__plan_read(const exl_allocator *allocator, const exl__graph_source *source, exl__plan *plan,
                          exl_error *error) {
    plan_checker c = {.source = source, .plan = plan};
    exl_status status = plan_read_head(source, plan, error);

    for (uint32_t i = 0; i < plan->buffer_count && status == EXL_OK; i++)
        if (!plan_buffer_is_sound(&c, &plan->buffers[i]))
            status = exl__fail(error, EXL_BUNDLE_MALFORMED, "buffer %u of the %s's plan is not well formed", i,
                               source->role);
    if (status != EXL_OK)
        return status;
    c.covers = exl__allocate(allocator, plan->buffer_count + 1ull, sizeof *c.covers);
    if (!c.covers)
        return exl__fail(error, EXL_OUT_OF_MEMORY, "no memory to check the %s's plan", source->role);
    status = plan_check_operations(&c, error);
    exl__release(allocator, c.covers, plan->buffer_count + 1ull, sizeof *c.covers);
    return status;
}
