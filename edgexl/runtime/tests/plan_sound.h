/* plan_sound.h: a small plan that the reader admits, with an operation of most kinds, for tests to change. */
#ifndef EXL_PLAN_SOUND_H
#define EXL_PLAN_SOUND_H

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
static inline plan_case sound(void) {
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

/* Its operations. */
enum { COPY, LINEAR, ATTENTION, EMBED, ADD, REDUCE };

#endif
