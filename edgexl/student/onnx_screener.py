"""A screener that is an ONNX graph of someone else's: any encoder that ONNX Runtime runs.

What the graph lacks of the contract (`edgexl.student.contract`) is put behind it: pooling, unit length, token types of
zeros. It cannot be trained or saved as a student, and is compiled as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from edgexl.base.errors import BadInput

Pooling = Literal["mean", "cls", "max"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)
# What a runtime knows without more: standard operators, and those that every build of ONNX Runtime has.
_DOMAINS = ("", "ai.onnx", "com.microsoft")
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_INTEGERS = (TensorProto.INT64, TensorProto.INT32)
# Exporters' names for the two kinds of outputs, the best first.
_VECTORS, _STATES = ("sentence_embedding",), ("token_embeddings", "last_hidden_state")


@dataclass(frozen=True)
class OnnxConfig:
    """`pooling` makes a vector of token states; None: the graph gives the text's vector itself."""

    vocabulary: int
    max_tokens: int
    query_dims: int
    state_dims: int
    pooling: Pooling | None

    @property
    def vector_dims(self) -> int:
        """As `ScreenerConfig` has it."""
        return self.query_dims


class OnnxScreener(nn.Module):
    """A screener by ONNX Runtime, one thread."""

    def __init__(self, model: onnx.ModelProto, config: OnnxConfig) -> None:
        super().__init__()
        self.config = config
        self.model = model
        self._session: Any = None

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `TransformerScreener.forward`, without gradients."""
        import onnxruntime

        if self._session is None:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.log_severity_level = 1, 3
            model = self.graph(free_batch=True)
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        feeds = {"input_ids": input_ids.numpy(), "attention_mask": attention_mask.numpy()}
        vector, states = self._session.run(None, feeds)
        return torch.from_numpy(vector), torch.from_numpy(states)

    def graph(self, free_batch: bool = False) -> bytes:
        """The serialised model, whose batch dimension is 1 or free."""
        proto = onnx.ModelProto()
        proto.CopyFrom(self.model)
        for value in (*proto.graph.input, *proto.graph.output):
            batch = value.type.tensor_type.shape.dim[0]
            batch.Clear()
            if free_batch:
                batch.dim_param = "B"
            else:
                batch.dim_value = 1
        return bytes(proto.SerializeToString(deterministic=True))


def make_onnx_screener(
    model: onnx.ModelProto,
    where: str,
    vocabulary: int,
    max_tokens: int,
    pooling: Pooling | None,
    dims: int | None = None,
) -> OnnxScreener:
    """A screener of a model whose graph takes `input_ids` and `attention_mask` (and `token_type_ids`) [B,T] and gives
    token states [B,T,h], which are pooled, or a vector a text [B,d], where `pooling` has no say; `where` is what
    sentences call it, and `dims` how many leading dimensions of the vector are kept. Raises `BadInput` for what no
    bundle can hold, or does not compute so."""
    graph = model.graph
    _check_operators(model, where)
    inputs = _check_inputs(graph, where)
    output, rank, width = _find_output(model, where)
    adapted = onnx.ModelProto()
    adapted.CopyFrom(model)
    kept = width if dims is None else dims
    if kept > width:
        raise BadInput(f"{where} gives {width} dimensions, of which {kept} cannot be kept.")
    pooled = None if rank == 2 else pooling or "mean"
    _Adapter(adapted, inputs).adapt(output, pooled, None if kept == width else kept)
    return OnnxScreener(adapted, OnnxConfig(vocabulary, max_tokens, kept, 1 if rank == 2 else width, pooled))


def _check_operators(model: onnx.ModelProto, where: str) -> None:
    for tensor in _tensors(model.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            raise BadInput(f"{where} keeps weights in other files (external data); save it as one file.")
    if model.functions:
        raise BadInput(f"{where} defines functions of its own ('{model.functions[0].name:.40}'); inline them first.")
    for node in _nodes(model.graph):
        if node.domain not in _DOMAINS:
            raise BadInput(
                f"{where} has the operator {node.op_type:.40} of the domain '{node.domain:.40}', which is not in ONNX "
                "Runtime; export it with standard operators."
            )


def _nodes(graph: onnx.GraphProto) -> Iterable[onnx.NodeProto]:
    """All nodes, those of branches and loops, too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g)


def _tensors(graph: onnx.GraphProto) -> Iterable[onnx.TensorProto]:
    yield from graph.initializer
    for node in _nodes(graph):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            if attribute.HasField("g"):
                yield from attribute.g.initializer


def _check_inputs(graph: onnx.GraphProto, where: str) -> dict[str, int]:
    """The inputs by name, with their type."""
    constants = {tensor.name for tensor in graph.initializer}
    found: dict[str, int] = {}
    for value in graph.input:
        if value.name in constants:
            continue
        tensor = value.type.tensor_type
        if value.name not in _INPUTS:
            known = ", ".join(_INPUTS)
            raise BadInput(f"{where} takes '{value.name:.40}', which no bundle supplies; it may take {known}.")
        if tensor.elem_type not in _INTEGERS or len(tensor.shape.dim) != 2:
            raise BadInput(f"{where} takes '{value.name}' otherwise than as whole numbers [texts, tokens].")
        if any(dim.HasField("dim_value") for dim in tensor.shape.dim):
            raise BadInput(f"{where} takes texts of one length or number alone; export it with free axes.")
        found[value.name] = tensor.elem_type
    for name in _INPUTS[:2]:
        if name not in found:
            raise BadInput(f"{where} does not take '{name}'; it must take input_ids and attention_mask.")
    return found


