"""A label set that was changed a little: only what changed is encoded again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.base.progress import no_stage_progress
from edgexl.base.ragged import Ragged
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.encoding.known_rows import FEWEST_ROWS
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


class Counted(LocalWorkers):
    """Threads that count the rows that they are given."""

    rows = 0

    def encode(self, model: bytes, shards: Any) -> Any:
        Counted.rows += len(shards.rows)
        return super().encode(model, shards)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "edgexl" / "rows"


@pytest.fixture(scope="module")
def graph(student: Student) -> bytes:
    return Export().run(begin(student, TINY_RECIPE, load_target("host"))).graphs.label_encoder


def some_rows(count: int, seed: int) -> list[list[int]]:
    draw = np.random.default_rng(seed)
    return [[2, *draw.integers(5, 20, int(draw.integers(1, 9))).tolist(), 3] for _ in range(count)]


def encode(graph: bytes, rows: list[list[int]]) -> tuple[Any, int]:
    """Vectors, and how many rows were encoded."""
    Counted.rows = 0
    found = encode_rows(graph, Ragged.of(rows, np.int32), True, 2, no_stage_progress, Counted(2))
    return found, Counted.rows


def test_rows_that_are_known_are_not_encoded_again(cache: Path, graph: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = some_rows(2 * FEWEST_ROWS, 1)
    assert encode(graph, rows)[1] == len(rows)
    fresh = some_rows(30, 2)
    changed = [*rows[5:400], *fresh[:10], *rows[600:], *fresh[10:], rows[0], rows[0]]
    known = {tuple(row) for row in rows}
    found, encoded = encode(graph, changed)
    assert encoded == sum(tuple(row) not in known for row in changed) <= 30
    found_again, encoded = encode(graph, changed)
    assert encoded == 0
    np.testing.assert_array_equal(found_again, found)
    monkeypatch.setenv("EDGEXL_ROW_CACHE_BYTES", "0")
    whole, encoded = encode(graph, changed)
    assert encoded == len(changed)
    np.testing.assert_array_equal(found, whole)  # to the bit: a row's vector does not depend on those beside it


def test_progress_counts_what_is_known(cache: Path, graph: bytes) -> None:
    rows, seen = some_rows(FEWEST_ROWS, 1), []
    encode(graph, rows)
    more = Ragged.of([*rows, *some_rows(25, 3)], np.int32)
    encode_rows(graph, more, True, 1, lambda done, total: seen.append((done, total)))
    assert seen[0][0] >= FEWEST_ROWS
    assert {total for _, total in seen} == {FEWEST_ROWS + 25}
    assert seen[-1][0] == FEWEST_ROWS + 25


def test_another_graph_and_small_sets_know_nothing(cache: Path, graph: bytes) -> None:
    rows = some_rows(FEWEST_ROWS, 1)
    few = rows[: FEWEST_ROWS - 1]
    assert encode(graph, few)[1] == len(few)
    assert encode(graph, rows)[1] == len(rows)
    other = encode_rows(graph, Ragged.of(rows, np.int32), False, 2, no_stage_progress, Counted(2))
    assert len(other) == len(rows)
    assert Counted.rows == 2 * len(rows)  # single texts are another graph's


@pytest.mark.parametrize("what", ["damaged", "gone"])
def test_a_set_that_is_lost_is_encoded_whole(cache: Path, graph: bytes, what: str) -> None:
    rows = some_rows(FEWEST_ROWS, 1)
    encode(graph, rows)
    large = max(cache.glob("*.npy"), key=lambda path: path.stat().st_size)
    if what == "gone":
        large.unlink()
    else:
        content = bytearray(large.read_bytes())
        content[len(content) // 2] ^= 1
        large.write_bytes(content)
    changed = [*rows[1:], [2, 7, 3]]
    found, encoded = encode(graph, changed)
    assert encoded == len(changed) == len(found)
