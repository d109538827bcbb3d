"""What was found out is found out once, and again for anything else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgexl.index import remembered as module
from edgexl.index.remembered import remembered
from edgexl.index.row_cache import RowCache

Finder = Callable[[], list[float]]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often `find_out` was asked, its length; what is remembered lies in a place of the test's own."""
    monkeypatch.setattr(RowCache, "of_user", classmethod(lambda cls: cls(tmp_path / "rows", 1 << 20)))
    return []


def finder(asked: list[int]) -> Finder:
    def find_out() -> list[float]:
        asked.append(1)
        return [0.1, len(asked)]

    return find_out


def test_the_same_parts_are_found_out_once(asked: list[int]) -> None:
    numbers = np.arange(4, dtype=np.float32)
    for _ in range(3):
        assert remembered("a", (b"xy", "z", numbers, memoryview(b"q")), finder(asked)) == [0.1, 1]
    assert len(asked) == 1


@pytest.mark.parametrize(
    "parts",
    [
        (b"xyz", np.arange(4, dtype=np.float32)),
        (b"x", "yz", np.arange(4, dtype=np.float32)),
        (b"xy", "z", np.arange(4, dtype=np.float64)),
        (b"xy", "z", np.arange(4, dtype=np.float32).reshape(2, 2)),
        (b"xy", "z", np.arange(4, dtype=np.float32) + 1e-6),
        (b"xy", "z", np.arange(4, dtype=np.float32).tobytes()),
    ],
    ids=["one part less", "cut elsewhere", "type", "shape", "a digit", "no array"],
)  # fmt: skip
def test_other_parts_are_found_out_anew(asked: list[int], parts: tuple[bytes | str | np.ndarray, ...]) -> None:
    remembered("a", (b"xy", "z", np.arange(4, dtype=np.float32)), finder(asked))
    assert remembered("a", parts, finder(asked)) == [0.1, 2]


def test_another_name_or_other_code_is_found_out_anew(asked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    remembered("a", (b"x",), finder(asked))
    remembered("b", (b"x",), finder(asked))
    assert len(asked) == 2
    monkeypatch.setattr(module, "_made_by", lambda: b"of another version")
    assert remembered("a", (b"x",), finder(asked)) == [0.1, 3]


def test_a_damaged_memory_is_found_out_anew(asked: list[int], tmp_path: Path) -> None:
    remembered("a", (b"x",), finder(asked))
    (entry,) = (tmp_path / "rows").iterdir()
    content = bytearray(entry.read_bytes())
    content[-40] ^= 1
    entry.write_bytes(content)
    assert remembered("a", (b"x",), finder(asked)) == [0.1, 2]


def test_nothing_is_remembered_where_the_user_says_so(asked: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RowCache, "of_user", classmethod(lambda cls: cls(Path("/nowhere"), 0)))
    remembered("a", (b"x",), finder(asked))
    remembered("a", (b"x",), finder(asked))
    assert len(asked) == 2
