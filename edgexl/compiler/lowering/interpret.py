"""A plan in plain numpy: what the native engine computes, for tests and for the compiler's own reference.

Integer steps give the engine's very numbers; the others differ in the last digits.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgexl.base.arrays import Array
from edgexl.bundle.parameters import GRAPH_INPUTS
from edgexl.bundle.plan import (
    BLOCK,
    PANEL,
    TYPE_BYTES,
    Activation,
    Function,
    Operand,
    Operation,
    Place,
    Plan,
    Reduction,
    Scales,
    Type,
)  # fmt: skip
from edgexl.bundle.weights import unpack_weights

_DTYPES = {Type.F32: np.float32, Type.U8: np.uint8, Type.I8: np.int8, Type.I32: np.int32, Type.I64: np.int64}


class PlanSession:
    """A plan with its weights, run as `edgexl.compiler.graphs.graph.Session` runs a model."""

    def __init__(self, plan: bytes, weights: bytes | memoryview, outputs: tuple[str, ...]) -> None:
        self.plan = Plan.unpack(plan)
        self._weights = [
            np.frombuffer(content, _DTYPES[Type(kind)]) for kind, _, content in unpack_weights(weights).values()
        ]
        inputs = [buffer for buffer in self.plan.buffers if buffer.place == Place.INPUT]
        self.input_names = tuple(GRAPH_INPUTS[buffer.index] for buffer in inputs)
        self.output_names = outputs

    def run(self, feeds: dict[str, Array]) -> list[Array]:
        """Outputs in order; `feeds` may hold more than the plan takes."""
        tokens = labels = 1
        for buffer in self.plan.buffers:
            if buffer.place == Place.INPUT:
                count = feeds[GRAPH_INPUTS[buffer.index]].size // buffer.elements.coefficient
                tokens, labels = (count if buffer.elements.t else tokens), (count if buffer.elements.n else labels)
        run = _Run(self.plan, self._weights, feeds, tokens, labels)
        for operation in self.plan.operations:
            run.step(operation)
        return run.outputs()


class _Run:
    """Buffers at one text length and shortlist length."""

    def __init__(self, plan: Plan, weights: list[Array], feeds: dict[str, Array], tokens: int, labels: int) -> None:
        self.plan, self.tokens, self.labels = plan, tokens, labels
        arena = np.zeros(plan.arena_bytes, np.uint8)
        self.buffers: list[Array] = []
        for buffer in plan.buffers:
            count = buffer.elements.at(tokens, labels)
            if buffer.place == Place.INPUT:
                self.buffers.append(np.ascontiguousarray(feeds[GRAPH_INPUTS[buffer.index]]).reshape(-1))
            elif buffer.place == Place.WEIGHT:
                self.buffers.append(weights[buffer.index])
            elif buffer.place == Place.OUTPUT:
                self.buffers.append(np.zeros(count, _DTYPES[buffer.type]))
            else:
                end = buffer.offset_bytes + count * TYPE_BYTES[buffer.type]
                self.buffers.append(arena[buffer.offset_bytes : end].view(_DTYPES[buffer.type]))

    def outputs(self) -> list[Array]:
        """In order, with a batch axis of 1 and T or N behind it."""
        found = {}
        for buffer, array in zip(self.plan.buffers, self.buffers, strict=True):
            if buffer.place == Place.OUTPUT:
                rows = self.tokens if buffer.elements.t else self.labels if buffer.elements.n else 1
                shape = (1, rows, -1) if buffer.elements.coefficient > 1 and rows != 1 else (1, -1)
                if buffer.elements.t:
                    shape = (1, rows, -1)
                found[buffer.index] = array.reshape(shape)
        return [found[place] for place in sorted(found)]

    def view(self, operation: Operation, place: int) -> Array | None:
        """An operand over the operation's four sizes."""
        operand: Operand | None = operation.operands[place]
        if operand is None:
            return None
        array = self.buffers[operand.buffer][operand.offset.at(self.tokens, self.labels) :]
        sizes = [size.at(self.tokens, self.labels) for size in operation.sizes]
        strides = [stride.at(self.tokens, self.labels) for stride in operand.strides]
        shape = [size if stride else 1 for size, stride in zip(sizes, strides, strict=True)]
        assert sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) < array.size
        return np.lib.stride_tricks.as_strided(array, shape, [stride * array.itemsize for stride in strides])

    def step(self, operation: Operation) -> None:
        sizes = [size.at(self.tokens, self.labels) for size in operation.sizes]
        views = [self.view(operation, place) for place in range(len(operation.operands))]
        with np.errstate(all="ignore"):
            getattr(self, f"_{operation.code.name.lower()}")(operation, sizes, views)

    def _rows(self, operation: Operation, place: int, rows: int, wide: int) -> Array:
        """An operand as [rows, wide], numbers of a row side by side."""
        operand = operation.operands[place]
        assert operand is not None
        array = self.buffers[operand.buffer][operand.offset.at(self.tokens, self.labels) :]
        stride = operand.strides[0].at(self.tokens, self.labels) * array.itemsize
        return np.lib.stride_tricks.as_strided(array, (rows, wide), (stride, array.itemsize))

    def _linear_int8(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        rows, depth, columns, _ = sizes
        codes, scale, zero = quantise_rows(self._rows(operation, 1, rows, depth))
        weights, table = self._matrix(operation, 2), self._matrix(operation, 3).reshape(3, -1)[:, :columns]
        deep = depth + -depth % 16
        matrix = weights.reshape(-1, deep // 4, PANEL, 4).transpose(1, 3, 0, 2).reshape(deep, -1)[:depth, :columns]
        # doubles hold every integer sum exactly
        sums = (codes.astype(np.float64) @ matrix.astype(np.float64)).astype(np.int32) - zero[:, None] * table[2]
        product = sums.astype(np.float32) * (scale[:, None] * table[1].view(np.float32))
        self._finish(operation, sizes, product + table[0].view(np.float32))

    def _linear_f32(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        rows, depth, columns, _ = sizes
        matrix = self._matrix(operation, 2).reshape(-1, depth, PANEL).swapaxes(0, 1).reshape(depth, -1)[:, :columns]
        bias = self._matrix(operation, 3).view(np.float32)[:columns]
        self._finish(operation, sizes, self._rows(operation, 1, rows, depth) @ matrix + bias)

    def _linear_blocks(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        rows, depth, columns, bits = sizes
        blocks = depth // BLOCK
        codes, scale, zero = quantise_rows(self._rows(operation, 1, rows, depth))
        packed = self._matrix(operation, 2)
        if bits == 4:
            nibbles = packed.view(np.uint8).reshape(-1, PANEL * BLOCK // 2)
            packed = np.concatenate([nibbles & 15, nibbles >> 4], 1).astype(np.int8) - np.int8(8)
        panels = packed.reshape(-1, blocks, BLOCK // 4, PANEL, 4).transpose(1, 2, 4, 0, 3).reshape(blocks, BLOCK, -1)
        table = self._matrix(operation, 3).reshape(1 + 2 * blocks, -1)[:, :columns]
        product = np.zeros((rows, columns), np.float32)
        for block in range(blocks):
            part = codes[:, block * BLOCK : (block + 1) * BLOCK].astype(np.float64)
            sums = (part @ panels[block, :, :columns].astype(np.float64)).astype(np.int32)
            sums -= zero[:, None] * table[2 + 2 * block]
            product += sums.astype(np.float32) * table[1 + 2 * block].view(np.float32)
        self._finish(operation, sizes, product * scale[:, None] + table[0].view(np.float32))

    def _matrix(self, operation: Operation, place: int) -> Array:
        operand = operation.operands[place]
        assert operand is not None
        return self.buffers[operand.buffer]

    def _finish(self, operation: Operation, sizes: list[int], product: Array) -> None:
        if operation.function == Activation.RELU:
            product = np.maximum(product, 0)
        elif operation.function == Activation.GELU:
            product = _gelu(product)
        elif operation.function == Activation.TANH:
            product = np.tanh(product)
        if operation.operands[4] is not None:
            product = product + self._rows(operation, 4, sizes[0], sizes[2])
        self._rows(operation, 0, sizes[0], sizes[2])[...] = product

    def _layer_norm(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        x = self._rows(operation, 1, *sizes[:2])
        centred = x - x.mean(1, keepdims=True, dtype=np.float32)
        spread = (centred * centred).mean(1, keepdims=True, dtype=np.float32)
        result = centred / np.sqrt(spread + np.float32(operation.numbers[0]))
        for place, join in ((2, np.multiply), (3, np.add)):
            if operation.operands[place] is not None:
                result = join(result, self._matrix(operation, place))
        self._rows(operation, 0, *sizes[:2])[...] = result

    def _attention(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        out, query, key, value, bias, best = views
        scores = np.einsum("hqw,hkw->hqk", query[:, :, 0], key[:, 0]) * np.float32(operation.numbers[0])
        if bias is not None:
            scores = scores + bias[:, :, :, 0]
        top = scores.max(2, keepdims=True)
        if best is not None:
            best[:, :, 0, 0] = top[:, :, 0]
        shares = np.exp(scores - top)
        shares /= shares.sum(2, keepdims=True)
        out[:, :, 0] = np.einsum("hqk,hkw->hqw", shares, value[:, 0])

    def _embed(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        rows, wide = sizes[:2]
        ids = self._rows(operation, 1, rows, 1)[:, 0]
        if operation.function == Scales.BLOCKS:
            pairs = self._matrix(operation, 2).reshape(-1, wide // 2)[ids].view(np.uint8)
            codes = np.stack([pairs & 15, pairs >> 4], -1).reshape(rows, -1, BLOCK).astype(np.float32) - 8
            scales = self._matrix(operation, 3).reshape(-1, wide // BLOCK)[ids]
            self._rows(operation, 0, rows, wide)[...] = (codes * scales[..., None]).reshape(rows, wide)
            return
        found = self._matrix(operation, 2).reshape(-1, wide)[ids].astype(np.float32)
        if operation.operands[3] is not None:
            found *= self._matrix(operation, 3)[ids][:, None]
        self._rows(operation, 0, rows, wide)[...] = found

    def _map(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        out, *inputs = [view for view in views if view is not None]
        out[...] = _FUNCTIONS[Function(operation.function)](*inputs)

    def _reduce(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        out, source = views[0], views[1]
        source = np.broadcast_to(source, sizes)
        axes = tuple(axis for axis, size in enumerate(out.shape) if size == 1 and sizes[axis] > 1)
        kinds: dict[Reduction, Any] = {Reduction.MAX: np.max, Reduction.MEAN: np.mean}
        out[...] = kinds.get(Reduction(operation.function), np.sum)(source, axis=axes, keepdims=True)

    def _softmax(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        x = self._rows(operation, 1, *sizes[:2])
        shares = np.exp(x - x.max(1, keepdims=True))
        self._rows(operation, 0, *sizes[:2])[...] = shares / shares.sum(1, keepdims=True)

    def _matmul(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        out, left, right = views[:3]
        out[:, :, 0] = np.einsum("bmk,bkn->bmn", left[..., 0], right[:, 0])

    def _shift(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        out, source = views[:2]
        source = np.broadcast_to(source, sizes)
        shifted = np.zeros(sizes, np.int64)
        if operation.function == 1:
            shifted[..., 1:] = source[..., :-1]
        else:
            shifted[..., :-1] = source[..., 1:]
        out[...] = shifted

    def _running_sum(self, operation: Operation, sizes: list[int], views: list[Any]) -> None:
        out, source = views[:2]
        out[...] = np.cumsum(np.broadcast_to(source, sizes), -1)


def quantise_rows(x: Array) -> tuple[Array, Array, Array]:
    """Codes 0 to 255, scale and zero point of each row: 0 is a code, and so are the row's ends."""
    low, high = np.minimum(x.min(1), 0), np.maximum(x.max(1), 0)
    scale = ((high - low) * np.float32(1 / 255)).astype(np.float32)
    inverse = np.divide(np.float32(1), scale, out=np.zeros_like(scale), where=scale >= np.float32(1e-30))
    zero = np.rint(-low * inverse).astype(np.int32)
    codes = np.clip(np.rint(x * inverse[:, None]) + zero[:, None], 0, 255).astype(np.uint8)
    return codes, np.where(inverse > 0, scale, np.float32(0)), zero


def _erf(x: Array) -> Array:
    """The engine's rational function, within 5e-7 of erf."""
    x = np.clip(x, np.float32(-4), np.float32(4))
    square = x * x
    above = below = np.zeros_like(x)
    for factor in _ERF_ABOVE:
        above = above * square + np.float32(factor)
    for factor in _ERF_BELOW:
        below = below * square + np.float32(factor)
    result: Array = x * above / below
    return result


_ERF_ABOVE = (
    -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05, -7.34990630326855e-04,
    -2.95459980854025e-03, -1.60960333262415e-02,
)  # fmt: skip
_ERF_BELOW = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)


_GELU_ABOVE = (-7.076955537e-08, 4.339375346e-05, 4.069003620e-03, 2.817381817e-02, 3.989481449e-01)
_GELU_BELOW = (1.319558006e-03, 2.466550938e-02, 2.373574529e-01, 1.0)


def _gelu(x: Array) -> Array:
    """The runtime's rational function of native_float.h, step for step: a last digit that differs may move an
    activation by one of its 255 steps, and the shortlist with it."""
    t = np.clip(x, np.float32(-5), np.float32(5))
    s = t * t
    above, below = np.float32(_GELU_ABOVE[0]), np.float32(_GELU_BELOW[0])
    for number in _GELU_ABOVE[1:]:
        above = above * s + np.float32(number)
    for number in _GELU_BELOW[1:]:
        below = below * s + np.float32(number)
    result: Array = x * (t * above / below + np.float32(0.5))
    return result


def _divide_ints(a: Array, b: Array) -> Array:
    """Towards zero; 0 where the divisor is."""
    safe = np.where(b == 0, 1, b)
    return np.where(b == 0, 0, np.sign(a) * np.sign(safe) * (np.abs(a) // np.abs(safe)))


_FUNCTIONS: dict[Function, Any] = {
    Function.COPY: lambda a: a, Function.COPY_INT: lambda a: a,
    Function.ADD: np.add, Function.SUB: np.subtract, Function.MUL: np.multiply, Function.DIV: np.divide,
    Function.MAX: np.maximum, Function.MIN: np.minimum, Function.SQRT: np.sqrt, Function.ERF: _erf,
    Function.TANH: np.tanh, Function.EXP: np.exp, Function.RELU: lambda a: np.maximum(a, 0),
    Function.GELU: _gelu,
    Function.SIGMOID: lambda a: 1 / (1 + np.exp(-a)),
    Function.ADD_INT: np.add, Function.SUB_INT: np.subtract, Function.MUL_INT: np.multiply,
    Function.DIV_INT: _divide_ints,
    Function.MOD_INT: lambda a, b: np.where(b == 0, 0, np.mod(a, np.where(b == 0, 1, b))),
    Function.MAX_INT: np.maximum, Function.MIN_INT: np.minimum, Function.EQUAL: np.equal,
    Function.GREATER: np.greater, Function.GREATER_OR_EQUAL: np.greater_equal,
    Function.AND: lambda a, b: (a != 0) & (b != 0), Function.OR: lambda a, b: (a != 0) | (b != 0),
    Function.NOT: lambda a: a == 0, Function.WHERE_INT: lambda c, a, b: np.where(c != 0, a, b),
    Function.TO_FLOAT: lambda a: a.astype(np.float32), Function.TO_INT: np.trunc,
    Function.WHERE: lambda c, a, b: np.where(c != 0, a, b),
}  # fmt: skip
