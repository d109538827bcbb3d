"""The native engine by itself: products at any shape and at the ends of their range, the stated errors of its
functions, and what it refuses. All kernel sets of this machine must give the same bits.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from benchmarks.native import NativeGraph, NativeLibrary
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import read_bundle
from edgexl.bundle.weights import pack_weights
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.lowering import NotCovered, lower_graph
from edgexl.compiler.lowering.interpret import PlanSession
from edgexl.compiler.recipe import GraphRecipe, Scheme
from edgexl.target import Int8
from tests.runtime.tiny_bundle import build

TOKENS = 19


@pytest.fixture(scope="module")
def library() -> NativeLibrary:
    return NativeLibrary()


def model(nodes: list, width: int, out: int, constants: dict[str, np.ndarray]) -> bytes:
    """A graph from token_states [1,T,width] to y [1,T,out]."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("token_states", TensorProto.FLOAT, [1, "T", width])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "T", out])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


def all_kernels(library: NativeLibrary, graph: bytes, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The engine's result, the same to the bit on every kernel set, and the interpreter's."""
    lowered = lower_graph(graph, TOKENS, 1)
    plan, weights = lowered.plan.pack(), pack_weights(lowered.weights)
    feeds = {"token_states": x[None]}
    results = [NativeGraph(library, plan, weights, kernels).run(feeds)[0].copy() for kernels in library.kernels]
    for other in results[1:]:
        assert other.tobytes() == results[0].tobytes()
    return results[0][0], PlanSession(plan, weights, lowered.output_names).run(feeds)[0].reshape(results[0].shape)[0]


@settings(max_examples=25, deadline=None)
@given(
    rows=st.integers(1, TOKENS),
    depth=st.integers(1, 70),
    columns=st.integers(1, 50),
    extreme=st.sampled_from(["normal", "saturated", "zeros", "tiny", "huge", "one sided"]),
    scheme=st.sampled_from(["int8-token", "fp32", "int8-weights", "int4-weights"]),
    seed=st.integers(0, 99),
)
def test_products(
    rows: int, depth: int, columns: int, extreme: str, scheme: Scheme, seed: int, library: NativeLibrary
) -> None:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, depth)).astype(np.float32)
    matrix = random.normal(size=(depth, columns)).astype(np.float32)
    if extreme == "saturated":  # every code and every weight at an end: sums as large as they come
        x, matrix = np.where(x > 0, np.float32(3), np.float32(-3)), np.where(matrix > 0, np.float32(1), np.float32(-1))
    elif extreme == "one sided":
        x, matrix = np.abs(x) + 5, np.abs(matrix)
    elif extreme != "normal":
        x = (x * {"zeros": 0, "tiny": 1e-35, "huge": 1e30}[extreme]).astype(np.float32)
    node = helper.make_node("MatMul", ["token_states", "w"], ["y"], name="product")
    graph = quantize_graph(model([node], depth, columns, {"w": matrix}), GraphRecipe(scheme), Int8("avx2", "int8"))
    found, wanted = all_kernels(library, graph, x)
    assert np.isfinite(found).all()
    # of a sum that comes near zero, the last bit of what was added up is more than a share of what is left
    added_up = (np.abs(x) @ np.abs(matrix)).max()
    assert np.abs(found - wanted).max() <= max(3e-6 * max(np.abs(wanted).max(), 1e-30), 2**-24 * added_up)


@pytest.mark.parametrize(
    ("operator", "exact", "error"),
    [
        ("Erf", math.erf, 5e-7),
        ("Tanh", math.tanh, 5e-7),
        ("Exp", math.exp, 2e-7),
        ("Sqrt", math.sqrt, 1e-7),
        ("Gelu", lambda x: x * math.erfc(-x / math.sqrt(2)) / 2, 1.5e-6),
    ],
)
def test_functions_keep_their_stated_error(operator: str, exact, error: float, library: NativeLibrary) -> None:
    """exp and sqrt relatively, erf and tanh absolutely, GELU as a share of x."""
    width = 4000
    low, high = {"Exp": (-86.9, 87.9), "Sqrt": (0, 1e6)}.get(operator, (-9, 9))
    x = np.linspace(low, high, TOKENS * width, dtype=np.float32).reshape(TOKENS, width)
    found, _ = all_kernels(library, model([helper.make_node(operator, ["token_states"], ["y"])], width, width, {}), x)
    wanted = np.vectorize(exact)(x.astype(np.float64))
    scale = {"Exp": np.abs(wanted), "Sqrt": np.abs(wanted), "Gelu": np.abs(x)}.get(operator, np.ones(1)).clip(1e-30)
    assert (np.abs(found - wanted) / scale).max() <= error + 2**-24


def test_an_id_that_no_table_has_ends_the_run(library: NativeLibrary) -> None:
    table = np.ones((4, 8), np.float32)
    nodes = [
        helper.make_node("Cast", ["token_states"], ["ids"], to=TensorProto.INT64),
        helper.make_node("Gather", ["table", "ids"], ["rows"]),
        helper.make_node("ReduceSum", ["rows", "axes"], ["y"], keepdims=0),
    ]
    graph = model(nodes, 1, 8, {"table": table, "axes": np.array([2])})
    lowered = lower_graph(graph, TOKENS, 1)
    native = NativeGraph(library, lowered.plan.pack(), pack_weights(lowered.weights))
    assert (native.run({"token_states": np.full((1, 3, 1), 3.0)})[0] == 1).all()
    for outside in (4.0, -1.0, 1e30):
        with pytest.raises(ValueError, match="looks up entry"):
            native.run({"token_states": np.full((1, 3, 1), outside)})


def test_what_is_not_covered_is_named() -> None:
    nodes = [
        helper.make_node("Softplus", ["token_states"], ["a"]),
        helper.make_node("HardSigmoid", ["a"], ["y"]),
    ]
    with pytest.raises(NotCovered) as refusal:
        lower_graph(model(nodes, 4, 4, {}), TOKENS, 1)
    assert refusal.value.operators == ("Softplus", "HardSigmoid")


def test_a_students_plans_clear_nothing(library: NativeLibrary, tmp_path: Path) -> None:
    """What ours read, and hand out, they have written in the same run: clearing is for strangers' plans."""
    path = build(aliases=True, native=True).write(tmp_path / "tiny.exl")
    content = path.read_bytes()
    sections = {entry.kind: content[entry.offset :][: entry.length] for entry in read_bundle(path).entries}
    for plan, weights in (
        (Kind.SCREENER_GRAPH, Kind.SCREENER_WEIGHTS),
        (Kind.REASONER_GRAPH, Kind.REASONER_WEIGHTS),
    ):
        assert not NativeGraph(library, sections[plan], sections[weights]).cleared_bytes
