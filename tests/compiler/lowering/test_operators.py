"""Each operator that lowering knows, and graphs that only look like a pattern it fuses, against ONNX Runtime.

What is lowered must give ONNX Runtime's numbers; what cannot be must be refused by name.
"""

from __future__ import annotations

import collections
import contextlib
import math
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgexl.bundle.weights import pack_weights
from edgexl.compiler.graphs.graph import Session, serialise
from edgexl.compiler.lowering import NotCovered, lower_graph
from edgexl.compiler.lowering.interpret import PlanSession, _erf, _gelu, quantise_rows

TOKENS, LABELS, WIDTH, PIECES = 9, 7, 8, 3
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
INPUTS = {
    "input_ids": (INT64, [1, "T"]), "attention_mask": (INT64, [1, "T"]), "token_states": (FLOAT, [1, "T", WIDTH]),
    "query_vector": (FLOAT, [1, WIDTH]), "label_vectors": (FLOAT, [1, "N", WIDTH]),
    "screening_scores": (FLOAT, [1, "N", 2]), "label_tokens": (INT64, [1, "N", PIECES]),
}  # fmt: skip
Step = tuple[Any, ...]


def draw(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def feeds(tokens: int, labels: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(tokens)
    return {
        "input_ids": random.integers(1, 6, (1, tokens)),
        "attention_mask": (np.arange(tokens) < max(1, tokens - 2)).astype(np.int64)[None],
        "token_states": random.normal(size=(1, tokens, WIDTH)).astype(np.float32),
        "query_vector": random.normal(size=(1, WIDTH)).astype(np.float32),
        "label_vectors": random.normal(size=(1, labels, WIDTH)).astype(np.float32),
        "screening_scores": random.normal(size=(1, labels, 2)).astype(np.float32),
        "label_tokens": random.integers(0, 6, (1, labels, PIECES)),
    }


def model(steps: list[Step], outputs: list[str], constants: dict[str, Any]) -> bytes:
    """A graph of steps (operator, inputs, output, settings); an output's type is what it turns out to be."""
    nodes = [
        helper.make_node(op, names.split(), [made], name=f"{op}{place}", **(rest[0] if rest else {}))
        for place, (op, names, made, *rest) in enumerate(steps)
    ]
    read = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    proto = helper.make_graph(
        nodes,
        "steps",
        [helper.make_tensor_value_info(name, *INPUTS[name]) for name in INPUTS if name in read],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        tensors,
    )
    whole = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    inferred = onnx.shape_inference.infer_shapes(whole)
    kinds = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    kinds |= {value.name: value.type.tensor_type.elem_type for value in inferred.graph.output}
    for value in proto.output:
        value.type.tensor_type.elem_type = kinds[value.name]
    return serialise(helper.make_model(proto, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def check(steps: list[Step], constants: dict[str, Any] | None = None, outputs: str = "y", **counts: int) -> None:
    """Lower the steps; see that there are so many operations of a kind, and compare at several lengths."""
    graph = model(steps, outputs.split(), constants or {})
    lowered = lower_graph(graph, TOKENS, LABELS)
    kinds = collections.Counter(operation.code.name for operation in lowered.plan.operations)
    assert {name: kinds[name] for name in counts} == counts
    used = {"LAYER_NORM": 1, "ATTENTION": 1}  # of an operation's two numbers: the epsilon, the scale
    for operation in lowered.plan.operations:
        assert not any(operation.numbers[used.get(operation.code.name, 0) :])
    plan = PlanSession(lowered.plan.pack(), pack_weights(lowered.weights), lowered.output_names)
    reference = Session(graph)
    for tokens, labels in ((1, 1), (TOKENS, LABELS), (4, 2), (6, 5)):
        given = feeds(tokens, labels)
        for found, wanted in zip(plan.run(given), reference.run(given), strict=True):
            np.testing.assert_allclose(found.reshape(-1), wanted.reshape(-1), rtol=1e-4, atol=1e-5)


def refused(steps: list[Step], constants: dict[str, Any] | None = None, outputs: str = "y", what: str = ".") -> None:
    with pytest.raises(NotCovered, match=what):
        lower_graph(model(steps, outputs.split(), constants or {}), TOKENS, LABELS)


ROW = draw(1, WIDTH)
MATRIX, OTHER = draw(2, WIDTH, 5), draw(3, WIDTH, 5)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
def test_two_numbers(op: str) -> None:
    check([(op, "token_states row", "y")], {"row": ROW})
    check([(op, "row token_states", "y")], {"row": ROW})
    check([(op, "label_vectors query_vector", "y")])
    check([(op, "half label_vectors", "y")], {"half": np.float32(0.5)})


@pytest.mark.parametrize("op", ["Sqrt", "Exp", "Relu", "Sigmoid", "Tanh", "Erf", "Neg", "Abs"])
def test_one_number(op: str) -> None:
    check([("Mul", "token_states token_states", "x"), (op, "x", "y")])
    check([("Exp", "token_states", "e"), (op, "e", "y")])
    if op != "Sqrt":
        check([(op, "token_states", "y")])


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Div", "Max", "Min"])
def test_two_integers(op: str) -> None:
    check([(op, "input_ids three", "y")], {"three": np.int64(3)})
    check([(op, "three input_ids", "y")], {"three": np.int64(30)})
    check([(op, "label_tokens row", "y")], {"row": np.array([1, 2, 3])})


@pytest.mark.parametrize("op", ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"])
def test_comparisons(op: str) -> None:
    constants = {"three": np.int64(3), "yes": np.float32(2.5), "no": np.float32(-1)}
    for sides in ("input_ids three", "three input_ids"):
        check([(op, sides, "c"), ("Where", "c yes no", "y")], constants)
        check([(op, sides, "c"), ("Not", "c", "d"), ("Cast", "d", "y", {"to": FLOAT})], constants)


@pytest.mark.parametrize("op", ["And", "Or"])
def test_truth(op: str) -> None:
    steps: list[Step] = [("Greater", "input_ids two", "a"), ("Equal", "input_ids four", "b"), (op, "a b", "c")]
    check([*steps, ("Cast", "c", "y", {"to": FLOAT})], {"two": np.int64(2), "four": np.int64(4)})
    check([*steps, ("Where", "c input_ids two", "y")], {"two": np.int64(2), "four": np.int64(4)})


def test_remainders() -> None:
    check([("Mod", "input_ids three", "y")], {"three": np.int64(3)})
    check([("Sub", "input_ids three", "x"), ("Mod", "x four", "y")], {"three": np.int64(3), "four": np.int64(4)})


@pytest.mark.parametrize("op", ["Div", "Mod"])
def test_integers_by_zero_are_zero(op: str) -> None:
    """As the engine has it; ONNX Runtime ends the process."""
    lowered = lower_graph(model([(op, "input_ids attention_mask", "y")], ["y"], {}), TOKENS, LABELS)
    given = feeds(6, 1)
    (found,) = PlanSession(lowered.plan.pack(), pack_weights(lowered.weights), lowered.output_names).run(given)
    wanted = given["input_ids"] if op == "Div" else np.zeros_like(given["input_ids"])
    assert found.reshape(-1).tolist() == np.where(given["attention_mask"] == 0, 0, wanted).reshape(-1).tolist()
    minus: list[Step] = [("Sub", "input_ids three", "x"), (op, "x two", "y")]
    check(minus, {"three": np.int64(4), "two": np.int64(-3)})


def test_casts() -> None:
    check([("Cast", "input_ids", "y", {"to": FLOAT})])
    check([("Cast", "input_ids", "x", {"to": TensorProto.INT32}), ("Cast", "x", "y", {"to": FLOAT})])
    check([("Cast", "token_states", "y", {"to": INT64})])
    check([("Cast", "token_states", "y", {"to": FLOAT}), ("Neg", "y", "z")], outputs="z")
    refused([("Cast", "token_states", "x", {"to": TensorProto.BOOL}), ("Not", "x", "y")], what="Cast of numbers")
    refused([("Cast", "token_states", "y", {"to": TensorProto.FLOAT16})], what="Cast to type 10")


def test_powers_and_clips() -> None:
    check([("Pow", "token_states two", "y")], {"two": np.float32(2)})
    check([("Exp", "token_states", "x"), ("Pow", "x half", "y")], {"half": np.float32(0.5)})
    refused([("Pow", "token_states three", "y")], {"three": np.float32(3)}, what="Pow")
    limits = {"low": np.float32(-0.5), "high": np.float32(0.25), "one": np.int64(2), "four": np.int64(4)}
    check([("Clip", "token_states low high", "y")], limits)
    check([("Clip", "token_states low", "y")], limits)
    check([("Clip", "input_ids one four", "y")], limits)


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMean", "ReduceL2"])
@pytest.mark.parametrize("axes", [[1], [2], [-1], [1, 2]])
@pytest.mark.parametrize("keepdims", [0, 1])
def test_reductions(op: str, axes: list[int], keepdims: int) -> None:
    check([(op, "token_states", "y", {"axes": axes, "keepdims": keepdims})])


def test_sums() -> None:
    axes = {"one": np.array([1]), "last": np.array([-1]), "both": np.array([1, 2])}
    for name in axes:
        check([("ReduceSum", f"token_states {name}", "y", {"keepdims": 0})], axes)
        check([("ReduceSum", f"label_vectors {name}", "y")], axes)
    check([("ReduceSum", "label_tokens last", "y", {"keepdims": 0})], axes)
    refused([("ReduceMax", "label_tokens", "y", {"axes": [2]})], what="ReduceMax of integers")


def test_what_only_moves_numbers() -> None:
    check([("Transpose", "token_states", "y", {"perm": [0, 2, 1]})])
    check([("Reshape", "token_states sizes", "x"), ("Transpose", "x", "y", {"perm": [0, 2, 1, 3]})],
          {"sizes": np.array([1, -1, 2, 4])}, MAP=1)  # fmt: skip
    check([("Reshape", "token_states sizes", "x"), ("ReduceMax", "x", "y", {"axes": [2], "keepdims": 0})],
          {"sizes": np.array([0, 0, 4, 2])})  # fmt: skip
    check([("Transpose", "token_states", "x", {"perm": [0, 2, 1]}), ("Reshape", "x sizes", "y")],
          {"sizes": np.array([1, -1])})  # fmt: skip
    leading = {"zero": np.array([0]), "three": np.array([3]), "two": np.array([2]), "sizes": np.array([0, 0, 1, 3])}
    check([("Slice", "label_vectors zero three two", "x"), ("Reshape", "x sizes", "y")], leading, MAP=1)
    check([("Unsqueeze", "query_vector axes", "x"), ("Mul", "x label_vectors", "y")], {"axes": np.array([1])})
    check([("Unsqueeze", "query_vector axes", "x"), ("Squeeze", "x axes", "y")], {"axes": np.array([-1])})
    check([("Expand", "query_vector sizes", "y")], {"sizes": np.array([3, WIDTH])})


def test_slices() -> None:
    constants = {name: np.array([value]) for name, value in (
        ("zero", 0), ("one", 1), ("two", 2), ("six", 6), ("minus", -3), ("last", -1), ("far", 2**40), ("step", 2),
    )}  # fmt: skip
    for begin, end in (("zero", "two"), ("one", "six"), ("minus", "far"), ("one", "last"), ("zero", "far")):
        check([("Slice", f"label_vectors {begin} {end} two", "y")], constants)
    check([("Slice", "token_states zero one one", "y")], constants)
    check([("Slice", "screening_scores one two two", "x"), ("Mul", "x label_vectors", "y")], constants)
    for begin, end in (("zero", "many"), ("minus", "many"), ("one", "many")):
        check([("Slice", f"label_vectors {begin} {end} two", "y")], constants | {"many": np.array([100])})
    refused([("Slice", "label_vectors zero six two step", "y")], constants, what="Slice with steps")
    # of a text of three tokens there are no six
    refused([("Slice", "token_states zero six one", "y")], constants, what="fixed place of a free axis")
    refused([("Slice", "label_vectors zero two one", "y")], constants, what="fixed place of a free axis")
    check([("Slice", "token_states zero far one", "y")], constants)
    for begin, end in (("one", "far"), ("zero", "last"), ("six", "two")):
        refused([("Slice", f"token_states {begin} {end} one", "y")], constants, what="Slice")
    refused([("Slice", "label_vectors six two two", "y")], constants, what="Slice")  # nothing is left


def test_rows_that_do_not_lie_side_by_side() -> None:
    """What works row by row takes slices of a middle axis, transposed values, and one value for all rows."""
    constants = {"sizes": np.array([0, 0, 4, 2]), "zero": np.array([0]), "three": np.array([3]), "two": np.array([2]),
                 "matrix": draw(20, 2, 5), "scale": draw(21, 2), "shift": draw(22, 2),
                 "wide": np.array([4, WIDTH]), "long": draw(23, WIDTH, 3)}  # fmt: skip
    sliced: list[Step] = [("Reshape", "token_states sizes", "x"), ("Slice", "x zero three two", "s")]
    check([*sliced, ("MatMul", "s matrix", "y")], constants, LINEAR_F32=1)
    check([*sliced, ("Softmax", "s", "y", {"axis": -1})], constants, SOFTMAX=1)
    check([*sliced, ("LayerNormalization", "s scale shift", "y")], constants, LAYER_NORM=1)
    check([*sliced, ("MatMul", "s matrix", "p"), ("Relu", "p", "y")], constants, LINEAR_F32=1)
    turned: list[Step] = [("Transpose", "label_vectors", "x", {"perm": [1, 0, 2]})]
    check([*turned, ("MatMul", "x long", "y")], constants, LINEAR_F32=1)
    check([("Expand", "query_vector wide", "x"), ("MatMul", "x long", "y")], constants, LINEAR_F32=1)
    check([("Transpose", "label_vectors", "x", {"perm": [0, 2, 1]}), ("Softmax", "x", "y", {"axis": -1})], constants)


def test_places_of_an_axis() -> None:
    check([("Gather", "screening_scores one", "y", {"axis": 2})], {"one": np.int64(1)})
    check([("Gather", "screening_scores one", "y", {"axis": -1})], {"one": np.array([1])})
    check([("Gather", "token_states zero", "y", {"axis": 1})], {"zero": np.int64(0)})
    refused([("Gather", "screening_scores last", "y", {"axis": 2})], {"last": np.int64(-1)}, what="Gather from the end")
    refused([("Gather", "screening_scores both", "y", {"axis": 2})], {"both": np.array([1, 0])}, what="Gather")


def test_parts_put_together() -> None:
    check([("Concat", "label_vectors screening_scores label_vectors", "y", {"axis": 2})])
    check([("Concat", "token_states token_states", "y", {"axis": 1})])
    check([("Concat", "token_states", "y", {"axis": 1})])
    check([("Concat", "query_vector row query_vector", "y", {"axis": -2})], {"row": draw(4, 2, WIDTH)})
    refused([("Concat", "row token_states", "y", {"axis": 1})], {"row": draw(4, 1, 2, WIDTH)}, what="Concat")


@pytest.mark.parametrize("pads", [[0, 1, 0, -1], [0, -1, 0, 1]])
def test_shifts(pads: list[int]) -> None:
    check([("Pad", "input_ids pads", "y")], {"pads": np.array(pads)}, SHIFT=1)
    check([("Pad", "label_tokens pads", "y")], {"pads": np.array([0, 0, pads[1], 0, 0, pads[3]])}, SHIFT=1)
    check([("Pad", "input_ids pads zero", "y")], {"pads": np.array(pads), "zero": np.int64(0)}, SHIFT=1)
    refused([("Pad", "input_ids pads one", "y")], {"pads": np.array(pads), "one": np.int64(1)}, what="Pad")
    refused([("Pad", "input_ids pads", "y", {"mode": "edge"})], {"pads": np.array(pads)}, what="Pad")
    refused([("Pad", "input_ids pads", "y")], {"pads": 2 * np.array(pads)}, what="Pad")
    refused([("Pad", "input_ids pads", "y")], {"pads": np.array([0, 1, 0, 0])}, what="Pad that changes a size")
    refused([("Pad", "screening_scores pads", "y")], {"pads": np.array([0, 0, 1, 0, 0, -1])}, what="Pad")


def test_running_sums() -> None:
    check([("CumSum", "attention_mask one", "y")], {"one": np.int64(1)}, RUNNING_SUM=1)
    check([("CumSum", "label_tokens last", "y")], {"last": np.int64(-1)}, RUNNING_SUM=1)
    check([("CumSum", "label_tokens one", "y")], {"one": np.int64(1)}, RUNNING_SUM=1)
    for setting in ("exclusive", "reverse"):
        refused([("CumSum", "attention_mask one", "y", {setting: 1})], {"one": np.int64(1)}, what="CumSum")
    refused([("CumSum", "token_states one", "y")], {"one": np.int64(1)}, what="CumSum")


def test_sizes_that_the_graph_computes() -> None:
    steps: list[Step] = [
        ("Shape", "token_states", "s"), ("Gather", "s one", "t", {"axis": 0}), ("Mul", "t two", "d"),
        ("Unsqueeze", "d zero", "u"), ("Concat", "u four", "sizes", {"axis": 0}),
        ("Reshape", "token_states sizes", "y"),
    ]  # fmt: skip
    constants = {"one": np.int64(1), "two": np.int64(2), "zero": np.array([0]), "four": np.array([4])}
    check(steps, constants)
    steps[2] = ("Add", "t t", "d")
    check(steps, constants)
    check([steps[0], ("Cast", "s", "c", {"to": INT64}), ("Gather", "c one", "t", {"axis": 0}), *steps[2:]], constants)
    halves: list[Step] = [
        ("Concat", "token_states token_states", "x", {"axis": 1}), ("Shape", "x", "s"),
        ("Gather", "s one", "t", {"axis": 0}), ("Div", "t two", "h"), ("Unsqueeze", "h zero", "end"),
        ("Slice", "x zero end axis", "y"),
    ]  # fmt: skip
    check(halves, constants | {"axis": np.array([1])})
    ranges: list[Step] = [
        ("Shape", "label_vectors", "s", {"start": 1, "end": 2}), ("Concat", "s minus", "sizes", {"axis": 0}),
        ("Reshape", "label_vectors sizes", "y"),
    ]  # fmt: skip
    check(ranges, {"minus": np.array([-1])})
    parts: list[Step] = [
        ("Shape", "label_vectors", "s"), ("Slice", "s one two", "n"), ("Concat", "n eight", "sizes", {"axis": 0}),
        ("Expand", "query_vector sizes", "y"),
    ]  # fmt: skip
    check(parts, {"one": np.array([1]), "two": np.array([2]), "eight": np.array([WIDTH])})


def test_rows_are_quantised_from_end_to_end_and_keep_zero() -> None:
    rows = np.array([[-1.0, 0.0, 4.1, 1.015], [1.2, 2.0, 0.5, 2.0], [-3.0, -0.6, -1.2, -3.0], [0, 0, 0, 0]], np.float32)
    codes, scale, zero = quantise_rows(rows)
    assert codes.tolist() == [[0, 50, 255, 101], [153, 255, 64, 255], [0, 204, 153, 0], [0, 0, 0, 0]]
    assert scale.tolist() == pytest.approx([5.1 / 255, 2 / 255, 3 / 255, 0.0], rel=1e-6)
    assert zero.tolist() == [50, 0, 255, 0]
    assert quantise_rows(np.float32([[1e-29, 0]]))[1].tolist() == [0.0]  # too little to divide by


def test_functions_keep_the_engines_stated_error() -> None:
    """erf's is absolute, GELU's a share of x."""
    x = np.linspace(-6, 6, 2000, dtype=np.float32)
    np.testing.assert_allclose(_erf(x), [math.erf(number) for number in x], rtol=0, atol=5e-7)
    parts = [math.erfc(-number / math.sqrt(2)) / 2 for number in x]
    np.testing.assert_allclose(_gelu(x) / x, parts, rtol=0, atol=1.6e-6)


# ---- patterns, and what only looks like one ----------------------------------------------------------------------


def gelu(root: float = 2**0.5, plus: float = 1.0, half: float = 0.5, source: str = "token_states") -> list[Step]:
    return [
        ("Div", f"{source} root", "d"), ("Erf", "d", "e"), ("Add", "e plus", "p"), ("Mul", f"{source} p", "m"),
        ("Mul", "m half", "y"),
    ]  # fmt: skip


def numbers(root: float = 2**0.5, plus: float = 1.0, half: float = 0.5) -> dict[str, np.ndarray]:
    return {
        "root": np.float32(root),
        "plus": np.float32(plus),
        "half": np.float32(half),
        "inverse": np.float32(1 / root),
    }


def test_gelu_in_every_order() -> None:
    check(gelu(), numbers(), MAP=2)  # and the copy to the output
    check([("Mul", "token_states inverse", "d"), *gelu()[1:]], numbers(), MAP=2)
    half_first: list[Step] = [*gelu()[:3], ("Mul", "token_states half", "m"), ("Mul", "m p", "y")]
    check(half_first, numbers(), MAP=2)
    check([("Div", "token_states root", "d"), ("Erf", "d", "e"), ("Add", "plus e", "p"), ("Mul", "p token_states", "m"),
           ("Mul", "half m", "y")], numbers(), MAP=2)  # fmt: skip


@pytest.mark.parametrize(
    "constants", [numbers(root=1.5), numbers(plus=1.1), numbers(half=0.4), numbers(root=2**0.5 * 1.001)]
)
def test_what_is_nearly_a_gelu(constants: dict[str, np.ndarray]) -> None:
    check(gelu(), constants)
    check([*gelu()[:3], ("Mul", "token_states half", "m"), ("Mul", "m p", "y")], constants)


def test_a_gelu_whose_parts_are_read_elsewhere() -> None:
    check(gelu(), numbers(), outputs="y e")
    check(gelu(), numbers(), outputs="y p")
    check(gelu(), numbers(), outputs="y m")
    other: list[Step] = [("Mul", "label_vectors half", "m"), ("ReduceMax", "m", "r", {"axes": [1]})]
    check([*gelu()[:3], *other, ("Mul", "r p", "y")], numbers())
    check([*gelu()[:3], ("Mul", "p p", "m"), ("Mul", "m half", "y")], numbers())
    check([*gelu()[:4], ("Add", "m half", "y")], numbers())


WEIGHTS = {"matrix": MATRIX, "other": OTHER, "bias": draw(5, 5), "one": draw(6, 1), "rows": draw(7, TOKENS, 5)}


def test_products_and_what_is_added_to_them() -> None:
    product: Step = ("MatMul", "token_states matrix", "p")
    check([product, ("Add", "p bias", "y")], WEIGHTS, LINEAR_F32=1, MAP=1)
    check([product, ("Add", "bias p", "y")], WEIGHTS, LINEAR_F32=1, MAP=1)
    check([product, ("Add", "p one", "y")], WEIGHTS, LINEAR_F32=1, MAP=2)  # one number for all columns is no bias
    check([product, ("Sub", "p bias", "y")], WEIGHTS, LINEAR_F32=1)
    check([product, ("Add", "p bias", "y")], WEIGHTS, "y p", LINEAR_F32=1)
    check([product, ("Add", "p bias", "b"), ("Relu", "b", "y")], WEIGHTS, LINEAR_F32=1, MAP=1)
    check([product, ("Relu", "p", "r"), ("Add", "r bias", "y")], WEIGHTS, LINEAR_F32=1, MAP=2)
    check([product, ("Add", "p bias", "b"), ("Tanh", "b", "y")], WEIGHTS, "y b", LINEAR_F32=1)
    refused([("MatMul", "matrix token_states", "y")], {"matrix": draw(8, 1, WIDTH, TOKENS)})


def test_a_product_with_a_residual() -> None:
    square = {"matrix": draw(9, WIDTH, WIDTH), "other": draw(10, WIDTH, WIDTH), "row": ROW}
    product: Step = ("MatMul", "token_states matrix", "p")
    check([product, ("Add", "p token_states", "y")], square, LINEAR_F32=1, MAP=1)
    check([product, ("Add", "token_states p", "y")], square, LINEAR_F32=1, MAP=1)
    check([product, ("Add", "p p", "y")], square, LINEAR_F32=1)
    check([product, ("Add", "p query_vector", "y")], square, LINEAR_F32=1, MAP=2)  # one row for all
    check([product, ("Relu", "p", "r"), ("Add", "r token_states", "y")], square, LINEAR_F32=1, MAP=2)
    check([("MatMul", "query_vector matrix", "p"), ("Add", "p label_vectors", "y")], square)
    check([product, ("Add", "p token_states", "r"), ("Add", "r token_states", "y")], square, LINEAR_F32=1, MAP=2)
    check([product, ("Add", "p row", "b"), ("Add", "b token_states", "y")], square, LINEAR_F32=1, MAP=1)


def test_products_of_one_input() -> None:
    both: list[Step] = [("MatMul", "token_states matrix", "a"), ("MatMul", "token_states other", "b")]
    check(both, WEIGHTS, "a b", LINEAR_F32=1)
    check([*both, ("Add", "a bias", "y")], WEIGHTS, "y b", LINEAR_F32=1)  # of both, one has a bias
    check([*both, ("Add", "b bias", "y")], WEIGHTS, "a y", LINEAR_F32=1)
    check([*both, ("Relu", "a", "y")], WEIGHTS, "y b", LINEAR_F32=2)
    check([both[0], ("MatMul", "label_vectors other", "b")], WEIGHTS, "a b", LINEAR_F32=2)


def test_numbers_times_what_goes_into_a_product() -> None:
    third = {"third": np.float32(1 / 3), "row": ROW}
    scaled: list[Step] = [("Mul", "token_states third", "x"), ("MatMul", "x matrix", "y")]
    check(scaled, WEIGHTS | third, LINEAR_F32=1, MAP=1)
    check([("Mul", "third token_states", "x"), scaled[1]], WEIGHTS | third, LINEAR_F32=1, MAP=1)
    check([("Mul", "token_states third", "w"), ("Mul", "w third", "x"), scaled[1]], WEIGHTS | third, MAP=1)
    check(scaled, WEIGHTS | third, "y x", LINEAR_F32=1)
    check([("Mul", "token_states row", "x"), scaled[1]], WEIGHTS | third, LINEAR_F32=1, MAP=2)
    check([("Mul", "token_states token_states", "x"), scaled[1]], WEIGHTS | third, LINEAR_F32=1, MAP=2)
    check([*scaled, ("Add", "y bias", "z")], WEIGHTS | third, "z", LINEAR_F32=1, MAP=1)
    check([("Mul", "token_states third", "x"), ("MatMul", "x matrix", "a"), ("MatMul", "x other", "b")],
          WEIGHTS | third, "a b")  # fmt: skip


TABLES = {"words": draw(11, 6, WIDTH), "bits": np.arange(6, dtype=np.uint8), "codes": np.arange(-24, 24).reshape(6, 8),
          "numbers": np.array([3.5, 1.0, -2.0, 0.5, 7.0, 9.0], np.float32)}  # fmt: skip


def test_look_ups() -> None:
    check([("Gather", "words input_ids", "y")], TABLES, EMBED=1)
    check([("Gather", "words label_tokens", "y")], TABLES, EMBED=1)
    check([("Gather", "numbers input_ids", "y")], TABLES, EMBED=1)
    check([("Gather", "bits input_ids", "x"), ("Cast", "x", "y", {"to": FLOAT})], TABLES)
    check([("Gather", "bits input_ids", "x"), ("Cast", "x", "y", {"to": INT64})], TABLES)
    check([("Gather", "words input_ids", "x"), ("Gather", "numbers input_ids", "s"), ("Unsqueeze", "s last", "u"),
           ("Mul", "x u", "y")], TABLES | {"last": np.array([-1])}, EMBED=2)  # fmt: skip
    refused([("Gather", "words input_ids", "y", {"axis": 1})], TABLES | {"words": draw(11, 2, 9)}, what="Gather")
    refused([("Gather", "large input_ids", "y")], {"large": np.arange(6) * 60}, what="Gather")


def attended(**changes: Step) -> list[Step]:
    """softmax(q k^T / 2 + bias) v over the labels; steps may be changed by name."""
    steps: dict[str, Step] = {
        "key": ("Transpose", "label_vectors", "k", {"perm": [0, 2, 1]}),
        "scores": ("MatMul", "token_states k", "s"),
        "scaled": ("Mul", "s half", "t"),
        "biased": ("Add", "t bias", "u"),
        "shares": ("Softmax", "u", "w", {"axis": -1}),
        "out": ("MatMul", "w label_vectors", "y"),
    }
    return [step for step in (steps | changes).values() if step]


ATTENTION = {"half": np.float32(0.5), "quarter": np.float32(0.25), "bias": np.float32(-0.3), "row": draw(12, WIDTH)}


def test_attention_and_its_scales() -> None:
    check(attended(), ATTENTION, ATTENTION=1, SOFTMAX=0, MATMUL=0)
    check(attended(scaled=("Div", "s half", "t")), ATTENTION, ATTENTION=1)
    check(attended(scaled=("Mul", "half s", "t")), ATTENTION, ATTENTION=1)
    check(attended(scaled=(), biased=("Add", "s bias", "u")), ATTENTION, ATTENTION=1)
    check(attended(biased=(), shares=("Softmax", "t", "w", {"axis": 2})), ATTENTION, ATTENTION=1)
    check(attended(biased=("Add", "bias t", "u")), ATTENTION, ATTENTION=1)
    query: list[Step] = [("Mul", "token_states quarter", "q")]
    check([*query, *attended(scores=("MatMul", "q k", "s"))], ATTENTION, ATTENTION=1)
    check([*query, *attended(scores=("MatMul", "q k", "s"))], ATTENTION, "y q", ATTENTION=1)
    check([("Mul", "token_states row", "q"), *attended(scores=("MatMul", "q k", "s"))], ATTENTION, ATTENTION=1)
    column: list[Step] = [("Slice", "screening_scores zero one two", "c"), ("Transpose", "c", "b", {"perm": [0, 2, 1]})]
    places = {"zero": np.array([0]), "one": np.array([1]), "two": np.array([2])}
    check([*column, *attended(biased=("Add", "t b", "u"))], ATTENTION | places, ATTENTION=1)


def test_the_best_score_of_attention() -> None:
    best: Step = ("ReduceMax", "u", "b", {"axes": [-1], "keepdims": 0})
    check([*attended(), best], ATTENTION, "y b", ATTENTION=1, REDUCE=0)
    check([*attended(), ("ReduceMax", "u", "b", {"axes": [2], "keepdims": 0})], ATTENTION, "y b", ATTENTION=1, REDUCE=0)


@pytest.mark.parametrize(
    ("steps", "outputs"),
    [
        ([*attended(), ("ReduceMax", "u", "b", {"axes": [-1], "keepdims": 1})], "y b"),
        ([*attended(), ("ReduceMax", "u", "b", {"axes": [1], "keepdims": 0})], "y b"),
        ([*attended(), ("ReduceMean", "u", "b", {"axes": [-1], "keepdims": 0})], "y b"),
        ([*attended(), ("ReduceMax", "u", "b", {"axes": [-1], "keepdims": 0}), ("Neg", "u", "n")], "y b n"),
        (attended(), "y u"),
        (attended(), "y w"),
        (attended(), "y t"),
        (attended(), "y s"),
        (attended(scaled=("Mul", "s s", "t")), "y"),
        (attended(shares=("Softmax", "u", "w", {"axis": 1})), "y"),
        (attended(biased=("Sub", "t bias", "u")), "y"),
    ],
)
def test_what_is_nearly_attention(steps: list[Step], outputs: str) -> None:
    """It may be refused; what is not gives the numbers."""
    with contextlib.suppress(NotCovered):
        check(steps, ATTENTION, outputs)


def test_a_softmax_and_norms() -> None:
    check([("Softmax", "token_states", "y", {"axis": -1})], SOFTMAX=1)
    check([("Softmax", "screening_scores", "y", {"axis": 2})], SOFTMAX=1)
    norm = {"scale": draw(13, WIDTH), "shift": draw(14, WIDTH)}
    check([("LayerNormalization", "token_states scale shift", "y", {"axis": -1, "epsilon": 1e-3})], norm, LAYER_NORM=1)
    check([("LayerNormalization", "token_states scale shift", "y")], norm, LAYER_NORM=1)
    check([("LayerNormalization", "token_states scale", "y", {"epsilon": 0.5})], norm)


def test_an_operator_that_is_not_known_is_named() -> None:
    refused([("Sin", "token_states", "y")], what="^Sin$")
    refused([("Sin", "token_states", "x"), ("Cos", "x", "z"), ("Sin", "z", "y")], what="^Sin, Cos$")


def test_only_the_outputs_that_are_wanted_are_computed() -> None:
    graph = model([("Exp", "token_states", "y"), ("Neg", "label_vectors", "z")], ["y", "z"], {})
    whole, one = lower_graph(graph, TOKENS, LABELS), lower_graph(graph, TOKENS, LABELS, ("z",))
    assert (whole.output_names, one.output_names) == (("y", "z"), ("z",))
    assert len(one.plan.operations) == len(whole.plan.operations) - 2
    given = feeds(4, 3)
    found = PlanSession(one.plan.pack(), pack_weights(one.weights), one.output_names).run(given)
    assert len(found) == 1
    np.testing.assert_array_equal(found[0].reshape(-1), -given["label_vectors"].reshape(-1))
