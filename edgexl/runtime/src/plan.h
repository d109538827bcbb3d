/* plan.h: a plan section (docs/format.md): what the native engine runs in the place of a graph. Records are used where
 * they lie in the mapped bundle, and only after exl__plan_read has checked all of them.
 *
 * What an operation takes, touches, works in and costs stands in one table (plan_rules.c). The reader checks by it and
 * the engine lays out its memory by it, so that they cannot disagree. */
#ifndef EXL_PLAN_H
#define EXL_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "status.h"

enum { EXL__PLAN_OPERANDS = 6, EXL__PLAN_RANK = 4 };
#define EXL__NO_BUFFER UINT32_MAX

enum { EXL__ARENA, EXL__FROM_INPUT, EXL__TO_OUTPUT, EXL__FROM_WEIGHT };

/* Element types carry ONNX's numbers; exl__tensor has the others. */
enum { EXL__U8 = 2, EXL__I8 = 3, EXL__I32 = 6 };

/* Operations by their number, with the names that a profile has. */
#define EXL__OPERATIONS(CODE)                                                                                          \
    CODE(LINEAR_INT8, 1, "linear_int8")                                                                                \
    CODE(LINEAR_F32, 2, "linear_f32")                                                                                  \
    CODE(LINEAR_BLOCKS, 3, "linear_blocks")                                                                            \
    CODE(LAYER_NORM, 4, "layer_norm")                                                                                  \
    CODE(ATTENTION, 5, "attention")                                                                                    \
    CODE(EMBED, 6, "embed")                                                                                            \
    CODE(MAP, 7, "map")                                                                                                \
    CODE(REDUCE, 8, "reduce")                                                                                          \
    CODE(SOFTMAX, 9, "softmax")                                                                                        \
    CODE(MATMUL, 10, "matmul")                                                                                         \
    CODE(SHIFT, 11, "shift")                                                                                           \
    CODE(RUNNING_SUM, 12, "running_sum")
#define EXL__CODE_NUMBER(NAME, number, name) EXL__##NAME = number,
typedef enum exl__code { EXL__OPERATIONS(EXL__CODE_NUMBER) EXL__CODES /* one more than the last */ } exl__code;

/* Functions of EXL__MAP. The numbers have gaps: below 32 numbers to numbers, below 64 integers to integers. */
#define EXL__MAPPINGS(FUNCTION)                                                                                        \
    FUNCTION(COPY, 1, "copy")                                                                                          \
    FUNCTION(ADD, 2, "add")                                                                                            \
    FUNCTION(SUB, 3, "sub")                                                                                            \
    FUNCTION(MUL, 4, "mul")                                                                                            \
    FUNCTION(DIV, 5, "div")                                                                                            \
    FUNCTION(MAX, 6, "max")                                                                                            \
    FUNCTION(MIN, 7, "min")                                                                                            \
    FUNCTION(SQRT, 8, "sqrt")                                                                                          \
    FUNCTION(ERF, 9, "erf")                                                                                            \
    FUNCTION(TANH, 10, "tanh")                                                                                         \
    FUNCTION(EXP, 11, "exp")                                                                                           \
    FUNCTION(RELU, 12, "relu")                                                                                         \
    FUNCTION(GELU, 13, "gelu")                                                                                         \
    FUNCTION(SIGMOID, 14, "sigmoid")                                                                                   \
    FUNCTION(COPY_INT, 32, "copy_int")                                                                                 \
    FUNCTION(ADD_INT, 33, "add_int")                                                                                   \
    FUNCTION(SUB_INT, 34, "sub_int")                                                                                   \
    FUNCTION(MUL_INT, 35, "mul_int")                                                                                   \
    FUNCTION(DIV_INT, 36, "div_int")                                                                                   \
    FUNCTION(MOD_INT, 37, "mod_int")                                                                                   \
    FUNCTION(MAX_INT, 38, "max_int")                                                                                   \
    FUNCTION(MIN_INT, 39, "min_int")                                                                                   \
    FUNCTION(EQUAL, 40, "equal")                                                                                       \
    FUNCTION(GREATER, 41, "greater")                                                                                   \
    FUNCTION(GREATER_OR_EQUAL, 42, "greater_or_equal")                                                                 \
    FUNCTION(AND, 43, "and")                                                                                           \
    FUNCTION(OR, 44, "or")                                                                                             \
    FUNCTION(NOT, 45, "not")                                                                                           \
    FUNCTION(WHERE_INT, 46, "where_int")                                                                               \
    FUNCTION(TO_FLOAT, 64, "to_float")                                                                                 \
    FUNCTION(TO_INT, 65, "to_int")                                                                                     \
    FUNCTION(WHERE, 66, "where")
#define EXL__FUNCTION_NUMBER(NAME, number, name) EXL__##NAME = number,
typedef enum exl__function { EXL__MAPPINGS(EXL__FUNCTION_NUMBER) EXL__FUNCTIONS } exl__function;

enum { EXL__ACT_NONE, EXL__ACT_RELU, EXL__ACT_GELU, EXL__ACT_TANH, EXL__ACTIVATIONS };
enum { EXL__OF_ROWS, EXL__OF_BLOCKS };           /* of EXL__EMBED: what has a scale */
enum { EXL__FROM_BEFORE = 1, EXL__FROM_BEHIND }; /* of EXL__SHIFT: what result[i] is, x[i - 1] or x[i + 1] */
enum { EXL__SUM = 1, EXL__LARGEST, EXL__MEAN, EXL__SUM_INT = 32 };

