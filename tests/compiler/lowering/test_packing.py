"""Where each weight goes, number by number, as docs/format.md, "Packed matrices", has it."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgexl.bundle.plan import ONE, Buffer, Code, Operand, Operation, Place, Size, Type
from edgexl.compiler.graphs import schemes
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.lowering import lower_graph
from edgexl.compiler.lowering.lower import arrange
from edgexl.compiler.lowering.nodes import Node, Nodes
from edgexl.compiler.lowering.packing import columns_table, pack_blocks, pack_float, pack_int8
from edgexl.compiler.lowering.recognise import Weights, _weight_blocks
from edgexl.compiler.recipe import GraphRecipe
from edgexl.target import Int8

DRAW = np.random.default_rng(0)


def test_floats() -> None:
    codes, scales = DRAW.standard_normal((3, 20)).astype(np.float32), DRAW.random(20).astype(np.float32)
    packed = pack_float(Weights("f32", codes, scales))
    assert packed.shape == (2, 3, 16)
    for k in range(3):
        for n in range(32):
            assert packed[n // 16, k, n % 16] == (codes[k, n] * scales[n] if n < 20 else 0)
    table = columns_table(Weights("f32", codes, scales, DRAW.standard_normal(20).astype(np.float32)))
    assert table.shape == (1, 32)


@pytest.mark.parametrize("depth", [16, 21])
def test_codes(depth: int) -> None:
    codes = DRAW.integers(-127, 128, (depth, 20)).astype(np.int8)
    scales, bias = DRAW.random(20).astype(np.float32), DRAW.standard_normal(20).astype(np.float32)
    packed = pack_int8(Weights("int8", codes, scales))
    assert packed.shape == (2, -(-depth // 16) * 4, 16, 4)
    for k in range(packed.shape[1] * 4):
        for n in range(32):
            assert packed[n // 16, k // 4, n % 16, k % 4] == (codes[k, n] if k < depth and n < 20 else 0)
    table = columns_table(Weights("int8", codes, scales, bias))
    assert table.shape == (3, 32)
    np.testing.assert_array_equal(table[0].view(np.float32)[:20], bias)
    np.testing.assert_array_equal(table[1].view(np.float32)[:20], scales)
    np.testing.assert_array_equal(table[2, :20], codes.astype(int).sum(0))
    assert not table[:, 20:].any()
    assert not columns_table(Weights("int8", codes, scales))[0].any()


@pytest.mark.parametrize(("largest", "bits"), [(32, 7), (127, 8)])
def test_a_plan_says_which_weights_are_of_7_bits(largest: int, bits: int) -> None:
    matrix = DRAW.standard_normal((32, 16)).astype(np.float32)
    codes = np.full(matrix.shape, largest, np.int8)
    inputs = [helper.make_tensor_value_info("label_vectors", TensorProto.FLOAT, [1, "N", 32])]
    model = quantize_graph(_product(matrix, inputs), GraphRecipe("int8-token"), Int8("avx512_vnni", "int8"))
    proto = onnx.load_from_string(model)
    (code,) = (tensor for tensor in proto.graph.initializer if tensor.data_type == TensorProto.INT8)
    code.CopyFrom(numpy_helper.from_array(codes, code.name))
    operations = lower_graph(proto.SerializeToString(), 4, 4).plan.operations
    assert [each.sizes[3] for each in operations if each.code == Code.LINEAR_INT8] == [Size(bits)]


def _product(matrix: np.ndarray, inputs: list[onnx.ValueInfoProto]) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["label_vectors", "matrix"], ["logits"], name="product")], "product", inputs,
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, "N", matrix.shape[1]])],
        [numpy_helper.from_array(matrix, "matrix")],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


@pytest.mark.parametrize("bits", [4, 8])
def test_blocks(bits: int) -> None:
    codes = DRAW.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (64, 20)).astype(np.int8)
    scales = DRAW.random((20, 2)).astype(np.float32)
    weights = Weights("blocks4" if bits == 4 else "blocks8", codes, scales)
    packed, plain = pack_blocks(weights), pack_int8(weights)
    if bits == 8:
        np.testing.assert_array_equal(packed, plain)
    else:
        flat, halves = plain.reshape(-1, 512).astype(int), packed.view(np.uint8).reshape(-1, 256)
        np.testing.assert_array_equal(halves & 15, flat[:, :256] + 8)
        np.testing.assert_array_equal(halves >> 4, flat[:, 256:] + 8)
    table = columns_table(weights)
    assert table.shape == (1 + 2 * 2, 32)
    for block in range(2):
        np.testing.assert_array_equal(table[1 + 2 * block].view(np.float32)[:20], scales[:, block])
        np.testing.assert_array_equal(table[2 + 2 * block, :20], codes[32 * block : 32 * block + 32].astype(int).sum(0))


def test_matrices_beside_each_other() -> None:
    one = Weights("int8", np.ones((4, 3), np.int8), np.full(3, 0.5, np.float32))
    other = Weights("int8", np.full((4, 2), 2, np.int8), np.full(2, 0.25, np.float32), np.full(2, 7, np.float32))
    both = one.beside(other)
    assert both.codes.tolist() == [[1, 1, 1, 2, 2]] * 4
    assert both.scales.tolist() == [0.5, 0.5, 0.5, 0.25, 0.25]
    assert both.bias is not None
    assert both.bias.tolist() == [0, 0, 0, 7, 7]
    assert one.beside(one).bias is None
    assert other.beside(one).bias is not None
    assert (both.columns, one.columns) == (5, 3)


def operation(*buffers: int) -> Operation:
    return Operation(Code.MAP, 1, (ONE, ONE, ONE, ONE), tuple(Operand(buffer) for buffer in buffers))


def test_buffers_share_bytes_that_no_two_need_at_once() -> None:
    """Every pair that lives at the same time lies apart, aligned, in an arena no larger than need be."""
    arena = [Buffer(Place.ARENA, 0, Type.F32, Size(count)) for count in (10, 16, 3, 40, 16)]
    buffers = [*arena, Buffer(Place.INPUT, 0, Type.I64, Size(1, 1))]
    steps = [operation(0, 5), operation(1, 0), operation(2, 1), operation(3, 2, 0), operation(4, 3)]
    placed, size = arrange(buffers, steps, 8, 4)
    lives = {0: (0, 3), 1: (1, 2), 2: (2, 3), 3: (3, 4), 4: (4, 4)}
    spans = {number: (placed[number].offset_bytes, placed[number].offset_bytes + 4 * arena[number].elements.coefficient)
             for number in lives}  # fmt: skip
    for one, (first, last) in lives.items():
        assert spans[one][0] % 64 == 0
        assert spans[one][1] <= size
        for other, (begin, end) in lives.items():
            if one < other and not (last < begin or end < first):
                assert spans[one][1] <= spans[other][0] or spans[other][1] <= spans[one][0]
    # 160 bytes of buffer 3 fill 192, and 0 and 2 or 4, which live with it, 64 each; 1 goes where 3 will be
    assert size == 192 + 64 + 64
    assert placed[5] == buffers[5]
    free = [Buffer(Place.ARENA, 0, Type.F32, Size(1, 1)), Buffer(Place.ARENA, 0, Type.I64, Size(2, 0, 1))]
    assert arrange(free, [operation(0, 1)], 100, 5)[1] == 448 + 128
    assert arrange(free, [operation(0), operation(1)], 100, 5)[1] == 448  # one after the other: the same bytes
    assert arrange(free, [], 100, 5) == (free, 0)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("depth", [64, 40])
def test_blocks_of_a_graph_are_its_very_weights(bits: int, depth: int) -> None:
    """What is lowered stands for the same numbers as the graph's codes; only -128 has no place."""
    matrix = np.random.default_rng(1).standard_normal((depth, 20)).astype(np.float32)
    codes, scales = schemes.pack_blocks(matrix, bits)
    blocks = -(-depth // 32)
    settings = {"K": depth, "N": 20, "bits": bits, "block_size": 32}
    node = Node("MatMulNBits", ["x", "codes", "scales"], ["y"], settings)
    graph = Nodes([node], {"codes": codes, "scales": scales}, {"x": ((ONE, Size(depth)), 1)}, ("y",))
    _weight_blocks(graph)
    (linear,) = graph.nodes
    weights = linear.settings["weights"]
    flat = np.stack([codes & 15, codes >> 4], -1) if bits == 4 else codes
    whole = flat.reshape(20, blocks, 32).astype(np.float32) - 2 ** (bits - 1)
    exact = (whole * scales.reshape(20, blocks, 1)).reshape(20, -1)[:, :depth].T
    if depth % 32:
        assert weights.kind == "f32"
        np.testing.assert_allclose(weights.codes * weights.scales, exact, rtol=1e-6)
        return
    assert weights.kind == f"blocks{bits}"
    found = weights.codes.reshape(blocks, 32, 20) * weights.scales.T[:, None, :]
    np.testing.assert_allclose(found.reshape(depth, 20), exact, atol=1.01 * np.abs(scales).max() if bits == 8 else 1e-6)
    assert (np.abs(found.reshape(depth, 20) - exact) < 1e-6).mean() > 0.9
