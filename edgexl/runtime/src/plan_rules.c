/* plan_rules.c: the operations of a plan, a row each: what each operand may be and where it is touched, what there must
 * be to work in, and what it costs. plan.c admits a plan by this table, run.c works by it. */
#include "compiler.h"

#include <stddef.h>

#include "checked.h"
#include "plan.h"

// clang-format off: a row an operation, an operand a line
/* Operands: {use, types, axes, run}. Pieces of work, and what it costs: {of, plain axes, filled axes}. */
#define LINEAR(named, matrix, depth, ...)                                                                              \
    {.code = named, .last_function = EXL__ACTIVATIONS - 1, .constant_sizes = AXIS_1 | AXIS_2 | AXIS_3,                 \
     .most_depth = depth,                                                                                              \
     .operands = {{EXL__WRITTEN, F32, AXIS_0, 2}, {EXL__READ, F32, AXIS_0, 1}, {WHOLE, matrix, 0, EXL__NO_RUN},        \
                  {WHOLE, I32, 0, EXL__NO_RUN}, {MAYBE_READ, F32, AXIS_0, 2}},                                         \
     .pieces = {__VA_ARGS__}, .work = {1, AXIS_0, AXIS_1 | AXIS_2}}
/* Codes of x, of up to 4 bytes each, a scale and a zero point a row. */
#define QUANTISED_ROWS {4, AXIS_0, AXIS_1}, {4, AXIS_0, 0}, {4, AXIS_0, 0}
/* scratch: bytes for each element of a row. */
#define ROWS(named, sizes, scratch, ...)                                                                               \
    {.code = named, .constant_sizes = sizes, .operands = {{EXL__WRITTEN, F32, AXIS_0, 1}, __VA_ARGS__},                \
     .pieces = {{scratch, 0, AXIS_1}}, .work = {ELEMENT, AXIS_0, AXIS_1}}
#define EACH_ELEMENT(named, first, last, result, ...)                                                                  \
    {.code = named, .first_function = first, .last_function = last,                                                    \
     .operands = {{EXL__WRITTEN, result, ALL, EXL__NO_RUN}, __VA_ARGS__},                                              \
     .work = {ELEMENT, AXIS_0 | AXIS_1 | AXIS_2, AXIS_3}}
#define NUMBER  {EXL__READ, F32, ALL, EXL__NO_RUN}
#define INTEGER {EXL__READ, I64, ALL, EXL__NO_RUN}

