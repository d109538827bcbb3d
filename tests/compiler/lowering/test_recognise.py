"""Every fusion rule in the smallest graph that has its pattern: it finds it once, and leaves the nodes that it says.
(What fused graphs compute is test_patterns.py's to see.)"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper

from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.lowering import RULES
from edgexl.compiler.lowering.nodes import read
from edgexl.compiler.lowering.recognise import recognise
from edgexl.compiler.recipe import GraphRecipe, Scheme
from edgexl.target import Int8

WIDTH = 32
MATRIX = np.random.default_rng(0).normal(size=(WIDTH, WIDTH)).astype(np.float32)
PRODUCT = ("MatMul", ("x", "w"), "p")


@dataclass(frozen=True)
class Case:
    """A graph from x [1,T,32] or ids [1,T] to y, as steps of (operator, inputs, output), and what is left of it."""

    steps: tuple[tuple[str, tuple[str, ...], str], ...]
    left: tuple[str, ...]
    scheme: Scheme = "fp32"


def erf(root: float) -> tuple[tuple[str, tuple[str, ...], str], ...]:
    return (
        ("Div", ("x", f"number:{root}"), "a"), ("Erf", ("a",), "b"), ("Add", ("b", "number:1"), "c"),
        ("Mul", ("x", "c"), "d"), ("Mul", ("d", "number:0.5"), "y"),
    )  # fmt: skip


CASES = {
    "int8 product by row": Case((("MatMul", ("x", "w"), "y"),), ("Linear",), "int8-token"),
    "int8 product by tensor": Case((("MatMul", ("x", "w"), "y"),), ("Linear",), "int8"),
    "product of weight blocks": Case((("MatMul", ("x", "w"), "y"),), ("Linear",), "int4-weights"),
    "float product": Case((("MatMul", ("x", "w"), "y"),), ("Linear",)),
    "look-up": Case((("Gather", ("w", "ids"), "y"),), ("Embed",)),
    "gelu": Case(erf(2**0.5), ("Gelu",)),
    "bias": Case((PRODUCT, ("Add", ("p", "bias"), "y")), ("Linear",)),
    "scaled input": Case((("Mul", ("x", "number:0.5"), "s"), ("MatMul", ("s", "w"), "y")), ("Linear",)),
    "attention": Case(
        (
            ("Transpose", ("x",), "t"), ("MatMul", ("x", "t"), "a"), ("Softmax", ("a",), "b"),
            ("MatMul", ("b", "x"), "y"),
        ),
        ("Transpose", "Attention"),
    ),
    "activation": Case((PRODUCT, ("Relu", ("p",), "y")), ("Linear",)),
    "residual": Case((PRODUCT, ("Add", ("p", "x"), "y")), ("Linear",)),
    "shared input": Case((PRODUCT, ("MatMul", ("x", "v"), "q"), ("Mul", ("p", "q"), "y")), ("Linear", "Mul")),
}  # fmt: skip
# What looks like a rule's pattern and is not.
NOT_FOUND = {
    "gelu": Case(erf(2.0), ("Div", "Erf", "Add", "Mul", "Mul")),
    "bias": Case((PRODUCT, ("Add", ("p", "matrix of rows"), "y")), ("Linear", "Add")),
    "scaled input": Case((("Mul", ("x", "bias"), "s"), ("MatMul", ("s", "w"), "y")), ("Mul", "Linear")),
    "activation": Case((PRODUCT, ("Relu", ("p",), "r"), ("Mul", ("p", "r"), "y")), ("Linear", "Relu", "Mul")),
    "residual": Case((PRODUCT, ("Add", ("p", "p"), "y")), ("Linear", "Add")),
    "shared input": Case((PRODUCT, ("Relu", ("x",), "r"), ("MatMul", ("r", "v"), "q"), ("Mul", ("p", "q"), "y")),
                         ("Linear", "Relu", "Linear", "Mul")),
    "float product": Case((("MatMul", ("x", "t"), "y"), ("Transpose", ("x",), "t"))[::-1], ("Transpose", "MatMul")),
}  # fmt: skip


def constant(name: str) -> np.ndarray:
    if name.startswith("number:"):
        return np.float32(name.partition(":")[2])
    return {"w": MATRIX, "v": MATRIX.T.copy(), "bias": MATRIX[0], "matrix of rows": MATRIX[:1, :1]}[name]


def model(case: Case) -> bytes:
    made = {output for _, _, output in case.steps} | {"x", "ids"}
    nodes: list[NodeProto] = []
    for operator, inputs, output in case.steps:
        settings = {"perm": [0, 2, 1]} if operator == "Transpose" else {}
        nodes.append(helper.make_node(operator, inputs, [output], name=output, **settings))
    names = sorted({name for _, inputs, _ in case.steps for name in inputs} - made)
    read_inputs = {name for _, inputs, _ in case.steps for name in inputs}
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "T", WIDTH])] if "x" in read_inputs else []
    if "ids" in read_inputs:
        inputs.append(helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "T"]))
    graph = helper.make_graph(
        nodes,
        "graph",
        inputs,
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(made) if name[0] == "y"],
        [numpy_helper.from_array(constant(name), name) for name in names],
    )
    plain = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()
    return quantize_graph(plain, GraphRecipe(case.scheme, "fp32"), Int8("avx512_vnni", "int8"))


@pytest.mark.parametrize("rule", [rule.name for rule in RULES])
def test_a_rule_finds_its_pattern(rule: str) -> None:
    nodes = read(model(CASES[rule]))
    _, found = recognise(nodes)
    assert found[rule] == 1
    assert tuple(node.op for node in nodes.nodes) == CASES[rule].left


@pytest.mark.parametrize("rule", NOT_FOUND)
def test_a_rule_leaves_what_only_looks_like_it(rule: str) -> None:
    nodes = read(model(NOT_FOUND[rule]))
    _, found = recognise(nodes)
    assert found[rule] == 0
    assert tuple(node.op for node in nodes.nodes) == NOT_FOUND[rule].left


@pytest.mark.parametrize("rule", NOT_FOUND)
def test_a_rule_goes_on_behind_what_only_looks_like_it(rule: str) -> None:
    steps = []
    for suffix, case in (("0", NOT_FOUND[rule]), ("1", CASES[rule])):
        made = {output for _, _, output in case.steps}
        for operator, inputs, output in case.steps:
            steps.append((operator, tuple(name + suffix * (name in made) for name in inputs), output + suffix))
    assert recognise(read(model(Case(tuple(steps), ()))))[1][rule] == 1


def test_every_rule_has_a_name_of_its_own_and_a_pattern_in_words() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.pattern for rule in RULES)
