/* test_plan.c: what the reader of plans refuses, the largest that it admits, and what a run clears. */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */
#include "counting.h"
#include "plan_reference.h"

enum { MAX_TOKENS = 6, MAX_LABELS = 5, WIDE = 5 };
/* Buffers of `sound`. */
enum {
    STATES,
    IDS,
    VECTORS,
    COPIED,
    PROJECTED,
    MIXED,
    BEST,
    FOUND,
    OUT_STATES,
    OUT_SUMS,
    MATRIX,
    TABLE,
    WORDS,
    SCALES
};

/* states [T,8] -> copied -> int8 product [T,5] -> attention -> + a look-up of ids -> output 0; sums of vectors [N,4] ->
 * output 1. */
static plan_case sound(void) {
    plan_case p = new_case(MAX_TOKENS, MAX_LABELS);
    const exl__size rows = SIZE(WIDE, 1, 0);
    exl__operation *o;

    (void)add_buffer(&p, EXL__FROM_INPUT, 2, EXL__F32, SIZE(8, 1, 0));
    (void)add_buffer(&p, EXL__FROM_INPUT, 0, EXL__I64, WITH_T);
    (void)add_buffer(&p, EXL__FROM_INPUT, 4, EXL__F32, SIZE(4, 0, 1));
    (void)add_buffer(&p, EXL__ARENA, 0, EXL__F32, SIZE(8, 1, 0));
    (void)add_buffer(&p, EXL__ARENA, 0, EXL__F32, rows);
    (void)add_buffer(&p, EXL__ARENA, 0, EXL__F32, rows);
    (void)add_buffer(&p, EXL__ARENA, 0, EXL__F32, WITH_T);
    (void)add_buffer(&p, EXL__ARENA, 0, EXL__F32, rows);
    (void)add_buffer(&p, EXL__TO_OUTPUT, 0, EXL__F32, rows);
    (void)add_buffer(&p, EXL__TO_OUTPUT, 1, EXL__F32, WITH_N);
    (void)add_weight(&p, EXL__I8, 16 * 16);
    (void)add_weight(&p, EXL__I32, 3 * 16);
    (void)add_weight(&p, EXL__I8, 7 * WIDE);
    (void)add_weight(&p, EXL__F32, 7);
    for (int i = 0; i < 32; i++) /* bias and scales; sums of the codes stay any */
        ((float *)(uintptr_t)p.weights[1].data)[i] = i < 16 ? 0.5f : 0.001f;
    memset((uint8_t *)(uintptr_t)p.weights[0].data + 8 * 16, 0, 8 * 16); /* rows that fill 8 up to 16 */
    p.id_limit[IDS] = 7;
    o = add_operation(&p, EXL__MAP, EXL__COPY, 1, 1, WITH_T, 8);
    set_operand(o, 0, COPIED, 0, 0, 0, 8, 1);
    set_operand(o, 1, STATES, 0, 0, 0, 8, 1);
    o = add_operation(&p, EXL__LINEAR_INT8, EXL__ACT_RELU, WITH_T, 8, WIDE, 8);
    set_operand(o, 0, PROJECTED, 0, WIDE, 0, 0, 0);
    set_operand(o, 1, COPIED, 0, 8, 0, 0, 0);
    set_operand(o, 2, MATRIX, 0, 0, 0, 0, 0);
    set_operand(o, 3, TABLE, 0, 0, 0, 0, 0);
    o = add_operation(&p, EXL__ATTENTION, 0, 1, WITH_T, WITH_T, WIDE);
    o->numbers[0] = 0.3f;
    set_operand(o, 0, MIXED, 0, 0, WIDE, 0, 1);
    set_operand(o, 1, PROJECTED, 0, 0, WIDE, 0, 1);
    set_operand(o, 2, PROJECTED, 0, 0, 0, WIDE, 1);
    set_operand(o, 3, PROJECTED, 0, 0, 0, WIDE, 1);
    set_operand(o, 5, BEST, 0, 0, 1, 0, 0);
    o = add_operation(&p, EXL__EMBED, 0, WITH_T, WIDE, 1, 1);
    set_operand(o, 0, FOUND, 0, WIDE, 0, 0, 0);
    set_operand(o, 1, IDS, 0, 1, 0, 0, 0);
    set_operand(o, 2, WORDS, 0, 0, 0, 0, 0);
    set_operand(o, 3, SCALES, 0, 0, 0, 0, 0);
    o = add_operation(&p, EXL__MAP, EXL__ADD, 1, 1, 1, rows);
    set_operand(o, 0, OUT_STATES, 0, 0, 0, 0, 1);
    set_operand(o, 1, MIXED, 0, 0, 0, 0, 1);
    set_operand(o, 2, FOUND, 0, 0, 0, 0, 1);
    o = add_operation(&p, EXL__REDUCE, EXL__SUM, 1, 1, WITH_N, 4);
    set_operand(o, 0, OUT_SUMS, 0, 0, 0, 1, 0);
    set_operand(o, 1, VECTORS, 0, 0, 0, 4, 1);
    return p;
}
enum { COPY, LINEAR, ATTENTION, EMBED, ADD, REDUCE };

