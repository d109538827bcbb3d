"""Generated label vectors with the statistics of a student's own, in a file that is read in slices."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgexl.base.arrays import Floats

_CHUNK_ROWS = 65_536
_PAIRS = 2000


@dataclass(frozen=True)
class VectorFile:
    """float32 [rows, dims] in a plain file. Slices are read, not mapped, so that they count as memory while they are
    used and no longer."""

    path: Path
    shape: tuple[int, int]

    def __getitem__(self, rows: slice) -> Floats:
        begin, end, _ = rows.indices(self.shape[0])
        dims = self.shape[1]
        values = np.fromfile(self.path, np.float32, (end - begin) * dims, offset=4 * begin * dims)
        return values.reshape(-1, dims)


def local_spread(vectors: Floats, seed: int) -> Floats:
    """A matrix [D, D]; normal numbers times it are spread as labels that are alike are about what they share.

    The difference of two such labels has twice the covariance of each about their middle; it is taken from vectors
    [rows, D] and their nearest neighbours.
    """
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(vectors), min(_PAIRS, len(vectors)), replace=False)
    nearest = np.empty(len(chosen), np.int64)
    for begin in range(0, len(chosen), 64):
        part = chosen[begin : begin + 64]
        scores = vectors[part] @ vectors.T
        scores[np.arange(len(part)), part] = -np.inf
        nearest[begin : begin + 64] = scores.argmax(axis=1)
    apart = (vectors[chosen] - vectors[nearest]).astype(np.float64)
    values, basis = np.linalg.eigh(apart.T @ apart / (2 * len(apart)))
    return np.ascontiguousarray((basis * np.sqrt(np.maximum(values, 0))).T, dtype=np.float32)


def generate(
    path: Path, base: Floats, rows: int, seed: int, threads: int, report: Callable[[int, int], None]
) -> VectorFile:
    """Write `rows` vectors of unit length: row i lies about base vector i modulo their number as its likes do.

    The covariance and the clusters of all are so those of `base` [n, D], in which ever more labels crowd together. The
    same arguments give the same bytes, whatever the threads.
    """
    spread = local_spread(base, seed)

    def chunk(begin: int) -> Floats:
        count = min(_CHUNK_ROWS, rows - begin)
        rng = np.random.default_rng([seed, begin])
        made = rng.standard_normal((count, base.shape[1]), np.float32) @ spread
        made += base[np.arange(begin, begin + count) % len(base)]
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made

    with open(path, "wb") as stream, ThreadPoolExecutor(threads) as pool:
        begins = range(0, rows, _CHUNK_ROWS)
        for first in range(0, len(begins), threads):
            for made in pool.map(chunk, begins[first : first + threads]):
                made.tofile(stream)
            report(min(rows, begins[first] + threads * _CHUNK_ROWS), rows)
    return VectorFile(path, (rows, base.shape[1]))
