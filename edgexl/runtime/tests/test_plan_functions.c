/* test_plan_functions.c: attention with every bias; and every function of elements, reduction and walk along an axis,
 * at each way that an operand can lie along the last axis (standing still, side by side, with gaps), in rows about a
 * kernel's panel and the chunk of 256 that operands with gaps go through. Against plan_reference.h, by every set of
 * kernels, in exact buffers. */
#include "plan_reference.h"

enum { ROWS = 2, INTS = 11 };

static const uint32_t WIDTHS[] = {1, 17, 256, 300};

/* The ends of the range, both signs, and 0: whichever two of them meet. */
static const int64_t EDGES[INTS] = {0, 1, -1, 2, -3, 7, -7, INT64_MAX, INT64_MIN, INT64_MAX - 1, INT64_MIN + 1};

static void fill_edges(tensors *t) {
    static const float numbers[] = {0.0f, -0.0f, 1e30f, -1e30f, 9.3e18f, -9.3e18f, 9.1e18f, 2.9f, -2.9f, 5.5f};

    for (size_t i = 0; i < t->input_count; i++) {
        int64_t *whole = (int64_t *)(uintptr_t)t->inputs[i].data;
        float *number = (float *)(uintptr_t)t->inputs[i].data;
        for (uint64_t k = 0; k < t->inputs[i].data_bytes / 8 && t->inputs[i].type == EXL__I64; k++)
            whole[k] = EDGES[draw(INTS)];
        for (uint64_t k = 0; k < t->inputs[i].data_bytes / 4 && t->inputs[i].type == EXL__F32; k += 3)
            number[k] = numbers[draw(10)];
    }
}

static void check_floats(const plan_case *p, const float *found, const float *expected, uint64_t count) {
    const exl__operation *o = p->operations; /* of a sum: grows with what it sums */
    const float tolerance = 1e-5f + (o->code == EXL__REDUCE ? 4e-6f * (float)o->sizes[3] : 0.0f);

    for (uint64_t i = 0; i < count; i++) {
        if (isnan(found[i]) && isnan(expected[i]))
            continue;
        if (found[i] == expected[i] || fabsf(found[i] - expected[i]) <= tolerance * fmaxf(1, fabsf(expected[i])))
            continue;
        fprintf(stderr, "number %llu: %g, not %g\n", (unsigned long long)i, (double)found[i], (double)expected[i]);
        describe(p);
        exit(1);
    }
}

/* Runs the case by every set of kernels, with small numbers and with those at the ends. */
static void check(plan_case *p, int has_edges) {
    opened o;

    CHECK_STATUS(open_case(p, p, &o), EXL_OK);
    for (int edges = 0; edges <= has_edges; edges++)
        for (int set = 0; set < KERNEL_SETS; set++) {
            const exl__kernels *kernels = exl__kernels_named(KERNELS[set]);
            tensors found, expected;
            if (!kernels)
                continue;
            found = make_tensors(&o, 1, 1, 0, 11), expected = make_tensors(&o, 1, 1, 0, 11);
            for (int i = 0; i < 2 && edges; i++)
                random_state = 12, fill_edges(i ? &expected : &found);
            CHECK_STATUS(run_exact(&o, &found, kernels, 1, 1), EXL_OK);
            CHECK_STATUS(reference_run(p, 1, 1, &expected), EXL_OK);
            if (found.outputs[0].type == EXL__I64)
                CHECK(memcmp(found.outputs[0].data, expected.outputs[0].data, (size_t)found.outputs[0].data_bytes) ==
                      0);
            else
                check_floats(p, found.outputs[0].data, expected.outputs[0].data, found.outputs[0].data_bytes / 4);
            drop_tensors(&found), drop_tensors(&expected);
        }
    close_case(&o);
}

static void check_function(uint32_t function, uint32_t width, uint32_t steps, uint32_t result_step) {
    plan_case p = new_case(1, 1);
    exl__operation *o = add_operation(&p, EXL__MAP, function, 1, 1, ROWS, width);
    const exl__rule *rule = exl__rule_of(o);
    int has_edges = function >= EXL__COPY_INT && function <= EXL__TO_INT;
    uint32_t type;

    if (!rule)
        return;
    for (int place = 1; place < 4 && rule->operands[place].use; place++, steps /= 3) {
        uint32_t step = steps % 3, row = step ? width * step : 1;
        type = rule->operands[place].types & 1 << EXL__F32 ? EXL__F32 : EXL__I64;
        set_operand(o, place, add_buffer(&p, EXL__FROM_INPUT, (uint32_t)place, type, ROWS * row), 0, 0, 0, row, step);
    }
    type = rule->operands[0].types & 1 << EXL__F32 ? EXL__F32 : EXL__I64;
    set_operand(o, 0, add_buffer(&p, EXL__TO_OUTPUT, 0, type, ROWS * width * result_step), 0, 0, 0, width * result_step,
                result_step);
    check(&p, has_edges);
}