const exl__rule *exl__rule_of(const exl__operation *operation) {
    enum {
        F32 = 1 << EXL__F32,
        I8 = 1 << EXL__I8,
        I32 = 1 << EXL__I32,
        I64 = 1 << EXL__I64,
        AXIS_0 = 1,
        AXIS_1 = 2,
        AXIS_2 = 4,
        AXIS_3 = 8,
        ALL = 15,
        OF_BATCH = AXIS_0 | AXIS_1, /* attention's and products' rows: axis 0 is heads or the batch */
        WHOLE = EXL__READ | EXL__CONSTANT,
        MAYBE_READ = EXL__READ | EXL__OPTIONAL,
        /* Sums of codes (to 255) and weights (from -128) over more rows leave 32 bits. */
        MOST_INT8_DEPTH = 1 << 16,
        ELEMENT = EXL__ELEMENT_WORK
    };
    static const exl__rule RULES[] = {
        LINEAR(EXL__LINEAR_INT8, I8, MOST_INT8_DEPTH, QUANTISED_ROWS),
        LINEAR(EXL__LINEAR_F32, F32, 0, {0}),
        /* and totals of a panel, and the codes of one of its blocks of 32 rows */
        LINEAR(EXL__LINEAR_BLOCKS, I8, 0, QUANTISED_ROWS, {64, AXIS_0, 0}, {512, 0, 0}),
        ROWS(EXL__LAYER_NORM, 0, 0, {EXL__READ, F32, AXIS_0, 1}, {MAYBE_READ, F32, 0, 1}, {MAYBE_READ, F32, 0, 1}),
        {.code = EXL__ATTENTION,
         .operands = {{EXL__WRITTEN | EXL__SIDE_BY_SIDE, F32, OF_BATCH, 3},
                      {EXL__READ | EXL__SIDE_BY_SIDE, F32, OF_BATCH, 3},
                      {EXL__READ, F32, AXIS_0 | AXIS_2 | AXIS_3, EXL__NO_RUN},
                      {EXL__READ, F32, AXIS_0 | AXIS_2 | AXIS_3, EXL__NO_RUN},
                      {MAYBE_READ, F32, OF_BATCH | AXIS_2, EXL__NO_RUN},
                      {EXL__WRITTEN | EXL__OPTIONAL, F32, OF_BATCH, EXL__NO_RUN}},
         /* keys [width][keys], values [keys][width]; of a tile of 8 rows scores [8][keys] and bias [8][keys] */
         .pieces = {{4, AXIS_3, AXIS_2}, {4, AXIS_2, AXIS_3}, {32, 0, AXIS_2}, {32, 0, AXIS_2}},
         .work = {2, OF_BATCH, AXIS_2 | AXIS_3}},
        ROWS(EXL__EMBED, AXIS_1, 0, {EXL__READ, I64, AXIS_0, EXL__NO_RUN}, {WHOLE, F32 | I8, 0, EXL__NO_RUN},
             {MAYBE_READ | EXL__CONSTANT, F32, 0, EXL__NO_RUN}),
        {.code = EXL__EMBED, .first_function = EXL__OF_BLOCKS, .last_function = EXL__OF_BLOCKS, .constant_sizes = AXIS_1,
         .operands = {{EXL__WRITTEN, F32, AXIS_0, 1}, {EXL__READ, I64, AXIS_0, EXL__NO_RUN},
                      {WHOLE, I8, 0, EXL__NO_RUN}, {WHOLE, F32, 0, EXL__NO_RUN}},
         .work = {ELEMENT, AXIS_0, AXIS_1}},
        EACH_ELEMENT(EXL__MAP, EXL__COPY, EXL__COPY, F32, NUMBER),
        EACH_ELEMENT(EXL__MAP, EXL__ADD, EXL__MIN, F32, NUMBER, NUMBER),
        EACH_ELEMENT(EXL__MAP, EXL__SQRT, EXL__SIGMOID, F32, NUMBER),
        EACH_ELEMENT(EXL__MAP, EXL__COPY_INT, EXL__COPY_INT, I64, INTEGER),
        EACH_ELEMENT(EXL__MAP, EXL__ADD_INT, EXL__OR, I64, INTEGER, INTEGER),
        EACH_ELEMENT(EXL__MAP, EXL__NOT, EXL__NOT, I64, INTEGER),
        EACH_ELEMENT(EXL__MAP, EXL__WHERE_INT, EXL__WHERE_INT, I64, INTEGER, INTEGER, INTEGER),
        EACH_ELEMENT(EXL__MAP, EXL__TO_FLOAT, EXL__TO_FLOAT, F32, INTEGER),
        EACH_ELEMENT(EXL__MAP, EXL__TO_INT, EXL__TO_INT, I64, NUMBER),
        EACH_ELEMENT(EXL__MAP, EXL__WHERE, EXL__WHERE, F32, INTEGER, NUMBER, NUMBER),
        EACH_ELEMENT(EXL__REDUCE, EXL__SUM, EXL__MEAN, F32, NUMBER),
        EACH_ELEMENT(EXL__REDUCE, EXL__SUM_INT, EXL__SUM_INT, I64, INTEGER),
        ROWS(EXL__SOFTMAX, 0, 4, {EXL__READ, F32, AXIS_0, 1}),
        {.code = EXL__MATMUL,
         .operands = {{EXL__WRITTEN | EXL__SIDE_BY_SIDE, F32, OF_BATCH, 3},
                      {EXL__READ | EXL__SIDE_BY_SIDE, F32, OF_BATCH, 2},
                      {EXL__READ, F32, AXIS_0 | AXIS_2 | AXIS_3, EXL__NO_RUN}},
         .pieces = {{4, AXIS_2, AXIS_3}}, /* b [K][N] */
         .work = {1, OF_BATCH, AXIS_2 | AXIS_3}},
        EACH_ELEMENT(EXL__SHIFT, EXL__FROM_BEFORE, EXL__FROM_BEHIND, I64, INTEGER),
        EACH_ELEMENT(EXL__RUNNING_SUM, 0, 0, I64, INTEGER),
    };
    // clang-format on

    for (size_t i = 0; i < sizeof RULES / sizeof *RULES; i++)
        if (RULES[i].code == operation->code && operation->function >= RULES[i].first_function &&
            operation->function <= RULES[i].last_function)
            return &RULES[i];
    return NULL;
}
#undef LINEAR
#undef QUANTISED_ROWS
#undef ROWS
#undef EACH_ELEMENT
#undef NUMBER
#undef INTEGER

uint64_t exl__amount_at(exl__amount amount, const uint64_t sizes[EXL__PLAN_RANK]) {
    uint64_t product = amount.of;

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++) {
        if (amount.plain >> axis & 1)
            product = exl__times(product, sizes[axis]);
        if (amount.filled >> axis & 1)
            product = exl__times(product, exl__round_up(sizes[axis], EXL__FILL));
    }
    return product;
}

uint64_t exl__lay_out_work(const exl__rule *rule, const uint64_t sizes[EXL__PLAN_RANK], uint64_t offsets[EXL__PIECES]) {
    uint64_t bytes = 0;

    for (int i = 0; i < EXL__PIECES; i++) {
        offsets[i] = bytes;
        bytes = exl__round_up(exl__plus(bytes, exl__amount_at(rule->pieces[i], sizes)), EXL__WORK_ALIGNMENT_BYTES);
    }
    return bytes;
}

uint64_t exl__constant_elements(const exl__operation *operation, int place, const uint64_t sizes[EXL__PLAN_RANK],
                                uint64_t table_rows) {
    uint64_t depth = sizes[1], columns = exl__round_up(sizes[2], EXL__FILL), bits = sizes[3];

    switch (operation->code) {
    case EXL__LINEAR_INT8:
        return place == 2 ? exl__times(exl__round_up(depth, EXL__FILL), columns) : exl__times(3, columns);
    case EXL__LINEAR_F32: return place == 2 ? exl__times(depth, columns) : columns;
    case EXL__LINEAR_BLOCKS: /* of a depth that is a multiple of 32 */
        return place == 2 ? exl__times(exl__times(depth, columns), bits) / 8 : exl__times(1 + depth / 16, columns);
    default: /* a look-up's table and scales: of 4 bits two codes a byte, and a scale a block of 32 */
        if (operation->code == EXL__EMBED && operation->function == EXL__OF_BLOCKS)
            return exl__times(table_rows, place == 2 ? depth / 2 : depth / 32);
        return place == 2 ? exl__times(table_rows, depth) : table_rows;
    }
}
