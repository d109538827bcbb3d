"""Graphs between two spaces: the student's own and the index's, which is rotated (v @ R).

The screener gets R behind its query vector; the reasoner gets the inverse in front of what it does with query_vector
and label_vectors. Where such an input only goes into a product with constant weights, the inverse is multiplied into
those.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgexl.base.arrays import Floats
from edgexl.compiler.graphs import graph


def rotate_output(model: bytes, name: str, rotation: Floats) -> bytes:
    """The model with its output `name` [..., D] times `rotation` [D, D]."""
    proto = onnx.load_from_string(model)
    inner = _rename(proto, name, f"{name}/unrotated")
    matrix = graph.add_constant(proto, f"{name}/rotation", rotation)
    proto.graph.node.append(helper.make_node("MatMul", [inner, matrix], [name], name=f"{name}/rotate"))
    return graph.serialise(proto)


def _rename(proto: onnx.ModelProto, name: str, inner: str) -> str:
    """`inner`, which the value `name` is called from now on, so that another may take its place as an output."""
    for node in proto.graph.node:
        node.output[:] = [inner if value == name else value for value in node.output]
        node.input[:] = [inner if value == name else value for value in node.input]
    return inner


def unrotate_input(model: bytes, name: str, rotation: Floats) -> bytes:
    """The model with its input `name` [..., D] times the inverse of the orthogonal `rotation` before every use."""
    proto = onnx.load_from_string(model)
    constants = graph.initializers(proto)
    readers = graph.consumers(proto)
    others = []
    for node in readers.get(name, []):
        weight = constants.get(node.input[1]) if node.op_type == "MatMul" and node.input[0] == name else None
        if weight is None or weight.data_type != onnx.TensorProto.FLOAT or len(weight.dims) != 2:
            others.append(node)
            continue
        folded = rotation.T @ numpy_helper.to_array(weight)
        node.input[1] = graph.add_constant(proto, f"{node.output[0]}/{name}_unrotated", folded)
    if others:
        inner = f"{name}/unrotated"
        for node in others:
            node.input[:] = [inner if value == name else value for value in node.input]
        matrix = graph.add_constant(proto, f"{name}/inverse", np.ascontiguousarray(rotation.T))
        proto.graph.node.insert(0, helper.make_node("MatMul", [name, matrix], [inner], name=f"{name}/unrotate"))
    graph.drop_unused(proto)
    return graph.serialise(proto)
