/* test_plan_limits.c: the largest plans that the reader admits, and rows far longer than a tile. */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */
#include "plans.h"

static exl__size word_of(uint64_t value) { /* as coefficient x T, T being 256 */
    return value < 1u << 28 ? (exl__size)value : SIZE(value / 256, 1, 0);
}

/* An operation of these sizes: what is read stands still where it may, and the result is as large as it must be. */
static plan_case grown(uint32_t code, uint32_t function, const uint64_t n[EXL__PLAN_RANK], int *fits) {
    plan_case p = new_case(256, 1);
    exl__operation *o =
        add_operation(&p, (exl__code)code, function, word_of(n[0]), word_of(n[1]), word_of(n[2]), word_of(n[3]));
    const exl__rule *rule = exl__rule_of(o);
    uint32_t input = 1;

    (void)add_buffer(&p, EXL__FROM_INPUT, 0, EXL__I64, WITH_T);
    for (int place = 0; place < EXL__PLAN_OPERANDS; place++) {
        const exl__operand_rule *by = &rule->operands[place];
        uint32_t type = by->types & 1 << EXL__F32 ? EXL__F32 : EXL__I64;
        exl__size run = by->run == EXL__NO_RUN ? 1 : o->sizes[by->run];
        uint64_t step = by->run == EXL__NO_RUN ? 1 : n[by->run];

        if (by->use == 0 || by->use & (EXL__CONSTANT | EXL__OPTIONAL))
            continue;
        if (by->use & EXL__READ) {
            o->operands[place].buffer = add_buffer(&p, EXL__FROM_INPUT, input++, type, run);
        } else {
            for (int axis = 3; axis >= 0 && code != EXL__REDUCE; axis--)
                if (by->axes >> axis & 1 && axis != by->run) {
                    o->operands[place].strides[axis] = step < 1u << 28 ? (exl__size)step : 0;
                    step = exl__times(step, n[axis]);
                }
            *fits = step < 1u << 28; /* a coefficient */
            o->operands[place].buffer = add_buffer(&p, EXL__ARENA, 0, type, *fits ? (exl__size)step : 1);
        }
        if (by->use & EXL__SIDE_BY_SIDE)
            o->operands[place].strides[by->run] = 1;
    }
    p.arena_bytes += 64; /* for the output */
    set_operand(add_operation(&p, EXL__MAP, EXL__COPY, 1, 1, 1, 1), 0, add_buffer(&p, EXL__TO_OUTPUT, 0, EXL__F32, 1),
                0, 0, 0, 0, 1);
    p.buffers[add_buffer(&p, EXL__ARENA, 0, EXL__F32, 1)].offset_bytes = 0;
    p.arena_bytes -= 64;
    set_operand(&p.operations[p.operation_count - 1], 1, p.buffer_count - 1, 0, 0, 0, 0, 1);
    return p;
}

/* Work, and bytes to work in, as docs/format.md has them. */
static int is_allowed(uint32_t code, const uint64_t n[EXL__PLAN_RANK]) {
    uint64_t b = (n[1] + 15) / 16 * 16, c = (n[2] + 15) / 16 * 16, d = (n[3] + 15) / 16 * 16;
    double work = 16.0 * (double)n[0] * (double)n[1] * (double)n[2] * (double)d, bytes = 0;

    if (code == EXL__LAYER_NORM || code == EXL__SOFTMAX) {
        work = 16.0 * (double)n[0] * (double)b;
        bytes = code == EXL__SOFTMAX ? 4.0 * (double)b : 0;
    } else if (code == EXL__ATTENTION) {
        work = 2.0 * (double)n[0] * (double)n[1] * (double)c * (double)d;
        bytes = 4.0 * ((double)n[3] * (double)c + (double)n[2] * (double)d + 16.0 * (double)c);
    } else if (code == EXL__MATMUL) {
        work = (double)n[0] * (double)n[1] * (double)c * (double)d;
        bytes = 4.0 * (double)n[2] * (double)d;
    }
    for (int axis = 0; axis < 4; axis++)
        if (n[axis] > 1u << 30)
            return 0;
    return work + 256 <= 0x1p36 && bytes <= 0x1p31;
}

