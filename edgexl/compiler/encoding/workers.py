"""Who encodes: the threads of this machine, or a Ray cluster. Whoever it is, the vectors are the same to the bit.

Work is handed out in shards, lists of batches of token ids; a batch is what a graph takes at once, so that its numbers
do not depend on who takes it or on what else is in the shard.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats
from edgexl.compiler.graphs.graph import Session

Batch = npt.NDArray[np.int32]  # token ids [texts, T]


class Workers(Protocol):
    """`threads` are this machine's, for all that is not handed out; a shard holds at most `shard_batches` batches."""

    @property
    def threads(self) -> int: ...

    @property
    def shard_batches(self) -> int: ...

    def encode(self, model: bytes, shards: Sequence[Sequence[Batch]]) -> Iterator[tuple[int, list[Floats]]]:
        """Each shard's number and its batches' vectors [texts, D], in the order in which they are done."""


@dataclass(frozen=True)
class LocalWorkers:
    """Threads of this process; a graph runs on one of them."""

    threads: int
    shard_batches: int = 1

    def encode(self, model: bytes, shards: Sequence[Sequence[Batch]]) -> Iterator[tuple[int, list[Floats]]]:
        session = Session(model)
        pool = ThreadPoolExecutor(self.threads)
        try:
            yield from enumerate(pool.map(lambda shard: encode_shard(session, shard), shards))
        finally:
            pool.shutdown(cancel_futures=True)  # an interrupted compile does not wait for the rest


def encode_shard(session: Session, shard: Sequence[Batch]) -> list[Floats]:
    """The vectors [texts, D] of each batch."""
    found = []
    for batch in shard:
        ids = batch.astype(np.int64)
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        found.append(np.asarray(session.run(feeds)[0], np.float32))
    return found
