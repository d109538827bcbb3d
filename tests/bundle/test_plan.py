"""Plans come back from their bytes, sizes are sums and products, and what no version knows is refused."""

from __future__ import annotations

import itertools
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgexl.base.errors import BadInput
from edgexl.bundle.plan import (
    ONE,
    TYPE_BYTES,
    ZERO,
    Buffer,
    Code,
    Function,
    Operand,
    Operation,
    Place,
    Plan,
    Size,
    Type,
)

LARGEST = 2**28 - 1
SIZES = st.builds(Size, st.integers(0, LARGEST), st.integers(0, 3), st.integers(0, 3))
FOUR = st.tuples(SIZES, SIZES, SIZES, SIZES)
BUFFERS = st.builds(Buffer, st.sampled_from(Place), st.integers(0, 2**32 - 1), st.sampled_from(Type), SIZES,
                    st.integers(0, 2**63))  # fmt: skip
OPERANDS = st.builds(Operand, st.integers(0, 2**32 - 2), SIZES, FOUR)
NUMBERS = st.tuples(st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False))
OPERATIONS = st.builds(
    Operation, st.sampled_from(Code), st.integers(0, 2**16 - 1), FOUR,
    st.lists(OPERANDS | st.none(), min_size=6, max_size=6).map(tuple), NUMBERS,
)  # fmt: skip
PLANS = st.builds(
    Plan, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**63), st.integers(0, 2**32 - 1),
    st.lists(BUFFERS, max_size=4).map(tuple), st.lists(OPERATIONS, max_size=4).map(tuple),
)  # fmt: skip


@given(PLANS)
def test_plans_come_back(plan: Plan) -> None:
    section = plan.pack()
    assert len(section) == 64 + 32 * len(plan.buffers) + 176 * len(plan.operations)
    assert Plan.unpack(section) == plan


def test_a_plan_by_hand() -> None:
    """Where docs/format.md, "Plan sections", puts each number."""
    strides = (Size(3), Size(4, 1), Size(5, 0, 2), ONE)
    operation = Operation(
        Code.MAP, Function.ADD, (ONE, ONE, Size(7, 1), Size(8)), (Operand(9, Size(2, 1), strides),), (1.5, -2.0)
    )
    section = Plan(11, 12, 13, 14, (Buffer(Place.WEIGHT, 6, Type.I64, Size(5, 3, 1), 640),), (operation,)).pack()
    assert struct.unpack_from("<8IQ", section) == (1, 1, 1, 14, 11, 12, 0, 0, 13)
    assert struct.unpack_from("<4IQ", section, 64) == (3, 6, 7, 5 | 3 << 28 | 1 << 30, 640)
    fields = struct.unpack_from("<HH4I36I2f", section, 96)
    assert fields[:6] == (7, 2, 1, 1, 7 | 1 << 28, 8)
    assert fields[6:12] == (9, 2 | 1 << 28, 3, 4 | 1 << 28, 5 | 2 << 30, 1)
    assert fields[12:42] == (0xFFFFFFFF, 0, 0, 0, 0, 0) * 5
    assert fields[42:] == (1.5, -2.0)


@given(SIZES, SIZES, st.integers(1, 50), st.integers(1, 50))
def test_sizes_are_their_numbers(a: Size, b: Size, tokens: int, labels: int) -> None:
    assert a.at(tokens, labels) == a.coefficient * tokens**a.t * labels**a.n
    assert (a * b).at(tokens, labels) == a.at(tokens, labels) * b.at(tokens, labels)
    assert (a.normal() + ZERO, ZERO + a.normal()) == (a.normal(), a.normal())
    quotient = (a * b).over(b)
    if b.coefficient and a.coefficient:
        assert quotient == a
    else:
        assert quotient is None or quotient.coefficient == 0
    assert Size.unpack(a.pack()) == a
    if a.coefficient and b.coefficient and (a.t, a.n) != (b.t, b.n):
        with pytest.raises(ArithmeticError, match="no single product"):
            _ = a + b
    elif a.coefficient and b.coefficient:
        assert (a + b).at(tokens, labels) == a.at(tokens, labels) + b.at(tokens, labels)


def test_what_is_no_size() -> None:
    assert Size(6, 2, 1).over(Size(3, 1)) == Size(2, 1, 1)
    for other in (Size(4, 1), Size(3, 3), Size(3, 0, 2), ZERO):
        assert Size(6, 2, 1).over(other) is None
    assert (Size(5, 1) * ZERO, Size(0, 2, 1).normal()) == (ZERO, ZERO)
    assert str(Size(3, 2, 1)) == "3TTN"
    for size in (Size(2**28), Size(1, 4), Size(1, 0, 4), Size(-1)):
        with pytest.raises(AssertionError):
            size.pack()


SMALL = Plan(
    8, 4, 64, 1,
    (Buffer(Place.INPUT, 0, Type.I64, Size(1, 1)), Buffer(Place.ARENA, 0, Type.F32, Size(1, 1))),
    (Operation(Code.MAP, Function.TO_FLOAT, (ONE, ONE, ONE, Size(1, 1)), (Operand(1), Operand(0))),),
)  # fmt: skip


@pytest.mark.parametrize(
    ("at", "value", "sentence"),
    [
        (0, 2, "does not have the size"), (0, 0, "does not have the size"), (4, 3, "does not have the size"),
        (4, 4097, "does not have the size"), (8, 2, "does not have the size"), (64, 4, "no version knows"),
        (72, 4, "no version knows"), (72, 0, "no version knows"), (128, 13, "no version knows"),
        (128, 0, "no version knows"),
    ],
)  # fmt: skip
def test_numbers_that_no_version_knows(at: int, value: int, sentence: str) -> None:
    section = bytearray(SMALL.pack())
    struct.pack_into("<H" if at == 128 else "<I", section, at, value)
    with pytest.raises(BadInput, match=sentence):
        Plan.unpack(bytes(section))


def test_plans_that_are_cut_or_too_long() -> None:
    section = SMALL.pack()
    for wrong in (b"", section[:63], section[:-1], section + b"\0", section + bytes(32)):
        with pytest.raises(BadInput, match=r"cut off|the size that it states"):
            Plan.unpack(wrong)
    buffers = tuple(itertools.repeat(SMALL.buffers[0], 4096))
    assert Plan.unpack(Plan(1, 1, 0, 0, buffers, ()).pack()).buffers == buffers
    with pytest.raises(BadInput, match="the size that it states"):
        Plan.unpack(Plan(1, 1, 0, 0, (*buffers, SMALL.buffers[0]), ()).pack())


def test_types_are_as_wide_as_they_are() -> None:
    assert TYPE_BYTES == {Type.F32: 4, Type.U8: 1, Type.I8: 1, Type.I32: 4, Type.I64: 8}
