"""ONNX graphs as the compiler handles them: serialised models in, serialised models out, and sessions to run them.

Every rewrite here is deterministic: the same model gives the same bytes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from edgexl.base.arrays import Array

OPSET = 17


class Session:
    """A graph loaded into ONNX Runtime on one thread, the way the device runs it."""

    def __init__(self, model: bytes, threads: int = 1) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # optimisers warn about shapes that only the runtime knows; errors still come as exceptions
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        self.input_names = tuple(node.name for node in self._session.get_inputs())
        self.output_names = tuple(node.name for node in self._session.get_outputs())

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """Outputs in order; `feeds` may hold more than the graph takes."""
        return list(self._session.run(None, {name: feeds[name] for name in self.input_names}))


def fold(model: bytes) -> bytes:
    """Constants computed, identities and dead ends removed, operators left standard (ONNX Runtime's basic level)."""
    return _optimise(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC)


def fuse(model: bytes) -> bytes:
    """The graph as ONNX Runtime would rewrite it at load for any CPU (its extended level), with its fused operators.

    The device then optimises nothing at load. The artifact's own graphs stay standard; only the bundle has this form.
    """
    return _optimise(model, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED)


def _optimise(model: bytes, level: onnxruntime.GraphOptimizationLevel) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "optimised.onnx"
        options = onnxruntime.SessionOptions()
        options.graph_optimization_level = level
        options.optimized_model_filepath = os.fspath(path)
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        proto = onnx.load(path)
    return serialise(proto)


def serialise(proto: onnx.ModelProto) -> bytes:
    """Canonical bytes: no tool's name and version, no documentation, no inferred shapes, no domains that nothing
    uses.
    """
    used = {node.domain for node in proto.graph.node} | {""}
    kept = [entry for entry in proto.opset_import if entry.domain in used]
    del proto.opset_import[:]
    proto.opset_import.extend(sorted(kept, key=lambda entry: entry.domain))
    proto.producer_name, proto.producer_version, proto.doc_string, proto.domain = "edgexl", "", "", ""
    del proto.metadata_props[:]
    del proto.graph.value_info[:]
    proto.graph.doc_string = ""
    for node in proto.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    return bytes(proto.SerializeToString(deterministic=True))


def initializers(proto: onnx.ModelProto) -> dict[str, onnx.TensorProto]:
    """Initializers by name."""
    return {tensor.name: tensor for tensor in proto.graph.initializer}


def consumers(proto: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """The nodes that read a value, by its name."""
    found: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        for name in dict.fromkeys(node.input):
            found.setdefault(name, []).append(node)
    return found


def weight_products(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    """MatMul nodes with a constant fp32 matrix on the right: what quantisation is about."""
    constants = initializers(proto)
    found = []
    for node in proto.graph.node:
        tensor = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if tensor is not None and tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2:
            found.append(node)
    return found


def drop_unused(proto: onnx.ModelProto) -> None:
    """Remove initializers that no node reads."""
    read = {name for node in proto.graph.node for name in node.input} | {value.name for value in proto.graph.output}
    kept = [tensor for tensor in proto.graph.initializer if tensor.name in read]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(kept)


def replace_nodes(proto: onnx.ModelProto, changes: dict[str, Sequence[onnx.NodeProto]]) -> None:
    """Put other nodes where a node stood, by the name of the old node's first output; order stays topological."""
    nodes: list[onnx.NodeProto] = []
    for node in proto.graph.node:
        nodes.extend(changes.get(node.output[0], [node]))
    del proto.graph.node[:]
    proto.graph.node.extend(nodes)


def add_constant(proto: onnx.ModelProto, name: str, value: npt.ArrayLike) -> str:
    """Append an initializer, unless there is one of that name, and return the name."""
    if any(tensor.name == name for tensor in proto.graph.initializer):
        return name
    proto.graph.initializer.append(numpy_helper.from_array(np.array(value, order="C"), name))
    return name


def plain_products(model: bytes) -> bytes:
    """Gemm with constant weights as MatMul and Add, so that there is one kind of product with weights."""
    proto = onnx.load_from_string(model)
    constants = initializers(proto)
    changes: dict[str, Sequence[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        if node.op_type != "Gemm" or node.input[1] not in constants:
            continue
        settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        if settings.get("transA", 0) or settings.get("alpha", 1.0) != 1.0 or settings.get("beta", 1.0) != 1.0:
            continue
        weight = numpy_helper.to_array(constants[node.input[1]])
        name = add_constant(proto, f"{node.output[0]}/weight", weight.T if settings.get("transB", 0) else weight)
        output = node.output[0]
        biased = len(node.input) == 3
        product = f"{output}/product" if biased else output
        plain = [helper.make_node("MatMul", [node.input[0], name], [product], name=node.name)]
        if biased:
            plain.append(helper.make_node("Add", [product, node.input[2]], [output], name=f"{node.name}/bias"))
        changes[output] = plain
    replace_nodes(proto, changes)
    drop_unused(proto)
    return serialise(proto)
