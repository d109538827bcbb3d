/* costs.c: what the operations of a prediction took, for those who profile: exl_operation_read. */
#include "compiler.h"

#include <string.h>

#include "options.h"
#include "plan.h"
#include "session.h"

/* ---- of one operation ------------------------------------------------------------------------------------------- */

static uint64_t costs_macs(const exl__rule *rule, const uint64_t sizes[EXL__PLAN_RANK]) {
    uint64_t macs = rule->work.of < EXL__ELEMENT_WORK ? rule->work.of : 0;

    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        if ((rule->work.plain | rule->work.filled) >> axis & 1)
            macs *= sizes[axis];
    return macs;
}

/* Elements of an operand that are touched: one place where it does not move along an axis. */
static uint64_t costs_elements(const exl__operation *o, int place, const exl__operand_rule *rule,
                               const uint64_t sizes[EXL__PLAN_RANK]) {
    uint64_t elements = rule->run == EXL__NO_RUN ? 1 : sizes[rule->run];

    if (rule->use & EXL__CONSTANT)
        return exl__constant_elements(o, place, sizes, sizes[0]); /* of a table as many rows as are looked up */
    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        if (rule->axes >> axis & 1 && o->operands[place].strides[axis] != 0 && axis != rule->run)
            elements *= sizes[axis];
    return elements;
}

void exl__add_cost(exl__operation_cost *cost, const exl__plan *plan, const exl__operation *o, const exl__lengths *at,
                   double ms) {
    const exl__rule *rule = exl__rule_of(o);

    cost->ms += ms;
    cost->runs++;
    for (int axis = 0; axis < EXL__PLAN_RANK; axis++)
        cost->sizes[axis] = exl__size_at(o->sizes[axis], at);
    cost->macs += costs_macs(rule, cost->sizes);
    for (int place = 0; place < EXL__PLAN_OPERANDS; place++)
        if (rule->operands[place].use && o->operands[place].buffer != EXL__NO_BUFFER)
            cost->bytes += costs_elements(o, place, &rule->operands[place], cost->sizes) *
                           exl__type_bytes(plan->buffers[o->operands[place].buffer].type);
}

void exl__name_operation(const exl__operation *operation, const char **kind, const char **function) {
#define COSTS_NAME(NAME, number, name) [number] = name,
    static const char *const KINDS[EXL__CODES] = {EXL__OPERATIONS(COSTS_NAME)};
    static const char *const FUNCTIONS[EXL__FUNCTIONS] = {EXL__MAPPINGS(COSTS_NAME)};
    static const char *const ACTIVATIONS[EXL__ACTIVATIONS] = {"", "relu", "gelu", "tanh"};
    static const char *const REDUCTIONS[EXL__SUM_INT + 1] = {
        [EXL__SUM] = "sum", [EXL__LARGEST] = "largest", [EXL__MEAN] = "mean", [EXL__SUM_INT] = "sum_int"};

    *kind = KINDS[operation->code];
    *function = "";
    switch ((exl__code)operation->code) {
    case EXL__LINEAR_INT8:
    case EXL__LINEAR_F32:
    case EXL__LINEAR_BLOCKS: *function = ACTIVATIONS[operation->function]; break;
    case EXL__MAP: *function = FUNCTIONS[operation->function]; break;
    case EXL__REDUCE: *function = REDUCTIONS[operation->function]; break;
    default: break;
    }
}

/* ---- of a session ----------------------------------------------------------------------------------------------- */

uint32_t exl_operations_count(const exl_session *session) { return session ? session->cost_count : 0; }

exl_status exl_operation_read(const exl_session *session, uint32_t number, exl_operation *operation, exl_error *error) {
    exl_operation found = {.struct_size = sizeof found};
    const exl__operation_cost *cost;
    const exl__graph *graph;
    int of_reasoner;

    if (!exl__begin(error, session && exl__can_give(operation)))
        return EXL_BAD_ARGUMENT;
    if (number >= session->cost_count)
        return exl__fail(error, EXL_BAD_ARGUMENT, "operation %u of %u whose times the session takes", number,
                         session->cost_count);
    cost = &session->costs[number];
    of_reasoner = number >= session->screener_operations;
    graph = of_reasoner ? session->bundle->reasoner : session->bundle->screener;
    found.graph = of_reasoner ? "reasoner" : "screener";
    found.number = of_reasoner ? number - session->screener_operations : number;
    session->bundle->engine->name_operation(graph, found.number, &found.kind, &found.function);
    found.runs = cost->runs;
    found.macs = cost->macs;
    found.bytes = cost->bytes;
    found.ms = cost->ms;
    memcpy(found.sizes, cost->sizes, sizeof found.sizes);
    exl__give_struct(operation, &found, sizeof found);
    return EXL_OK;
}
