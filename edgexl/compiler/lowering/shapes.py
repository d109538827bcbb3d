"""Shapes: the sizes of every value in T and N, and the values that are nothing but sizes.

Exporters compute shapes inside the graph (Shape, Gather, Concat, Reshape); here they are computed once, as symbols.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from edgexl.bundle.plan import ONE, Size
from edgexl.compiler.lowering.nodes import Node, Nodes, NotCovered

Sizes = tuple[Size, ...]
# A dimension that is to be found out from the others.
REST = Size(-1)


@dataclass
class Shapes:
    """`sizes` of each value; `integers`: those values whose numbers are sizes themselves."""

    sizes: dict[str, Sizes] = field(default_factory=dict)
    integers: dict[str, list[Size]] = field(default_factory=dict)


def infer(graph: Nodes) -> Shapes:
    """Sizes of all values. Raises `NotCovered` naming each operator whose result's sizes cannot be told."""
    shapes = Shapes()
    for name, array in graph.constants.items():
        shapes.sizes[name] = tuple(Size(size) for size in array.shape)
        if array.dtype in (np.int64, np.int32) and array.size <= 16:
            shapes.integers[name] = [Size(int(number)) for number in array.reshape(-1)]
    for name, (sizes, _) in graph.inputs.items():
        shapes.sizes[name] = sizes
    unknown = []
    for node in graph.nodes:
        try:
            if node.op in _ARITHMETIC and all(name in shapes.integers for name in node.inputs):
                _integer_result(node, shapes)
            rule = _RULES.get(node.op)
            if rule is None:
                raise NotCovered([node.op])
            rule(node, shapes)
        except (ArithmeticError, KeyError, IndexError):
            unknown.append(node.op)
        except NotCovered as error:
            unknown += error.operators
    if unknown:
        raise NotCovered(unknown)
    return shapes


def broadcast(*shapes: Sizes) -> Sizes:
    """ONNX's common shape."""
    rank = max(len(sizes) for sizes in shapes)
    padded = [(ONE,) * (rank - len(sizes)) + sizes for sizes in shapes]
    result = []
    for column in zip(*padded, strict=True):
        wide = [size for size in column if size != ONE]
        if len(set(wide)) > 1:
            raise ArithmeticError("sizes do not agree")
        result.append(wide[0] if wide else ONE)
    return tuple(result)


def total(sizes: Sizes) -> Size:
    """The number of elements."""
    product = ONE
    for size in sizes:
        product = product * size
    return product


def axis_of(node: Node, rank: int, default: int = -1) -> int:
    """The node's axis, counted from the front."""
    return int(node.settings.get("axis", default)) % rank


def axes_of(node: Node, shapes: Shapes, rank: int) -> list[int]:
    """The axes of a reduction, Squeeze or Unsqueeze, given as an attribute or a second input."""
    if "axes" in node.settings:
        return [int(axis) % rank for axis in node.settings["axes"]]
    if len(node.inputs) > 1 and node.inputs[1]:
        return [size.coefficient % rank for size in shapes.integers[node.inputs[1]]]
    return list(range(rank))


def _same(node: Node, shapes: Shapes) -> None:
    for name in node.outputs:
        if name:
            shapes.sizes[name] = shapes.sizes[node.inputs[0]]


def _broadcast(node: Node, shapes: Shapes) -> None:
    shapes.sizes[node.outputs[0]] = broadcast(*(shapes.sizes[name] for name in node.inputs if name))


_ARITHMETIC = ("Add", "Mul", "Div", "Cast", "Floor")


def _integer_result(node: Node, shapes: Shapes) -> None:
    """Arithmetic of sizes, where its result is one."""
    left = shapes.integers[node.inputs[0]]
    right = shapes.integers[node.inputs[1]] if len(node.inputs) > 1 else left
    if len(left) != len(right) and 1 in (len(left), len(right)):
        left, right = (left * len(right), right) if len(left) == 1 else (left, right * len(left))
    results: list[Size] = []
    for a, b in zip(left, right, strict=True):
        if node.op in ("Cast", "Floor"):
            results.append(a)
        elif node.op == "Div":
            quotient = a.over(b)
            if quotient is None:
                return
            results.append(quotient)
        else:
            results.append(a * b if node.op == "Mul" else a + b)
    shapes.integers[node.outputs[0]] = results


def _shape(node: Node, shapes: Shapes) -> None:
    sizes = shapes.sizes[node.inputs[0]]
    kept = sizes[int(node.settings.get("start", 0)) : node.settings.get("end")]
    shapes.integers[node.outputs[0]] = list(kept)
    shapes.sizes[node.outputs[0]] = (Size(len(kept)),)


