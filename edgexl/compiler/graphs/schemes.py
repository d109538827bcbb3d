"""Quantisation schemes: what a graph's products with constant weights, and its look-up tables, become.

Each scheme is a function from an ONNX model to an ONNX model. To add one, write its function, put it into `SCHEMES` at
the end under a name of `edgexl.compiler.recipe.Scheme`, and its rounding into edgexl/distill/stages/simulate.py.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic

from edgexl.base.arrays import Array
from edgexl.base.errors import BadInput
from edgexl.bundle.plan import BLOCK
from edgexl.compiler.graphs import graph, seven_bits
from edgexl.compiler.recipe import GraphRecipe
from edgexl.target import Int8

# Tables with fewer rows (positions, types) are too small to be worth the operators.
SMALLEST_TABLE_ROWS = 1024
# The domain of ONNX Runtime's own operators, which every build of it has.
MICROSOFT = "com.microsoft"


def quantize_graph(model: bytes, recipe: GraphRecipe, int8: Int8) -> bytes:
    """The model under the recipe's scheme, for a CPU whose 8-bit products are as `int8` says."""
    chosen = choose_products(model, recipe)
    if chosen:
        model = SCHEMES[recipe.scheme](model, chosen, int8)
    return model if recipe.embeddings == "fp32" else quantize_tables(model, recipe.embeddings)


def choose_products(model: bytes, recipe: GraphRecipe) -> list[str]:
    """The products that the recipe's scheme is for, by name. Raises `BadInput` where it keeps one that is not there."""
    names = product_names(model)
    for part in recipe.keep_fp32:
        if not any(part in name for name in names):
            raise BadInput(f"keep_fp32 = '{part}' is part of no matrix product's name; there are {', '.join(names)}.")
    return [name for name in names if not any(part in name for part in recipe.keep_fp32)]


def product_names(model: bytes) -> list[str]:
    """The names of the matrix products with constant fp32 weights."""
    return [node.name for node in graph.weight_products(onnx.load_from_string(model))]