/* `sound`, changed by the statements, is refused with these words. Ports are those of the sound plan. */
#define REFUSED(words, ...)                                                                                            \
    do {                                                                                                               \
        plan_case p = sound(), ports = p;                                                                              \
        exl__plan_buffer *b = p.buffers;                                                                               \
        exl__operation *o = p.operations;                                                                              \
        opened opened_;                                                                                                \
        (void)b, (void)o;                                                                                              \
        __VA_ARGS__;                                                                                                   \
        CHECK_STATUS(open_case(&p, &ports, &opened_), EXL_BUNDLE_MALFORMED);                                           \
        if (!strstr(opened_.error.sentence, words))                                                                    \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, opened_.error.sentence);                                \
        CHECK(strstr(opened_.error.sentence, words) != NULL);                                                          \
        close_case(&opened_);                                                                                          \
        drop_case(&ports);                                                                                             \
    } while (0)

/* ---- form ---------------------------------------------------------------------------------------------------- */

static void test_sound(void) {
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

/* Every byte of the head but those that the case is made of, and a section that is cut or goes on. */
static void test_heads(void) {
    plan_case p = sound();
    opened o;
    exl__plan plan;
    const exl_allocator *memory = &exl__default_allocator;

    CHECK_STATUS(open_case(&p, &p, &o), EXL_OK);
    for (size_t at = 0; at < 64; at++) {
        if (at >= 32 && at < 40) /* the arena's bytes: more of them are no fault */
            continue;
        o.bytes[at] ^= 0x81;
        CHECK_STATUS(exl__plan_read(memory, &o.source, &plan, &o.error), EXL_BUNDLE_MALFORMED);
        o.bytes[at] ^= 0x81;
    }
    for (size_t cut = 0; cut < 3; cut++) {
        static const size_t less[] = {1, 176, 1000000};
        o.source.length -= less[cut] < o.source.length ? less[cut] : o.source.length - 5;
        CHECK_STATUS(exl__plan_read(memory, &o.source, &plan, &o.error), EXL_BUNDLE_MALFORMED);
        o.source.length = 64 + p.buffer_count * 32 + p.operation_count * 176;
    }
    o.source.max_tokens = o.source.max_labels = 0;
    memset(o.bytes + 16, 0, 8);
    CHECK_STATUS(exl__plan_read(memory, &o.source, &plan, &o.error), EXL_BUNDLE_MALFORMED);
    close_case(&o);
    for (int which = 0; which < 3; which++) { /* the largest lengths, and one more */
        plan_case most = sound();
        most.max_tokens = which == 1 ? 8193 : 8192, most.max_labels = which == 2 ? 4097 : 4096;
        for (uint32_t i = 0; i < most.buffer_count; i++)
            if (most.buffers[i].place == EXL__ARENA) {
                most.buffers[i].offset_bytes = most.arena_bytes;
                most.arena_bytes += most_elements(&most, most.buffers[i].elements) * 4 / 64 * 64 + 64;
            }
        CHECK(admit(&most, NULL) == (which == 0 ? EXL_OK : EXL_BUNDLE_MALFORMED));
        drop_case(&most);
    }
    drop_case(&p);
    REFUSED("other lengths", p.arena_bytes = ((uint64_t)1 << 31) + 1);
}

static void test_buffers(void) {
    REFUSED("buffer 3", b[COPIED].offset_bytes = 32);
    REFUSED("buffer 3", b[COPIED].offset_bytes = p.arena_bytes);
    REFUSED("buffer 3", b[COPIED].offset_bytes = UINT64_MAX - 63);
    REFUSED("buffer 3", b[COPIED].index = 1);
    REFUSED("buffer 3", b[COPIED].reserved = 1);
    REFUSED("buffer 3", b[COPIED].place = 4);
    REFUSED("buffer 3", b[COPIED].type = EXL__U8 + 9);
    REFUSED("buffer 3", b[COPIED].elements = 0);
    REFUSED("buffer 3", b[COPIED].elements = SIZE(0, 1, 0));
    REFUSED("buffer 3", b[COPIED].elements = SIZE(0xFFFFFFF, 3, 3));
    REFUSED("buffer 7", p.arena_bytes -= 64);
    REFUSED("buffer 0", b[STATES].offset_bytes = 64);
    REFUSED("buffer 0", b[STATES].index = 3);
    REFUSED("buffer 0", b[STATES].index = UINT32_MAX);
    REFUSED("buffer 0", b[STATES].elements++);
    REFUSED("buffer 0", b[STATES].type = EXL__I32);
    REFUSED("buffer 8", b[OUT_STATES].index = 2);
    REFUSED("buffer 8", b[OUT_STATES].elements = SIZE(WIDE + 1, 1, 0));
    REFUSED("buffer 8", b[OUT_STATES].type = EXL__I32);
    REFUSED("buffer 10", b[MATRIX].index = 4);
    REFUSED("buffer 10", b[MATRIX].elements--);
    REFUSED("buffer 10", b[MATRIX].elements = SIZE(1, 1, 0));
    REFUSED("buffer 10", b[MATRIX].type = EXL__U8);
    REFUSED("take and give", b[OUT_SUMS] = b[OUT_STATES], o[REDUCE] = o[ADD]);
    REFUSED("take and give", ports.buffers[COPIED].place = EXL__FROM_INPUT, ports.buffers[COPIED].index = 5);
    REFUSED("take and give", b[OUT_STATES] = b[OUT_SUMS], o[ADD] = o[REDUCE]);
    REFUSED("take and give", o[REDUCE] = o[ADD]); /* output 1 is not written */
    REFUSED("take and give", o[ADD] = o[REDUCE]); /* output 0 */
    REFUSED("take and give", (void)add_buffer(&ports, EXL__TO_OUTPUT, 1, EXL__F32, WITH_N),
            b[OUT_SUMS].place = EXL__ARENA, b[OUT_SUMS].index = 0, b[OUT_SUMS].offset_bytes = 0);
    REFUSED("take and give", (void)add_buffer(&ports, EXL__FROM_INPUT, 5, EXL__F32, WITH_N),
            (void)add_buffer(&p, EXL__FROM_INPUT, 0, EXL__I64, WITH_T)); /* as many inputs, one of them twice */
    { /* an input may be several buffers, each output but one */
        plan_case p = sound(), ports = p;
        opened o;
        for (int i = STATES; i <= VECTORS; i++)
            (void)add_buffer(&p, EXL__FROM_INPUT, p.buffers[i].index, p.buffers[i].type, p.buffers[i].elements);
        CHECK_STATUS(open_case(&p, &ports, &o), EXL_OK);
        close_case(&o);
        (void)add_buffer(&p, EXL__TO_OUTPUT, 1, EXL__F32, WITH_N);
        CHECK_STATUS(open_case(&p, &ports, &o), EXL_BUNDLE_MALFORMED);
        close_case(&o);
        drop_case(&ports);
    }
}

static void test_operations(void) {
    REFUSED("operation 0", o[COPY].code = 0);
    REFUSED("operation 0", o[COPY].code = EXL__CODES);
    REFUSED("operation 0", o[COPY].function = EXL__SIGMOID + 1);
    REFUSED("operation 0", o[COPY].function = 0);
    REFUSED("operation 0", o[COPY].reserved = 1);
    REFUSED("operation 0", o[COPY].sizes[3] = 0);
    REFUSED("operation 1", o[LINEAR].function = EXL__ACTIVATIONS);
    REFUSED("operation 2", o[ATTENTION].function = 1);
    for (int axis = 1; axis < 4; axis++)
        REFUSED("operation 1", o[LINEAR].sizes[axis] = SIZE(8, 1, 0));
    REFUSED("operation 3", o[EMBED].sizes[1] = WITH_T);
    for (int place = 0; place < EXL__PLAN_OPERANDS;
         place++) { /* each operand of each operation, left out or of no buffer */
        for (uint32_t i = 0; i <= REDUCE; i++) {
            char words[16];
            const plan_case whole = sound();
            uint32_t is_there = whole.operations[i].operands[place].buffer != EXL__NO_BUFFER;
            int is_optional = (i == ATTENTION && place == 5) || (i == EMBED && place == 3);
            snprintf(words, sizeof words, "operation %u", i);
            drop_case((plan_case *)(uintptr_t)&whole);
            if (is_there && !is_optional)
                REFUSED(words, o[i].operands[place].buffer = EXL__NO_BUFFER);
            REFUSED(words, o[i].operands[place].buffer = p.buffer_count);
            if (!is_there && i != LINEAR && i != ATTENTION) /* one that the operation does not take */
                REFUSED(words, o[i].operands[place] = o[i].operands[1]);
            if (is_there)
                REFUSED(words, o[i].operands[place].offset = SIZE(1, 3, 3));
        }
    }
    REFUSED("operation 4", o[ADD].operands[1].buffer = OUT_STATES); /* outputs may not be there */
    REFUSED("operation 4", o[ADD].operands[0].buffer = STATES);
    REFUSED("operation 2", o[ATTENTION].operands[5].buffer = OUT_SUMS);
    REFUSED("operation 2", o[ATTENTION].operands[0].strides[3] = 2);
    REFUSED("operation 2", o[ATTENTION].operands[1].strides[3] = 0);
    /* constants */
    REFUSED("operation 1", o[LINEAR].operands[2].offset = 1);
    REFUSED("operation 1", o[LINEAR].operands[2].buffer = WORDS);
    REFUSED("operation 1", o[LINEAR].operands[3].buffer = MATRIX);
    REFUSED("operation 1", o[LINEAR].sizes[1] = 17);
    REFUSED("operation 1", o[LINEAR].sizes[2] = 17);
    REFUSED("operation 1", o[LINEAR].operands[2].buffer = BEST, b[BEST].type = EXL__I8, b[BEST].elements = 256,
            p.arena_bytes += 256);
    REFUSED("operation 3", o[EMBED].sizes[1] = 36);
    REFUSED("operation 3", o[EMBED].sizes[1] = 4); /* no whole number of rows */
    REFUSED("operation 3", o[EMBED].operands[3].buffer = WORDS);
    REFUSED("operation 3", b[SCALES].index = 2, b[SCALES].type = EXL__I8, b[SCALES].elements = 35);
    REFUSED("operation 3", p.weights[2].data_bytes = b[WORDS].elements = WIDE - 1);
    for (uint32_t rows = 1; rows < 3; rows++) {
        plan_case p = sound();
        p.buffers[WORDS].elements = (uint32_t)(p.weights[2].data_bytes = (uint64_t)rows * WIDE);
        p.buffers[SCALES].elements = rows, p.weights[3].data_bytes = (uint64_t)rows * 4;
        CHECK_STATUS(admit(&p, NULL), EXL_OK);
        drop_case(&p);
    }
}

/* A product by blocks takes 32 rows at a time, of 4 or 8 bits. */
static void test_blocks(void) {
    static const uint32_t tries[][4] = {{32, 8, 1, 3}, {32, 4, 1, 3}, {31, 8, 0, 3}, {33, 8, 0, 3},
                                        {32, 5, 0, 3}, {32, 0, 0, 3}, {64, 4, 1, 5}, {64, 4, 0, 3}};

    for (size_t i = 0; i < sizeof tries / sizeof *tries; i++) {
        plan_case p = new_case(MAX_TOKENS, MAX_LABELS);
        uint32_t depth = tries[i][0], bits = tries[i][1];
        exl__operation *o;

        (void)add_buffer(&p, EXL__FROM_INPUT, 2, EXL__F32, SIZE(depth, 1, 0));
        (void)add_buffer(&p, EXL__TO_OUTPUT, 0, EXL__F32, SIZE(3, 1, 0));
        o = add_operation(&p, EXL__LINEAR_BLOCKS, 0, WITH_T, depth, 3, bits);
        set_operand(o, 0, 1, 0, 3, 0, 0, 0);
        set_operand(o, 1, 0, 0, depth, 0, 0, 0);
        set_operand(o, 2, add_weight(&p, EXL__I8, depth * 16 * (bits ? bits : 8) / 8), 0, 0, 0, 0, 0);
        set_operand(o, 3, add_weight(&p, EXL__I32, (uint64_t)tries[i][3] * 16), 0, 0, 0, 0, 0);
        CHECK(admit(&p, NULL) == (tries[i][2] ? EXL_OK : EXL_BUNDLE_MALFORMED));
        drop_case(&p);
    }
}

/* ---- places -------------------------------------------------------------------------------------------------- */

/* Constant places of buffers that shrink: inside at the largest lengths, and outside at the smallest. */
static void test_exact_buffers(void) {
    REFUSED("operation 0", o[COPY].operands[1].offset = 8);
    REFUSED("operation 0", o[COPY].sizes[2] = MAX_TOKENS, b[COPIED].elements = 8 * MAX_TOKENS);
    REFUSED("operation 0", o[COPY].sizes[2] = WITH_N, b[COPIED].elements = SIZE(8, 0, 1));
    REFUSED("operation 0", o[COPY].sizes[2] = 2,
            b[COPIED].elements = 16); /* no text is shorter than 3, but a run may be */
    REFUSED("operation 0", o[COPY].operands[0].offset = SIZE(1, 1, 0));
    REFUSED("operation 3", o[EMBED].operands[1].offset = 1, o[EMBED].sizes[0] = 5, b[FOUND].elements = 25);
    REFUSED("operation 4", o[ADD].sizes[3] = WIDE * MAX_TOKENS); /* the output, too */
    REFUSED("operation 5", o[REDUCE].operands[1].strides[2] = WITH_N);
    REFUSED("operation 2", o[ATTENTION].sizes[2] = SIZE(1, 0, 1));
    REFUSED("operation 2", o[ATTENTION].operands[5].strides[1] = 2);
    REFUSED("operation 5", o[REDUCE].sizes[2] = SIZE(0xFFFFFFF, 0, 1), o[REDUCE].operands[1].strides[2] = 0);
    for (uint32_t size = 1; size <= 3; size++) { /* a row of many is inside at every length; so is all of a weight */
        plan_case p = sound();
        p.operations[COPY].sizes[2] = 1;
        p.operations[COPY].operands[1].strides[2] = SIZE(size, 3, 3); /* along an axis that is not walked */
        p.operations[COPY].operands[0].strides[2] = SIZE(size, 3, 3);
        CHECK_STATUS(admit(&p, NULL), EXL_OK);
        drop_case(&p);
    }
}

static void test_overlaps(void) {
    REFUSED("operation 0", b[COPIED].type = EXL__F32, o[COPY].operands[1].buffer = COPIED);
    REFUSED("operation 1", b[PROJECTED].offset_bytes = b[COPIED].offset_bytes);
    REFUSED("operation 1", b[PROJECTED].offset_bytes = b[COPIED].offset_bytes + 64);
    REFUSED("operation 2", b[BEST].offset_bytes = b[MIXED].offset_bytes);
    REFUSED("operation 2", b[BEST].offset_bytes = b[PROJECTED].offset_bytes);
    REFUSED("operation 0", o[COPY].operands[0].strides[2] = 0);
    REFUSED("operation 0", o[COPY].operands[0].strides[2] = 4);
    REFUSED("operation 0", o[COPY].operands[0].strides[3] = 0);
    REFUSED("operation 2", o[ATTENTION].operands[0].strides[1] = 1);
    REFUSED("operation 2", o[ATTENTION].sizes[0] = 2);
    { /* axes in any order are distinct elements */
        plan_case p = sound();
        p.operations[COPY].operands[0].strides[2] = 1;
        p.operations[COPY].operands[0].strides[3] = WITH_T;
        CHECK_STATUS(admit(&p, NULL), EXL_OK);
        drop_case(&p);
    }
}

/* ---- what has not been written ------------------------------------------------------------------------------- */

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

/* ---- the largest --------------------------------------------------------------------------------------------- */

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
                    n[axis] += draw(2) ? 256 : -256;
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

/* ---- the engine ---------------------------------------------------------------------------------------------- */

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

/* ---- sums that would wrap ------------------------------------------------------------------------------------ */

static void test_checked(void) {
    exl__carver from = {NULL, 0};

    CHECK(exl__times(1ull << 32, 1ull << 32) == EXL__TOO_MUCH && exl__times(0, EXL__TOO_MUCH) == 0);
    CHECK(exl__times(3, UINT64_MAX / 3) == UINT64_MAX / 3 * 3 && exl__plus(UINT64_MAX, 1) == EXL__TOO_MUCH);
    CHECK(exl__round_up(UINT64_MAX - 3, 64) == EXL__TOO_MUCH && exl__round_up(65, 64) == 128);
    CHECK(!exl__lies_within(8, UINT64_MAX, 16) && !exl__lies_within(17, 0, 16) && exl__lies_within(16, 0, 16));
    CHECK(exl__carve(&from, 1ull << 62, 8) == NULL && from.used == EXL__TOO_MUCH);
    CHECK(exl__carve(&from, 1, 8) == NULL && from.used == EXL__TOO_MUCH);
    CHECK(exl__allocate(&exl__default_allocator, from.used, 1) == NULL);
    CHECK(exl__allocate(&exl__default_allocator, 1ull << 33, 1ull << 33) == NULL);
}

int main(void) {
    test_sound();
    test_heads();
    test_buffers();
    test_operations();
    test_blocks();
    test_exact_buffers();
    test_overlaps();
    test_unwritten();
    test_joined();
    test_largest_sizes();
    test_work_adds_up();
    test_deepest_product();
    test_long_rows();
    test_ids_beyond_the_table();
    test_tensors_of_other_sizes();
    test_no_memory();
    test_checked();
    puts("test_plan: done");
    return 0;
}
