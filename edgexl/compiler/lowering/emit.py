"""Emit: nodes become operations over buffers.

A value is a view of a buffer: sizes, strides, an offset. What only rearranges a value (Reshape, Transpose, Slice of one
axis) gives another view and no operation; a copy is made only where an operation needs its numbers side by side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgexl.base.arrays import Array
from edgexl.bundle.parameters import GRAPH_INPUTS
from edgexl.bundle.plan import ONE, ZERO, Buffer, Code, Function, Operand, Operation, Place, Size, Type
from edgexl.bundle.weights import Tensor
from edgexl.compiler.lowering.nodes import Node, Nodes, NotCovered
from edgexl.compiler.lowering.shapes import Shapes, Sizes, broadcast, total

RANK = 4
TYPES = {np.dtype(np.float32): Type.F32, np.dtype(np.int8): Type.I8, np.dtype(np.uint8): Type.U8,
          np.dtype(np.int32): Type.I32, np.dtype(np.int64): Type.I64}  # fmt: skip


@dataclass(frozen=True)
class View:
    """Elements of buffer number `buffer`: `sizes` along the axes, `strides` in elements, from `offset` on."""

    buffer: int
    type: Type
    sizes: Sizes
    strides: Sizes
    offset: Size = ZERO

    def spread(self, sizes: Sizes) -> View:
        """The same numbers, broadcast to `sizes`."""
        missing = len(sizes) - len(self.sizes)
        strides = (ZERO,) * missing + tuple(
            ZERO if size == ONE else stride for size, stride in zip(self.sizes, self.strides, strict=True)
        )
        return dataclasses.replace(self, sizes=sizes, strides=strides)


def row_major(sizes: Sizes) -> Sizes:
    """Strides of elements side by side."""
    strides, step = [], ONE
    for size in reversed(sizes):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


@dataclass
class Emitter:
    """Operations, buffers and weights so far; `values` are the views by name."""

    graph: Nodes
    shapes: Shapes
    buffers: list[Buffer] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)
    values: dict[str, View] = field(default_factory=dict)
    _known: dict[tuple[Any, ...], View] = field(default_factory=dict)

    def run(self, emitters: Mapping[str, Callable[[Emitter, Node], None]]) -> None:
        """Emit the whole graph, each operator by its function of (emitter, node).

        Raises `NotCovered` naming every operator that stands in the way.
        """
        for name, (sizes, kind) in self.graph.inputs.items():
            place = GRAPH_INPUTS.index(name)
            self.values[name] = self._add(Buffer(Place.INPUT, place, Type(kind), total(sizes)), sizes)
        uncovered: list[str] = []
        for node in self.graph.nodes:
            if all(name in self.shapes.integers for name in node.outputs):
                continue
            try:
                if node.op not in emitters:
                    raise NotCovered([node.op])
                emitters[node.op](self, node)
            except NotCovered as error:
                uncovered += error.operators
            except (KeyError, ArithmeticError):
                uncovered.append(node.op)
        if uncovered:
            raise NotCovered(uncovered)
        for place, name in enumerate(self.graph.outputs):
            value = self.value(name)
            out = self._add(Buffer(Place.OUTPUT, place, value.type, total(value.sizes)), value.sizes)
            self.copy(value, out)

    # ---- values ---------------------------------------------------------------------------------------------------

    def value(self, name: str) -> View:
        """The view of a value or constant."""
        if name not in self.values and name in self.graph.constants:
            self.values[name] = self.constant(self.graph.constants[name])
        return self.values[name]

    def constant(self, array: Array) -> View:
        """A constant as a weight; equal ones are one."""
        array = array.astype(np.int64) if array.dtype in (np.bool_, np.int32) else array
        sizes = tuple(Size(size) for size in array.shape)
        return self.weight(np.ascontiguousarray(array), sizes)

    def weight(self, array: Array, sizes: Sizes) -> View:
        """An array as a weight of its own type."""
        if array.dtype not in TYPES:
            raise NotCovered([f"a constant of {array.dtype}"])
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            kind = TYPES[array.dtype]
            self._known[key] = self._add(
                Buffer(Place.WEIGHT, len(self.weights), kind, Size(array.size)), (Size(array.size),)
            )
            self.weights[f"w{len(self.weights)}"] = (int(kind), array.shape, array.tobytes())
        return dataclasses.replace(self._known[key], sizes=sizes, strides=row_major(sizes))

    def new(self, kind: Type, sizes: Sizes) -> View:
        """Room in the arena."""
        return self._add(Buffer(Place.ARENA, 0, kind, total(sizes)), sizes)

    def _add(self, buffer: Buffer, sizes: Sizes) -> View:
        self.buffers.append(buffer)
        return View(len(self.buffers) - 1, buffer.type, sizes, row_major(sizes))

    # ---- operations -----------------------------------------------------------------------------------------------

    def emit(self, code: Code, function: int, sizes: Sizes, operands: Sequence[View | None], *numbers: float) -> None:
        """One operation; sizes and strides are filled up to four in front."""
        fill = RANK - len(sizes)
        places = [
            None if view is None else Operand(view.buffer, view.offset, four((ZERO,) * fill + view.strides))
            for view in operands
        ]
        pair = (*numbers, 0.0, 0.0)[:2]
        self.operations.append(
            Operation(code, function, four((ONE,) * fill + sizes), tuple(places), (pair[0], pair[1]))
        )

    def map(self, function: Function, kind: Type, *inputs: View) -> View:
        """A function of numbers at the same place, as a new value."""
        sizes = broadcast(*(view.sizes for view in inputs))
        out = self.new(kind, sizes)
        self.map_into(function, out, *inputs)
        return out

    def map_into(self, function: Function, out: View, *inputs: View) -> None:
        """The same into a view."""
        sizes, views = merge_axes(out.sizes, [out, *(view.spread(out.sizes) for view in inputs)])
        self.emit(Code.MAP, function, sizes, views)

    def copy(self, source: View, out: View) -> None:
        """A view's numbers into another."""
        self.map_into(Function.COPY_INT if source.type == Type.I64 else Function.COPY, out, source)

    def side_by_side(self, view: View) -> View:
        """The same numbers without gaps, copied where they are not so."""
        plain = View(view.buffer, view.type, view.sizes, row_major(view.sizes), view.offset)
        if all(size == ONE or a == b for size, a, b in zip(view.sizes, view.strides, plain.strides, strict=True)):
            return plain
        out = self.new(view.type, view.sizes)
        self.copy(view, out)
        return out

    def rows(self, view: View) -> tuple[Size, Size, View]:
        """(rows, elements between two rows, view) with the last axis side by side, copied where it must be."""
        if not view.sizes or (view.sizes[-1] != ONE and view.strides[-1] != ONE):
            view = self.side_by_side(view)
        sizes, [front] = merge_axes(view.sizes[:-1], [dataclasses.replace(view, strides=view.strides[:-1])])
        if len(sizes) > 1:
            view = self.side_by_side(view)
            sizes, [front] = merge_axes(view.sizes[:-1], [dataclasses.replace(view, strides=view.strides[:-1])])
        return (sizes[0], front.strides[0], view) if sizes else (ONE, ZERO, view)

    def reshape(self, view: View, sizes: Sizes) -> View:
        """A reshape: another view where the strides allow it, else one of a copy."""
        strides = _reshape_strides(view, sizes)
        if strides is None:
            view = self.side_by_side(view)
            strides = row_major(sizes)
        return dataclasses.replace(view, sizes=sizes, strides=strides)


