"""The weights sections: a graph's large initializers, taken out so that the runtime hands them over in place.

`externalise` splits an ONNX model into the graph without the weights' bytes and the section that holds them;
`internalise` puts them back, for Python, which runs a bundle's graphs as ordinary models.
"""

from __future__ import annotations

import struct

import numpy as np
import numpy.typing as npt

from edgexl.base.errors import BadInput

_HEAD = struct.Struct("<II")
_ENTRY = struct.Struct("<4I4Q2Q")
assert _ENTRY.size == 64
LOCATION = "weights"
# ONNX TensorProto.DataType -> bytes an element, for what a graph's weights can be. Others stay in the graph.
TYPE_BYTES = {1: 4, 2: 1, 3: 1, 6: 4, 7: 8, 10: 2}
# Small constants (shapes, axes, scalars) stay in the graph: the engine folds and infers shapes with them.
SMALLEST_BYTES = 1024
MAX_TENSORS = 4096

Tensor = tuple[int, tuple[int, ...], bytes]
"""ONNX data type, dimensions, little-endian bytes."""


def pack_weights(tensors: dict[str, Tensor]) -> bytes:
    """The section for named tensors, in the order given."""
    assert len(tensors) <= MAX_TENSORS
    names = [name.encode("utf-8") for name in tensors]
    name_offset = _HEAD.size + _ENTRY.size * len(tensors)
    end = name_offset + sum(len(name) + 1 for name in names)
    entries, body = [], []
    for name, (kind, dims, content) in zip(names, tensors.values(), strict=True):
        assert 1 <= len(name) <= 511
        assert len(dims) <= 4
        body += [bytes(-end % 64), content]
        end += -end % 64
        shape = (*dims, *[0] * (4 - len(dims)))
        entries.append(_ENTRY.pack(name_offset, len(name), kind, len(dims), *shape, end, len(content)))
        name_offset += len(name) + 1
        end += len(content)
    return b"".join([_HEAD.pack(len(tensors), 0), *entries, *(name + b"\0" for name in names), *body])


def unpack_weights(section: bytes | memoryview) -> dict[str, Tensor]:
    """Named tensors of a section. Raises `BadInput` when an entry is malformed or leaves the section."""
    view = memoryview(section)
    if len(view) < _HEAD.size:
        raise BadInput("A weights section of the bundle is cut off.")
    count, reserved = _HEAD.unpack_from(view)
    if count > MAX_TENSORS or reserved or _HEAD.size + count * _ENTRY.size > len(view):
        raise BadInput("A weights section of the bundle has a wrong tensor count.")
    tensors: dict[str, Tensor] = {}
    for index in range(count):
        fields = _ENTRY.unpack_from(view, _HEAD.size + index * _ENTRY.size)
        name_offset, name_bytes, kind, rank, *shape, offset, length = fields
        dims = tuple(shape[:rank])
        sound = rank <= 4 and not any(shape[rank:]) and kind in TYPE_BYTES and 1 <= name_bytes <= 511
        sound = sound and name_offset + name_bytes < len(view) and offset + length <= len(view) and offset % 64 == 0
        if not sound or int(np.prod(dims, dtype=object)) * TYPE_BYTES[kind] != length:
            raise BadInput(f"Tensor {index} of a weights section of the bundle is malformed.")
        try:
            name = str(view[name_offset : name_offset + name_bytes], "utf-8")
        except UnicodeDecodeError:
            raise BadInput(f"Tensor {index} of a weights section of the bundle has a name that is not UTF-8.") from None
        if view[name_offset + name_bytes] or "\0" in name or name in tensors:
            raise BadInput(f"Tensor {index} of a weights section of the bundle has a malformed or repeated name.")
        tensors[name] = (kind, dims, bytes(view[offset : offset + length]))
    return tensors


def externalise(model: bytes) -> tuple[bytes, bytes]:
    """Split a serialised ONNX model into (graph, weights section); tensors under `SMALLEST_BYTES` stay in the graph."""
    import onnx
    from onnx import numpy_helper

    proto = onnx.load_from_string(model)
    tensors: dict[str, Tensor] = {}
    for tensor in proto.graph.initializer:
        array: npt.NDArray[np.generic] = numpy_helper.to_array(tensor)
        if tensor.data_type not in TYPE_BYTES or array.nbytes < SMALLEST_BYTES or array.ndim > 4:
            continue
        tensors[tensor.name] = (tensor.data_type, array.shape, np.ascontiguousarray(array).tobytes())
        kind, name, dims = tensor.data_type, tensor.name, list(tensor.dims)
        tensor.Clear()
        tensor.name, tensor.data_type, tensor.data_location = name, kind, onnx.TensorProto.EXTERNAL
        tensor.dims.extend(dims)
        tensor.external_data.add(key="location", value=LOCATION)
    return proto.SerializeToString(deterministic=True), pack_weights(tensors)


def internalise(graph: bytes, section: bytes | memoryview) -> bytes:
    """The model that `externalise` split. Raises `BadInput` when a weight is missing or the graph refers elsewhere."""
    import onnx

    proto = onnx.load_from_string(graph)
    tensors = unpack_weights(section)
    for tensor in proto.graph.initializer:
        if tensor.data_location != onnx.TensorProto.EXTERNAL:
            continue
        if [(entry.key, entry.value) for entry in tensor.external_data] != [("location", LOCATION)]:
            raise BadInput(f"The bundle's graph refers to a file for '{tensor.name}', which no bundle may.")
        kind, dims, content = tensors.get(tensor.name, (0, (), b""))
        if kind != tensor.data_type or dims != tuple(tensor.dims):
            raise BadInput(f"The bundle's weights do not hold '{tensor.name}' as its graph declares it.")
        del tensor.external_data[:]
        tensor.data_location = onnx.TensorProto.DEFAULT
        tensor.raw_data = content
    return bytes(proto.SerializeToString(deterministic=True))