def _find_output(model: onnx.ModelProto, where: str) -> tuple[str, int, int]:
    """(name, rank, width) of a text's vector or of its token states."""
    ranks = {value.name: value.type.tensor_type for value in model.graph.output}
    order = [*(name for name in (*_VECTORS, *_STATES) if name in ranks), *ranks]
    for name in order:
        tensor = ranks[name]
        shape = tensor.shape.dim
        if tensor.elem_type != TensorProto.FLOAT or len(shape) not in (2, 3):
            continue
        width = shape[-1].dim_value or _measure_width(model, name)
        return name, len(shape), width
    raise BadInput(f"{where} gives neither token states [texts, tokens, width] nor vectors [texts, width] in fp32.")


def _measure_width(model: onnx.ModelProto, output: str) -> int:
    """The last dimension of an output that does not say it."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    ones = {item.name: np.ones((1, 3), np.int32 if "int32" in item.type else np.int64) for item in session.get_inputs()}
    return int(session.run([output], ones)[0].shape[-1])


class _Adapter:
    """Puts into a graph what it lacks of the contract."""

    def __init__(self, proto: onnx.ModelProto, inputs: dict[str, int]) -> None:
        self.proto, self.graph, self.inputs = proto, proto.graph, inputs
        self.opset = max(entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx"))

    def adapt(self, output: str, pooling: Pooling | None, dims: int | None) -> None:
        """Inputs and outputs of the contract's names, types and meaning; `dims`: those of the vector that are kept."""
        for place, node in enumerate(self.graph.node):
            node.name = f"{node.op_type}_{place}" if not node.name else node.name
        self._inputs()
        if pooling is None:
            vector, states = output, self._mask()
        else:
            vector, states = self._pool(output, pooling), output
        if dims is not None:
            vector = self._lead(vector, dims)
        square = self._add("Mul", [vector, vector])
        length = self._add("Sqrt", [self._reduce("ReduceSum", square, 1, keep=True)])
        floor = self._add("Max", [length, self._number(1e-12)])
        named = {"query_vector": self._add("Div", [vector, floor]), "token_states": states}
        for name, value in named.items():
            self.graph.node.append(helper.make_node("Identity", [value], [name], name=f"edgexl/{name}"))
        del self.graph.output[:]
        shapes = {"query_vector": ["B", None], "token_states": ["B", "T", None]}
        self.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
        )

    def _inputs(self) -> None:
        """The contract's two inputs, int64; others and other types are made of them."""
        made = []
        for name, kind in self.inputs.items():
            if name != "token_type_ids" and kind == TensorProto.INT64:
                continue
            inner = f"edgexl/given/{name}"
            for node in _nodes(self.graph):
                node.input[:] = [inner if value == name else value for value in node.input]
            if name == "token_type_ids":
                zeros = [f"{inner}/zeros"] if kind != TensorProto.INT64 else [inner]
                made.append(helper.make_node("Sub", ["input_ids", "input_ids"], zeros, name=f"{inner}/sub"))
                if kind == TensorProto.INT64:
                    continue
                made.append(helper.make_node("Cast", zeros, [inner], name=f"{inner}/cast", to=kind))
            else:
                made.append(helper.make_node("Cast", [name], [inner], name=f"{inner}/cast", to=kind))
        own = list(self.graph.node)
        del self.graph.node[:]
        self.graph.node.extend([*made, *own])
        kept = [value for value in self.graph.input if value.name not in self.inputs]
        del self.graph.input[:]
        self.graph.input.extend(
            helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "T"]) for name in _INPUTS[:2]
        )
        self.graph.input.extend(kept)

    def _lead(self, vector: str, dims: int) -> str:
        if self.opset < 10:
            return self._add("Slice", [vector], axes=[1], starts=[0], ends=[dims])
        places = [self._constant(np.array([place], np.int64)) for place in (0, dims, 1)]
        return self._add("Slice", [vector, *places])

    def _mask(self) -> str:
        """The attention mask as numbers [B,T,1]."""
        wide = self._add("Cast", ["attention_mask"], to=TensorProto.FLOAT)
        axes = self._constant(np.array([2], np.int64))
        if self.opset < 13:
            return self._add("Unsqueeze", [wide], axes=[2])
        return self._add("Unsqueeze", [wide, axes])

    def _pool(self, states: str, pooling: Pooling) -> str:
        if pooling == "cls":
            return self._add("Gather", [states, self._constant(np.array(0, np.int64))], axis=1)
        mask = self._mask()
        if pooling == "mean":
            total = self._reduce("ReduceSum", self._add("Mul", [states, mask]), 1)
            return self._add("Div", [total, self._reduce("ReduceSum", mask, 1)])
        # what is padding lies below all numbers
        hidden = self._add("Mul", [self._add("Sub", [mask, self._number(1.0)]), self._number(1e30)])
        return self._reduce("ReduceMax", self._add("Add", [self._add("Mul", [states, mask]), hidden]), 1)

    def _reduce(self, kind: str, value: str, axis: int, keep: bool = False) -> str:
        """Along one axis, which is an input from opset 13 on (sums) or 18 (the others)."""
        if self.opset >= (13 if kind == "ReduceSum" else 18):
            return self._add(kind, [value, self._constant(np.array([axis], np.int64))], keepdims=int(keep))
        return self._add(kind, [value], axes=[axis], keepdims=int(keep))

    def _number(self, value: float) -> str:
        return self._constant(np.array(value, np.float32))

    def _constant(self, value: Any) -> str:
        name = f"edgexl/constant/{len(self.graph.initializer)}"
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def _add(self, kind: str, inputs: list[str], **settings: Any) -> str:
        name = f"edgexl/{kind}/{len(self.graph.node)}"
        self.graph.node.append(helper.make_node(kind, inputs, [name], name=name, **settings))
        return name
