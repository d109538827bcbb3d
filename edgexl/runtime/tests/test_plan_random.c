/* test_plan_random.c: random plans. What the reader admits runs clean in buffers of exactly its sizes, at every length,
 * and no bit of an answer depends on what the memory held before or on the kernels. Sound plans give what
 * docs/format.md says (plan_reference.h); the same ones with some numbers changed are refused, or as clean.
 *
 *     test_plan_random [ROUNDS [SEED]]
 */
#include "plan_reference.h"

enum { MAX_TOKENS = 7, MAX_LABELS = 6, ROUNDS = 150, CHANGED_ROUNDS_A_PLAN = 24 };

static uint32_t inputs_used; /* numbers of inputs, a bit each */
static long admitted, refused;

/* ---- sound plans --------------------------------------------------------------------------------------------- */

static exl__size times(exl__size a, exl__size b) {
    uint64_t of = (uint64_t)COEFFICIENT(a) * COEFFICIENT(b);

    CHECK(of < 1u << 28 && T_OF(a) + T_OF(b) < 4 && N_OF(a) + N_OF(b) < 4);
    return of == 0 ? 0 : SIZE(of, T_OF(a) + T_OF(b), N_OF(a) + N_OF(b));
}

/* Sizes of which at most one grows with T and one with N. */
static void draw_sizes(exl__size sizes[EXL__PLAN_RANK], uint32_t most) {
    uint32_t with_t = draw(6), with_n = draw(6), wide = draw(3) ? 4 : draw(4);

    for (uint32_t axis = 0; axis < EXL__PLAN_RANK; axis++) {
        sizes[axis] = draw(4) == 0 ? 1 : 1 + draw(axis == wide ? most : 5);
        if (axis == with_t)
            sizes[axis] = SIZE(1 + draw(2), 1, 0);
        if (axis == with_n)
            sizes[axis] = SIZE(1 + draw(2), axis == with_t ? 1 : 0, 1);
    }
}

/* Strides along the axes in random order, dense or with gaps, around `run` elements that lie side by side; gives the
 * elements that a buffer must have. What is read may stand still along an axis. */
static exl__size draw_strides(const exl__size sizes[EXL__PLAN_RANK], uint32_t axes, exl__size run, int is_read,
                              exl__operand *operand) {
    uint32_t order[] = {0, 1, 2, 3}, gap = draw(4), columns = 1 + draw(3);
    exl__size step = run;

    for (uint32_t i = 4; i > 1; i--) {
        uint32_t k = draw(i), kept = order[k];
        order[k] = order[i - 1], order[i - 1] = kept;
    }
    if (gap == 0 && run == 1 && is_read) { /* every second or third element */
        step = times(step, columns);
        operand->offset = draw(columns);
    }
    for (int i = 0; i < EXL__PLAN_RANK; i++) {
        uint32_t axis = order[i];
        if (!(axes >> axis & 1))
            continue;
        operand->strides[axis] = is_read && draw(5) == 0 ? 0 : step;
        if (operand->strides[axis] == 0)
            continue;
        step = times(step, sizes[axis]);
        if (gap == 1) { /* some columns of a wider matrix */
            operand->offset = times(step, draw(columns));
            step = times(step, columns);
            gap = 2;
        }
    }
    return gap == 1 ? run : step;
}

static uint32_t draw_input(plan_case *p, uint32_t type, exl__size elements) {
    uint32_t number;

    do
        number = draw(7);
    while (inputs_used >> number & 1);
    inputs_used |= 1u << number;
    return add_buffer(p, EXL__FROM_INPUT, number, type, elements);
}

/* A buffer's numbers into another. */
static void add_copy(plan_case *p, uint32_t to, uint32_t from) {
    exl__size elements = p->buffers[from].elements;
    uint32_t function = p->buffers[from].type == EXL__F32 ? EXL__COPY : EXL__COPY_INT;
    exl__operation *o = add_operation(p, EXL__MAP, function, 1, 1, 1, elements);

    set_operand(o, 0, to, 0, 0, 0, 0, 1);
    set_operand(o, 1, from, 0, 0, 0, 0, 1);
}