static void check_grown(uint32_t code, uint32_t function, const uint64_t n[EXL__PLAN_RANK], uint32_t counts[2]) {
    int fits = 0, is_admitted;
    plan_case p = grown(code, function, n, &fits);
    exl_error error = {.struct_size = sizeof error};

    fits = fits && p.arena_bytes <= (uint64_t)1 << 31;
    is_admitted = admit(&p, &error) == EXL_OK;
    if (is_admitted != (fits && is_allowed(code, n)))
        fprintf(stderr, "code %u, sizes %llu %llu %llu %llu: %s\n", code, (unsigned long long)n[0],
                (unsigned long long)n[1], (unsigned long long)n[2], (unsigned long long)n[3], error.sentence);
    CHECK(is_admitted == (fits && is_allowed(code, n)));
    counts[is_admitted]++;
    drop_case(&p);
}

/* Sizes around the limits, along axes that what is read may stand still on: none wraps its way in. */
static void test_largest_sizes(void) {
    static const uint32_t codes[][2] = {{EXL__LAYER_NORM, 0}, {EXL__ATTENTION, 0},  {EXL__MAP, EXL__COPY},
                                        {EXL__REDUCE, 1},     {EXL__SOFTMAX, 0},    {EXL__MATMUL, 0},
                                        {EXL__SHIFT, 1},      {EXL__RUNNING_SUM, 0}};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        uint32_t counts[2] = {0, 0};
        random_state = 77;
        for (int trial = 0; trial < 400; trial++) {
            uint64_t n[EXL__PLAN_RANK];
            uint32_t bits = 20 + draw(20);
            for (int axis = 0; axis < EXL__PLAN_RANK; axis++) {
                uint32_t own = draw(bits + 1);
                bits = draw(2) ? bits - own : bits;
                n[axis] = own > 33 ? (uint64_t)1 << 33 : (uint64_t)1 << own;
                if (n[axis] > 512 && draw(2))
                    n[axis] = draw(2) ? n[axis] + 256 : n[axis] - 256;
                if (n[axis] >= 1u << 28)
                    n[axis] = n[axis] / 256 * 256;
            }
            check_grown(codes[i][0], codes[i][1], n, counts);
        }
        CHECK(counts[0] > 20 && counts[1] > 20);
    }
    {
        uint32_t counts[2] = {0, 0};
        static const uint64_t edges[][EXL__PLAN_RANK] = {{1 << 16, 1, 1, 1 << 16},       {(1 << 16) - 1, 1, 1, 1 << 16},
                                                         {(1 << 16) + 1, 1, 1, 1 << 16}, {1, 1, 1, 1 << 30},
                                                         {1, 1, 1, (1 << 30) + 256},     {1, (1 << 30) + 256, 1, 1}};
        for (size_t i = 0; i < sizeof edges / sizeof *edges; i++)
            check_grown(EXL__REDUCE, EXL__SUM, edges[i], counts);
        CHECK(counts[1] == 2);
    }
}

/* A plan's work is that of all its operations. */
static void test_work_adds_up(void) {
    static const uint64_t half[EXL__PLAN_RANK] = {1 << 16, 1, 1, 1 << 15};

    for (uint32_t times = 1; times <= 2; times++) {
        int fits;
        plan_case p = grown(EXL__REDUCE, EXL__SUM, half, &fits);
        exl_error error = {.struct_size = sizeof error};
        for (uint32_t i = 1; i < times; i++)
            p.operations[p.operation_count++] = p.operations[0];
        CHECK(admit(&p, &error) == (times == 1 ? EXL_OK : EXL_BUNDLE_MALFORMED)); /* twice the half and one copy more */
        CHECK(times == 1 || strstr(error.sentence, "more than 2^36 multiply-adds"));
        drop_case(&p);
    }
}

/* The deepest int8 product: sums of codes 255 and weights -128 stay within 32 bits; a row more is refused. */
static void test_deepest_product(void) {
    for (uint32_t depth = 1 << 16; depth <= (1 << 16) + 1; depth++) {
        plan_case p = new_case(2, 1);
        exl__operation *o;
        opened opened_;

        (void)add_buffer(&p, EXL__FROM_INPUT, 2, EXL__F32, SIZE(depth, 1, 0));
        (void)add_buffer(&p, EXL__TO_OUTPUT, 0, EXL__F32, SIZE(1, 1, 0));
        o = add_operation(&p, EXL__LINEAR_INT8, 0, WITH_T, depth, 1, 8);
        set_operand(o, 0, 1, 0, 1, 0, 0, 0);
        set_operand(o, 1, 0, 0, depth, 0, 0, 0);
        set_operand(o, 2, add_weight(&p, EXL__I8, (uint64_t)(depth + 15) / 16 * 16 * 16), 0, 0, 0, 0, 0);
        set_operand(o, 3, add_weight(&p, EXL__I32, 48), 0, 0, 0, 0, 0);
        memset((void *)(uintptr_t)p.weights[0].data, 0x80, (size_t)p.weights[0].data_bytes);
        if (depth > 1 << 16) {
            CHECK_STATUS(admit(&p, NULL), EXL_BUNDLE_MALFORMED);
        } else {
            tensors found;
            CHECK_STATUS(open_case(&p, &p, &opened_), EXL_OK);
            CHECK_STATUS(run_everywhere(&opened_, 2, 1, 1, &found), EXL_OK);
            for (uint64_t k = 0; k < 2 * (uint64_t)depth; k++) /* all of it one number: every code is 255 */
                ((float *)(uintptr_t)found.inputs[0].data)[k] = 3;
            CHECK_STATUS(run_poisoned(&opened_, &found, 0), EXL_OK);
            drop_tensors(&found), close_case(&opened_);
        }
        drop_case(&p);
    }
}

