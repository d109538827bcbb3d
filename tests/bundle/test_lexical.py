"""The lexical section: it comes back as it was packed, and what is not as docs/format.md says is refused."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgexl.base.errors import BadInput
from edgexl.bundle.lexical import (
    FAR,
    Lexical,
    decode_list,
    decode_numbers,
    encode_lists,
    encode_numbers,
    unpack_lexical,
)
from edgexl.index.lexical import build_lexical

TEXTS = ["red apple 7", "green apple", "blue sky", "red sky 90", ""]
HEADER = 64


@pytest.fixture(scope="module")
def lexical() -> Lexical:
    return build_lexical(TEXTS)


def test_it_comes_back(lexical: Lexical) -> None:
    section = lexical.pack()
    again = unpack_lexical(section, len(TEXTS))
    assert again.pack() == section
    assert (again.rows, again.terms, again.dense, again.listed) == (5, 7, 0, 3)
    assert again.singles.tolist() == [0, 3, 2, 1]  # 7, 90, blue, green
    assert unpack_lexical(section, len(TEXTS) + 1).rows == len(TEXTS)  # the last rows may be left out


@pytest.mark.parametrize(("at", "value"), [(0, 1), (4, 0), (4, 6), (8, 2), (12, 1 << 31), (20, 0), (24, 0), (32, 1)])
def test_a_header_that_is_wrong(lexical: Lexical, at: int, value: int) -> None:
    section = bytearray(lexical.pack())
    section[at : at + 4] = value.to_bytes(4, "little")
    with pytest.raises(BadInput, match="lexical section has"):
        unpack_lexical(bytes(section), len(TEXTS))


def test_tables_that_are_wrong(lexical: Lexical) -> None:
    section = lexical.pack()
    starts = HEADER + 4 * 256
    for at, value in ((HEADER, b"\0\0\xc0\x7f"), (HEADER, bytes(4)), (starts, b"\1"), (starts + 4, b"\xff")):
        changed = section[:at] + value + section[at + len(value) :]
        with pytest.raises(BadInput, match=r"norm|offsets"):
            unpack_lexical(changed, len(TEXTS))
    last = len(section) - len(TEXTS) - lexical.terms - len(lexical.feature_lists) - 1
    with pytest.raises(BadInput, match="does not end"):
        unpack_lexical(section[:last] + b"\x80" + section[last + 1 :], len(TEXTS))
    for cut in (section[:-1], section + b"\0", section[:40], b""):
        with pytest.raises(BadInput, match=r"length|short"):
            unpack_lexical(cut, len(TEXTS))
    with pytest.raises(BadInput, match="header"):
        unpack_lexical(section, len(TEXTS) - 1)


@given(st.lists(st.sets(st.integers(0, 1 << 31), max_size=9), max_size=9))
def test_lists(lists: list[set[int]]) -> None:
    values = np.array([number for numbers in lists for number in sorted(numbers)], np.int64)
    data, starts = encode_lists(values, np.cumsum([0, *map(len, lists)]))
    pieces = [data[begin:end] for begin, end in pairwise(starts)]
    assert [set(decode_list(piece).tolist()) for piece in pieces] == lists


def test_a_list_by_hand() -> None:
    """Steps of 1 and of 2 bytes, and a far one."""
    numbers = [0, 256, 513, 10514, 10524, 10526, 10529, 10533, 10541]
    far = [*numbers[:3], *(number + FAR for number in numbers[3:])]
    for some, kinds in ((numbers, "0c 00 ff 00 01 10 27"), (far, "0c 00 ff 00 01 ff ff 0f 27 01 00")):
        data, starts = encode_lists(np.array([*some, 7], np.int64), np.array([0, 0, 9, 10]))
        assert data.hex(" ") == kinds + " 09 01 02 03 00 07" + " 00 07"
        assert starts.tolist() == [0, 0, len(data) - 2, len(data)]
        assert decode_list(data[: starts[2]]).tolist() == some
    assert encode_lists(np.zeros(0, np.int64), np.zeros(2, np.int64))[0] == b""


def test_numbers_by_hand() -> None:
    data, starts = encode_numbers(np.array([0, 127, 128, 300, (1 << 32) - 1]), np.array([0, 2, 5]))
    assert data == b"\0\x7f" + b"\x80\1\xac\2\xff\xff\xff\xff\x0f"
    assert starts.tolist() == [0, 2, 11]
    assert decode_numbers(data).tolist() == [0, 127, 128, 300, (1 << 32) - 1]
    assert decode_numbers(b"").tolist() == []