/* A buffer to read from: an input, a copy of one in the arena, or a weight. */
static uint32_t draw_source(plan_case *p, uint32_t type, exl__size elements, uint64_t id_limit) {
    uint32_t from, copy;

    if (elements >> 28 == 0 && draw(3) == 0 && id_limit == 0)
        return add_weight(p, type, elements);
    from = draw_input(p, type, elements);
    p->id_limit[from] = id_limit;
    if (draw(2))
        return from;
    copy = add_buffer(p, EXL__ARENA, 0, type, elements);
    add_copy(p, copy, from);
    return copy;
}

static void draw_weights(plan_case *p, exl__operation *o, uint32_t depth, uint32_t columns, uint32_t bits) {
    uint32_t wide = (columns + 15) / 16 * 16, deep = (depth + 15) / 16 * 16, lines = 1;
    uint64_t codes = (uint64_t)depth * wide;
    int32_t *table;

    if (o->code != EXL__LINEAR_F32) {
        lines = o->code == EXL__LINEAR_INT8 ? 3 : 1 + depth / 16;
        codes = (uint64_t)deep * wide * (o->code == EXL__LINEAR_BLOCKS ? bits : 8) / 8;
    }
    set_operand(o, 2, add_weight(p, o->code == EXL__LINEAR_F32 ? EXL__F32 : EXL__I8, codes), 0, 0, 0, 0, 0);
    for (uint64_t i = 0; i < codes && o->code == EXL__LINEAR_F32; i++)
        ((float *)(uintptr_t)p->weights[p->weight_count - 1].data)[i] *= 0.05f;
    for (uint32_t c = 0; c < wide && o->code == EXL__LINEAR_INT8; c++) /* rows that fill up to 16 are zeros */
        for (uint32_t k = depth; k < deep; k++)
            ((int8_t *)(uintptr_t)p->weights[p->weight_count - 1]
                 .data)[c / 16 * deep * 16 + k / 4 * 64 + c % 16 * 4 + k % 4] = 0;
    set_operand(o, 3, add_weight(p, EXL__I32, (uint64_t)lines * wide), 0, 0, 0, 0, 0);
    table = (int32_t *)(uintptr_t)p->weights[p->weight_count - 1].data;
    for (uint32_t i = 0; i < lines * wide; i++) { /* bias, then scales and sums in turns */
        float number = draw_number(0) * (i < wide ? 1.0f : 0.0005f);
        if (i < wide || i / wide % 2 == 1)
            memcpy(&table[i], &number, sizeof number);
    }
}

/* Fills in the operands of operation `o` by its row of the table, and gives its result a place. */
static void draw_operands(plan_case *p, exl__operation o) {
    const exl__rule *rule = exl__rule_of(&o);
    uint32_t result = 0, best = EXL__NO_BUFFER;

    CHECK(rule != NULL);
    if (o.code == EXL__LINEAR_INT8 || o.code == EXL__LINEAR_F32 || o.code == EXL__LINEAR_BLOCKS)
        draw_weights(p, &o, o.sizes[1], o.sizes[2], o.sizes[3]);
    for (int place = EXL__PLAN_OPERANDS - 1; place >= 0; place--) {
        const exl__operand_rule *by = &rule->operands[place];
        exl__operand *operand = &o.operands[place];
        uint32_t type = by->types & 1 << EXL__F32 ? EXL__F32 : EXL__I64;
        exl__size run = by->run == EXL__NO_RUN ? 1 : o.sizes[by->run], elements;
        uint64_t limit = o.code == EXL__EMBED && place == 1 ? 9 : 0;

        if (by->use == 0 || by->use & EXL__CONSTANT || (by->use & EXL__OPTIONAL && draw(2)))
            continue;
        elements = draw_strides(o.sizes, by->axes, run, (by->use & EXL__READ) != 0, operand);
        if (o.code == EXL__REDUCE && place == 0) { /* totals: some axes are walked on the spot */
            exl__size kept[EXL__PLAN_RANK];
            uint32_t axes = draw(16);
            memcpy(kept, o.sizes, sizeof kept);
            memset(operand, 0, sizeof *operand);
            elements = draw_strides(kept, axes, 1, 0, operand);
        }
        if (by->use & EXL__SIDE_BY_SIDE)
            operand->strides[by->run] = 1;
        if (by->use & EXL__READ)
            operand->buffer = draw_source(p, type, elements, limit);
        else if (place == 0 && draw(2))
            result = operand->buffer = add_buffer(p, EXL__TO_OUTPUT, 0, type, elements);
        else
            operand->buffer = add_buffer(p, EXL__ARENA, 0, type, elements);
        best = place == 5 ? operand->buffer : best;
    }
    p->operations[p->operation_count++] = o;
    if (result == 0) {
        const exl__plan_buffer *made = &p->buffers[o.operands[0].buffer];
        add_copy(p, add_buffer(p, EXL__TO_OUTPUT, 0, made->type, made->elements), o.operands[0].buffer);
    }
    if (best != EXL__NO_BUFFER && p->buffers[o.operands[0].buffer].place == EXL__ARENA)
        add_copy(p, add_buffer(p, EXL__TO_OUTPUT, 1, EXL__F32, p->buffers[best].elements), best);
}

