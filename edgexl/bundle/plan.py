"""The plan section: what the native engine runs in the place of a graph (docs/format.md, "Plan sections").

A plan is a flat list of operations over buffers whose places are fixed when it is made. Sizes are monomials in T (the
text's tokens) and N (the shortlist's labels), so that one plan serves every length.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum

from edgexl.base.errors import BadInput

VERSION = 1
MAX_RECORDS = 4096
NO_BUFFER = 0xFFFFFFFF
OPERANDS = 6
# Packed matrices: columns of a panel, rows of a block with scales of its own.
PANEL, BLOCK = 16, 32
_HEAD = struct.Struct("<8IQ24x")
_BUFFER = struct.Struct("<4IQ8x")
_OPERATION = struct.Struct("<HH4I36I2f4x")
assert (_HEAD.size, _BUFFER.size, _OPERATION.size) == (64, 32, 176)


@dataclass(frozen=True, order=True)
class Size:
    """coefficient x T^t x N^n, with t and n from 0 to 3."""

    coefficient: int = 1
    t: int = 0
    n: int = 0

    def __mul__(self, other: Size) -> Size:
        return Size(self.coefficient * other.coefficient, self.t + other.t, self.n + other.n).normal()

    def __add__(self, other: Size) -> Size:
        if self.coefficient == 0 or other.coefficient == 0:
            return other if self.coefficient == 0 else self
        if (self.t, self.n) != (other.t, other.n):
            raise ArithmeticError(f"{self} + {other} is no single product")
        return Size(self.coefficient + other.coefficient, self.t, self.n)

    def __str__(self) -> str:
        return "".join([str(self.coefficient), "T" * self.t, "N" * self.n])

    def normal(self) -> Size:
        """The one form that 0 has."""
        return self if self.coefficient else Size(0)

    def over(self, other: Size) -> Size | None:
        """This size divided by `other`, where that is a size."""
        if not other.coefficient or self.coefficient % other.coefficient or self.t < other.t or self.n < other.n:
            return None
        return Size(self.coefficient // other.coefficient, self.t - other.t, self.n - other.n)

    def at(self, tokens: int, labels: int) -> int:
        """The number for a text of `tokens` and a shortlist of `labels`."""
        return self.coefficient * int(tokens**self.t) * int(labels**self.n)

    def pack(self) -> int:
        """28 bits coefficient, 2 bits t, 2 bits n."""
        assert 0 <= self.coefficient < 1 << 28
        assert self.t < 4
        assert self.n < 4
        return self.coefficient | self.t << 28 | self.n << 30

    @classmethod
    def unpack(cls, word: int) -> Size:
        """Read `pack`'s number."""
        return cls(word & (1 << 28) - 1, word >> 28 & 3, word >> 30)


ONE, ZERO = Size(1), Size(0)


class Place(IntEnum):
    """Where a buffer lies: `index` is a graph input's bit, an output's position or a weight's position."""

    ARENA = 0
    INPUT = 1
    OUTPUT = 2
    WEIGHT = 3


class Type(IntEnum):
    """Element types, with ONNX's numbers."""

    F32 = 1
    U8 = 2
    I8 = 3
    I32 = 6
    I64 = 7


TYPE_BYTES = {Type.F32: 4, Type.U8: 1, Type.I8: 1, Type.I32: 4, Type.I64: 8}


class Code(IntEnum):
    """Operations; docs/format.md says what each does with its sizes and operands."""

    LINEAR_INT8 = 1
    LINEAR_F32 = 2
    LINEAR_BLOCKS = 3
    LAYER_NORM = 4
    ATTENTION = 5
    EMBED = 6
    MAP = 7
    REDUCE = 8
    SOFTMAX = 9
    MATMUL = 10
    SHIFT = 11
    RUNNING_SUM = 12


class Function(IntEnum):
    """What `MAP` does to its operands a, b, c. Up to 31: numbers to numbers; from 32: integers to integers; 64 on:
    between the two."""

    COPY = 1
    ADD = 2
    SUB = 3
    MUL = 4
    DIV = 5
    MAX = 6
    MIN = 7
    SQRT = 8
    ERF = 9
    TANH = 10
    EXP = 11
    RELU = 12
    GELU = 13
    SIGMOID = 14
    COPY_INT = 32
    ADD_INT = 33
    SUB_INT = 34
    MUL_INT = 35
    DIV_INT = 36
    MOD_INT = 37
    MAX_INT = 38
    MIN_INT = 39
    EQUAL = 40
    GREATER = 41
    GREATER_OR_EQUAL = 42
    AND = 43
    OR = 44
    NOT = 45
    WHERE_INT = 46
    TO_FLOAT = 64
    TO_INT = 65
    WHERE = 66


