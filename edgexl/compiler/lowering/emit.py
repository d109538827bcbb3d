"""Emit: nodes become operations over buffers.

A value is a view of a buffer: sizes, strides, an offset. What only rearranges a value (Reshape, Transpose, Slice of one
axis) gives another view and no operation; a copy is made only where an operation needs its numbers side by side.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgexl.bundle.parameters import GRAPH_INPUTS
from edgexl.bundle.plan import (
    ONE,
    ZERO,
    Activation,
    Buffer,
    Code,
    Function,
    Operand,
    Operation,
    Place,
    Reduction,
    Size,
    Type,
)  # fmt: skip
from edgexl.bundle.weights import Tensor
from edgexl.compiler.lowering.nodes import Array, Node, Nodes, NotCovered
from edgexl.compiler.lowering.packing import columns_table, pack_blocks, pack_float, pack_int8
from edgexl.compiler.lowering.recognise import Weights
from edgexl.compiler.lowering.shapes import (
    Shapes,
    Sizes,
    axes_of,
    axis_of,
    broadcast,
    order_of,
    slices_of,
    total,
)  # fmt: skip

RANK = 4
_TYPES = {np.dtype(np.float32): Type.F32, np.dtype(np.int8): Type.I8, np.dtype(np.uint8): Type.U8,
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

    def run(self) -> None:
        """Emit the whole graph. Raises `NotCovered` naming every operator that stands in the way."""
        for name, (sizes, kind) in self.graph.inputs.items():
            place = GRAPH_INPUTS.index(name)
            self.values[name] = self._add(Buffer(Place.INPUT, place, Type(kind), total(sizes)), sizes)
        uncovered: list[str] = []
        for node in self.graph.nodes:
            if all(name in self.shapes.integers for name in node.outputs):
                continue
            try:
                _EMITTERS.get(node.op, _unknown)(self, node)
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
        if array.dtype not in _TYPES:
            raise NotCovered([f"a constant of {array.dtype}"])
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._known:
            kind = _TYPES[array.dtype]
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
            None if view is None else Operand(view.buffer, view.offset, _four((ZERO,) * fill + view.strides))
            for view in operands
        ]
        pair = (*numbers, 0.0, 0.0)[:2]
        self.operations.append(
            Operation(code, function, _four((ONE,) * fill + sizes), tuple(places), (pair[0], pair[1]))
        )

    def map(self, function: Function, kind: Type, *inputs: View) -> View:
        """A function of numbers at the same place, as a new value."""
        sizes = broadcast(*(view.sizes for view in inputs))
        out = self.new(kind, sizes)
        self.map_into(function, out, *inputs)
        return out

    def map_into(self, function: Function, out: View, *inputs: View) -> None:
        """The same into a view."""
        sizes, views = merged(out.sizes, [out, *(view.spread(out.sizes) for view in inputs)])
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
        sizes, [front] = merged(view.sizes[:-1], [dataclasses.replace(view, strides=view.strides[:-1])])
        if len(sizes) > 1:
            view = self.side_by_side(view)
            sizes, [front] = merged(view.sizes[:-1], [dataclasses.replace(view, strides=view.strides[:-1])])
        return (sizes[0], front.strides[0], view) if sizes else (ONE, ZERO, view)

    def viewed(self, view: View, sizes: Sizes) -> View:
        """A reshape: another view where the strides allow it, else one of a copy."""
        strides = _reshaped(view, sizes)
        if strides is None:
            view = self.side_by_side(view)
            strides = row_major(sizes)
        return dataclasses.replace(view, sizes=sizes, strides=strides)


def _four(sizes: Sizes) -> tuple[Size, Size, Size, Size]:
    if len(sizes) != RANK:
        raise NotCovered([f"{len(sizes)} axes that cannot be merged"])
    return sizes[0], sizes[1], sizes[2], sizes[3]


def merged(sizes: Sizes, views: Sequence[View]) -> tuple[Sizes, list[View]]:
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


def _reshaped(view: View, sizes: Sizes) -> Sizes | None:
    """Strides of the view in other sizes; None where the numbers would have to move."""
    old, [front] = merged(view.sizes, [view])
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


# ---- operators, each a function (emitter, node) ----------------------------------------------------------------------


def _unknown(emitter: Emitter, node: Node) -> None:
    raise NotCovered([node.op])


_FLOATS = {"Add": Function.ADD, "Sub": Function.SUB, "Mul": Function.MUL, "Div": Function.DIV, "Max": Function.MAX,
           "Min": Function.MIN, "Sqrt": Function.SQRT, "Erf": Function.ERF, "Tanh": Function.TANH,
           "Exp": Function.EXP, "Relu": Function.RELU, "Gelu": Function.GELU, "Sigmoid": Function.SIGMOID}  # fmt: skip
_INTEGERS = {"Add": Function.ADD_INT, "Sub": Function.SUB_INT, "Mul": Function.MUL_INT, "Div": Function.DIV_INT,
             "Mod": Function.MOD_INT, "Max": Function.MAX_INT, "Min": Function.MIN_INT, "Equal": Function.EQUAL,
             "Greater": Function.GREATER, "GreaterOrEqual": Function.GREATER_OR_EQUAL, "And": Function.AND,
             "Or": Function.OR, "Not": Function.NOT}  # fmt: skip


def _map(emitter: Emitter, node: Node) -> None:
    inputs = [emitter.value(name) for name in node.inputs]
    kind = inputs[0].type
    functions = _FLOATS if kind == Type.F32 else _INTEGERS
    if node.op not in functions or len(inputs) > 2 or any(view.type != kind for view in inputs):
        raise NotCovered([f"{node.op} of {'numbers' if kind == Type.F32 else 'integers'}"])
    emitter.values[node.outputs[0]] = emitter.map(functions[node.op], kind, *inputs)


def _reversed_comparison(emitter: Emitter, node: Node) -> None:
    """Less and LessOrEqual: the greater ones with their sides changed."""
    _map(emitter, Node(node.op.replace("Less", "Greater"), node.inputs[::-1], node.outputs))


def _where(emitter: Emitter, node: Node) -> None:
    views = [emitter.value(name) for name in node.inputs]
    function = Function.WHERE if views[1].type == Type.F32 else Function.WHERE_INT
    emitter.values[node.outputs[0]] = emitter.map(function, views[1].type, *views)


def _clip(emitter: Emitter, node: Node) -> None:
    view = emitter.value(node.inputs[0])
    floats = view.type == Type.F32
    for name, function in zip(
        node.inputs[1:], (Function.MAX, Function.MIN) if floats else (Function.MAX_INT, Function.MIN_INT), strict=False
    ):
        if name:
            view = emitter.map(function, view.type, view, emitter.value(name))
    emitter.values[node.outputs[0]] = view


def _pow(emitter: Emitter, node: Node) -> None:
    view, power = emitter.value(node.inputs[0]), emitter.graph.scalar(node.inputs[1])
    if power not in (2.0, 0.5) or view.type != Type.F32:
        raise NotCovered(["Pow"])
    product = emitter.map(Function.MUL, view.type, view, view) if power == 2 else None
    emitter.values[node.outputs[0]] = product or emitter.map(Function.SQRT, view.type, view)


def _negative(emitter: Emitter, node: Node) -> None:
    """Neg, and Abs as the larger of a number and its negative."""
    view = emitter.value(node.inputs[0])
    if view.type != Type.F32:
        raise NotCovered([f"{node.op} of integers"])
    minus = emitter.map(Function.MUL, view.type, view, emitter.constant(np.array(-1, np.float32)))
    emitter.values[node.outputs[0]] = minus if node.op == "Neg" else emitter.map(Function.MAX, view.type, view, minus)


def _cast(emitter: Emitter, node: Node) -> None:
    view = emitter.value(node.inputs[0])
    wanted = int(node.settings["to"])
    if wanted not in (1, 6, 7, 9):
        raise NotCovered([f"Cast to type {wanted}"])
    floats = wanted == Type.F32
    if floats == (view.type == Type.F32):
        emitter.values[node.outputs[0]] = view  # integers of any width, and truth, are one type here
    elif floats:
        emitter.values[node.outputs[0]] = emitter.map(Function.TO_FLOAT, Type.F32, view)
    elif wanted == 9:
        raise NotCovered(["Cast of numbers to truth"])
    else:
        emitter.values[node.outputs[0]] = emitter.map(Function.TO_INT, Type.I64, view)


def _reduce(emitter: Emitter, node: Node) -> None:
    view = emitter.value(node.inputs[0])
    axes = axes_of(node, emitter.shapes, len(view.sizes))
    if node.op == "ReduceL2":
        view = emitter.map(Function.MUL, view.type, view, view)
    kinds = {"ReduceMax": Reduction.MAX, "ReduceMean": Reduction.MEAN}
    function = kinds.get(node.op, Reduction.SUM) if view.type == Type.F32 else Reduction.SUM_INT
    if view.type != Type.F32 and node.op != "ReduceSum":
        raise NotCovered([f"{node.op} of integers"])
    whole = tuple(ONE if axis in axes else size for axis, size in enumerate(view.sizes))
    out = emitter.new(view.type, whole)
    strides = tuple(ZERO if axis in axes else stride for axis, stride in enumerate(out.strides))
    sizes, views = merged(view.sizes, [dataclasses.replace(out, strides=strides), view])
    emitter.emit(Code.REDUCE, function, sizes, views)
    if node.op == "ReduceL2":
        out = emitter.map(Function.SQRT, Type.F32, out)
    emitter.values[node.outputs[0]] = emitter.viewed(out, emitter.shapes.sizes[node.outputs[0]])


def _reshape(emitter: Emitter, node: Node) -> None:
    """Reshape, Squeeze, Unsqueeze: other sizes of the same numbers."""
    view = emitter.value(node.inputs[0])
    emitter.values[node.outputs[0]] = emitter.viewed(view, emitter.shapes.sizes[node.outputs[0]])


def _expand(emitter: Emitter, node: Node) -> None:
    view = emitter.value(node.inputs[0])
    emitter.values[node.outputs[0]] = view.spread(emitter.shapes.sizes[node.outputs[0]])


def _transpose(emitter: Emitter, node: Node) -> None:
    view = emitter.value(node.inputs[0])
    order = order_of(node, len(view.sizes))
    sizes, strides = (tuple(part[axis] for axis in order) for part in (view.sizes, view.strides))
    emitter.values[node.outputs[0]] = dataclasses.replace(view, sizes=sizes, strides=strides)


def _slice(emitter: Emitter, node: Node) -> None:
    view = emitter.value(node.inputs[0])
    for axis, first, _ in slices_of(node, emitter.shapes):
        view = dataclasses.replace(view, offset=view.offset + first * view.strides[axis])
    emitter.values[node.outputs[0]] = dataclasses.replace(view, sizes=emitter.shapes.sizes[node.outputs[0]])


def _gather(emitter: Emitter, node: Node) -> None:
    """One place of an axis."""
    view = emitter.value(node.inputs[0])
    axis = axis_of(node, len(view.sizes), 0)
    place = emitter.shapes.integers[node.inputs[1]][0]
    if place.coefficient < 0:
        raise NotCovered(["Gather from the end"])
    kept = len(emitter.shapes.sizes[node.inputs[1]])
    sizes = view.sizes[:axis] + (ONE,) * kept + view.sizes[axis + 1 :]
    strides = view.strides[:axis] + (ONE,) * kept + view.strides[axis + 1 :]
    offset = view.offset + place * view.strides[axis]
    emitter.values[node.outputs[0]] = dataclasses.replace(view, sizes=sizes, strides=strides, offset=offset)


def _concat(emitter: Emitter, node: Node) -> None:
    sizes = emitter.shapes.sizes[node.outputs[0]]
    axis = axis_of(node, len(sizes))
    parts = [emitter.value(name) for name in node.inputs]
    out = emitter.new(parts[0].type, sizes)
    at = ZERO
    for part in parts:
        place = dataclasses.replace(out, sizes=part.sizes, offset=at * out.strides[axis])
        emitter.copy(part, place)
        at = at + part.sizes[axis]
    emitter.values[node.outputs[0]] = out


def _along(emitter: Emitter, view: View, axis: int, code: Code, function: int) -> View:
    """An operation along one axis, which the plan has last."""
    out = emitter.new(view.type, view.sizes)
    pair = [
        dataclasses.replace(
            part,
            sizes=part.sizes[:axis] + part.sizes[axis + 1 :],
            strides=part.strides[:axis] + part.strides[axis + 1 :],
        )
        for part in (out, view)
    ]
    sizes, fronts = merged(pair[0].sizes, pair)
    ends = [part.strides[axis] for part in (out, view)]
    views = [dataclasses.replace(front, strides=(*front.strides, end)) for front, end in zip(fronts, ends, strict=True)]
    emitter.emit(code, function, (*sizes, view.sizes[axis]), views)
    return out


def _pad(emitter: Emitter, node: Node) -> None:
    """A shift by one place along one axis, 0 coming in."""
    view = emitter.value(node.inputs[0])
    pads = [size.coefficient for size in emitter.shapes.integers[node.inputs[1]]]
    axes = [axis for axis, pad in enumerate(pads[: len(pads) // 2]) if pad]
    fill = emitter.graph.constants.get(node.inputs[2]) if len(node.inputs) > 2 and node.inputs[2] else None
    plain = node.settings.get("mode", b"constant") == b"constant" and (fill is None or not fill.any())
    if not plain or len(axes) != 1 or abs(pads[axes[0]]) != 1 or view.type != Type.I64:
        raise NotCovered(["Pad that is no shift by one"])
    function = 1 if pads[axes[0]] == 1 else 2
    emitter.values[node.outputs[0]] = _along(emitter, view, axes[0], Code.SHIFT, function)


def _running_sum(emitter: Emitter, node: Node) -> None:
    view = emitter.value(node.inputs[0])
    if node.settings.get("exclusive", 0) or node.settings.get("reverse", 0) or view.type != Type.I64:
        raise NotCovered(["CumSum that is exclusive, reversed or of numbers"])
    axis = emitter.shapes.integers[node.inputs[1]][0].coefficient % len(view.sizes)
    emitter.values[node.outputs[0]] = _along(emitter, view, axis, Code.RUNNING_SUM, 0)


def _softmax(emitter: Emitter, node: Node) -> None:
    view = emitter.value(node.inputs[0])
    if axis_of(node, len(view.sizes)) != len(view.sizes) - 1:
        raise NotCovered(["Softmax along another axis than the last"])
    rows, stride, view = emitter.rows(view)
    out = emitter.new(Type.F32, view.sizes)
    wide = view.sizes[-1]
    pair = [dataclasses.replace(out, strides=(wide, ONE)), dataclasses.replace(view, strides=(stride, ONE))]
    emitter.emit(Code.SOFTMAX, 0, (rows, wide, ONE, ONE), [_behind(part) for part in pair])
    emitter.values[node.outputs[0]] = out


def _behind(view: View) -> View:
    """Strides filled up with zeros behind, for operations that name their axes from the front."""
    return dataclasses.replace(view, strides=(*view.strides, *(ZERO,) * (RANK - len(view.strides))))


def _layer_norm(emitter: Emitter, node: Node) -> None:
    rows, stride, view = emitter.rows(emitter.value(node.inputs[0]))
    if axis_of(node, len(view.sizes)) != len(view.sizes) - 1 or len(node.outputs) > 1:
        raise NotCovered(["LayerNormalization over several axes"])
    out = emitter.new(Type.F32, view.sizes)
    wide = view.sizes[-1]
    affine = [dataclasses.replace(emitter.value(name), strides=(ZERO, ONE)) for name in node.inputs[1:] if name]
    places = [dataclasses.replace(out, strides=(wide, ONE)), dataclasses.replace(view, strides=(stride, ONE)), *affine]
    epsilon = float(node.settings.get("epsilon", 1e-5))
    emitter.emit(Code.LAYER_NORM, 0, (rows, wide, ONE, ONE), [_behind(part) for part in places], epsilon)
    emitter.values[node.outputs[0]] = out


def _linear(emitter: Emitter, node: Node) -> None:
    weights: Weights = node.settings["weights"]
    source = emitter.value(node.inputs[0])
    rows, stride, view = emitter.rows(source)
    widths: list[int] = node.settings["widths"]
    depth, columns = Size(weights.codes.shape[0]), Size(sum(widths))
    out = emitter.new(Type.F32, (rows, columns))
    packers: dict[str, tuple[Code, Callable[[Weights], Array]]] = {
        "f32": (Code.LINEAR_F32, pack_float), "int8": (Code.LINEAR_INT8, pack_int8),
        "blocks4": (Code.LINEAR_BLOCKS, pack_blocks), "blocks8": (Code.LINEAR_BLOCKS, pack_blocks),
    }  # fmt: skip
    code, pack = packers[weights.kind]
    codes, table = pack(weights), columns_table(weights)
    operands = [
        dataclasses.replace(out, strides=(columns, ZERO)),
        dataclasses.replace(view, strides=(stride, ZERO)),
        dataclasses.replace(emitter.weight(codes, ()), strides=()),
        dataclasses.replace(emitter.weight(table, ()), strides=()),
    ]
    if len(node.inputs) > 1:
        more, step, other = emitter.rows(emitter.value(node.inputs[1]))
        assert more == rows
        operands.append(dataclasses.replace(other, strides=(step, ZERO)))
    bits = Size(4 if weights.kind == "blocks4" else 8)
    activation = node.settings.get("activation", Activation.NONE)
    emitter.emit(code, activation, (rows, depth, columns, bits), [_behind(part) for part in operands])
    first = 0
    for name, width in zip(node.outputs, widths, strict=True):
        sizes = emitter.shapes.sizes[name]
        part = View(out.buffer, Type.F32, (rows, Size(width)), (columns, ONE), Size(first).normal())
        emitter.values[name] = emitter.viewed(part, sizes)
        first += width


def _embed(emitter: Emitter, node: Node) -> None:
    ids = emitter.side_by_side(emitter.value(node.inputs[0]))
    table: Array = node.settings["table"]
    if ids.type != Type.I64:
        raise NotCovered(["Gather by numbers"])
    rows, wide = total(ids.sizes), Size(table.shape[1] if table.ndim > 1 else 1)
    sizes = emitter.shapes.sizes[node.outputs[0]]
    out = emitter.new(Type.F32, sizes)
    operands = [
        dataclasses.replace(out, strides=(wide,)),
        dataclasses.replace(ids, strides=(ONE,)),
        dataclasses.replace(emitter.weight(np.ascontiguousarray(table), ()), strides=()),
    ]
    if node.settings["scales"] is not None:
        operands.append(dataclasses.replace(emitter.weight(node.settings["scales"], ()), strides=()))
    emitter.emit(Code.EMBED, 0, (rows, wide, ONE, ONE), [_behind(part) for part in operands])
    emitter.values[node.outputs[0]] = out


def _attention(emitter: Emitter, node: Node) -> None:
    """Heads, queries, keys, width; the result lies as [queries, heads, width], so that joining the heads moves nothing.

    A value of another width than the key's, or more than one axis in front of the heads, is not covered.
    """
    query, key, value = (emitter.value(name) for name in node.inputs[:3])
    sizes, keys = query.sizes, key.sizes[-1]
    wide = sizes[-1]
    if value.sizes[-1] != wide or sizes[:-2] != key.sizes[:-2] or sizes[:-2] != value.sizes[:-2]:
        raise NotCovered(["attention with values of another width"])
    if wide != ONE and query.strides[-1] != ONE:
        query = emitter.side_by_side(query)
    heads = [axis for axis, size in enumerate(sizes[:-2]) if size != ONE]
    if len(heads) > 1:
        raise NotCovered(["attention over several axes of heads"])
    head = heads[0] if heads else None
    count = sizes[head] if head is not None else ONE

    def strides(view: View, queries: Size, over_keys: Size, width: Size) -> View:
        front = view.strides[head - len(sizes)] if head is not None and len(view.strides) >= len(sizes) - head else ZERO
        return dataclasses.replace(view, strides=(front, queries, over_keys, width))

    out = emitter.new(Type.F32, (sizes[-2], count, wide))
    operands: list[View | None] = [
        dataclasses.replace(out, strides=(wide, count * wide, ZERO, ONE)),
        strides(query, query.strides[-2], ZERO, ONE),
        strides(key, ZERO, key.strides[-1], key.strides[-2]),
        strides(value, ZERO, value.strides[-2], value.strides[-1]),
    ]
    bias = emitter.value(node.inputs[3]) if node.inputs[3] else None
    if bias is not None:
        bias = bias.spread((*sizes[:-2], sizes[-2], keys))
        bias = strides(bias, bias.strides[-2], bias.strides[-1], ZERO)
    best = emitter.new(Type.F32, (count, sizes[-2])) if node.outputs[1] else None
    operands += [bias, dataclasses.replace(best, strides=(sizes[-2], ONE, ZERO, ZERO)) if best else None]
    emitter.emit(Code.ATTENTION, 0, (count, sizes[-2], keys, wide), operands, node.settings["scale"])
    order = (wide, count * wide, ONE)
    placed = tuple(ONE if axis < len(sizes) - 2 and axis != head else stride for axis, stride in enumerate(
        [order[0] if axis < len(sizes) - 2 else order[axis - len(sizes) + 3] for axis in range(len(sizes))]
    ))  # fmt: skip
    emitter.values[node.outputs[0]] = dataclasses.replace(out, sizes=sizes, strides=placed)
    if best:
        emitter.values[node.outputs[1]] = emitter.viewed(best, emitter.shapes.sizes[node.outputs[1]])


def _matmul(emitter: Emitter, node: Node) -> None:
    left, right = (emitter.value(name) for name in node.inputs)
    if left.type != Type.F32 or right.type != Type.F32:
        raise NotCovered(["MatMul of integers"])
    sizes = emitter.shapes.sizes[node.outputs[0]]
    front = sizes[:-2]
    if left.sizes[-1] != ONE and left.strides[-1] != ONE:
        left = emitter.side_by_side(left)
    out = emitter.new(Type.F32, sizes)
    views = [dataclasses.replace(part, sizes=part.sizes[:-2], strides=part.strides[:-2]).spread(front)
             for part in (out, left, right)]  # fmt: skip
    batch, views = merged(front, views)
    if len(batch) > 1:
        raise NotCovered(["MatMul over several axes in front"])
    steps = [view.strides[0] if batch else ZERO for view in views]
    a, b = left.strides, right.strides
    operands = [
        dataclasses.replace(out, strides=(steps[0], sizes[-1], ZERO, ONE)),
        dataclasses.replace(left, strides=(steps[1], a[-2], ONE, ZERO)),
        dataclasses.replace(right, strides=(steps[2], ZERO, b[-2], b[-1])),
    ]
    emitter.emit(Code.MATMUL, 0, (batch[0] if batch else ONE, sizes[-2], left.sizes[-1], sizes[-1]), operands)
    emitter.values[node.outputs[0]] = out


_EMITTERS: dict[str, Callable[[Emitter, Node], None]] = {
    **dict.fromkeys((*_FLOATS, *_INTEGERS), _map),
    **dict.fromkeys(("Less", "LessOrEqual"), _reversed_comparison),
    **dict.fromkeys(("ReduceSum", "ReduceMax", "ReduceMean", "ReduceL2"), _reduce),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("Neg", "Abs"), _negative),
    "Where": _where, "Clip": _clip, "Pow": _pow, "Cast": _cast, "Expand": _expand, "Transpose": _transpose,
    "Slice": _slice, "Gather": _gather, "Concat": _concat, "Pad": _pad, "CumSum": _running_sum, "Softmax": _softmax,
    "LayerNormalization": _layer_norm, "Linear": _linear, "Embed": _embed, "Attention": _attention, "MatMul": _matmul,
}  # fmt: skip
