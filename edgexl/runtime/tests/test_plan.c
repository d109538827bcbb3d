/* test_plan.c: what the reader of plans refuses. */
#define _POSIX_C_SOURCE 200809L /* posix_memalign */
#include "plan_sound.h"

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
    REFUSED("operation 3", o[EMBED].function = EXL__OF_BLOCKS + 1);
    REFUSED("operation 3", o[EMBED].function = EXL__OF_BLOCKS); /* of WIDE numbers, not of blocks */
    REFUSED("operation 3", o[EMBED].function = EXL__OF_BLOCKS, o[EMBED].sizes[1] = 64); /* scales of rows */
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

int main(void) {
    test_heads();
    test_buffers();
    test_operations();
    test_blocks();
    test_exact_buffers();
    test_overlaps();
    puts("test_plan: done");
    return 0;
}