/* Along which axes of the result the totals stand still: a bit each. */
static void check_reduction(uint32_t function, uint32_t width, uint32_t still, uint32_t step) {
    plan_case p = new_case(1, 1);
    const uint32_t sizes[] = {2, 3, 2, width}, type = function == EXL__SUM_INT ? EXL__I64 : EXL__F32;
    exl__operation *o = add_operation(&p, EXL__REDUCE, function, sizes[0], sizes[1], sizes[2], sizes[3]);
    exl__size in = step ? step : 1, out = 1;

    set_operand(o, 1, 0, 0, 0, 0, 0, step);
    for (int axis = 3; axis >= 0; axis--) {
        if (axis < 3 || step)
            o->operands[1].strides[axis] = in, in *= sizes[axis];
        if (!(still >> axis & 1))
            o->operands[0].strides[axis] = out, out *= sizes[axis];
    }
    o->operands[1].buffer = add_buffer(&p, EXL__FROM_INPUT, 1, type, in);
    o->operands[0].buffer = add_buffer(&p, EXL__TO_OUTPUT, 0, type, out);
    check(&p, function == EXL__SUM_INT);
}

static void check_along(uint32_t code, uint32_t function, uint32_t width, uint32_t step, uint32_t result_step) {
    plan_case p = new_case(1, 1);
    exl__operation *o = add_operation(&p, (exl__code)code, function, 2, 1, 3, width);
    uint32_t row = step ? width * step : 1;

    set_operand(o, 1, add_buffer(&p, EXL__FROM_INPUT, 1, EXL__I64, 6 * row), 0, 3 * row, 0, row, step);
    row = width * result_step;
    set_operand(o, 0, add_buffer(&p, EXL__TO_OUTPUT, 0, EXL__I64, 6 * row), 0, 3 * row, 0, row, result_step);
    check(&p, 1);
}

/* Attention with a bias of its own for each score, for each key, for each query, for all, or none. */
static void check_attention(uint32_t queries, uint32_t keys, uint32_t width, uint32_t bias, uint32_t has_best) {
    enum { HEADS = 2 };
    plan_case p = new_case(1, 1);
    exl__operation *o = add_operation(&p, EXL__ATTENTION, 0, HEADS, queries, keys, width);
    exl__size by_query = bias & 1 ? (bias & 2 ? keys : 1) : 0, by_key = bias & 2 ? 1 : 0;
    exl__size of_head = (bias & 1 ? queries : 1) * (bias & 2 ? keys : 1);

    o->numbers[0] = 0.4f;
    set_operand(o, 0, add_buffer(&p, EXL__TO_OUTPUT, 0, EXL__F32, HEADS * queries * width), 0, width, HEADS * width, 0,
                1);
    set_operand(o, 1, add_buffer(&p, EXL__FROM_INPUT, 1, EXL__F32, HEADS * queries * width), 0, queries * width, width,
                0, 1);
    set_operand(o, 2, add_buffer(&p, EXL__FROM_INPUT, 2, EXL__F32, HEADS * keys * width), 0, keys * width, 0, 1, keys);
    set_operand(o, 3, add_buffer(&p, EXL__FROM_INPUT, 3, EXL__F32, HEADS * keys * width), 0, keys * width, 0, width, 1);
    if (bias < 4)
        set_operand(o, 4, add_buffer(&p, EXL__FROM_INPUT, 5, EXL__F32, HEADS * of_head), 0, of_head, by_query, by_key,
                    0);
    if (has_best)
        set_operand(o, 5, add_buffer(&p, EXL__ARENA, 0, EXL__F32, HEADS * queries), 0, queries, 1, 0, 0);
    check(&p, 0);
}

int main(void) {
    static const uint32_t queries[] = {1, 8, 11}, keys[] = {1, 16, 19}, widths[] = {1, 16, 21};

    for (uint32_t i = 0; i < 27 * 5; i++)
        check_attention(queries[i % 3], keys[i / 3 % 3], widths[i / 9 % 3], i / 27, i % 2);
    for (size_t w = 0; w < sizeof WIDTHS / sizeof *WIDTHS; w++) {
        for (uint32_t function = EXL__COPY; function < EXL__FUNCTIONS; function++)
            for (uint32_t steps = 0; steps < 9; steps++)
                for (uint32_t result_step = 1; result_step <= 2; result_step++)
                    check_function(function, WIDTHS[w],
                                   steps * (function == EXL__WHERE || function == EXL__WHERE_INT ? 3 : 1), result_step);
        for (uint32_t still = 0; still < 16; still++)
            for (uint32_t step = 0; step <= 2; step++) {
                for (uint32_t function = EXL__SUM; function <= EXL__MEAN; function++)
                    check_reduction(function, WIDTHS[w], still, step);
                check_reduction(EXL__SUM_INT, WIDTHS[w], still, step);
            }
        for (uint32_t step = 0; step <= 2; step++)
            for (uint32_t way = 0; way < 6; way++)
                check_along(way / 2 == 2 ? EXL__RUNNING_SUM : EXL__SHIFT, way / 2 == 2 ? 0 : 1 + way / 2, WIDTHS[w],
                            step, 1 + way % 2);
    }
    puts("test_plan_functions: done");
    return 0;
}
