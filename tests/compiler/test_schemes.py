"""Each quantisation scheme against float, on a graph of one product and on the tiny student's."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgexl.compiler.graph import Session, serialise
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.compiler.schemes import pack_blocks, quantize_graph
from edgexl.errors import BadInput
from edgexl.recipe import GraphRecipe
from edgexl.student.student import Student
from edgexl.target import Int8, load_target
from tests.compiler.conftest import TINY_RECIPE

VNNI = Int8("avx512_vnni", "int8")
AVX2 = Int8("avx2", "uint8")


def product(matrix: np.ndarray) -> bytes:
    """x [1, T, K] -> x @ matrix."""
    depth, columns = matrix.shape
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "matrix"], ["y"], name="product")],
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "T", depth])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, "T", columns])],
        [numpy_helper.from_array(matrix.astype(np.float32), "matrix")],
    )
    return serialise(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def error(model: bytes, x: np.ndarray, wanted: np.ndarray) -> float:
    """Relative error of the model's product."""
    found = Session(model).run({"x": x.astype(np.float32)})[0]
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize(
    ("scheme", "most"),
    [("fp32", 1e-6), ("int8", 0.02), ("int8-token", 0.012), ("int8-weights", 0.012), ("int4-weights", 0.1)],
)
def test_products_are_close(scheme: str, most: float) -> None:
    draw = np.random.default_rng(0)
    x, matrix = draw.standard_normal((1, 9, 64)), draw.standard_normal((64, 48))
    model = quantize_graph(product(matrix), GraphRecipe(scheme=scheme), VNNI)  # type: ignore[arg-type]
    assert error(model, x, x @ matrix) < most


def test_a_scale_a_row_bears_rows_of_unlike_size() -> None:
    draw = np.random.default_rng(1)
    x, matrix = draw.standard_normal((1, 8, 64)), draw.standard_normal((64, 48))
    x[0, 0] *= 300  # one scale for all would leave the others two or three levels
    wanted = x @ matrix
    per_row = quantize_graph(product(matrix), GraphRecipe(scheme="int8-token"), VNNI)
    per_tensor = quantize_graph(product(matrix), GraphRecipe(scheme="int8"), VNNI)
    others = np.s_[:, 1:]
    found = [Session(model).run({"x": x.astype(np.float32)})[0][others] for model in (per_row, per_tensor)]
    errors = [float(np.linalg.norm(y - wanted[others]) / np.linalg.norm(wanted[others])) for y in found]
    assert errors[0] < 0.012
    assert errors[1] > 0.2


@pytest.mark.parametrize("scheme", ["int8", "int8-token"])
def test_unsigned_weights_are_the_same_numbers(scheme: str) -> None:
    draw = np.random.default_rng(4)
    x, matrix = draw.standard_normal((1, 9, 64)), draw.standard_normal((64, 48))
    signed, unsigned = (
        quantize_graph(product(matrix), GraphRecipe(scheme=scheme), int8)  # type: ignore[arg-type]
        for int8 in (VNNI, AVX2)
    )
    kinds = {tensor.data_type for tensor in onnx.load_from_string(unsigned).graph.initializer if len(tensor.dims) == 2}
    assert kinds == {TensorProto.UINT8}
    assert error(unsigned, x, Session(signed).run({"x": x.astype(np.float32)})[0]) < 1e-6


def test_reduced_range_keeps_weights_to_seven_bits() -> None:
    matrix = np.random.default_rng(2).standard_normal((64, 48))
    for scheme in ("int8", "int8-token"):
        model = quantize_graph(product(matrix), GraphRecipe(scheme=scheme), Int8("avx2", "int8", reduce_range=True))  # type: ignore[arg-type]
        codes = [
            numpy_helper.to_array(tensor)
            for tensor in onnx.load_from_string(model).graph.initializer
            if tensor.data_type == TensorProto.INT8 and len(tensor.dims) == 2
        ]
        assert len(codes) == 1
        assert 60 <= np.abs(codes[0].astype(int)).max() <= 64


@pytest.mark.parametrize("bits", [4, 8])
def test_blocks_stand_for_their_matrix(bits: int) -> None:
    matrix = np.random.default_rng(3).standard_normal((70, 5)).astype(np.float32)  # 70: the last block is partly empty
    codes, scales = pack_blocks(matrix, bits)
    flat = np.stack([codes & 15, codes >> 4], -1).reshape(5, 3, 32) if bits == 4 else codes
    values = (flat.astype(np.float32) - (1 << bits - 1)) * scales.reshape(5, 3, 1)
    widest = np.abs(scales).max() * (0.51 if bits == 8 else 1.01)
    np.testing.assert_allclose(values.reshape(5, 96)[:, :70].T, matrix, atol=widest)


def test_tables_become_bytes_and_stay_close(student: Student) -> None:
    graphs = Export().run(begin(student, TINY_RECIPE, load_target("host"))).graphs
    assert graphs is not None
    ids = {"input_ids": np.array([[2, 9, 17, 3]]), "attention_mask": np.ones((1, 4), np.int64)}
    wanted = Session(graphs.screener).run(ids)[0]
    small = quantize_graph(graphs.screener, GraphRecipe(scheme="fp32", embeddings="int8"), VNNI)
    found = Session(small).run(ids)[0]
    assert float((wanted * found).sum()) > 0.9999
    kinds = {tuple(t.dims): t.data_type for t in onnx.load_from_string(small).graph.initializer}
    assert kinds[(1026, 32)] == TensorProto.INT8


def test_named_products_stay_float(student: Student) -> None:
    graphs = Export().run(begin(student, TINY_RECIPE, load_target("host"))).graphs
    assert graphs is not None
    kept = quantize_graph(graphs.screener, GraphRecipe(keep_fp32=("/up/",)), VNNI)
    names = [node.name for node in onnx.load_from_string(kept).graph.node if node.op_type == "MatMul"]
    assert any("/up/" in name for name in names)
    assert not any("/down/" in name for name in names)
    with pytest.raises(BadInput, match="keep_fp32 = '/sideways/'"):
        quantize_graph(graphs.screener, GraphRecipe(keep_fp32=("/sideways/",)), VNNI)


@pytest.mark.parametrize("scheme", ["int8", "int8-token", "int8-weights", "int4-weights"])
def test_the_same_model_gives_the_same_bytes(student: Student, scheme: str) -> None:
    graphs = Export().run(begin(student, TINY_RECIPE, load_target("host"))).graphs
    assert graphs is not None
    recipe = GraphRecipe(scheme=scheme)  # type: ignore[arg-type]
    assert quantize_graph(graphs.reasoner, recipe, VNNI) == quantize_graph(graphs.reasoner, recipe, VNNI)
