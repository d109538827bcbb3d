"""Vectors of rows that an earlier compile has encoded by the same graph, for label sets that were changed a little.

The row cache has whole sets of vectors by a hash of all of them. Beside these stands, a graph, what the last large set
was: a hash a row. A compile of other rows takes the vectors of those that are among them, and encodes the rest.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass

import numpy as np

from edgexl.base.arrays import Bools, Floats
from edgexl.base.ragged import Ragged
from edgexl.index.row_cache import RowCache

# Of fewer rows it is not worth remembering which they were, and a set of which so few are known is encoded whole.
FEWEST_ROWS, LEAST_KNOWN = 500, 0.05
_HASH_BYTES = 16


@dataclass(frozen=True)
class KnownRows:
    """Which rows of a set are known, and the vectors [known, D] of these."""

    known: Bools
    vectors: Floats


def find_known(cache: RowCache, graph_key: str, rows: Ragged) -> KnownRows | None:
    """The rows that the last large set of the graph has; None where that is not worth it."""
    if len(rows) < FEWEST_ROWS or not (pointer := cache.get(_name(graph_key), 2)):
        return None
    hashes, set_key = pointer
    place_of = {digest.tobytes(): place for place, digest in enumerate(hashes)}
    places = np.array([place_of.get(digest, -1) for digest in _hash_rows(rows)])
    known: Bools = places >= 0
    if known.mean() < LEAST_KNOWN or not (vectors := cache.get(bytes(set_key).decode(), 1)):
        return None
    return KnownRows(known, vectors[0][places[known]]) if len(vectors[0]) == len(hashes) else None


def remember(cache: RowCache, graph_key: str, rows: Ragged, set_key: str) -> None:
    """Make a set, which is in the cache under `set_key`, the graph's last large one."""
    if len(rows) >= FEWEST_ROWS:
        hashes = np.frombuffer(b"".join(_hash_rows(rows)), np.uint8).reshape(-1, _HASH_BYTES)
        cache.put(_name(graph_key), hashes, np.frombuffer(set_key.encode(), np.uint8))


def _name(graph_key: str) -> str:
    return hashlib.sha256(f"last rows of {graph_key}".encode()).hexdigest()


def _hash_rows(rows: Ragged) -> list[bytes]:
    """A hash of each row's token ids."""
    values, starts = np.ascontiguousarray(rows.values, np.int32), rows.starts.tolist()
    return [
        hashlib.blake2b(values[begin:end].tobytes(), digest_size=_HASH_BYTES).digest()
        for begin, end in itertools.pairwise(starts)
    ]
