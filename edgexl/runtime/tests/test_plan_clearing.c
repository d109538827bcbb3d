/* test_plan_clearing.c: what a run clears because nothing has written it. */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */
#include "plan_sound.h"

/* Runs the case at the lengths, poisoned, and gives output `which`; the caller frees it with drop_tensors. */
static tensors run_all(plan_case *p, uint64_t T, uint64_t N, uint64_t *cleared) {
    opened o;
    tensors found;

    CHECK_STATUS(open_case(p, p, &o), EXL_OK);
    *cleared = exl__native_cleared_bytes(o.graph);
    CHECK_STATUS(run_everywhere(&o, T, N, 3, &found), EXL_OK);
    close_case(&o);
    return found;
}

static int all_zeros(const exl__tensor *tensor, uint64_t from, uint64_t to) {
    for (uint64_t i = from; i < to; i++)
        if (((const float *)tensor->data)[i] != 0)
            return 0;
    return 1;
}

static void test_unwritten(void) {
    uint64_t cleared;
    tensors found;
    plan_case p = sound();

    p.operations[ADD].operands[1].buffer = COPIED; /* written, but before: the copy comes last now */
    p.operations[ADD].operands[2].buffer = COPIED;
    p.operations[COPY].operands[0].buffer = PROJECTED, p.operations[COPY].sizes[3] = WIDE;
    p.operations[COPY].operands[0].strides[2] = WIDE;
    found = run_all(&p, 4, 2, &cleared);
    CHECK(cleared >= most_elements(&p, SIZE(8, 1, 0)) * 4);
    CHECK(all_zeros(&found.outputs[0], 0, 4 * WIDE)); /* of an arena that was full of other bytes */
    drop_tensors(&found), drop_case(&p);

    p = sound(); /* columns 0 to 2 of an output's 5 */
    p.operations[ADD].sizes[2] = WITH_T, p.operations[ADD].sizes[3] = 3;
    for (int place = 0; place < 3; place++)
        p.operations[ADD].operands[place].strides[2] = WIDE;
    found = run_all(&p, 4, 2, &cleared);
    CHECK(cleared == 1);
    for (uint64_t row = 0; row < 4; row++)
        CHECK(all_zeros(&found.outputs[0], row * WIDE + 3, row * WIDE + WIDE));
    drop_tensors(&found), drop_case(&p);

    p = sound(); /* the first row of an output, and elements of it that are no part of rows */
    p.operations[REDUCE].sizes[2] = 1;
    found = run_all(&p, 2, 3, &cleared);
    CHECK(cleared == 2 && all_zeros(&found.outputs[1], 1, 3));
    drop_tensors(&found), drop_case(&p);

    p = sound(); /* what is made with an output that nobody wants is not made */
    p.operations[ATTENTION].operands[0].buffer = OUT_STATES;
    p.buffers[OUT_STATES].index = 1, p.buffers[OUT_SUMS].index = 0;
    p.buffers[OUT_SUMS].elements = WITH_T;
    p.operations[ADD] = p.operations[COPY], p.operations[ADD].sizes[2] = 1, p.operations[ADD].sizes[3] = WITH_T;
    p.operations[ADD].operands[0].buffer = OUT_SUMS, p.operations[ADD].operands[1].buffer = BEST;
    p.operation_count = ADD + 1;
    found = run_all(&p, 3, 1, &cleared);
    CHECK(cleared > 0 && !all_zeros(&found.outputs[0], 0, 3));
    drop_tensors(&found);
    {
        opened o;
        CHECK_STATUS(open_case(&p, &p, &o), EXL_OK);
        found = make_tensors(&o, 3, 1, 0x77, 3);
        found.output_count = 1;
        CHECK_STATUS(run_poisoned(&o, &found, 0x77), EXL_OK);
        CHECK(all_zeros(&found.outputs[0], 0, 3));
        found.output_count = 2;
        drop_tensors(&found), close_case(&o);
    }
    drop_case(&p);
}

/* Two values side by side, as lowering joins them: along the columns, along the rows; and with a gap. */
static void test_joined(void) {
    for (int way = 0; way < 5; way++) {
        plan_case p = new_case(MAX_TOKENS, MAX_LABELS);
        uint32_t joined;
        uint64_t cleared;
        tensors found;

        (void)add_buffer(&p, EXL__FROM_INPUT, 2, EXL__F32, SIZE(8, 1, 0));
        joined = add_buffer(&p, EXL__ARENA, 0, EXL__F32, SIZE(8, 1, 0));
        (void)add_buffer(&p, EXL__TO_OUTPUT, 0, EXL__F32, SIZE(8, 1, 0));
        for (uint32_t part = 0; part < 2; part++) {
            exl__operation *o = add_operation(&p, EXL__MAP, EXL__SQRT, 1, 1, WITH_T, part ? 5 : 3);
            if (way == 3) /* the second one first */
                o->sizes[3] = part ? 3 : 5;
            set_operand(o, 0, joined, o->sizes[3] == 5 ? 3 : 0, 0, 0, 8, 1);
            set_operand(o, 1, 0, o->sizes[3] == 5 ? 3 : 0, 0, 0, 8, 1);
            if (way == 1) { /* rows 0 to T / ... of a larger one: one after the other */
                o->sizes[2] = 1, o->sizes[3] = SIZE(part ? 5 : 3, 1, 0);
                o->operands[0].offset = o->operands[1].offset = part ? SIZE(3, 1, 0) : 0;
            }
            if (way == 2 && part) /* column 7 is left out */
                o->sizes[3] = 4;
            if (way == 4 && part) /* other columns than those that follow */
                o->sizes[3] = 4, o->operands[0].offset = o->operands[1].offset = 4;
        }
        set_operand(add_operation(&p, EXL__MAP, EXL__RELU, 1, 1, 1, SIZE(8, 1, 0)), 0, 2, 0, 0, 0, 0, 1);
        set_operand(&p.operations[2], 1, joined, 0, 0, 0, 0, 1);
        found = run_all(&p, 5, 1, &cleared);
        CHECK((cleared == 0) == (way < 2));
        drop_tensors(&found), drop_case(&p);
    }
}

int main(void) {
    test_unwritten();
    test_joined();
    puts("test_plan_clearing: done");
    return 0;
}
