"""Smoothing: before activations are rounded to bytes, channels that stand out hand some of their size to the weights.

One scale a row means that a channel of 30 among others of 2 leaves these four bits. A product x W is also (x / s)(W s)
for any positive s a channel; s = sqrt(max|x| / max|W|) divides the burden evenly (SmoothQuant, arXiv 2211.10438, alpha
.5). Activations come out of normalisations that a residual connection reads, too, so the division stays an operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

from edgexl.base.arrays import Array
from edgexl.compiler.graphs import graph

# A channel as many times as large as the median one stands out: below that, rounding gains nothing.
OUTSTANDING = 3.0
_LEAST = 1e-5


def smooth_products(model: bytes, samples: Sequence[Mapping[str, Array]]) -> bytes:
    """The model with products of constant weights smoothed whose input has channels that stand out over `samples` of
    the graph's inputs: the same numbers in fp32, but for rounding. Products of one input share their division."""
    proto = onnx.load_from_string(model)
    groups = _groups(proto)
    if not groups or not samples:
        return model
    constants = graph.initializers(proto)
    changes: dict[str, Sequence[onnx.NodeProto]] = {}
    for source, highest in _measure(proto, list(groups), samples).items():
        middle = float(np.median(highest))
        if middle <= _LEAST or float(highest.max()) < OUTSTANDING * middle:
            continue
        nodes = groups[source]
        weights = {node.input[1]: numpy_helper.to_array(constants[node.input[1]]) for node in nodes}
        rows = np.max([np.abs(matrix).max(1) for matrix in weights.values()], 0)
        scale = np.sqrt(np.maximum(highest, _LEAST) / np.maximum(rows, _LEAST))
        scale = (scale / np.median(scale)).astype(np.float32)
        for name, matrix in weights.items():
            constants[name].CopyFrom(numpy_helper.from_array(matrix * scale[:, None], name))
        smoothed = f"{source}/smoothed"
        graph.add_constant(proto, f"{source}/smooth", (1 / scale).astype(np.float32))
        division = helper.make_node("Mul", [source, f"{source}/smooth"], [smoothed], name=f"{source}/Smooth")
        for node in nodes:
            node.input[0] = smoothed
        changes[nodes[0].output[0]] = [division, nodes[0]]
    if not changes:
        return model
    graph.replace_nodes(proto, changes)
    return graph.serialise(proto)


def _groups(proto: onnx.ModelProto) -> dict[str, list[onnx.NodeProto]]:
    """Products of constant weights by their input, in the graph's order; without those whose weights others read."""
    products = graph.weight_products(proto)
    readers = graph.consumers(proto)
    groups: dict[str, list[onnx.NodeProto]] = {}
    for node in products:
        groups.setdefault(node.input[0], []).append(node)
    return {
        source: nodes for source, nodes in groups.items() if all(readers[node.input[1]] == [node] for node in nodes)
    }


def _measure(proto: onnx.ModelProto, names: Sequence[str], samples: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """The largest magnitude of each channel of some values."""
    probe = onnx.ModelProto()
    probe.CopyFrom(proto)
    del probe.graph.output[:]
    probe.graph.output.extend(helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in names)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    session = onnxruntime.InferenceSession(probe.SerializeToString(), options, providers=["CPUExecutionProvider"])
    highest: dict[str, Array] = {}
    for sample in samples:
        for name, value in zip(names, session.run(None, dict(sample)), strict=True):
            found = np.abs(value).reshape(-1, value.shape[-1]).max(0)
            highest[name] = found if name not in highest else np.maximum(highest[name], found)
    return highest
