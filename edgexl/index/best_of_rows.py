"""From scores of rows to scores of labels: a label's own text, the best of its aliases, and the best labels by either.

Every search in Python ends here: the reference of the C runtime, exact search, and training's. They differ in which
rows they find and in what those score.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.base.ragged import Ragged


@dataclass(frozen=True)
class LabelScores:
    """Of the labels that some rows stand for: `pairs` [P] ascending, query x `labels` + label, and `scores` [P, 2], its
    own text's and its best alias's among those rows, minus infinity where there is none."""

    queries: int
    labels: int
    pairs: Ints
    scores: Floats

    @classmethod
    def of(
        cls, queries: int, query: Ints, rows: Ints, scores: Floats, labels: int, alias_labels: Ragged
    ) -> LabelScores:
        """What rows say that were found for `queries` queries, one at least: `query` [R] that found it, `rows` [R] and
        `scores` [R]. Row i < `labels` is label i's own text; row `labels` + i is an alias of list i of `alias_labels`.
        """
        own, alias = np.flatnonzero(rows < labels), np.flatnonzero(rows >= labels)
        of = alias_labels.take(rows[alias] - labels)
        alias = alias[of.owners]
        all_pairs = np.concatenate([query[own] * labels + rows[own], query[alias] * labels + of.values])
        pairs, place = np.unique(all_pairs, return_inverse=True)
        best = np.full((len(pairs), 2), -np.inf, np.float32)
        best[place[: len(own)], 0] = scores[own]
        np.maximum.at(best[:, 1], place[len(own) :], scores[alias])
        return cls(queries, labels, pairs, best)

    @property
    def counts(self) -> Ints:
        """[queries]: how many labels each query's rows stand for."""
        return np.diff(np.searchsorted(self.pairs, np.arange(self.queries + 1) * self.labels))

    def best(self, depth: int) -> Ints:
        """[queries, depth]: the labels whose better score is highest, of equals the lower one first, -1 behind all."""
        query = self.pairs // self.labels
        order = np.lexsort((-self.scores.max(1), query))  # of equals the lower pair stays first
        rank = np.arange(len(order)) - np.searchsorted(query, query)
        found = np.full((self.queries, depth), -1, np.int64)
        chosen = rank < depth
        found[query[chosen], rank[chosen]] = (self.pairs % self.labels)[order[chosen]]
        return found

    def look_up(self, labels: Ints) -> Floats:
        """[queries, N, 2]: the scores of given labels [queries, N]; minus infinity for those that no row stands for."""
        wanted = np.arange(self.queries)[:, None] * self.labels + labels
        place = np.searchsorted(self.pairs, wanted).clip(max=len(self.pairs) - 1)
        known = (labels >= 0) & (self.pairs[place] == wanted)
        found: Floats = np.where(known[..., None], self.scores[place], np.float32(-np.inf))
        return found


def rows_of_labels(labels: int, alias_labels: Ragged) -> Ragged:
    """The alias rows of each label: `alias_labels`, the labels of each alias row, turned about."""
    order = np.argsort(alias_labels.values, kind="stable")
    starts = np.searchsorted(alias_labels.values[order], np.arange(labels + 1))
    return Ragged(labels + alias_labels.owners[order], starts.astype(np.int64))


def best_aliases(alias_rows: Ragged, labels: Ints, own: Floats, score: Callable[[Ints, Ints], Floats]) -> Floats:
    """[queries, N]: the best score of all alias rows of given labels [queries, N] (-1 pads); their `own` [queries, N]
    where they have none. `alias_rows`: those of each label; `score`(query [R], rows [R]) scores pairs."""
    place = np.flatnonzero(labels.ravel() >= 0)
    mine = alias_rows.take(labels.ravel()[place])
    some = np.flatnonzero(mine.lengths)
    best = own.copy()
    if len(some):
        scores = score((place // labels.shape[1])[mine.owners], mine.values)
        best.ravel()[place[some]] = np.maximum.reduceat(scores, mine.starts[:-1][some])
    return best