def four(sizes: Sizes) -> tuple[Size, Size, Size, Size]:
    if len(sizes) != RANK:
        raise NotCovered([f"{len(sizes)} axes that cannot be merged"])
    return sizes[0], sizes[1], sizes[2], sizes[3]


def merge_axes(sizes: Sizes, views: Sequence[View]) -> tuple[Sizes, list[View]]:
    """Sizes and views without axes of size 1, neighbours that every view walks alike being one axis."""
    axes: list[tuple[Size, tuple[Size, ...]]] = []
    for axis, size in enumerate(sizes):
        strides = tuple(view.strides[axis] for view in views)
        if size == ONE:
            continue
        if axes and all(before == stride * size for before, stride in zip(axes[-1][1], strides, strict=True)):
            axes[-1] = (axes[-1][0] * size, strides)
        else:
            axes.append((size, strides))
    kept = tuple(size for size, _ in axes)
    return kept, [
        dataclasses.replace(view, sizes=kept, strides=tuple(strides[place] for _, strides in axes))
        for place, view in enumerate(views)
    ]


def _reshape_strides(view: View, sizes: Sizes) -> Sizes | None:
    """Strides of the view in other sizes; None where the numbers would have to move."""
    old, [front] = merge_axes(view.sizes, [view])
    axes = list(zip(old, front.strides, strict=True))
    strides: list[Size] = []
    inner = ONE
    for size in reversed(sizes):
        if size == ONE:
            strides.append(ONE)
            continue
        if not axes:
            return None
        length, stride = axes[-1]
        strides.append(stride * inner)
        inner = inner * size
        if inner == length:
            axes.pop()
            inner = ONE
        elif length.over(inner) is None:
            return None
    return tuple(reversed(strides)) if not axes else None
