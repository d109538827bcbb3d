"""Weights leave a graph and come back; sections that lead elsewhere are refused."""

from __future__ import annotations

import struct

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgexl.base.errors import BadInput
from edgexl.bundle.weights import SMALLEST_BYTES, externalise, internalise, pack_weights, unpack_weights


def model() -> bytes:
    """x [1, 32] @ large (32 x 32) + small (32)."""
    draw = np.random.default_rng(0)
    large = draw.standard_normal((32, 32)).astype(np.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "large"], ["p"]), helper.make_node("Add", ["p", "small"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32])],
        [numpy_helper.from_array(large, "large"), numpy_helper.from_array(np.ones(32, np.float32), "small")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(made.SerializeToString(deterministic=True))


def test_large_weights_leave_and_come_back() -> None:
    graph, section = externalise(model())
    assert len(graph) < SMALLEST_BYTES
    assert list(unpack_weights(section)) == ["large"]
    places = {tensor.name: tensor.data_location for tensor in onnx.load_from_string(graph).graph.initializer}
    assert places == {"large": TensorProto.EXTERNAL, "small": TensorProto.DEFAULT}
    back = onnx.load_from_string(internalise(graph, section))
    for left, right in zip(back.graph.initializer, onnx.load_from_string(model()).graph.initializer, strict=True):
        np.testing.assert_array_equal(numpy_helper.to_array(left), numpy_helper.to_array(right))
    assert externalise(model()) == (graph, section)


def test_data_is_aligned_and_names_end() -> None:
    tensors = {"a": (3, (3,), b"\x01\x02\x03"), "weight é": (1, (1, 2), bytes(8)), "scalar": (6, (), bytes(4))}
    section = pack_weights(tensors)
    assert unpack_weights(section) == tensors
    for index, name in enumerate(tensors):
        fields = struct.unpack_from("<4I4Q2Q", section, 8 + 64 * index)
        assert fields[8] % 64 == 0
        assert section[fields[0] : fields[0] + fields[1] + 1] == name.encode() + b"\0"


@pytest.mark.parametrize(
    ("offset", "value"),
    [
        (0, 5000),  # more tensors than there may be
        (0, 9),  # more than there are bytes for
        (4, 1),  # reserved
        (8, 2**31),  # a name behind the end
        (12, 0),  # no name
        (12, 600),  # a long name
        (16, 99),  # a type without a size
        (20, 5),  # rank
        (24, 2**31),  # a dimension that the data does not have
        (56, 8),  # data off its alignment
        (56, 2**30),  # data behind the end
        (64, 3),  # a length that is not the dimensions'
    ],
)
def test_malformed_entries(offset: int, value: int) -> None:
    section = bytearray(pack_weights({"ab": (1, (2, 4), bytes(32))}))
    struct.pack_into("<I", section, offset, value)
    with pytest.raises(BadInput):
        unpack_weights(section)


def test_a_graph_that_refers_to_a_file() -> None:
    graph, section = externalise(model())
    proto = onnx.load_from_string(graph)
    proto.graph.initializer[0].external_data[0].value = "../../etc/passwd"
    with pytest.raises(BadInput, match="refers to a file"):
        internalise(proto.SerializeToString(), section)


def test_weights_of_another_graph() -> None:
    graph, _ = externalise(model())
    with pytest.raises(BadInput, match="do not hold 'large'"):
        internalise(graph, pack_weights({"large": (1, (16, 64), bytes(4096))}))
