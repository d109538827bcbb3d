"""Emit products: operators that work on rows (softmax, layer norm, look-ups), and products of matrices."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np

from edgexl.base.arrays import Array
from edgexl.bundle.plan import ONE, ZERO, Activation, Code, Scales, Size, Type
from edgexl.compiler.graphs.seven_bits import follows_rule
from edgexl.compiler.lowering.emit import RANK, Emitter, View, merge_axes
from edgexl.compiler.lowering.nodes import Node, NotCovered
from edgexl.compiler.lowering.packing import columns_table, pack_blocks, pack_float, pack_int8
from edgexl.compiler.lowering.recognise import Weights
from edgexl.compiler.lowering.shapes import Sizes, axis_of, total


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
    seven = weights.kind == "int8" and follows_rule(weights.codes)
    bits = Size(4 if weights.kind == "blocks4" else 7 if seven else 8)
    activation = node.settings.get("activation", Activation.NONE)
    emitter.emit(code, activation, (rows, depth, columns, bits), [_behind(part) for part in operands])
    first = 0
    for name, width in zip(node.outputs, widths, strict=True):
        sizes = emitter.shapes.sizes[name]
        part = View(out.buffer, Type.F32, (rows, Size(width)), (columns, ONE), Size(first).normal())
        emitter.values[name] = emitter.reshape(part, sizes)
        first += width


def _embed(emitter: Emitter, node: Node) -> None:
    ids = emitter.side_by_side(emitter.value(node.inputs[0]))
    table: Array = node.settings["table"]
    if ids.type != Type.I64:
        raise NotCovered(["Gather by numbers"])
    kind = Scales.BLOCKS if node.settings.get("blocks") else Scales.ROWS
    width = table.shape[1] if table.ndim > 1 else 1
    rows, wide = total(ids.sizes), Size(2 * width if kind == Scales.BLOCKS else width)
    sizes = emitter.shapes.sizes[node.outputs[0]]
    out = emitter.new(Type.F32, sizes)
    operands = [
        dataclasses.replace(out, strides=(wide,)),
        dataclasses.replace(ids, strides=(ONE,)),
        dataclasses.replace(emitter.weight(np.ascontiguousarray(table), ()), strides=()),
    ]
    if node.settings["scales"] is not None:
        scales = np.ascontiguousarray(node.settings["scales"])
        operands.append(dataclasses.replace(emitter.weight(scales, ()), strides=()))
    emitter.emit(Code.EMBED, kind, (rows, wide, ONE, ONE), [_behind(part) for part in operands])
    emitter.values[node.outputs[0]] = out


def _attention(emitter: Emitter, node: Node) -> None:
    """Heads, queries, keys, width; the result lies as [queries, heads, width], so that joining the heads moves nothing.

    All heads may share one key and one value. A value of another width than the key's, or more than one axis in front
    of the heads, is not covered.
    """
    query, key, value = (emitter.value(name) for name in node.inputs[:3])
    sizes, keys = query.sizes, key.sizes[-1]
    wide = sizes[-1]
    key, value = (view.spread((*sizes[:-2], *view.sizes[-2:])) if _is_shared(view, sizes) else view
                  for view in (key, value))  # fmt: skip
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
        bias = bias.spread((*sizes[:-1], keys))
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
        emitter.values[node.outputs[1]] = emitter.reshape(best, emitter.shapes.sizes[node.outputs[1]])


def _is_shared(view: View, sizes: Sizes) -> bool:
    """Whether keys or values are the same along axes in front along which the queries differ."""
    front = view.sizes[:-2]
    return len(front) == len(sizes) - 2 and all(a in (ONE, b) for a, b in zip(front, sizes, strict=False))


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
    batch, views = merge_axes(front, views)
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


PRODUCTS: dict[str, Callable[[Emitter, Node], None]] = {
    "Softmax": _softmax, "LayerNormalization": _layer_norm, "Linear": _linear, "Embed": _embed,
    "Attention": _attention, "MatMul": _matmul,
}  # fmt: skip
