"""What the compiler says of a plan's limits is what the runtime's reader does: each at the largest that is allowed, and
one beyond.
"""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from benchmarks.native import NativeGraph, NativeLibrary
from edgexl.bundle.plan import ONE, ZERO, Buffer, Code, Function, Operand, Operation, Place, Plan, Reduction, Size, Type
from edgexl.bundle.weights import Tensor, pack_weights
from edgexl.compiler.lowering import NotCovered, lower_graph
from edgexl.compiler.lowering.limits import count_plan_work, count_scratch, count_work, find_exceeded

TOKENS, LABELS = 256, 8
T, N = Size(1, 1), Size(1, 0, 1)
STATES = Buffer(Place.INPUT, 2, Type.F32, Size(8, 1))
ONE_NUMBER = Buffer(Place.OUTPUT, 0, Type.F32, ONE)


@pytest.fixture(scope="module")
def library() -> NativeLibrary:
    return NativeLibrary()


def plan_of(*operations: Operation, buffers: tuple[Buffer, ...] = (), weights: int = 0, arena: int = 64) -> Plan:
    return Plan(TOKENS, LABELS, arena, weights, (STATES, ONE_NUMBER, *buffers), operations)


def total(*sizes: int | Size, times: int = 1) -> Plan:
    """The sum over so many elements of one number that stands still, several times."""
    four = tuple(size if isinstance(size, Size) else Size(size) for size in sizes)
    assert len(four) == 4
    return plan_of(*[Operation(Code.REDUCE, Reduction.SUM, four, (Operand(1), Operand(0)))] * times)


def int8_product(depth: int) -> tuple[Plan, dict[str, Tensor]]:
    deep = depth + -depth % 16
    buffers = (
        Buffer(Place.INPUT, 5, Type.F32, Size(depth, 1)),
        Buffer(Place.WEIGHT, 0, Type.I8, Size(deep * 16)),
        Buffer(Place.WEIGHT, 1, Type.I32, Size(48)),
    )
    row = (Size(depth), ZERO, ZERO, ZERO)
    operands = (Operand(1), Operand(2, strides=row), Operand(3), Operand(4))
    plan = plan_of(
        Operation(Code.LINEAR_INT8, 0, (ONE, Size(depth), ONE, Size(8)), operands), buffers=buffers, weights=2
    )
    weights = {"w0": (3, (deep * 16,), bytes(deep * 16)), "w1": (6, (48,), bytes(192))}
    return plan, weights


def attention(keys: int, width: int) -> Plan:
    """Of one query over keys that stand still."""
    wide = Buffer(Place.INPUT, 5, Type.F32, Size(width))
    out = Buffer(Place.ARENA, 0, Type.F32, Size(width))
    side_by_side = (ZERO, ZERO, ZERO, ONE)
    operands = (Operand(3, strides=side_by_side), Operand(2, strides=side_by_side), Operand(0), Operand(0))
    step = Operation(Code.ATTENTION, 0, (ONE, ONE, Size(keys), Size(width)), operands, (1.0, 0.0))
    last = Operation(Code.REDUCE, Reduction.SUM, (ONE, ONE, ONE, ONE), (Operand(1), Operand(3)))
    return plan_of(step, last, buffers=(wide, out), arena=4 * width + 64 & -64)


def copy_from(offset: Size, rows: Size) -> Plan:
    """Rows of the states into a value of as many."""
    value = Buffer(Place.ARENA, 0, Type.F32, rows * Size(8))
    strides = (ZERO, ZERO, Size(8), ONE)
    copy = Operation(
        Code.MAP, Function.COPY, (ONE, ONE, rows, Size(8)), (Operand(2, ZERO, strides), Operand(0, offset, strides))
    )
    last = Operation(Code.REDUCE, Reduction.SUM, (ONE, ONE, ONE, ONE), (Operand(1), Operand(2)))
    return plan_of(copy, last, buffers=(value,), arena=8192)


