"""What the cost of an operation grows with, from the plan alone: numbers that a cost model weighs.

Each kind of operation has a few, all of them counts of something that the kernels do (docs/architecture.md, "native
engine"): calls, rows, tiles of a product, elements that are packed, exponentiated, normed. Costs are sums of them, with
weights that differ between processors (`edgexl.cost.model`). A number's name begins with its operation's, so that those
of operations of different kinds can be added.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edgexl.bundle.plan import BLOCK, PANEL, Code, Function, Operation, Plan, Reduction

# Rows of a product's tile: what the kernels take at most is 4, 6 or 8 (native.h). A last tile costs nearly a whole one.
_TILES = (4, 6, 8)
_LINEAR = (Code.LINEAR_INT8, Code.LINEAR_F32, Code.LINEAR_BLOCKS)

Features = dict[str, float]


def name_operation(operation: Operation) -> str:
    """What operations share their weights: a kind, and for functions of elements the function."""
    code = Code(operation.code)
    if code == Code.MAP:
        return f"map {Function(operation.function).name.lower()}"
    if code == Code.REDUCE:
        return f"reduce {Reduction(operation.function).name.lower()}"
    return code.name.lower()


# What a query streams through the caches pushes out what is small: so many bytes push out about all that a processor's
# second level holds, and its share of the third.
COLD_LEVELS = {"1M": 1 << 20, "4M": 1 << 22}


def measure_operation(operation: Operation, tokens: int, labels: int, streamed: float = 0.0) -> Features:
    """The numbers of an operation for a text of `tokens` and a shortlist of `labels`, by name; 0 is left out.
    `streamed`: the bytes that a query reads in all, by which the operation's own are found in a cache or not."""
    sizes = [size.at(tokens, labels) for size in operation.sizes]
    found = _measure(operation, sizes)
    if Code(operation.code) in _LINEAR:
        found |= cold("weights", weight_bytes(operation), streamed)
    elif Code(operation.code) == Code.EMBED:
        found |= cold("rows", sizes[0], streamed)
    kind = name_operation(operation)
    return {f"{kind}.{name}": float(value) for name, value in found.items() if value}


def measure_plan(plan: Plan, tokens: int, labels: int, streamed: float = 0.0) -> list[tuple[str, Features]]:
    """(name, numbers) of each operation of a plan."""
    return [(name_operation(each), measure_operation(each, tokens, labels, streamed)) for each in plan.operations]


def cold(name: str, count: float, streamed: float) -> Features:
    """How many of the things counted are not in a cache any more, for each of `COLD_LEVELS`."""
    return {f"cold {name} {level}": count * min(1.0, streamed / size) for level, size in COLD_LEVELS.items()}


def weight_bytes(operation: Operation) -> float:
    """The bytes of a product's constant weights; 0 of other operations."""
    if Code(operation.code) not in _LINEAR:
        return 0.0
    numbers = _fill(operation.sizes[1].coefficient) * _fill(operation.sizes[2].coefficient)
    bits = {Code.LINEAR_F32: 32, Code.LINEAR_INT8: 8}.get(Code(operation.code), operation.sizes[3].coefficient)
    return numbers * bits / 8


def add_features(parts: Iterable[Features]) -> Features:
    """The numbers of all parts together."""
    found: Features = {}
    for part in parts:
        for name, value in part.items():
            found[name] = found.get(name, 0.0) + value
    return found


def _measure(operation: Operation, sizes: Sequence[int]) -> Features:
    code = Code(operation.code)
    if code in _LINEAR:
        return _linear(operation, sizes)
    if code == Code.ATTENTION:
        return _attention(operation, sizes)
    if code in (Code.LAYER_NORM, Code.EMBED, Code.SOFTMAX):
        return {"calls": 1, "rows": sizes[0], "elements": sizes[0] * sizes[1]}
    if code == Code.MATMUL:
        batch, rows, depth, columns = sizes
        return {
            "calls": 1, "packed": batch * depth * _fill(columns), "macs": batch * rows * depth * _fill(columns),
            "out": batch * rows * columns,
        }  # fmt: skip
    return _each_element(operation, sizes)


def _linear(operation: Operation, sizes: Sequence[int]) -> Features:
    rows, depth, columns = sizes[:3]
    deep, wide = _fill(depth), _fill(columns)
    found: Features = {"calls": 1, "rows": rows, "quantised": rows * deep, "finished": rows * wide}
    found |= {f"tiles of {most}": -(-rows // most) * deep * wide for most in _TILES}
    found |= {"macs": rows * deep * wide, "weights": deep * wide}
    if operation.function:
        found[f"activated {operation.function}"] = rows * wide
    if operation.code == Code.LINEAR_BLOCKS:
        found["blocks"] = rows * (depth // BLOCK) * wide
        found["unpacked"] = deep * wide if sizes[3] != 8 else 0
    return found


def _attention(operation: Operation, sizes: Sequence[int]) -> Features:
    heads, queries, keys, width = sizes
    biased = len(operation.operands) > 4 and operation.operands[4] is not None
    return {
        "calls": 1,
        "heads": heads,
        "packed": heads * (width * _fill(keys) + keys * _fill(width)),
        "score macs": heads * queries * _fill(keys) * width,
        "value macs": heads * queries * _fill(width) * keys,
        "softmax rows": heads * queries,
        "softmax": heads * queries * _fill(keys),
        "bias": heads * queries * _fill(keys) if biased else 0,
    }


def _each_element(operation: Operation, sizes: Sequence[int]) -> Features:
    """Loops over four axes: the innermost is fast where all operands lie side by side along it, or stand still."""
    elements = sizes[0] * sizes[1] * sizes[2] * sizes[3]
    steps = [operand.strides[3].coefficient for operand in operation.operands if operand is not None]
    together = all(step in (0, 1) for step in steps)
    return {
        "calls": 1,
        "rows": elements // max(1, sizes[3]),
        ("elements" if together else "scattered"): elements,
    }


def _fill(size: int) -> int:
    return -(-size // PANEL) * PANEL
