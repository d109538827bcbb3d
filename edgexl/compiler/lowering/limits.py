"""Limits: what the runtime refuses of a plan (docs/format.md, "Plan sections"), said before anything is packed.

A lowered plan keeps the rules of form by how it is made; here are those that a large student, or one that takes a
constant place of its text, can break.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import log2

from edgexl.bundle.plan import MAX_RECORDS, ONE, OPERANDS, PANEL, Code, Operation, Plan

MOST_WORK = 2**36
MOST_BYTES = 2**31
MOST_SIZE = 2**30
MOST_COEFFICIENT = 2**28 - 1
MOST_POWER = 3
MOST_INT8_DEPTH = 2**16
# What an element of a function counts, in multiply-adds.
ELEMENT = 16

# For each operand, the axes that it walks and the one whose elements lie side by side; None: a whole weight.
_Walk = tuple[tuple[int, ...], int | None] | None
_EACH: _Walk = ((0, 1, 2, 3), None)
_LINEAR: tuple[_Walk, ...] = (((0,), 2), ((0,), 1), None, None, ((0,), 2))
_WALKS: dict[Code, tuple[_Walk, ...]] = {
    Code.LINEAR_INT8: _LINEAR, Code.LINEAR_F32: _LINEAR, Code.LINEAR_BLOCKS: _LINEAR,
    Code.LAYER_NORM: (((0,), 1), ((0,), 1), ((), 1), ((), 1)),
    Code.ATTENTION: (((0, 1), 3), ((0, 1), 3), ((0, 2, 3), None), ((0, 2, 3), None), ((0, 1, 2), None), ((0, 1), None)),
    Code.EMBED: (((0,), 1), ((0,), None), None, None),
    Code.SOFTMAX: (((0,), 1), ((0,), 1)),
    Code.MATMUL: (((0, 1), 3), ((0, 1), 2), ((0, 2, 3), None)),
}  # fmt: skip


def find_exceeded(plan: Plan) -> list[str]:
    """The limits that `plan` breaks, a phrase each; none for a plan that the runtime takes."""
    found = list(_of_records(plan))
    for number, operation in enumerate(plan.operations):
        name = f"operation {number}, {operation.code.name}"
        sizes = _at_largest(plan, operation)
        if max(sizes) > MOST_SIZE:
            found.append(f"an axis of {max(sizes):,} elements ({name})")
        if operation.code == Code.LINEAR_INT8 and sizes[1] > MOST_INT8_DEPTH:
            found.append(f"an int8 product of {sizes[1]:,} rows, at most {MOST_INT8_DEPTH:,} ({name})")
        if count_scratch(operation.code, sizes) > MOST_BYTES:
            found.append(f"an operation that works in {count_scratch(operation.code, sizes):,} bytes ({name})")
        if not all(_stays_inside(plan, operation, place) for place in range(len(operation.operands))):
            found.append(f"a constant place of the text or the shortlist ({name})")
    if (work := count_plan_work(plan)) > MOST_WORK:
        found.append(
            f"2^{log2(work):.1f} multiply-adds at {plan.max_tokens} tokens and {plan.max_labels} labels, "
            f"at most 2^{log2(MOST_WORK):.0f}"
        )
    return found


def _of_records(plan: Plan) -> Iterator[str]:
    if max(len(plan.buffers), len(plan.operations)) > MAX_RECORDS:
        yield f"{max(len(plan.buffers), len(plan.operations)):,} operations or values, at most {MAX_RECORDS:,}"
    if plan.arena_bytes > MOST_BYTES:
        yield f"values of {plan.arena_bytes:,} bytes at a time, at most {MOST_BYTES:,}"
    words = [buffer.elements for buffer in plan.buffers]
    for operation in plan.operations:
        words += operation.sizes
        for operand in operation.operands:
            words += (operand.offset, *operand.strides) if operand else ()
    if max(word.coefficient for word in words) > MOST_COEFFICIENT:
        yield f"a value of {max(word.coefficient for word in words):,} elements, at most {MOST_COEFFICIENT:,}"
    if max(max(word.t, word.n) for word in words) > MOST_POWER:
        yield "a value that grows faster than the third power of the text or the shortlist"


def count_plan_work(plan: Plan) -> int:
    """Multiply-adds at the largest text and shortlist, or what takes as long."""
    return sum(count_work(operation.code, _at_largest(plan, operation)) for operation in plan.operations)


def count_work(code: Code, sizes: tuple[int, ...]) -> int:
    """The same of one operation."""
    a, b, c, d = sizes
    if code in (Code.LINEAR_INT8, Code.LINEAR_F32, Code.LINEAR_BLOCKS):
        return a * _fill_panels(b) * _fill_panels(c)
    if code in (Code.ATTENTION, Code.MATMUL):
        return (2 if code == Code.ATTENTION else 1) * a * b * _fill_panels(c) * _fill_panels(d)
    if code in (Code.LAYER_NORM, Code.SOFTMAX, Code.EMBED):
        return ELEMENT * a * _fill_panels(b)
    return ELEMENT * a * b * c * _fill_panels(d)


def count_scratch(code: Code, sizes: tuple[int, ...]) -> int:
    """Bytes that an operation works in, but for what fills its parts up to 64."""
    a, b, c, d = sizes
    if code in (Code.LINEAR_INT8, Code.LINEAR_BLOCKS):
        return a * (4 * _fill_panels(b) + 8) + (64 * a + 512 if code == Code.LINEAR_BLOCKS else 0)
    if code == Code.ATTENTION:
        return 4 * (d * _fill_panels(c) + c * _fill_panels(d) + 16 * _fill_panels(c))
    if code == Code.MATMUL:
        return 4 * c * _fill_panels(d)
    return 4 * _fill_panels(b) if code == Code.SOFTMAX else 0


def _fill_panels(size: int) -> int:
    return size + -size % PANEL


def _at_largest(plan: Plan, operation: Operation) -> tuple[int, ...]:
    return tuple(size.at(plan.max_tokens, plan.max_labels) for size in operation.sizes)


def _stays_inside(plan: Plan, operation: Operation, place: int) -> bool:
    """Whether an operand stays in its buffer at every T and N from 1 on: offset + run + sum (size - 1) x stride,
    multiplied out, grows no faster than the buffer, and its positive terms are together no more than it."""
    operand = operation.operands[place]
    walk = _WALKS.get(operation.code, (_EACH,) * OPERANDS)[place] if operand else None
    if operand is None or walk is None:
        return True
    axes, run = walk
    buffer = plan.buffers[operand.buffer]
    length = operation.sizes[run] if run is not None else ONE
    sums: dict[tuple[int, int], int] = {}
    for size, sign in [(operand.offset, 1), (length, 1), *((operand.strides[axis], -1) for axis in axes)]:
        sums[size.t, size.n] = sums.get((size.t, size.n), 0) + sign * size.coefficient
    most = plan.max_tokens, plan.max_labels
    last = operand.offset.at(*most) + length.at(*most)
    for axis in axes:
        size, stride = operation.sizes[axis], operand.strides[axis]
        powers = (size.t + stride.t, size.n + stride.n)
        sums[powers] = sums.get(powers, 0) + size.coefficient * stride.coefficient
        last += (size.at(*most) - 1) * stride.at(*most)
    if last <= buffer.elements.coefficient:
        return True
    over = {powers: count for powers, count in sums.items() if count > 0}
    return all(t <= buffer.elements.t and n <= buffer.elements.n for t, n in over) and (
        sum(over.values()) <= buffer.elements.coefficient
    )