typedef struct exl__plan_buffer { /* field for field as in the file */
    uint32_t place, index, type;
    exl__size elements;
    uint64_t offset_bytes;
    uint64_t reserved;
} exl__plan_buffer;

typedef struct exl__operand {
    uint32_t buffer;
    exl__size offset;
    exl__size strides[EXL__PLAN_RANK];
} exl__operand;

typedef struct exl__operation {
    uint16_t code, function;
    exl__size sizes[EXL__PLAN_RANK];
    exl__operand operands[EXL__PLAN_OPERANDS];
    float numbers[2];
    uint32_t reserved;
} exl__operation;

typedef struct exl__plan {
    uint32_t max_tokens, max_labels;
    uint64_t arena_bytes;
    const exl__plan_buffer *buffers;
    const exl__operation *operations;
    uint32_t buffer_count, operation_count;
    uint64_t work_bytes; /* what the operations need besides the arena, at the largest lengths */
    /* What may be read, or handed out, before an operation has written it, and so is set to 0 before a run: bytes of
     * the arena, and outputs, a bit each. Plans that edgexl lowers have none. */
    uint64_t cleared_offset, cleared_bytes;
    uint32_t cleared_outputs;
} exl__plan;

/* T and N of one run. */
typedef struct exl__lengths {
    uint64_t tokens[4], labels[4]; /* powers 0 to 3 */
} exl__lengths;

exl__lengths exl__lengths_of(uint64_t tokens, uint64_t labels);

static inline uint64_t exl__size_at(exl__size size, const exl__lengths *at) {
    return exl__coefficient(size) * at->tokens[exl__token_power(size)] * at->labels[exl__label_power(size)];
}

/* Bytes of an element; 0 for types that no plan has. */
uint32_t exl__type_bytes(uint32_t type);

/* ---- plan_rules.c ---- */

enum { EXL__FILL = 16, EXL__PIECES = 5, EXL__NO_RUN = EXL__PLAN_RANK, EXL__WORK_ALIGNMENT_BYTES = 64 };

/* How an operation uses an operand. */
enum {
    EXL__READ = 1,
    EXL__WRITTEN = 2,
    EXL__OPTIONAL = 4,
    EXL__SIDE_BY_SIDE = 8, /* the stride along `run` must say so, too */
    EXL__CONSTANT = 16     /* a whole weight, of as many elements as exl__constant_elements says */
};

typedef struct exl__operand_rule {
    uint8_t use;   /* 0: there is no such operand */
    uint8_t types; /* a bit for each type's number */
    uint8_t axes;  /* a bit for each axis along which it moves by its stride */
    uint8_t run;   /* the axis of which all elements lie side by side at each of those places; EXL__NO_RUN: one does */
} exl__operand_rule;

/* `of` x the sizes of some axes as they are x those of others, filled up to multiples of 16. */
typedef struct exl__amount {
    uint16_t of;
    uint8_t plain, filled; /* a bit for each axis */
} exl__amount;

typedef struct exl__rule {
    uint8_t code, first_function, last_function;
    uint8_t constant_sizes; /* axes whose sizes may not depend on T or N */
    uint32_t most_depth;    /* of axis 1; 0: no limit of its own */
    exl__operand_rule operands[EXL__PLAN_OPERANDS];
    exl__amount pieces[EXL__PIECES]; /* bytes to work in; each piece begins at a multiple of 64 */
    exl__amount work;                /* multiply-adds, or what takes as long */
} exl__rule;

/* An element of a function costs as much as so many multiply-adds of a product, whose own work is of less. */
enum { EXL__ELEMENT_WORK = 16 };

/* The table's row for an operation; null: there is no such operation. */
const exl__rule *exl__rule_of(const exl__operation *operation);
/* An amount at these sizes; EXL__TOO_MUCH (checked.h) where it is that or more. */
uint64_t exl__amount_at(exl__amount amount, const uint64_t sizes[EXL__PLAN_RANK]);
/* Where each piece begins, and the bytes of all. */
uint64_t exl__lay_out_work(const exl__rule *rule, const uint64_t sizes[EXL__PLAN_RANK], uint64_t offsets[EXL__PIECES]);
/* Elements that a constant operand must have, of a table of so many rows where it is a look-up's. */
uint64_t exl__constant_elements(const exl__operation *operation, int place, const uint64_t sizes[EXL__PLAN_RANK],
                                uint64_t table_rows);

/* ---- costs.c ---- */

/* Adds a run of that many ms: the multiply-adds of its products and the bytes that it must read and write, each once;
 * of a look-up's table only the rows that it takes. */
void exl__add_cost(exl__operation_cost *cost, const exl__plan *plan, const exl__operation *operation,
                   const exl__lengths *at, double ms);
/* The names of an operation and of what it applies; "" where it applies nothing. */
void exl__name_operation(const exl__operation *operation, const char **kind, const char **function);

/* ---- plan.c ---- */

/* Checks all of the section against the weights and the ports that the bundle declares. After that no operation leaves
 * its buffers, at any text length up to max_tokens and any shortlist up to max_labels, where each buffer has exactly
 * its elements. The allocator's memory is returned before it ends. */
exl_status exl__plan_read(const exl_allocator *allocator, const exl__graph_source *source, exl__plan *plan,
                          exl_error *error);

#endif
