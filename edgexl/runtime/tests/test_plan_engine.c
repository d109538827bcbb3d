/* test_plan_engine.c: the native engine runs a plan as the reference does, refuses ids and tensors that do not fit
 * it, and frees all where there is no memory. */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */
#include "counting.h"
#include "plan_sound.h"

static void test_runs_as_the_reference_does(void) {
    plan_case p = sound();
    opened o;
    tensors found, expected;

    CHECK_STATUS(open_case(&p, &p, &o), EXL_OK);
    CHECK(exl__native_cleared_bytes(o.graph) == 0);
    for (uint64_t T = 1; T <= MAX_TOKENS; T++)
        for (uint64_t N = 1; N <= MAX_LABELS; N += 2) {
            CHECK_STATUS(run_everywhere(&o, T, N, 5, &found), EXL_OK);
            expected = make_tensors(&o, T, N, 0, 5);
            CHECK_STATUS(reference_run(&p, T, N, &expected), EXL_OK);
            for (uint64_t i = 0; i < T * WIDE; i++)
                CHECK(fabsf(((const float *)found.outputs[0].data)[i] - ((const float *)expected.outputs[0].data)[i]) <
                      1e-3f);
            drop_tensors(&found), drop_tensors(&expected);
        }
    close_case(&o);
    drop_case(&p);
}

static void test_ids_beyond_the_table(void) {
    plan_case p = sound();
    opened o;
    tensors t;

    CHECK_STATUS(open_case(&p, &p, &o), EXL_OK);
    for (int64_t id = -1; id <= 7; id += 8) {
        t = make_tensors(&o, 3, 2, 0, 9);
        ((int64_t *)(uintptr_t)t.inputs[1].data)[2] = id;
        CHECK_STATUS(run_poisoned(&o, &t, 0), EXL_ENGINE_FAILED);
        CHECK(strstr(o.error.sentence, "of a table of 7") != NULL);
        drop_tensors(&t);
    }
    close_case(&o), drop_case(&p);
}

static void test_tensors_of_other_sizes(void) {
    plan_case p = sound();
    opened o;
    tensors t;

    CHECK_STATUS(open_case(&p, &p, &o), EXL_OK);
    for (int way = 0; way < 5; way++) {
        t = make_tensors(&o, MAX_TOKENS, MAX_LABELS, 0, 9);
        if (way == 0)
            t.inputs[0].data_bytes -= 4;
        else if (way == 1)
            t.outputs[0].data_bytes -= 4;
        else if (way == 2)
            t.inputs[2].number = 6;
        else if (way == 3) /* a longer text than the plan is made for; nothing of it is read */
            t.inputs[0].data_bytes += 32, t.inputs[1].data_bytes += 8, t.outputs[0].data_bytes += 4 * WIDE;
        else
            t.inputs[2].data_bytes = 0;
        CHECK_STATUS(run_poisoned(&o, &t, 0), EXL_ENGINE_FAILED);
        drop_tensors(&t);
    }
    close_case(&o), drop_case(&p);
}

/* Each allocation fails in turn: nothing is left behind. */
static void test_no_memory(void) {
    plan_case p = sound();
    opened o;
    exl__engine_state *state = NULL;
    exl__graph *graph = NULL;
    exl_error error = {.struct_size = sizeof error};

    CHECK_STATUS(open_case(&p, &p, &o), EXL_OK);
    for (long at = 0; at < 5; at++) {
        counting counts = {.fails_at = at};
        exl_allocator memory = {sizeof memory, &counts, count_allocate, count_release};
        exl_status status = exl__engine_native.open(&memory, NULL, 1, 0, &state, &error);
        CHECK(status == (at == 0 ? EXL_OUT_OF_MEMORY : EXL_OK));
        if (status != EXL_OK)
            continue;
        CHECK_STATUS(exl__engine_native.open_graph(state, &o.source, &graph, &error),
                     at < 4 ? EXL_OUT_OF_MEMORY : EXL_OK);
        if (at == 4)
            exl__engine_native.close_graph(state, graph);
        exl__engine_native.close(state);
        CHECK(counts.outstanding == 0 && counts.outstanding_bytes == 0);
    }
    CHECK_STATUS(exl__engine_native.open(&exl__default_allocator, NULL, 2, 0, &state, &error), EXL_BAD_ARGUMENT);
    CHECK(!exl__native_choose(o.state, "abacus"));
    exl__engine_native.close_graph(o.state, NULL);
    exl__engine_native.close(NULL);
    close_case(&o), drop_case(&p);
}

int main(void) {
    test_runs_as_the_reference_does();
    test_ids_beyond_the_table();
    test_tensors_of_other_sizes();
    test_no_memory();
    puts("test_plan_engine: done");
    return 0;
}
