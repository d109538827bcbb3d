"""Emit elements: operators that work number by number, along an axis, or only move numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from edgexl.bundle.plan import ONE, ZERO, Code, Function, Reduction, Type
from edgexl.compiler.lowering.emit import Emitter, View, merge_axes
from edgexl.compiler.lowering.nodes import Node, NotCovered
from edgexl.compiler.lowering.shapes import axes_of, axis_of, order_of, slices_of

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
    sizes, views = merge_axes(view.sizes, [dataclasses.replace(out, strides=strides), view])
    emitter.emit(Code.REDUCE, function, sizes, views)
    if node.op == "ReduceL2":
        out = emitter.map(Function.SQRT, Type.F32, out)
    emitter.values[node.outputs[0]] = emitter.reshape(out, emitter.shapes.sizes[node.outputs[0]])


def _reshape(emitter: Emitter, node: Node) -> None:
    """Reshape, Squeeze, Unsqueeze: other sizes of the same numbers."""
    view = emitter.value(node.inputs[0])
    emitter.values[node.outputs[0]] = emitter.reshape(view, emitter.shapes.sizes[node.outputs[0]])


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
    sizes, fronts = merge_axes(pair[0].sizes, pair)
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


ELEMENTS: dict[str, Callable[[Emitter, Node], None]] = {
    **dict.fromkeys((*_FLOATS, *_INTEGERS), _map),
    **dict.fromkeys(("Less", "LessOrEqual"), _reversed_comparison),
    **dict.fromkeys(("ReduceSum", "ReduceMax", "ReduceMean", "ReduceL2"), _reduce),
    **dict.fromkeys(("Reshape", "Squeeze", "Unsqueeze"), _reshape),
    **dict.fromkeys(("Neg", "Abs"), _negative),
    "Where": _where, "Clip": _clip, "Pow": _pow, "Cast": _cast, "Expand": _expand, "Transpose": _transpose,
    "Slice": _slice, "Gather": _gather, "Concat": _concat, "Pad": _pad, "CumSum": _running_sum,
}  # fmt: skip
