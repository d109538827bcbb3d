"""A graph as lowering handles it: nodes in order, constants as arrays, everything else by name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edgexl.base.arrays import Array
from edgexl.bundle.plan import ONE, Size


class NotCovered(Exception):
    """The native engine does not cover the graph; `operators` names what stands in the way."""

    def __init__(self, operators: Iterable[str]) -> None:
        self.operators = tuple(dict.fromkeys(operators))
        super().__init__(", ".join(self.operators))


@dataclass
class Node:
    """One operator, ONNX's or one that `recognise` made: Linear, Embed, Gelu, Attention."""

    op: str
    inputs: list[str]
    outputs: list[str]
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass
class Nodes:
    """A graph. `inputs` maps names to sizes and element types (ONNX numbers), `constants` names to arrays."""

    nodes: list[Node]
    constants: dict[str, Array]
    inputs: dict[str, tuple[tuple[Size, ...], int]]
    outputs: tuple[str, ...]
    replaced: int = 0  # how many times nodes gave way to another

    def producer(self, name: str) -> Node | None:
        """The node that makes a value."""
        return next((node for node in self.nodes if name in node.outputs), None)

    def readers(self, name: str) -> list[Node]:
        """The nodes that read a value."""
        return [node for node in self.nodes if name in node.inputs]

    def only_reader(self, name: str) -> Node | None:
        """The node that reads a value, where there is one alone and the value is no output of the graph."""
        readers = self.readers(name)
        return readers[0] if len(readers) == 1 and name not in self.outputs else None

    def scalar(self, name: str) -> float | None:
        """The number that a value constantly is."""
        value = self.constants.get(name)
        return float(value.reshape(-1)[0]) if value is not None and value.size == 1 else None

    def replace(self, gone: Iterable[Node], new: Node) -> None:
        """Put `new` in the place of the last of the nodes `gone`."""
        doomed = {id(node) for node in gone}
        last = max(place for place, node in enumerate(self.nodes) if id(node) in doomed)
        self.nodes[last] = new
        self.nodes = [node for node in self.nodes if id(node) not in doomed]
        self.replaced += 1

    def sort(self) -> None:
        """Every node behind those whose values it reads, in the order that they have, without those that nothing
        needs."""
        made_by = {name: node for node in self.nodes for name in node.outputs if name}
        needed: dict[int, Node] = {}
        waiting = [(made_by[name], False) for name in reversed(self.outputs) if name in made_by]
        while waiting:
            node, ready = waiting.pop()
            if ready:
                needed[id(node)] = node
            elif id(node) not in needed:
                waiting.append((node, True))
                waiting += [(made_by[name], False) for name in reversed(node.inputs) if name in made_by]
        self.nodes = list(needed.values())


def read(model: bytes) -> Nodes:
    """The nodes of a serialised ONNX model whose free axes are named T and N."""
    proto = onnx.load_from_string(model)
    constants: dict[str, Array] = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    inputs = {
        value.name: (tuple(_size(dim) for dim in value.type.tensor_type.shape.dim), value.type.tensor_type.elem_type)
        for value in proto.graph.input
        if value.name not in constants
    }
    nodes: list[Node] = []
    same: dict[str, str] = {}
    for node in proto.graph.node:
        settings = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        names = [same.get(name, name) for name in node.input]
        if node.op_type == "Constant":
            constants[node.output[0]] = _constant(settings)
        elif node.op_type == "Identity" and node.output[0] not in {value.name for value in proto.graph.output}:
            same[node.output[0]] = names[0]
        else:
            nodes.append(Node(node.op_type, names, list(node.output), settings))
    return Nodes(nodes, constants, inputs, tuple(value.name for value in proto.graph.output))


def _constant(settings: dict[str, Any]) -> Array:
    if "value" in settings:
        tensor: Array = numpy_helper.to_array(settings["value"])
        return tensor
    value = next(iter(settings.values()))
    return np.array(value, np.float32 if "value_float" in settings or "value_floats" in settings else np.int64)


def _size(dim: onnx.TensorShapeProto.Dimension) -> Size:
    if dim.dim_param:
        if dim.dim_param not in ("T", "N"):
            raise NotCovered([f"an input's free axis {dim.dim_param}"])
        return Size(1, int(dim.dim_param == "T"), int(dim.dim_param == "N"))
    return Size(dim.dim_value) if dim.dim_value else ONE