static uint32_t draw_function(uint32_t code) {
    static const uint32_t whole[] = {EXL__COPY_INT, EXL__ADD_INT, EXL__SUB_INT, EXL__MUL_INT,         EXL__DIV_INT,
                                     EXL__MOD_INT,  EXL__MAX_INT, EXL__MIN_INT, EXL__EQUAL,           EXL__GREATER,
                                     EXL__AND,      EXL__OR,      EXL__NOT,     EXL__GREATER_OR_EQUAL};

    switch (code) {
    case EXL__LINEAR_INT8:
    case EXL__LINEAR_F32:
    case EXL__LINEAR_BLOCKS: return draw(EXL__ACTIVATIONS);
    case EXL__MAP:
        if (draw(5) == 0)
            return draw(4) == 0 ? (uint32_t)EXL__WHERE_INT : EXL__TO_FLOAT + draw(3);
        return draw(2) ? EXL__COPY + draw(EXL__SIGMOID) : whole[draw(sizeof whole / sizeof *whole)];
    case EXL__REDUCE: return draw(4) == 0 ? (uint32_t)EXL__SUM_INT : EXL__SUM + draw(3);
    case EXL__SHIFT: return 1 + draw(2);
    case EXL__EMBED: return draw(2) ? (uint32_t)EXL__OF_BLOCKS : (uint32_t)EXL__OF_ROWS;
    default: return 0;
    }
}

static plan_case draw_plan(void) {
    plan_case p = new_case(MAX_TOKENS, MAX_LABELS);
    exl__operation o;

    random_state ^= random_state << 7; /* make_tensors has set it */
    inputs_used = 1u << 0 | 1u << 4;
    p.kind = draw(2);
    (void)add_buffer(&p, EXL__FROM_INPUT, 0, EXL__I64, WITH_T);
    (void)add_buffer(&p, EXL__FROM_INPUT, 4, EXL__F32, WITH_N);
    memset(&o, 0, sizeof o);
    for (int i = 0; i < EXL__PLAN_OPERANDS; i++)
        o.operands[i].buffer = EXL__NO_BUFFER;
    o.code = (uint16_t)(1 + draw(EXL__CODES - 1));
    o.function = (uint16_t)draw_function(o.code);
    o.numbers[0] = o.code == EXL__ATTENTION ? 0.3f : 1e-5f;
    draw_sizes(o.sizes, 600);
    if (o.code <= EXL__LINEAR_BLOCKS) {
        o.sizes[1] = o.code == EXL__LINEAR_BLOCKS ? 32 * (1 + draw(3)) : 1 + draw(70);
        o.sizes[2] = 1 + draw(50);
        o.sizes[3] = draw(2) ? 4 : 8;
    } else if (o.code == EXL__ATTENTION || o.code == EXL__MATMUL) {
        draw_sizes(o.sizes, 40);
    } else if (o.code == EXL__EMBED && o.function == EXL__OF_BLOCKS) {
        o.sizes[1] = 32 * (1 + draw(3));
        set_operand(&o, 2, add_weight(&p, EXL__I8, 4 * (uint64_t)o.sizes[1]), 0, 0, 0, 0, 0);
        set_operand(&o, 3, add_weight(&p, EXL__F32, (uint64_t)o.sizes[1] / 4), 0, 0, 0, 0, 0);
    } else if (o.code == EXL__EMBED) {
        o.sizes[1] = 1 + draw(40);
        set_operand(&o, 2, add_weight(&p, draw(2) ? EXL__F32 : EXL__I8, 8 * (uint64_t)o.sizes[1]), 0, 0, 0, 0, 0);
        if (draw(2))
            set_operand(&o, 3, add_weight(&p, EXL__F32, 8), 0, 0, 0, 0, 0);
    }
    draw_operands(&p, o);
    return p;
}

