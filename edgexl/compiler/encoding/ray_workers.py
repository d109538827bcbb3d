"""A Ray cluster that encodes: each shard is a task, and a task whose worker is lost is run again by another one."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import onnxruntime

from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput, DeviceError
from edgexl.compiler.encoding.workers import Batch, encode_shard
from edgexl.compiler.graphs.graph import Session

# Shards that are handed out before the first of them is back, a core: one in work, one already there when it is done.
_AHEAD = 2


@dataclass(frozen=True)
class RayWorkers:
    """The cluster at `address`, as `ray.init` takes it; None: the one that RAY_ADDRESS names, or else one that is
    started on this machine for the time of the work. A program that is connected to a cluster already stays with it.

    Its machines need edgexl and the same version of ONNX Runtime, on which the vectors depend.
    """

    address: str | None
    # A shard of 2,048 tokens a batch takes a core about a second, against milliseconds to hand it out.
    shard_batches: int = 32

    @property
    def threads(self) -> int:
        """This machine's own, for all but encoding."""
        return os.cpu_count() or 1

    def encode(self, model: bytes, shards: Sequence[Sequence[Batch]]) -> Iterator[tuple[int, list[Floats]]]:
        """Raises `BadInput` where Ray or edgexl is not installed, `DeviceError` where the cluster cannot be reached or
        is lost as a whole."""
        ray = _ray()
        connected = ray.is_initialized()
        try:
            if not connected:
                quiet = {"log_to_driver": False, "logging_level": "ERROR"}
                ray.init(address=self.address, **quiet)
            yield from _run(ray, model, shards)
        except ray.exceptions.RayTaskError as error:
            cause = str(error).strip().splitlines()[-1]  # of a worker's traceback
            raise BadInput(f"The workers cannot encode ({cause}); install this edgexl on all of them.") from None
        except (ConnectionError, TimeoutError, ray.exceptions.RayError) as error:
            raise DeviceError(f"The Ray cluster {self.address or ''} was lost or not found: {error}") from None
        finally:
            if not connected:
                ray.shutdown()


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise BadInput("Ray is not installed; pip install 'edgexl[ray]', or choose local workers.") from None
    return ray


def _run(ray: Any, model: bytes, shards: Sequence[Sequence[Batch]]) -> Iterator[tuple[int, list[Floats]]]:
    """Retries without end: a shard fails by its own fault at the first try, and by its worker's at none."""
    task = ray.remote(num_cpus=1, max_retries=-1)(_encode)
    there = [ray.put(model)]  # in a list, so that a worker fetches it once and not for each shard
    waiting: dict[Any, int] = {}
    left = iter(enumerate(shards))
    most = _AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
    while True:
        while len(waiting) < most and (following := next(left, None)) is not None:
            number, shard = following
            waiting[task.remote(there, list(shard))] = number
        if not waiting:
            return
        done, _ = ray.wait(list(waiting), num_returns=1)
        version, vectors = ray.get(done[0])
        if version != onnxruntime.__version__:
            raise BadInput(
                f"A worker has ONNX Runtime {version}, this machine {onnxruntime.__version__}; "
                "install the same on both."
            )
        yield waiting.pop(done[0]), vectors


def _encode(model: list[Any], shard: list[Batch]) -> tuple[str, list[Floats]]:
    """What a worker does with a shard."""
    return onnxruntime.__version__, encode_shard(_session(model[0]), shard)


@lru_cache(maxsize=1)
def _session(model: Any) -> Session:
    """The graph behind an object reference, loaded once a worker."""
    import ray

    return Session(ray.get(model))
