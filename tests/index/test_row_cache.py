"""What is remembered comes back whole or not at all, and all of it stays below its bound."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.base.progress import no_stage_progress
from edgexl.base.sealed import is_sealed
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.index.row_cache import RowCache
from edgexl.target import load_target
from tests.command_line import Edgexl, Tiny
from tests.compiler.conftest import TINY_RECIPE
from tests.tiny import tiny_student

ENTRY_BYTES = 128 + 100 * 8 * 4 + 32  # header, vectors, digest


def vectors_of(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((100, 8)).astype(np.float32)


@pytest.fixture
def cache(tmp_path: Path) -> RowCache:
    return RowCache(tmp_path / "rows", 1 << 20)


def held(cache: RowCache, key: str) -> np.ndarray:
    """The one array under `key`."""
    found = cache.get(key, 1)
    assert found is not None
    return found[0]


def test_vectors_come_back(cache: RowCache) -> None:
    assert cache.get("a", 1) is None
    cache.put("a", vectors_of(1))
    np.testing.assert_array_equal(held(cache, "a"), vectors_of(1))
    assert cache.get("a", 2) is None  # the digest is no array
    assert cache.get("b", 1) is None
    assert [path.name for path in cache.place.iterdir()] == ["a.npy"]


@pytest.mark.parametrize("place", [0, 80, 128, 1000, 128 + 3200, -1])
def test_a_damaged_entry_is_none(cache: RowCache, place: int) -> None:
    cache.put("a", vectors_of(1))
    content = bytearray((cache.place / "a.npy").read_bytes())
    assert len(content) == ENTRY_BYTES
    content[place] ^= 1
    (cache.place / "a.npy").write_bytes(content)
    assert cache.get("a", 1) is None


@pytest.mark.parametrize("kept", [0, 60, 500, ENTRY_BYTES - 1])
def test_a_cut_entry_is_none(cache: RowCache, kept: int) -> None:
    cache.put("a", vectors_of(1))
    content = (cache.place / "a.npy").read_bytes()
    (cache.place / "a.npy").write_bytes(content[:kept])
    assert cache.get("a", 1) is None


def test_no_byte_of_an_entry_can_change(cache: RowCache) -> None:
    cache.put("a", vectors_of(1), np.arange(5))
    path = cache.place / "a.npy"
    content = path.read_bytes()
    with open(path, "r+b", buffering=0) as file:
        for place in [*range(300), *range(300, len(content), 53)]:
            for bit in (1, 128):
                os.pwrite(file.fileno(), bytes([content[place] ^ bit]), place)
                assert cache.get("a", 2) is None
            os.pwrite(file.fileno(), content[place : place + 1], place)
    assert cache.get("a", 2) is not None


def test_what_is_no_file_is_no_entry(cache: RowCache) -> None:
    cache.place.mkdir()
    (cache.place / "a.npy").mkdir()
    os.mkfifo(cache.place / "b.npy")
    (cache.place / "c.npy").symlink_to("nowhere")
    for key in "abc":
        assert cache.get(key, 1) is None
        cache.put(key, vectors_of(1))  # which may not be possible, and costs no compile


def test_a_compile_with_a_damaged_cache_makes_it_again(
    tiny: Tiny, tmp_path: Path, edgexl: Edgexl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    arguments = ("compile", tiny.student, "--recipe", tiny.recipe, "--target", "host", "-o", tmp_path / "b.exl")
    assert edgexl(*arguments).status == 0
    first = (tmp_path / "b.exl").read_bytes()
    entries = sorted((tmp_path / "cache").rglob("*.npy"))
    assert entries
    for entry in entries:
        content = entry.read_bytes()
        entry.write_bytes(content[:70] + bytes([content[70] ^ 1]) + content[71:])  # in the header, numpy's array shape
    assert edgexl(*arguments).status == 0
    assert (tmp_path / "b.exl").read_bytes() == first
    assert all(map(is_sealed, entries))
    for entry in entries:
        entry.unlink()
        entry.mkdir()
    assert edgexl(*arguments).status == 0
    assert (tmp_path / "b.exl").read_bytes() == first


def test_what_was_used_the_longest_ago_gives_way(tmp_path: Path) -> None:
    cache = RowCache(tmp_path, 3 * ENTRY_BYTES)
    for age, name in enumerate("abc"):
        cache.put(name, vectors_of(age))
        os.utime(tmp_path / f"{name}.npy", (1000 + age, 1000 + age))
    assert cache.get("a", 1) is not None  # now the youngest
    cache.put("d", vectors_of(3))
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c", "d"]
    cache.put("d", vectors_of(4))  # in its own place: nobody has to go
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["a", "c", "d"]


def test_what_does_not_fit_is_not_kept(tmp_path: Path) -> None:
    cache = RowCache(tmp_path, 1000)
    cache.put("a", vectors_of(1))
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_compile_left_goes(cache: RowCache) -> None:
    cache.put("a", vectors_of(1))
    for name, when in (("old.1.tmp", 1000), ("new.2.tmp", None)):
        (cache.place / name).write_bytes(b"half")
        if when:
            os.utime(cache.place / name, (when, when))
    cache.put("b", vectors_of(2))
    assert sorted(path.name for path in cache.place.iterdir()) == ["a.npy", "b.npy", "new.2.tmp"]


def test_a_place_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    RowCache(tmp_path / "file" / "rows", 1 << 20).put("a", vectors_of(1))
    assert RowCache(tmp_path / "file" / "rows", 1 << 20).get("a", 1) is None


def test_the_bound_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEXL_ROW_CACHE_BYTES", "12345")
    assert RowCache.of_user().most_bytes == 12345
    monkeypatch.setenv("EDGEXL_ROW_CACHE_BYTES", "a lot")
    with pytest.raises(BadInput, match="'a lot'; give it a whole number of bytes"):
        RowCache.of_user()


def test_a_cache_of_no_bytes_is_off(cache: RowCache) -> None:
    cache.put("kept", vectors_of(1))
    assert cache.get("kept", 1) is not None
    assert RowCache(cache.place, 0).get("kept", 1) is None


def test_a_second_encoding_runs_no_graph_and_a_damaged_entry_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    artifact = Export().run(begin(tiny_student(), TINY_RECIPE, load_target("host")))
    runs: list[int] = []

    class Counted(LocalWorkers):
        def encode(self, *given: Any) -> Any:
            runs.append(1)
            return super().encode(*given)

    arguments = (artifact.graphs.label_encoder, artifact.rows.tokens, True, 2, no_stage_progress, Counted(2))
    first = encode_rows(*arguments)
    assert len(runs) == 1
    np.testing.assert_array_equal(encode_rows(*arguments), first)
    assert len(runs) == 1
    entry = max((tmp_path / "edgexl" / "rows").glob("*.npy"), key=lambda path: path.stat().st_mtime)
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)
    np.testing.assert_array_equal(encode_rows(*arguments), first)
    assert len(runs) == 2
    np.testing.assert_array_equal(encode_rows(*arguments), first)
    assert len(runs) == 2