static int is_near(float found, float expected, float scale) {
    if (isnan(expected))
        return isnan(found);
    return found == expected || fabsf(found - expected) <= 2e-5f * scale;
}

static void compare(const opened *o, const tensors *found, const tensors *expected) {
    exl__lengths most = exl__lengths_of(MAX_TOKENS, MAX_LABELS);
    int has_sums = 0;
    float summed = 0; /* elements of a reduction, whose rounding adds up */

    for (uint32_t i = 0; i < o->plan.operation_count; i++) {
        const exl__operation *operation = &o->plan.operations[i];
        has_sums |= operation->code != EXL__MAP;
        if (operation->code != EXL__REDUCE)
            continue;
        summed = 1;
        for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
            summed *= (float)exl__size_at(operation->sizes[axis], &most);
    }
    for (size_t i = 0; i < found->output_count; i++) {
        const float *a = found->outputs[i].data, *b = expected->outputs[i].data;
        uint64_t count = found->outputs[i].data_bytes / 4;
        float scale = fmaxf(has_sums ? 4 : 1, 0.05f * summed);

        if (found->outputs[i].type == EXL__I64) {
            CHECK(memcmp(a, b, (size_t)found->outputs[i].data_bytes) == 0);
            continue;
        }
        for (uint64_t k = 0; k < count && has_sums; k++)
            scale = isfinite(b[k]) && fabsf(b[k]) > scale ? fabsf(b[k]) : scale;
        for (uint64_t k = 0; k < count; k++)
            if (!is_near(a[k], b[k], fabsf(b[k]) > scale ? fabsf(b[k]) : scale)) {
                fprintf(stderr, "output %zu, number %llu: %g, not %g\n", i, (unsigned long long)k, (double)a[k],
                        (double)b[k]);
                describe(o->from);
                CHECK(is_near(a[k], b[k], scale));
            }
    }
}

static void check_sound(const plan_case *p, uint32_t seed) {
    opened o;
    exl_status status = open_case(p, p, &o);

    if (status != EXL_OK)
        fprintf(stderr, "%s\n", o.error.sentence), describe(p);
    CHECK_STATUS(status, EXL_OK);
    for (int round = 0; round < 3; round++) {
        uint64_t T = round == 0 ? 1 : round == 1 ? MAX_TOKENS : 1 + draw(MAX_TOKENS);
        uint64_t N = round == 0 ? 1 : round == 1 ? MAX_LABELS : 1 + draw(MAX_LABELS);
        tensors found, expected;

        status = run_everywhere(&o, T, N, seed, &found);
        expected = make_tensors(&o, T, N, 0, seed);
        CHECK(reference_run(p, T, N, &expected) == status);
        if (status == EXL_OK)
            compare(&o, &found, &expected);
        drop_tensors(&found), drop_tensors(&expected);
    }
    close_case(&o);
}

/* ---- changed plans ------------------------------------------------------------------------------------------- */

static void change(plan_case *p) {
    static const uint32_t extremes[] = {0,         1,           2,         3,        16,       33,
                                        1u << 28,  3u << 28,    1u << 30,  3u << 30, 1u << 31, UINT32_MAX,
                                        INT32_MAX, 0xF0000001u, 0xFFFFFFF, 1000,     1u << 16, (1u << 16) + 1};
    uint32_t words = p->operation_count * sizeof *p->operations / 4, *operations = (uint32_t *)(void *)p->operations;
    uint32_t *word = &operations[draw(words)], kind = draw(6);

    if (draw(8) == 0)
        word = (uint32_t *)(void *)p->buffers + draw(p->buffer_count * sizeof *p->buffers / 4);
    if (kind == 0)
        *word = extremes[draw(sizeof extremes / sizeof *extremes)];
    else if (kind == 1)
        *word += 1 + draw(2);
    else if (kind == 2)
        *word -= 1 + draw(2);
    else if (kind == 3)
        *word = operations[draw(words)];
    else if (kind == 4)
        *word ^= 1u << (28 + draw(4));
    else
        *word *= 2;
}

