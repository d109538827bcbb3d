"""Each quantisation scheme against float, on a graph of one product and on the tiny student's."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgexl.base.errors import BadInput
from edgexl.compiler.graphs.graph import Session, serialise
from edgexl.compiler.graphs.schemes import pack_blocks, quantize_graph
from edgexl.compiler.graphs.seven_bits import round_columns
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import GraphRecipe
from edgexl.student.student import Student
from edgexl.target import Int8, load_target
from tests.compiler.conftest import TINY_RECIPE

VNNI = Int8("avx512_vnni", "int8")
AVX2 = Int8("avx2", "uint8")
HERE = load_target("host").int8  # what ONNX Runtime multiplies exactly on this machine
SATURATES = "ONNX Runtime saturates signed 8-bit products on this CPU"


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
    [("fp32", 1e-6), ("int8", 0.02), ("int8-token", 0.018), ("int8-weights", 0.012), ("int4-weights", 0.1)],
)
def test_products_are_close(scheme: str, most: float) -> None:
    draw = np.random.default_rng(0)
    x, matrix = draw.standard_normal((1, 9, 64)), draw.standard_normal((64, 48))
    model = quantize_graph(product(matrix), GraphRecipe(scheme=scheme), HERE)  # type: ignore[arg-type]
    assert error(model, x, x @ matrix) < most


def test_a_scale_a_row_bears_rows_of_unlike_size() -> None:
    draw = np.random.default_rng(1)
    x, matrix = draw.standard_normal((1, 8, 64)), draw.standard_normal((64, 48))
    x[0, 0] *= 300  # one scale for all would leave the others two or three levels
    wanted = x @ matrix
    per_row = quantize_graph(product(matrix), GraphRecipe(scheme="int8-token"), HERE)
    per_tensor = quantize_graph(product(matrix), GraphRecipe(scheme="int8"), HERE)
    others = np.s_[:, 1:]
    found = [Session(model).run({"x": x.astype(np.float32)})[0][others] for model in (per_row, per_tensor)]
    errors = [float(np.linalg.norm(y - wanted[others]) / np.linalg.norm(wanted[others])) for y in found]
    assert errors[0] < 0.018
    assert errors[1] > 0.2


@pytest.mark.skipif(HERE.weights != "int8", reason=SATURATES)
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
    model = quantize_graph(product(matrix), GraphRecipe(scheme="int8"), Int8("avx2", "int8", reduce_range=True))
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


@pytest.mark.parametrize("bits", [4, 8])
def test_a_block_by_hand(bits: int) -> None:
    """The number of largest magnitude gets the outermost code, on the negative side; all others the nearest one."""
    matrix = np.random.default_rng(5).standard_normal((64, 3)).astype(np.float32)
    matrix[:, 1] = np.linspace(-1, 2, 64)
    matrix[32:, 2] = 0
    codes, scales = pack_blocks(matrix, bits)
    assert (codes.dtype, scales.shape) == (np.uint8, (6,))
    flat = np.stack([codes & 15, codes >> 4], -1).reshape(3, 2, 32) if bits == 4 else codes.reshape(3, 2, 32)
    half = 2 ** (bits - 1)
    for column in range(3):
        for block in range(2):
            values = matrix[32 * block : 32 * block + 32, column].astype(np.float64)
            largest = values[np.abs(values).argmax()]
            assert scales[2 * column + block] == pytest.approx(-largest / half)
            if largest == 0:
                assert (flat[column, block] == half).all()
                continue
            wanted = np.clip(np.rint(values / (-largest / half)) + half, 0, 2 * half - 1)
            assert np.abs(flat[column, block] - wanted).max() <= 1  # a half may round either way in f32
            assert (flat[column, block] == wanted).mean() > 0.95


def constants(model: bytes) -> dict[str, np.ndarray]:
    return {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(model).graph.initializer}


@pytest.mark.parametrize("int8", [VNNI, AVX2, Int8("avx2", "int8", reduce_range=True)])
def test_codes_by_row_by_hand(int8: Int8) -> None:
    matrix = np.random.default_rng(6).standard_normal((64, 48)).astype(np.float32)
    matrix[:, 7] = 0
    found = constants(quantize_graph(product(matrix), GraphRecipe(scheme="int8-token"), int8))
    zero = 128 if int8.weights == "uint8" else 0
    wanted, scale = round_columns(matrix)
    np.testing.assert_array_equal(found["matrix/scale"], scale)
    codes = found["matrix/int8"].astype(int) - zero
    assert found["matrix/int8"].dtype == (np.uint8 if zero else np.int8)
    np.testing.assert_array_equal(codes, wanted)
    if int8 == VNNI and HERE.weights != "int8":
        pytest.skip(SATURATES)
    x = np.random.default_rng(7).standard_normal((1, 5, 64)).astype(np.float32)
    steps = np.abs(x).max(-1, keepdims=True) / 127
    by_hand = np.rint(x / steps) * steps @ (codes * scale)
    model = quantize_graph(product(matrix), GraphRecipe(scheme="int8-token"), int8)
    np.testing.assert_allclose(Session(model).run({"x": x})[0], by_hand, atol=2e-2)
    assert error(model, x, by_hand) < 1e-3


def looked_up(rows: int, axis: int = 0, output: bool = False, width: int = 6) -> bytes:
    table = np.random.default_rng(8).standard_normal((rows, width)).astype(np.float32)
    table[3] = 0
    out = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
    nodes = [helper.make_node("Gather", ["table", "ids"], ["y"], axis=axis)]
    if output:  # something else reads it, too
        nodes.append(helper.make_node("ReduceMax", ["table"], ["z"], axes=[0]))
        out.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    ids = [helper.make_tensor_value_info("ids", TensorProto.INT64, [1, "T"])]
    graph = helper.make_graph(nodes, "look up", ids, out, [numpy_helper.from_array(table, "table")])
    return serialise(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))


def test_tables_by_hand() -> None:
    table = constants(looked_up(1024))["table"]
    small = quantize_graph(looked_up(1024), GraphRecipe(scheme="fp32"), VNNI)
    found = constants(small)
    scale = np.maximum(np.abs(table).max(1, keepdims=True), 1e-12) / 127
    np.testing.assert_allclose(found["table/scale"], scale, rtol=1e-6)
    np.testing.assert_array_equal(found["table/int8"], np.rint(table / scale.astype(np.float32)))
    assert set(found) == {"table/int8", "table/scale"}
    ids = np.array([[3, 0, 1023, 5]])
    np.testing.assert_allclose(Session(small).run({"ids": ids})[0], table[ids], atol=0.6 * scale.max())
    assert not Session(small).run({"ids": ids})[0][0, 0].any()


def test_tables_of_4_bits_by_hand() -> None:
    model = looked_up(1024, width=64)
    table = constants(model)["table"]
    small = quantize_graph(model, GraphRecipe(scheme="fp32", embeddings="int4"), VNNI)
    assert {name: found.shape for name, found in constants(small).items()} == {
        "table/codes": (1024, 32), "table/scales": (1024, 2),
    }  # fmt: skip
    ids = np.array([[3, 0, 1023, 5]])
    blocks = table[ids].reshape(4, 2, 32)
    outermost = np.take_along_axis(blocks, np.abs(blocks).argmax(2, keepdims=True), 2)
    steps = outermost / -8
    by_hand = np.clip(np.rint(np.divide(blocks, steps, out=np.zeros_like(blocks), where=steps != 0)), -8, 7) * steps
    np.testing.assert_allclose(Session(small).run({"ids": ids})[0].reshape(4, 2, 32), by_hand, rtol=1e-6, atol=1e-7)


def test_rows_that_are_no_whole_blocks_stay_bytes() -> None:
    small = quantize_graph(looked_up(1024), GraphRecipe(scheme="fp32", embeddings="int4"), VNNI)
    assert small == quantize_graph(looked_up(1024), GraphRecipe(scheme="fp32", embeddings="int8"), VNNI)


@pytest.mark.parametrize("model", [looked_up(1023), looked_up(1024, axis=1), looked_up(1024, output=True)])
def test_tables_that_stay_as_they_are(model: bytes) -> None:
    """Too few rows, columns that are looked up, or another reader."""
    assert quantize_graph(model, GraphRecipe(scheme="fp32"), VNNI) == model
    assert quantize_graph(looked_up(1024), GraphRecipe(scheme="fp32", embeddings="fp32"), VNNI) == looked_up(1024)


def test_products_that_share_their_rows_quantise_them_once() -> None:
    matrix, other = (np.random.default_rng(seed).standard_normal((64, 48)).astype(np.float32) for seed in (1, 2))
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", name], [f"y{name}"], name=name) for name in ("a", "b", "c")],
        "products",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "T", 64])],
        [helper.make_tensor_value_info(f"y{name}", TensorProto.FLOAT, [1, "T", 48]) for name in ("a", "b", "c")],
        [numpy_helper.from_array(m, name) for name, m in (("a", matrix), ("b", other), ("c", matrix))],
    )
    model = serialise(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    x = np.random.default_rng(3).standard_normal((1, 5, 64)).astype(np.float32)
    wanted = Session(model).run({"x": x})
    for scheme, once in (("int8-token", "QuantizeLinear"), ("int8-weights", ""), ("int4-weights", "")):
        for kept in ((), ("b",)):
            recipe = GraphRecipe(scheme=scheme, keep_fp32=kept, embeddings="fp32")  # type: ignore[arg-type]
            made = quantize_graph(model, recipe, VNNI)
            kinds = [node.op_type for node in onnx.load_from_string(made).graph.node]
            assert kinds.count("MatMul") == len(kept)
            assert {"a", "b", "c"} & set(constants(made)) == set(kept)  # no float weights stay behind
            if once:
                assert kinds.count(once) == 1
                assert kinds.count("MatMulInteger") == 3 - len(kept)
            for found, exact in zip(Session(made).run({"x": x}), wanted, strict=True):
                assert np.linalg.norm(found - exact) < 0.15 * np.linalg.norm(exact)
