"""Whoever encodes, the vectors are the same; a Ray cluster that loses a machine gives them too."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.base.ragged import Ragged
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.encoding.open_workers import open_workers
from edgexl.compiler.encoding.ray_workers import RayWorkers
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin, compile
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.fixture(scope="module")
def work(student: Student) -> tuple[bytes, Ragged]:
    """The float screener and the rows of the tiny student."""
    artifact = Export().run(begin(student, TINY_RECIPE, load_target("host")))
    return artifact.graphs.label_encoder, artifact.rows.tokens


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEXL_ROW_CACHE_BYTES", "0")


def test_workers_by_name() -> None:
    assert open_workers("3") == LocalWorkers(3)
    assert open_workers("local").threads >= 1
    assert open_workers("ray") == RayWorkers(None)
    assert open_workers("ray://head:10001") == RayWorkers("ray://head:10001")
    for name in ("", "0", "-1", "many", "http://head"):
        with pytest.raises(BadInput, match="give local, a number of threads"):
            open_workers(name)


@pytest.mark.usefixtures("no_cache")
@pytest.mark.parametrize("batched", [True, False])
def test_threads_and_shards_change_nothing(work: tuple[bytes, Ragged], batched: bool) -> None:
    one = encode_rows(*work, batched, 1)
    assert one.shape == (len(work[1]), 32)
    seen: list[tuple[int, int]] = []
    workers = LocalWorkers(3, shard_batches=7)
    many = encode_rows(*work, batched, 1, lambda done, total: seen.append((done, total)), workers)
    np.testing.assert_array_equal(one, many)
    assert seen[-1] == (len(one), len(one))


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A real Ray cluster on this machine, of two workers."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install '.[dev]'")
    import ray

    for attempt in range(4):  # Ray gives its processes 30 s to start, which is not enough on a busy machine
        try:
            ray.init(
                address="local", num_cpus=2, include_dashboard=False, object_store_memory=100 << 20,
                log_to_driver=False, logging_level="ERROR",
            )  # fmt: skip
            break
        except Exception as error:
            ray.shutdown()
            if attempt == 3 or "timed out during startup" not in str(error):
                raise
    yield ray
    ray.shutdown()


def worker_processes() -> list[int]:
    """The workers of the Ray that this process has started: children of its child."""
    found = []
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            title, parent = (place / "cmdline").read_bytes(), parent_of(int(place.name))
            if title.startswith((b"ray::_encode", b"ray::IDLE")) and parent_of(parent) == os.getpid():
                found.append(int(place.name))
    return sorted(found)


def another_worker(lost: list[int]) -> int:
    """A worker that is not among `lost`, which take a moment to be gone; the next may still be starting."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if alive := set(worker_processes()) - set(lost):
            return max(alive)
        time.sleep(0.05)
    raise AssertionError(f"Ray has no worker but those killed: {lost}")


def parent_of(process: int) -> int:
    return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
def test_a_cluster_that_loses_a_worker_encodes_the_same(
    work: tuple[bytes, Ragged], ray: Any, student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEXL_ROW_CACHE_BYTES", "0")
    model, tokens = work
    many = Ragged.joined([tokens] * 20)
    lost: list[int] = []

    def lose_one(done: int, total: int) -> None:
        if len(lost) < 2 and done < total / 2:
            lost.append(another_worker(lost))
            os.kill(lost[-1], signal.SIGKILL)

    found = encode_rows(model, many, False, 1, lose_one, RayWorkers(None, shard_batches=250))
    assert len(set(lost)) == 2
    assert not set(lost) & set(worker_processes())
    np.testing.assert_array_equal(found, np.tile(encode_rows(model, tokens, False, 1), (20, 1)))

    paths = [compile(student, TINY_RECIPE, "host", tmp_path / name, workers=name).path for name in ("ray", "1")]
    assert paths[0].read_bytes() == paths[1].read_bytes()