/* Weights are not hashed when a bundle opens: they may be any bytes. */
static void scramble_weights(const plan_case *p) {
    static const uint8_t extremes[] = {0, 0x7F, 0x80, 0xFF};

    for (uint32_t i = 0; i < p->weight_count; i++)
        for (uint64_t b = 0; b < p->weights[i].data_bytes; b++)
            ((uint8_t *)(uintptr_t)p->weights[i].data)[b] = draw(2) ? extremes[draw(4)] : (uint8_t)draw(256);
}

/* Whether a run takes little enough for a test. */
static int is_small(const exl__plan *plan) {
    exl__lengths most = exl__lengths_of(plan->max_tokens, plan->max_labels);
    uint64_t work = 0, n[EXL__PLAN_RANK];

    for (uint32_t i = 0; i < plan->operation_count; i++) {
        for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
            n[axis] = exl__size_at(plan->operations[i].sizes[axis], &most);
        work = exl__plus(work, exl__amount_at(exl__rule_of(&plan->operations[i])->work, n));
    }
    return work < 1u << 22 && plan->work_bytes + plan->arena_bytes < 1u << 23;
}

/* Every operand that the reader has admitted, at every length: its last element is in the buffer. */
static void check_ends(const exl__plan *plan) {
    for (uint32_t i = 0; i < plan->operation_count; i++)
        for (int place = 0; place < EXL__PLAN_OPERANDS; place++) {
            const exl__operation *o = &plan->operations[i];
            const exl__operand *operand = &o->operands[place];
            const exl__operand_rule *by = &exl__rule_of(o)->operands[place];
            if (operand->buffer == EXL__NO_BUFFER || by->use & EXL__CONSTANT)
                continue;
            for (uint64_t T = 1; T <= MAX_TOKENS; T++)
                for (uint64_t N = 1; N <= MAX_LABELS; N++) {
                    exl__lengths at = exl__lengths_of(T, N);
                    uint64_t end = exl__size_at(operand->offset, &at);
                    end += by->run == EXL__NO_RUN ? 1 : exl__size_at(o->sizes[by->run], &at);
                    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
                        if (by->axes >> axis & 1)
                            end = exl__plus(end, exl__times(exl__size_at(o->sizes[axis], &at) - 1,
                                                            exl__size_at(operand->strides[axis], &at)));
                    CHECK(end <= exl__size_at(plan->buffers[operand->buffer].elements, &at));
                }
        }
}

static void check_changed(const plan_case *sound, uint32_t seed) {
    plan_case p = *sound;
    exl_status status;
    opened o;
    tensors found;

    for (uint32_t i = 1 + draw(3); i > 0; i--)
        change(&p);
    status = open_case(&p, sound, &o);
    if (status == EXL_OK)
        check_ends(&o.plan);
    if (status == EXL_OK && is_small(&o.plan)) {
        uint32_t T = 1 + draw(MAX_TOKENS), N = 1 + draw(MAX_LABELS);
        (void)run_everywhere(&o, T, N, seed, &found);
        drop_tensors(&found);
        admitted++;
    } else {
        refused++;
    }
    close_case(&o);
}

int main(int count, char **words) {
    uint32_t rounds = count > 1 ? (uint32_t)strtoul(words[1], NULL, 10) : ROUNDS;
    uint32_t seed = count > 2 ? (uint32_t)strtoul(words[2], NULL, 10) : 1;

    for (uint32_t round = 0; round < rounds; round++) {
        uint32_t own = seed + round;
        plan_case p;

        random_state = own * 2654435761u + 1;
        p = draw_plan();
        check_sound(&p, own);
        random_state = own * 40503u + 7;
        if (draw(2))
            scramble_weights(&p);
        for (int i = 0; i < CHANGED_ROUNDS_A_PLAN; i++) {
            uint32_t next = random_state;
            check_changed(&p, own);
            random_state = next * 1664525u + 1013904223u;
        }
        drop_case(&p);
    }
    printf("plans: %u sound ones; changed, %ld were run and %ld refused\n", rounds, admitted, refused);
    return 0;
}
