/* plan.h: a plan section (FORMAT.md): what the native engine runs in the place of a graph. Records are used where they
 * lie in the mapped bundle, and only after exl__plan_read has checked all of them. */
#ifndef EXL_PLAN_H
#define EXL_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "status.h"

enum { EXL__PLAN_OPERANDS = 6, EXL__PLAN_RANK = 4 };
#define EXL__NO_BUFFER UINT32_MAX

/* coefficient in 28 bits, then 2 bits power of T, 2 bits power of N. */
typedef uint32_t exl__size;

enum { EXL__ARENA, EXL__FROM_INPUT, EXL__TO_OUTPUT, EXL__FROM_WEIGHT };

/* Element types carry ONNX's numbers; exl__tensor has the others. */
enum { EXL__U8 = 2, EXL__I8 = 3, EXL__I32 = 6 };

typedef enum exl__code {
    EXL__LINEAR_INT8 = 1,
    EXL__LINEAR_F32,
    EXL__LINEAR_BLOCKS,
    EXL__LAYER_NORM,
    EXL__ATTENTION,
    EXL__EMBED,
    EXL__MAP,
    EXL__REDUCE,
    EXL__SOFTMAX,
    EXL__MATMUL,
    EXL__SHIFT,
    EXL__RUNNING_SUM,
    EXL__CODES /* one more than the last */
} exl__code;

/* Functions of EXL__MAP. The numbers have gaps: below 32 numbers to numbers, below 64 integers to integers. */
typedef enum exl__function {
    EXL__COPY = 1,
    EXL__ADD,
    EXL__SUB,
    EXL__MUL,
    EXL__DIV,
    EXL__MAX,
    EXL__MIN,
    EXL__SQRT,
    EXL__ERF,
    EXL__TANH,
    EXL__EXP,
    EXL__RELU,
    EXL__GELU,
    EXL__SIGMOID,
    EXL__COPY_INT = 32,
    EXL__ADD_INT,
    EXL__SUB_INT,
    EXL__MUL_INT,
    EXL__DIV_INT,
    EXL__MOD_INT,
    EXL__MAX_INT,
    EXL__MIN_INT,
    EXL__EQUAL,
    EXL__GREATER,
    EXL__GREATER_OR_EQUAL,
    EXL__AND,
    EXL__OR,
    EXL__NOT,
    EXL__WHERE_INT,
    EXL__TO_FLOAT = 64,
    EXL__TO_INT,
    EXL__WHERE,
    EXL__FUNCTIONS
} exl__function;

enum { EXL__ACT_NONE, EXL__ACT_RELU, EXL__ACT_GELU, EXL__ACT_TANH, EXL__ACTIVATIONS };
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
} exl__plan;

/* T and N of one run. */
typedef struct exl__lengths {
    uint64_t tokens[4], labels[4]; /* powers 0 to 3 */
} exl__lengths;

exl__lengths exl__lengths_of(uint64_t tokens, uint64_t labels);

static inline uint64_t exl__size_at(exl__size size, const exl__lengths *at) {
    return (uint64_t)(size & 0xFFFFFFF) * at->tokens[size >> 28 & 3] * at->labels[size >> 30];
}

/* Bytes of an element; 0 for types that no plan has. */
uint32_t exl__type_bytes(uint32_t type);

/* Checks all of the section against the weights and the ports that the bundle declares; after that no operation can
 * leave its buffers at any text length up to max_tokens and any shortlist up to max_labels. */
exl_status exl__plan_read(const exl__graph_source *source, exl__plan *plan, exl__error *error);

#endif