def quantize_per_tensor(model: bytes, names: Sequence[str], int8: Int8) -> bytes:
    """int8: weights int8 a channel; activations uint8 with one scale a tensor, found at run time.

    The settings of optimum's `AutoQuantizationConfig` for every CPU, but weights with the sign and range of the target.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quantized.onnx"
        with _without_advice():
            quantize_dynamic(
                onnx.load_from_string(model),
                path,
                op_types_to_quantize=["MatMul"],
                per_channel=True,
                reduce_range=int8.reduce_range,
                weight_type=QuantType.QInt8,
                nodes_to_quantize=list(names),
                extra_options={"DefaultTensorType": onnx.TensorProto.FLOAT, "WeightSymmetric": True},
            )
        proto = onnx.load(path)
    if int8.weights == "uint8":
        _make_unsigned(proto)
    return graph.serialise(proto)


def _make_unsigned(proto: onnx.ModelProto) -> None:
    """Add 128 to the weights and zero points of all products of bytes: other kernels, the same numbers."""
    constants = graph.initializers(proto)
    names = [
        name for node in proto.graph.node if node.op_type == "MatMulInteger" for name in (node.input[1], node.input[3])
    ]
    for name in dict.fromkeys(names):
        codes = numpy_helper.to_array(constants[name])
        if codes.dtype == np.int8:
            constants[name].CopyFrom(numpy_helper.from_array((codes.astype(np.int16) + 128).astype(np.uint8), name))


@contextmanager
def _without_advice() -> Iterator[None]:
    """Without the quantiser's line on the root logger that a model should be pre-processed: `graph.fold` has done
    so.
    """
    root = logging.getLogger()

    def keeps(record: logging.LogRecord) -> bool:
        return "pre-processing before quantization" not in record.getMessage()

    root.addFilter(keeps)
    try:
        yield
    finally:
        root.removeFilter(keeps)


def quantize_per_row(model: bytes, names: Sequence[str], int8: Int8) -> bytes:
    """int8-token: weights of 7 bits (`seven_bits`), a scale a channel; activations one a row, in standard operators.

    x [..., K] -> scale = max|x| / 127 a row, codes = round(x / scale) + 128 as uint8, then MatMulInteger with zero
    point 128, and the int32 sums times row scale times column scale.
    """
    proto = onnx.load_from_string(model)
    constants = graph.initializers(proto)
    graph.add_constant(proto, "row/floor", np.float32(1e-12))
    graph.add_constant(proto, "row/unit", np.float32(1.0 / 127.0))
    graph.add_constant(proto, "row/zero", np.uint8(128))
    graph.add_constant(proto, "row/one", np.float32(1.0))
    zeros = ["row/zero", "row/zero"] if int8.weights == "uint8" else ["row/zero"]
    changes: dict[str, Sequence[onnx.NodeProto]] = {}
    weights: dict[str, None] = {}
    rows: dict[str, None] = {}
    for node in proto.graph.node:
        if node.name not in names:
            continue
        source, weight, output = node.input[0], node.input[1], node.output[0]
        if weight not in weights:
            matrix = numpy_helper.to_array(constants[weight])
            codes, scale = seven_bits.round_columns(matrix)
            unsigned = int8.weights == "uint8"
            graph.add_constant(
                proto, f"{weight}/int8", (codes.astype(np.int16) + 128).astype(np.uint8) if unsigned else codes
            )
            graph.add_constant(proto, f"{weight}/scale", scale)
            weights[weight] = None
        new = [] if source in rows else _quantize_rows(source)
        rows[source] = None
        new += [
            helper.make_node("MatMulInteger", [f"{source}/codes", f"{weight}/int8", *zeros], [f"{output}/sums"]),
            helper.make_node("Cast", [f"{output}/sums"], [f"{output}/float"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Mul", [f"{output}/float", f"{weight}/scale"], [f"{output}/columns"]),
            helper.make_node("Mul", [f"{output}/columns", f"{source}/step"], [output]),
        ]
        changes[output] = new
    graph.replace_nodes(proto, changes)
    graph.drop_unused(proto)
    return graph.serialise(proto)


def _quantize_rows(source: str) -> list[onnx.NodeProto]:
    """Nodes that make `source`/codes (uint8, zero point 128) and `source`/step (scale of each row) of `source`."""
    return [
        helper.make_node("Abs", [source], [f"{source}/abs"]),
        helper.make_node("ReduceMax", [f"{source}/abs"], [f"{source}/max"], axes=[-1], keepdims=1),
        helper.make_node("Max", [f"{source}/max", "row/floor"], [f"{source}/top"]),
        helper.make_node("Mul", [f"{source}/top", "row/unit"], [f"{source}/step"]),
        helper.make_node("Div", [source, f"{source}/step"], [f"{source}/scaled"]),
        helper.make_node("QuantizeLinear", [f"{source}/scaled", "row/one", "row/zero"], [f"{source}/codes"]),
    ]


def quantize_blocks(model: bytes, names: Sequence[str], int8: Int8, bits: int) -> bytes:
    """int8-weights, int4-weights: blocks of 32 weights with a scale each, as ONNX Runtime's MatMulNBits. (Its own
    quantiser needs a package more for the same numbers.)"""
    proto = onnx.load_from_string(model)
    constants = graph.initializers(proto)
    changes: dict[str, Sequence[onnx.NodeProto]] = {}
    weights: dict[str, None] = {}
    for node in proto.graph.node:
        if node.name not in names:
            continue
        weight = node.input[1]
        depth, columns = constants[weight].dims
        if weight not in weights:
            codes, scales = pack_blocks(numpy_helper.to_array(constants[weight]), bits)
            graph.add_constant(proto, f"{weight}/codes", codes)
            graph.add_constant(proto, f"{weight}/scales", scales)
            weights[weight] = None
        # accuracy_level 4 = int8 activations; left unset, the products run in fp32, slower than fp32 weights do
        settings = {"K": depth, "N": columns, "bits": bits, "block_size": BLOCK, "accuracy_level": 4}
        inputs = [node.input[0], f"{weight}/codes", f"{weight}/scales"]
        changes[node.output[0]] = [
            helper.make_node("MatMulNBits", inputs, [node.output[0]], name=node.name, domain=MICROSOFT, **settings)
        ]
    graph.replace_nodes(proto, changes)
    graph.drop_unused(proto)
    _name_domain(proto)
    return graph.serialise(proto)


def pack_blocks(matrix: Array, bits: int) -> tuple[Array, Array]:
    """MatMulNBits' codes uint8 [N, blocks, 32 * bits / 8] and scales f32 [N * blocks] of a matrix [K, N].

    Code c of b bits stands for scale * (c - 2^(b-1)); the scale puts a block's largest magnitude on the outermost code.
    """
    depth, columns = matrix.shape
    blocks = -(-depth // BLOCK)
    values = np.zeros((columns, blocks * BLOCK), np.float32)
    values[:, :depth] = matrix.T
    values = values.reshape(columns, blocks, BLOCK)
    half = 1 << bits - 1
    outermost = np.take_along_axis(values, np.abs(values).argmax(2, keepdims=True), 2)
    scale = outermost / np.float32(-half)
    steps = np.divide(values, scale, out=np.zeros_like(values), where=scale != 0)
    codes = np.clip(np.rint(steps) + half, 0, 2 * half - 1).astype(np.uint8)
    if bits == 4:
        codes = codes[..., 0::2] | codes[..., 1::2] << 4
    return codes, scale.reshape(-1)


def quantize_tables(model: bytes, scheme: Literal["int8", "int4"] = "int8") -> bytes:
    """Tables of embeddings as int8 with one scale a row: looked up as codes, widened and scaled after the look-up; or,
    where their rows are whole blocks of 32, as 4 bits with a scale a block, by ONNX Runtime's GatherBlockQuantized."""
    proto = onnx.load_from_string(model)
    constants = graph.initializers(proto)
    readers = graph.consumers(proto)
    changes: dict[str, Sequence[onnx.NodeProto]] = {}
    for name, tensor in constants.items():
        nodes = readers.get(name, [])
        sound = tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2
        if not sound or tensor.dims[0] < SMALLEST_TABLE_ROWS or not nodes or not all(_looks_up(n, name) for n in nodes):
            continue
        table = numpy_helper.to_array(tensor)
        if scheme == "int4" and table.shape[1] % BLOCK == 0:
            codes, scales = pack_blocks(table.T, 4)
            graph.add_constant(proto, f"{name}/codes", codes.reshape(len(table), -1))
            graph.add_constant(proto, f"{name}/scales", scales.reshape(len(table), -1))
            for node in nodes:
                changes[node.output[0]] = [_look_up_blocks(name, node)]
            continue
        scale = np.maximum(np.abs(table).max(1, keepdims=True), 1e-12).astype(np.float32) / np.float32(127)
        graph.add_constant(proto, f"{name}/int8", np.rint(table / scale).astype(np.int8))
        graph.add_constant(proto, f"{name}/scale", scale)
        for node in nodes:
            output, ids = node.output[0], node.input[1]
            changes[output] = [
                helper.make_node("Gather", [f"{name}/int8", ids], [f"{output}/entry"], axis=0),
                helper.make_node("Gather", [f"{name}/scale", ids], [f"{output}/entry_scale"], axis=0),
                helper.make_node("Cast", [f"{output}/entry"], [f"{output}/wide"], to=onnx.TensorProto.FLOAT),
                helper.make_node("Mul", [f"{output}/wide", f"{output}/entry_scale"], [output]),
            ]
    graph.replace_nodes(proto, changes)
    graph.drop_unused(proto)
    _name_domain(proto)
    return graph.serialise(proto)


