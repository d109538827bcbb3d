"""Lower: one graph becomes a plan and its weights."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from edgexl.bundle.plan import TYPE_BYTES, Buffer, Operation, Place, Plan
from edgexl.bundle.weights import Tensor
from edgexl.compiler.lowering.emit import Emitter
from edgexl.compiler.lowering.emit_elements import ELEMENTS
from edgexl.compiler.lowering.emit_products import PRODUCTS
from edgexl.compiler.lowering.limits import find_exceeded
from edgexl.compiler.lowering.nodes import NotCovered, read
from edgexl.compiler.lowering.recognise import recognise

# Cache lines, and the widest vector load.
ALIGNMENT_BYTES = 64


@dataclass(frozen=True)
class Lowered:
    """A plan, the weights that it names by position, the graph's input and output names in order, and how often each
    rule of `recognise` found its pattern."""

    plan: Plan
    weights: dict[str, Tensor]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    rules: dict[str, int]


def lower_graph(model: bytes, max_tokens: int, max_labels: int, outputs: tuple[str, ...] | None = None) -> Lowered:
    """The plan of a serialised ONNX model for texts of `max_tokens` and shortlists of `max_labels` at most, with those
    of its `outputs` (all of them).

    Raises `NotCovered` naming the operators that the native engine does not cover, and the limits of plans that the
    graph breaks.
    """
    graph = read(model)
    graph.outputs = outputs or graph.outputs
    shapes, rules = recognise(graph)
    emitter = Emitter(graph, shapes)
    emitter.run({**ELEMENTS, **PRODUCTS})
    buffers, arena_bytes = arrange(emitter.buffers, emitter.operations, max_tokens, max_labels)
    plan = Plan(max_tokens, max_labels, arena_bytes, len(emitter.weights), tuple(buffers), tuple(emitter.operations))
    if limits := find_exceeded(plan):
        raise NotCovered(limits)
    return Lowered(plan, emitter.weights, tuple(graph.inputs), graph.outputs, rules)


def arrange(
    buffers: list[Buffer], operations: list[Operation], max_tokens: int, max_labels: int
) -> tuple[list[Buffer], int]:
    """Places in the arena, and its bytes: two buffers share bytes when no operation lies between both their first and
    last uses. The largest are placed first, each at the lowest place that is free."""
    spans: dict[int, tuple[int, int]] = {}
    for step, operation in enumerate(operations):
        for operand in operation.operands:
            if operand is not None and buffers[operand.buffer].place == Place.ARENA:
                spans[operand.buffer] = (spans.get(operand.buffer, (step, step))[0], step)
    sizes = {
        number: buffers[number].elements.at(max_tokens, max_labels) * TYPE_BYTES[buffers[number].type]
        for number in spans
    }
    placed: list[tuple[int, int, tuple[int, int]]] = []
    result = list(buffers)
    for number in sorted(spans, key=lambda number: (-sizes[number], number)):
        first, last = spans[number]
        length = sizes[number] + -sizes[number] % ALIGNMENT_BYTES
        at = 0
        for begin, end, (other_first, other_last) in sorted(placed):
            if other_last < first or last < other_first:
                continue
            if begin >= at + length:
                break
            at = max(at, end)
        placed.append((at, at + length, (first, last)))
        result[number] = dataclasses.replace(buffers[number], offset_bytes=at)
    return result, max((end for _, end, _ in placed), default=0)
