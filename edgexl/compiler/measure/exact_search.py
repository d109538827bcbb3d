"""Exact search over float vectors: what the compiler measures the index against, and with while there is none."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.base.ragged import Ragged
from edgexl.index import Shortlist

# Queries that share a pass over the vectors, and rows multiplied at once: a product of few queries, or one too large
# for the caches, waits for memory. 32 x 700,000 scores are 90 MB.
_PASS_QUERIES, _CHUNK_ROWS = 32, 16384
_SAMPLE_STEP = 64


@dataclass(frozen=True)
class ExactSearch:
    """Screening over float vectors [rows, D], row i < `labels` being label i, with the labels of the alias rows."""

    vectors: Floats
    labels: int
    alias_labels: Ragged
    shortlist: int

    def search(self, query: Floats) -> Shortlist:
        return self._shortlists(query[None])[0]

    def search_all(self, queries: Floats, pool: ThreadPoolExecutor) -> Iterable[Shortlist]:
        """The shortlists of query vectors [n, D]. A thread takes 32 of them at a time, however many threads there are:
        the last digits of a product depend on what else is in it."""
        parts = [queries[begin : begin + _PASS_QUERIES] for begin in range(0, len(queries), _PASS_QUERIES)]
        return [found for part in pool.map(self._shortlists, parts) for found in part]

    def _shortlists(self, queries: Floats) -> list[Shortlist]:
        scores = np.empty((len(queries), len(self.vectors)), np.float32)
        for begin in range(0, len(self.vectors), _CHUNK_ROWS):
            chunk = slice(begin, begin + _CHUNK_ROWS)
            scores[:, chunk] = queries @ self.vectors[chunk].T
        return [self._shortlist(row) for row in scores]

    def _shortlist(self, scores: Floats) -> Shortlist:
        """Of the rows' `scores`, only the best few are looked at: as many as bring enough labels."""
        count, tried = min(self.shortlist, self.labels), 4 * self.shortlist
        while True:
            tried = min(tried, len(scores))
            rows = _best(scores, tried)
            aliases = rows[rows >= self.labels]
            of = self.alias_labels.take(aliases - self.labels)
            labels = np.concatenate([rows[rows < self.labels], of.values.astype(np.int64)])
            candidates, place = np.unique(labels, return_inverse=True)
            if len(candidates) >= count:
                break
            tried *= 4
        best = np.full(len(candidates), -np.inf, np.float32)
        row_scores = np.concatenate([scores[rows[rows < self.labels]], np.repeat(scores[aliases], of.lengths)])
        np.maximum.at(best, place, row_scores)
        chosen = candidates[np.lexsort((candidates, -best))[:count]]
        own, alias = scores[chosen], scores[chosen].copy()
        mine = self._alias_rows.take(chosen)
        some = np.flatnonzero(mine.lengths)
        if len(some):
            alias[some] = np.maximum.reduceat(scores[mine.values], mine.starts[:-1][some])
        return Shortlist(chosen, np.stack([own, alias], 1))

    def decompress(self, labels: Ints) -> Floats:
        return self.vectors[labels]

    def with_shortlist(self, shortlist: int) -> ExactSearch:
        return replace(self, shortlist=shortlist)

    @cached_property
    def _alias_rows(self) -> Ragged:
        """The alias rows of each label."""
        order = np.argsort(self.alias_labels.values, kind="stable")
        starts = np.searchsorted(self.alias_labels.values[order], np.arange(self.labels + 1))
        return Ragged(self.labels + self.alias_labels.owners[order], starts.astype(np.int64))


def _best(scores: Floats, count: int) -> Ints:
    """Where the `count` highest scores are, ascending, and all that equal the last of them.

    A sample says what is worth a look, for ordering them all would take longer than their product.
    """
    sample = scores[::_SAMPLE_STEP]
    enough = 2 * (count // _SAMPLE_STEP) + 32
    places = np.arange(len(scores)) if enough >= len(sample) else np.flatnonzero(scores >= _nth(sample, enough))
    if len(places) < count:
        places = np.arange(len(scores))
    some = scores[places]
    return places[some >= _nth(some, count)]


def _nth(scores: Floats, n: int) -> np.float32:
    """The n-th highest score."""
    nth: np.float32 = np.partition(scores, len(scores) - n)[len(scores) - n]
    return nth