def _gather(node: Node, shapes: Shapes) -> None:
    source, index = node.inputs
    rank = len(shapes.sizes[source])
    axis = axis_of(node, rank, 0)
    chosen = shapes.sizes[index]
    shapes.sizes[node.outputs[0]] = shapes.sizes[source][:axis] + chosen + shapes.sizes[source][axis + 1 :]
    if source in shapes.integers and index in shapes.integers:
        values = shapes.integers[source]
        shapes.integers[node.outputs[0]] = [values[place.coefficient] for place in shapes.integers[index]]
    elif index not in shapes.integers or len(shapes.integers[index]) != 1:
        raise NotCovered(["Gather"])


def slices_of(node: Node, shapes: Shapes) -> list[tuple[int, Size, Size]]:
    """(axis, first, length) of each sliced axis, steps being 1."""
    sizes = shapes.sizes[node.inputs[0]]
    values = [shapes.integers[name] for name in node.inputs[1:] if name]
    starts, ends = values[0], values[1]
    axes = [size.coefficient for size in values[2]] if len(values) > 2 else list(range(len(starts)))
    if len(values) > 3 and any(step != ONE for step in values[3]):
        raise NotCovered(["Slice with steps"])
    found = []
    for axis, start, end in zip(axes, starts, ends, strict=True):
        whole = sizes[axis % len(sizes)]
        first, stop = _position(start, whole), _position(end, whole)
        length = stop if first.coefficient == 0 else stop + Size(-first.coefficient, first.t, first.n)
        if length.coefficient < 0:
            raise ArithmeticError("an empty slice")
        found.append((axis % len(sizes), first.normal(), length.normal()))
    return found


def _position(place: Size, whole: Size) -> Size:
    if place.t or place.n:
        return place
    if place.coefficient < 0:
        return whole + Size(place.coefficient)
    if not (whole.t or whole.n):
        return Size(min(place.coefficient, whole.coefficient))
    if 1 < place.coefficient < 2**31 - 1:  # a text or shortlist may be shorter
        raise NotCovered(["Slice to a fixed place of a free axis"])
    return whole if place.coefficient > 1 else place


def _slice(node: Node, shapes: Shapes) -> None:
    if node.inputs[0] in shapes.integers and len(shapes.sizes[node.inputs[0]]) == 1:
        [(_, first, length)] = slices_of(node, shapes)
        begin = first.coefficient
        shapes.integers[node.outputs[0]] = shapes.integers[node.inputs[0]][begin : begin + length.coefficient]
    sizes = list(shapes.sizes[node.inputs[0]])
    for axis, _, length in slices_of(node, shapes):
        sizes[axis] = length
    shapes.sizes[node.outputs[0]] = tuple(sizes)


def _concat(node: Node, shapes: Shapes) -> None:
    parts = [shapes.sizes[name] for name in node.inputs]
    axis = axis_of(node, len(parts[0]))
    length = parts[0][axis]
    for part in parts[1:]:
        length = length + part[axis]
    shapes.sizes[node.outputs[0]] = (*parts[0][:axis], length, *parts[0][axis + 1 :])
    if all(name in shapes.integers for name in node.inputs):
        shapes.integers[node.outputs[0]] = [size for name in node.inputs for size in shapes.integers[name]]


def _unsqueeze(node: Node, shapes: Shapes) -> None:
    sizes = list(shapes.sizes[node.inputs[0]])
    for axis in sorted(axes_of(node, shapes, len(sizes) + _count_axes(node, shapes))):
        sizes.insert(axis, ONE)
    shapes.sizes[node.outputs[0]] = tuple(sizes)
    if node.inputs[0] in shapes.integers:
        shapes.integers[node.outputs[0]] = shapes.integers[node.inputs[0]]


def _count_axes(node: Node, shapes: Shapes) -> int:
    return len(node.settings["axes"]) if "axes" in node.settings else len(shapes.integers[node.inputs[1]])


def _squeeze(node: Node, shapes: Shapes) -> None:
    sizes = shapes.sizes[node.inputs[0]]
    given = "axes" in node.settings or len(node.inputs) > 1
    gone = axes_of(node, shapes, len(sizes)) if given else [i for i, size in enumerate(sizes) if size == ONE]
    shapes.sizes[node.outputs[0]] = tuple(size for axis, size in enumerate(sizes) if axis not in gone)
    if node.inputs[0] in shapes.integers:
        shapes.integers[node.outputs[0]] = shapes.integers[node.inputs[0]]