# each: within a limit or beyond, and what is then said
PLANS = {
    "work": (total(2**16, 1, 1, 2**16), None),
    "more work": (total(2**16 + 1, 1, 1, 2**16), "2^36.0 multiply-adds at 256 tokens and 8 labels, at most 2^36"),
    "work of two": (total(2**16, 1, 1, 2**15, times=2), None),
    "more work of three": (total(2**16, 1, 1, 2**15, times=3), "2^36.6 multiply-adds"),
    "an axis": (total(1, 1, 1, Size(2**22, 1)), None),
    "a longer axis": (total(1, 1, 1, Size(2**22 + 1, 1)), "an axis of 1,073,742,080 elements"),
    "more memory": (attention(2**14, 2**14), "an operation that works in"),
    "a row": (copy_from(ZERO, ONE), None),
    "the second row": (copy_from(Size(8), ONE), "a constant place of the text"),
    "two rows": (copy_from(ZERO, Size(2)), "a constant place of the text"),
    "all rows": (copy_from(ZERO, T), None),
    "as many rows as labels": (copy_from(ZERO, N), "a constant place of the text"),
}  # fmt: skip


@pytest.mark.parametrize(("plan", "words"), PLANS.values(), ids=PLANS)
def test_as_the_reader_has_it(plan: Plan, words: str | None, library: NativeLibrary) -> None:
    check(plan, {}, words, library)


@pytest.mark.parametrize("depth", [2**16, 2**16 + 1])
def test_the_deepest_int8_product(depth: int, library: NativeLibrary) -> None:
    plan, weights = int8_product(depth)
    check(plan, weights, None if depth == 2**16 else "an int8 product of 65,537 rows", library)


def check(plan: Plan, weights: dict[str, Tensor], words: str | None, library: NativeLibrary) -> None:
    found = find_exceeded(plan)
    if words is None:
        assert found == []
        NativeGraph(library, plan.pack(), pack_weights(weights))
        return
    assert any(words in phrase for phrase in found), found
    with pytest.raises(ValueError, match="plan"):
        NativeGraph(library, plan.pack(), pack_weights(weights))


def row_of_states(place: int) -> bytes:
    """One row of the states, the same in every text."""
    nodes = [helper.make_node("Gather", ["token_states", "place"], ["row"], axis=1),
             helper.make_node("Relu", ["row"], ["y"])]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("token_states", TensorProto.FLOAT, [1, "T", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [numpy_helper.from_array(np.array(place, np.int64), "place")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def test_memory_to_work_in() -> None:
    """The reader's side of it is in `test_plan_limits.c`, which opens such a plan without having the memory."""
    assert find_exceeded(attention(2**14, 2**14 - 2**7)) == []


def test_lowering_says_so() -> None:
    lower_graph(row_of_states(0), TOKENS, LABELS)
    with pytest.raises(NotCovered, match="a constant place of the text"):
        lower_graph(row_of_states(1), TOKENS, LABELS)


def test_bert_base_at_512_tokens_fits_with_room() -> None:
    """Its products and attention; what else it does is a hundredth of that."""
    tokens, wide, heads, layers = Size(512), 768, 12, 12
    products = [(wide, 3 * wide), (wide, wide), (wide, 4 * wide), (4 * wide, wide)]
    steps = [Operation(Code.LINEAR_INT8, 0, (tokens, Size(k), Size(n), Size(8)), ()) for k, n in products]
    steps.append(Operation(Code.ATTENTION, 0, (Size(heads), tokens, tokens, Size(wide // heads)), ()))
    assert 2**35 < count_plan_work(plan_of(*steps * layers)) < 2**36 * 0.75


def test_what_each_operation_takes() -> None:
    """By hand at 3 x 40 x 20 x 33, whose axes fill 48, 32 and 48 in panels of 16."""
    linear, rowwise, each = 3 * 48 * 32, 16 * 3 * 48, 16 * 3 * 40 * 20 * 48
    taken = {
        Code.LINEAR_INT8: (linear, 3 * (4 * 48 + 8)),
        Code.LINEAR_BLOCKS: (linear, 3 * (4 * 48 + 8) + 64 * 3 + 512),
        Code.LINEAR_F32: (linear, 0),
        Code.ATTENTION: (2 * 3 * 40 * 32 * 48, 4 * (33 * 32 + 20 * 48 + 16 * 32)),
        Code.MATMUL: (3 * 40 * 32 * 48, 4 * 20 * 48),
        Code.SOFTMAX: (rowwise, 4 * 48),
        Code.LAYER_NORM: (rowwise, 0),
        Code.EMBED: (rowwise, 0),
    }
    sizes = (3, 40, 20, 33)
    assert {code: (count_work(code, sizes), count_scratch(code, sizes)) for code in Code} == {
        code: taken.get(code, (each, 0)) for code in Code
    }
