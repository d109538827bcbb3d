"""Whoever encodes, the vectors are the same; a Ray cluster that loses a machine gives them too."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.compiler.encoding import encode_rows
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin, compile
from edgexl.compiler.ray_workers import RayWorkers
from edgexl.compiler.workers import LocalWorkers, open_workers
from edgexl.errors import BadInput
from edgexl.ragged import Ragged
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE

ALIVE = "Alive"


@pytest.fixture(scope="module")
def work(student: Student) -> tuple[bytes, Ragged]:
    """The float screener and the rows of the tiny student."""
    artifact = Export().run(begin(student, TINY_RECIPE, load_target("host")))
    assert artifact.graphs is not None
    return artifact.graphs.label_encoder, artifact.rows.tokens


@pytest.fixture
def no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEXL_VECTOR_CACHE_BYTES", "0")


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
def cluster() -> Iterator[Any]:
    """A real Ray cluster on this machine: a head that does no work, and two machines of one core each."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install '.[dev]'")
    import ray
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "object_store_memory": 100 << 20})
    for _ in range(2):
        made.add_node(num_cpus=1, object_store_memory=100 << 20)
    ray.init(address=made.address, log_to_driver=False, logging_level="ERROR")
    yield made
    ray.shutdown()
    made.shutdown()


def test_a_cluster_that_loses_a_machine_encodes_the_same(
    work: tuple[bytes, Ragged], cluster: Any, student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import ray

    monkeypatch.setenv("EDGEXL_VECTOR_CACHE_BYTES", "0")
    expected = encode_rows(*work, False, 1)
    lost = []

    def lose_one(done: int, total: int) -> None:
        if not lost and done < total / 2:
            lost.append(cluster.worker_nodes.copy().pop())
            cluster.remove_node(lost[0], allow_graceful=False)  # the machine's processes are killed

    found = encode_rows(*work, False, 1, lose_one, RayWorkers(None, shard_batches=4))
    assert lost
    np.testing.assert_array_equal(found, expected)
    assert sum(node[ALIVE] for node in ray.nodes()) == 2

    # the one that is left compiles a whole bundle, to the same bytes
    paths = []
    for name in ("ray", "1"):
        paths.append(compile(student, TINY_RECIPE, "host", tmp_path / f"{name}.exl", workers=name).path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