def _reshape(node: Node, shapes: Shapes) -> None:
    sizes = shapes.sizes[node.inputs[0]]
    wanted = [
        sizes[axis] if size.coefficient == 0 else size for axis, size in enumerate(shapes.integers[node.inputs[1]])
    ]
    if REST in wanted:
        rest = total(sizes).over(total(tuple(size for size in wanted if size != REST)))
        if rest is None:
            raise ArithmeticError("a reshape to no whole size")
        wanted[wanted.index(REST)] = rest
    if total(tuple(wanted)) != total(sizes):
        raise ArithmeticError("a reshape to another number of elements")
    shapes.sizes[node.outputs[0]] = tuple(wanted)
    if node.inputs[0] in shapes.integers:
        shapes.integers[node.outputs[0]] = shapes.integers[node.inputs[0]]


def _expand(node: Node, shapes: Shapes) -> None:
    shapes.sizes[node.outputs[0]] = broadcast(shapes.sizes[node.inputs[0]], tuple(shapes.integers[node.inputs[1]]))


def order_of(node: Node, rank: int) -> list[int]:
    """A Transpose's order of axes."""
    return [int(axis) for axis in node.settings.get("perm", range(rank)[::-1])]


def _transpose(node: Node, shapes: Shapes) -> None:
    sizes = shapes.sizes[node.inputs[0]]
    shapes.sizes[node.outputs[0]] = tuple(sizes[axis] for axis in order_of(node, len(sizes)))


def _matmul(node: Node, shapes: Shapes) -> None:
    left, right = (shapes.sizes[name] for name in node.inputs[:2])
    if len(left) < 2 or len(right) < 2 or left[-1] != right[-2]:
        raise NotCovered(["MatMul of vectors"])
    shapes.sizes[node.outputs[0]] = (*broadcast(left[:-2], right[:-2]), left[-2], right[-1])


def _reduce(node: Node, shapes: Shapes) -> None:
    sizes = shapes.sizes[node.inputs[0]]
    axes = axes_of(node, shapes, len(sizes))
    keep = node.settings.get("keepdims", 1)
    kept = [ONE if axis in axes else size for axis, size in enumerate(sizes) if keep or axis not in axes]
    shapes.sizes[node.outputs[0]] = tuple(kept)


def _pad(node: Node, shapes: Shapes) -> None:
    pads = [size.coefficient for size in shapes.integers[node.inputs[1]]]
    rank = len(pads) // 2
    if any(pads[axis] + pads[axis + rank] for axis in range(rank)):
        raise NotCovered(["Pad that changes a size"])
    _same(node, shapes)


def _linear(node: Node, shapes: Shapes) -> None:
    rows = shapes.sizes[node.inputs[0]][:-1]
    for name, width in zip(node.outputs, node.settings["widths"], strict=True):
        shapes.sizes[name] = (*rows, Size(width))


def _embed(node: Node, shapes: Shapes) -> None:
    columns: tuple[int, ...] = node.settings["table"].shape[1:]
    if node.settings.get("blocks"):
        columns = (2 * columns[0],)
    shapes.sizes[node.outputs[0]] = shapes.sizes[node.inputs[0]] + tuple(Size(size) for size in columns)


def _attention(node: Node, shapes: Shapes) -> None:
    query, value = shapes.sizes[node.inputs[0]], shapes.sizes[node.inputs[2]]
    shapes.sizes[node.outputs[0]] = (*query[:-1], value[-1])
    if node.outputs[1]:
        shapes.sizes[node.outputs[1]] = query[:-1]


def _quantise(node: Node, shapes: Shapes) -> None:
    """Operators of quantisation that `recognise` may leave unread."""
    shapes.sizes[node.outputs[0]] = shapes.sizes[node.inputs[0]]
    for name in node.outputs[1:]:
        shapes.sizes[name] = ()


_RULES: dict[str, Callable[[Node, Shapes], None]] = {
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "Max", "Min", "Mod", "Pow", "Where", "Clip"), _broadcast),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "And", "Or"), _broadcast),
    **dict.fromkeys(("Cast", "Not", "Sqrt", "Erf", "Tanh", "Exp", "Relu", "Sigmoid", "Gelu", "Neg", "Abs"), _same),
    **dict.fromkeys(("Softmax", "LayerNormalization", "CumSum", "Identity", "Floor"), _same),
    **dict.fromkeys(("ReduceSum", "ReduceMax", "ReduceMean", "ReduceL2"), _reduce),
    "Shape": _shape, "Gather": _gather, "Slice": _slice, "Concat": _concat, "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze, "Reshape": _reshape, "Expand": _expand, "Transpose": _transpose, "MatMul": _matmul,
    "Pad": _pad, "Linear": _linear, "Embed": _embed, "Attention": _attention,
    "QuantizeLinear": _quantise, "DynamicQuantizeLinear": _quantise,
}  # fmt: skip