class Scales(IntEnum):
    """What of a table of codes that `EMBED` looks up has a scale: its rows of i8, or blocks of 32 numbers of 4 bits."""

    ROWS = 0
    BLOCKS = 1


class Activation(IntEnum):
    """What a linear operation does last."""

    NONE = 0
    RELU = 1
    GELU = 2
    TANH = 3


class Reduction(IntEnum):
    """What `REDUCE` does along the axes in which its result has stride 0."""

    SUM = 1
    MAX = 2
    MEAN = 3
    SUM_INT = 32


@dataclass(frozen=True)
class Buffer:
    """`elements` of `type`; in the arena they begin at `offset_bytes`."""

    place: Place
    index: int
    type: Type
    elements: Size
    offset_bytes: int = 0


@dataclass(frozen=True)
class Operand:
    """Elements of a buffer: from `offset` on, one stride for each of the operation's four sizes."""

    buffer: int
    offset: Size = ZERO
    strides: tuple[Size, Size, Size, Size] = (ZERO, ZERO, ZERO, ZERO)


@dataclass(frozen=True)
class Operation:
    """One step: `sizes` and `operands` mean what docs/format.md says for its code."""

    code: Code
    function: int
    sizes: tuple[Size, Size, Size, Size]
    operands: tuple[Operand | None, ...]
    numbers: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True)
class Plan:
    """A lowered graph for texts of at most `max_tokens` and shortlists of at most `max_labels`."""

    max_tokens: int
    max_labels: int
    arena_bytes: int
    weights: int
    buffers: tuple[Buffer, ...] = field(repr=False)
    operations: tuple[Operation, ...] = field(repr=False)

    def pack(self) -> bytes:
        """The section."""
        sizes = (VERSION, len(self.buffers), len(self.operations), self.weights, self.max_tokens, self.max_labels)
        parts = [_HEAD.pack(*sizes, 0, 0, self.arena_bytes)]
        parts += [_BUFFER.pack(b.place, b.index, b.type, b.elements.pack(), b.offset_bytes) for b in self.buffers]
        parts += [_pack_operation(operation) for operation in self.operations]
        return b"".join(parts)

    @classmethod
    def unpack(cls, section: bytes) -> Plan:
        """Read a section. Raises `BadInput` where it is cut off or holds an unknown number; places and extents are for
        the engine to check, which refuses them."""
        if len(section) < _HEAD.size:
            raise BadInput("A plan of the bundle is cut off.")
        version, buffers, operations, weights, tokens, labels, _, _, arena = _HEAD.unpack_from(section)
        end = _HEAD.size + buffers * _BUFFER.size + operations * _OPERATION.size
        if version != VERSION or max(buffers, operations) > MAX_RECORDS or end != len(section):
            raise BadInput("A plan of the bundle does not have the size that it states.")
        middle = _HEAD.size + buffers * _BUFFER.size
        try:
            found = [
                Buffer(Place(place), index, Type(kind), Size.unpack(elements), offset)
                for place, index, kind, elements, offset in _BUFFER.iter_unpack(section[_HEAD.size : middle])
            ]
            steps = [_unpack_operation(fields) for fields in _OPERATION.iter_unpack(section[middle:])]
        except ValueError as error:
            raise BadInput(f"A plan of the bundle holds a number that no version knows: {error}.") from None
        return cls(tokens, labels, arena, weights, tuple(found), tuple(steps))


def _pack_operation(operation: Operation) -> bytes:
    words: list[int] = [size.pack() for size in operation.sizes]
    operands = [*operation.operands, *[None] * (OPERANDS - len(operation.operands))]
    for operand in operands:
        if operand is None:
            words += [NO_BUFFER, 0, 0, 0, 0, 0]
        else:
            words += [operand.buffer, operand.offset.pack(), *(stride.pack() for stride in operand.strides)]
    return _OPERATION.pack(operation.code, operation.function, *words, *operation.numbers)


def _unpack_operation(fields: tuple[int | float, ...]) -> Operation:
    code, function, *rest = fields
    words = [int(word) for word in rest[: 4 + 6 * OPERANDS]]
    sizes = [Size.unpack(word) for word in words]
    operands: list[Operand | None] = []
    for place in range(4, len(words), 6):
        strides = (sizes[place + 2], sizes[place + 3], sizes[place + 4], sizes[place + 5])
        operands.append(None if words[place] == NO_BUFFER else Operand(words[place], sizes[place + 1], strides))
    shape = (sizes[0], sizes[1], sizes[2], sizes[3])
    return Operation(Code(int(code)), int(function), shape, tuple(operands), (float(rest[-2]), float(rest[-1])))