/* Rows far longer than a tile or a chunk, in exact buffers. */
static void test_long_rows(void) {
    static const struct {
        uint32_t code, function;
        uint64_t n[EXL__PLAN_RANK];
    } rows[] = {{EXL__LAYER_NORM, 0, {3, 70001, 1, 1}}, {EXL__SOFTMAX, 0, {3, 70001, 1, 1}},
                {EXL__ATTENTION, 0, {2, 9, 3001, 33}},  {EXL__MATMUL, 0, {2, 9, 3001, 33}},
                {EXL__MAP, EXL__EXP, {1, 2, 3, 20001}}, {EXL__REDUCE, EXL__MEAN, {5, 3, 2, 7001}},
                {EXL__SHIFT, 2, {1, 1, 2, 70001}},      {EXL__RUNNING_SUM, 0, {1, 1, 2, 70001}}};

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int fits;
        plan_case p = grown(rows[i].code, rows[i].function, rows[i].n, &fits);
        opened o;
        tensors found;
        CHECK_STATUS(open_case(&p, &p, &o), EXL_OK);
        CHECK_STATUS(run_everywhere(&o, 1, 1, 4, &found), EXL_OK);
        drop_tensors(&found), close_case(&o), drop_case(&p);
    }
}

static int is_admitted(uint32_t code, uint32_t function, const uint64_t n[EXL__PLAN_RANK]) {
    int fits = 0, admitted;
    plan_case p = grown(code, function, n, &fits);

    admitted = fits && admit(&p, NULL) == EXL_OK;
    drop_case(&p);
    return admitted;
}

/* Each operation at the largest size that the reader admits along each of its axes, the others being 1: every buffer,
 * and the memory to work in, lies by itself in memory of exactly its size. Up to 8 GB, and minutes. */
static void test_the_largest_that_are_admitted(void) {
    static const uint32_t codes[][2] = {{EXL__LAYER_NORM, 0},     {EXL__ATTENTION, 0},  {EXL__MAP, EXL__ADD},
                                        {EXL__REDUCE, EXL__MEAN}, {EXL__SOFTMAX, 0},    {EXL__MATMUL, 0},
                                        {EXL__SHIFT, 1},          {EXL__RUNNING_SUM, 0}};

    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (int axis = 0; axis < EXL__PLAN_RANK; axis++) {
            uint64_t n[EXL__PLAN_RANK] = {1, 1, 1, 1}, low = 1, high = (1u << 30) + 256;
            int fits;
            plan_case p;
            opened o;
            tensors made;
            while (high - low > 256) {
                n[axis] = (low + high) / 2 / 256 * 256;
                *(is_admitted(codes[i][0], codes[i][1], n) ? &low : &high) = n[axis];
            }
            n[axis] = low;
            p = grown(codes[i][0], codes[i][1], n, &fits);
            CHECK_STATUS(open_case(&p, &p, &o), EXL_OK);
            made = make_tensors(&o, 256, 1, 0, 1);
            CHECK_STATUS(run_exact(&o, &made, exl__kernels_best(0), 256, 1), EXL_OK);
            printf("operation %u, axis %d: %llu\n", codes[i][0], axis, (unsigned long long)low);
            drop_tensors(&made), close_case(&o), drop_case(&p);
        }
}

int main(int count, char **arguments) {
    if (count == 2 && strcmp(arguments[1], "largest") == 0) {
        test_the_largest_that_are_admitted();
        return 0;
    }
    test_largest_sizes();
    test_work_adds_up();
    test_deepest_product();
    test_long_rows();
    puts("test_plan_limits: done");
    return 0;
}
