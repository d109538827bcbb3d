"""Exact search over float vectors: what the compiler measures the index against, and with while there is none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.base.ragged import Ragged
from edgexl.index.best_of_rows import BEST_ROW, LabelScores, Weighing, all_rows, distinct, rows_of_labels
from edgexl.index.search import Shortlist

# Queries that share a pass over the vectors, and rows multiplied at once: a product of few queries, or one too large
# for the caches, waits for memory. 32 x 700,000 scores are 90 MB.
_PASS_QUERIES, _CHUNK_ROWS = 32, 16384
_SAMPLE_STEP = 64


@dataclass(frozen=True)
class ExactSearch:
    """Screening over float vectors [rows, D], row i < `labels` being label i, with the labels of the alias rows, the
    last `descriptions` of which are descriptions."""

    vectors: Floats
    labels: int
    alias_labels: Ragged
    shortlist: int
    descriptions: int = 0
    weighing: Weighing = BEST_ROW

    def search(self, query: Floats, text: str = "") -> Shortlist:
        return self._shortlists(query[None])[0]

    def search_all(
        self, queries: Floats, pool: ThreadPoolExecutor, texts: Sequence[str] | None = None
    ) -> Iterable[Shortlist]:
        """The shortlists of query vectors [n, D]. A thread takes 32 of them at a time, however many threads there are:
        the last digits of a product depend on what else is in it."""
        parts = [queries[begin : begin + _PASS_QUERIES] for begin in range(0, len(queries), _PASS_QUERIES)]
        return [found for part in pool.map(self._shortlists, parts) for found in part]

    def _shortlists(self, queries: Floats) -> list[Shortlist]:
        return [Shortlist(*parts) for parts in zip(*self.search_batch(queries), strict=True)]

    def search_batch(self, queries: Floats, shortlist: int | None = None) -> tuple[Ints, Floats, Floats]:
        """(labels [n, N] best first, evidence [n, N, 5] of all of their rows, screening scores [n, N]) for query
        vectors [n, D]. The labels are those of the best rows, whatever else their screening scores are made of."""
        shortlist = shortlist or self.shortlist
        scores = np.empty((len(queries), len(self.vectors)), np.float32)
        for begin in range(0, len(self.vectors), _CHUNK_ROWS):
            chunk = slice(begin, begin + _CHUNK_ROWS)
            scores[:, chunk] = queries @ self.vectors[chunk].T
        # of all rows, only as many are looked at as bring enough labels
        depth, tried = min(shortlist, self.labels), 4 * shortlist
        while True:
            best = [_best(row, min(tried, len(row))) for row in scores]
            rows, query = np.concatenate(best), np.repeat(np.arange(len(best)), list(map(len, best)))
            found = self._label_scores(scores, query, rows)
            if found.counts.min(initial=depth) >= depth:
                break
            tried *= 4
        labels = found.best(depth)
        # a row that stands for several of the labels counts once
        query, rows = all_rows(self._alias_rows, labels)
        pairs, _ = distinct(query * scores.shape[1] + rows, scores.size)
        found = self._label_scores(scores, *np.divmod(pairs, scores.shape[1]))
        evidence, screening = found.weigh(self.weighing)
        place, _ = found.places_of(labels)
        if self.weighing.votes_weight:
            order = np.lexsort((labels, -screening[place]))
            labels, place = np.take_along_axis(labels, order, 1), np.take_along_axis(place, order, 1)
        return labels, evidence[place], screening[place]

    def _label_scores(self, scores: Floats, query: Ints, rows: Ints) -> LabelScores:
        of_rows = self.labels, self.alias_labels, self.descriptions
        return LabelScores.of(len(scores), query, rows, scores[query, rows], *of_rows)

    def decompress(self, labels: Ints) -> Floats:
        return self.vectors[labels]

    def with_shortlist(self, shortlist: int) -> ExactSearch:
        return replace(self, shortlist=shortlist)

    @cached_property
    def _alias_rows(self) -> Ragged:
        return rows_of_labels(self.labels, self.alias_labels)


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