def _look_up_blocks(table: str, node: onnx.NodeProto) -> onnx.NodeProto:
    inputs = [f"{table}/codes", node.input[1], f"{table}/scales"]
    settings = {"bits": 4, "block_size": BLOCK, "gather_axis": 0, "quantize_axis": 1}
    return helper.make_node("GatherBlockQuantized", inputs, node.output, name=node.name, domain=MICROSOFT, **settings)


def _name_domain(proto: onnx.ModelProto) -> None:
    """Import the domain of ONNX Runtime's own operators, where there are some."""
    used = any(node.domain == MICROSOFT for node in proto.graph.node)
    if used and not any(entry.domain == MICROSOFT for entry in proto.opset_import):
        proto.opset_import.append(helper.make_opsetid(MICROSOFT, 1))


def _looks_up(node: onnx.NodeProto, table: str) -> bool:
    """Whether the node does nothing with `table` but look rows up."""
    axis = next((item.i for item in node.attribute if item.name == "axis"), 0)
    return node.op_type == "Gather" and node.input[0] == table and axis == 0


SCHEMES: dict[str, Callable[[bytes, Sequence[str], Int8], bytes]] = {
    "fp32": lambda model, names, int8: model,
    "int8": quantize_per_tensor,
    "int8-token": quantize_per_row,
    "int8-weights": partial(quantize_blocks, bits=8),
    "int4-weights": partial(quantize_blocks, bits=4),
}
