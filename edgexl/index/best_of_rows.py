"""From scores of rows to scores of labels: the best of each kind of row, their votes, and the best labels by these.

Every search in Python ends here: the reference of the C runtime, exact search, and training's. They differ in which
rows they find and in what those score.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.base.ragged import Ragged
from edgexl.bundle.parameters import EVIDENCE, LEXICAL_FEATURES, VOTES_TEMPERATURE
from edgexl.index.votes import vote, votes

# The kinds of rows, in the order of the evidence's columns.
OWN, ALIAS, DESCRIPTION = range(3)
LEXICAL = EVIDENCE.index("lexical")


class RowWords(Protocol):
    """What the lexical side says of a text."""

    @property
    def ranked(self) -> Ints:
        """The rows that share words with it, by score descending, ties by row."""

    def score(self, rows: Ints) -> Floats:
        """The lexical scores of some rows."""

    def features(self, dense: float) -> Floats:
        """[8] What its weight is made of; `dense`: the best score of a row by its vector."""


@dataclass(frozen=True)
class Weighing:
    """What a screening score is made of: the best row's score, and so many times what the votes of all candidate rows
    say beyond it, at a temperature; and of the lexical score w times, w being at least 0 and at most `lexical_most` of
    `lexical_weight` times the query's lexical features."""

    votes_temperature: float = VOTES_TEMPERATURE
    votes_weight: float = 0.0
    lexical_weight: tuple[float, ...] = (0.0,) * LEXICAL_FEATURES
    lexical_most: float = 0.0

    def weigh_words(self, features: Floats) -> np.float32:
        """w of a query with these features [8], as the C runtime adds them up."""
        total = np.float32(0)
        for weight, feature in zip(self.lexical_weight, features, strict=True):
            total += np.float32(weight) * feature
        return min(total, np.float32(self.lexical_most)) if total > 0 else np.float32(0)


BEST_ROW = Weighing()


@dataclass(frozen=True)
class LabelScores:
    """Of the labels that some rows stand for: `pairs` [P] ascending, query x `labels` + label, and `scores` [P, 3], the
    best of its own text, its aliases and its descriptions among those rows, minus infinity where there is none.

    `row_pairs`, `row_scores` and `row_rows` [V]: each row's place among the pairs, once for each label that it stands
    for, its score, and which row it is.
    """

    queries: int
    labels: int
    pairs: Ints
    scores: Floats
    row_pairs: Ints
    row_scores: Floats
    row_rows: Ints

    @classmethod
    def of(
        cls,
        queries: int,
        query: Ints,
        rows: Ints,
        scores: Floats,
        labels: int,
        alias_labels: Ragged,
        descriptions: int = 0,
    ) -> LabelScores:
        """What rows say that were found for `queries` queries, one at least: `query` [R] that found it, `rows` [R] and
        `scores` [R]. Row i < `labels` is label i's own text; row `labels` + i is an alias of list i of `alias_labels`,
        the last `descriptions` of which are descriptions.
        """
        own, other = np.flatnonzero(rows < labels), np.flatnonzero(rows >= labels)
        of = alias_labels.take(rows[other] - labels)
        other = other[of.owners]
        all_pairs = np.concatenate([query[own] * labels + rows[own], query[other] * labels + of.values])
        pairs, place = distinct(all_pairs, queries * labels)
        best = np.full((len(pairs), 3), -np.inf, np.float32)
        best[place[: len(own)], OWN] = scores[own]
        kinds = np.where(rows[other] < labels + len(alias_labels) - descriptions, ALIAS, DESCRIPTION)
        np.maximum.at(best, (place[len(own) :], kinds), scores[other])
        chosen = np.concatenate([own, other])
        return cls(queries, labels, pairs, best, place, scores[chosen], rows[chosen])

    @property
    def counts(self) -> Ints:
        """[queries]: how many labels each query's rows stand for."""
        return np.diff(np.searchsorted(self.pairs, np.arange(self.queries + 1) * self.labels))

    def votes(self, temperature: float) -> Floats:
        """[P]: what all of each label's rows say together."""
        best = self.scores.max(1)
        sums = np.zeros(len(best), np.uint64)
        np.add.at(sums, self.row_pairs, vote(self.row_scores, best[self.row_pairs], temperature))
        return votes(best, sums, temperature)

    def weigh(self, weighing: Weighing, words: RowWords | None = None) -> tuple[Floats, Floats]:
        """(evidence [P, 5], screening scores [P]), of labels each of which has its own text among the rows; `words`:
        what the lexical side says of the rows that the scores were made of."""
        [weighed] = self.weigh_each((weighing,), words)
        return weighed

    def weigh_each(self, weighings: Sequence[Weighing], words: RowWords | None = None) -> list[tuple[Floats, Floats]]:
        """What `weigh` gives for each of several weighings; what they share is found once."""
        together = {t: self.votes(t) for t in dict.fromkeys(each.votes_temperature for each in weighings)}
        weighed = [weigh(self.scores, together[each.votes_temperature], each) for each in weighings]
        if words is None:
            return weighed
        lexical = np.zeros(len(self.pairs), np.float32)
        np.maximum.at(lexical, self.row_pairs, words.score(self.row_rows))
        features = words.features(float(self.scores.max(initial=-np.inf)))
        for place, (weighing, (evidence, screening)) in enumerate(zip(weighings, weighed, strict=True)):
            evidence[:, LEXICAL] = lexical
            weighed[place] = evidence, screening + weighing.weigh_words(features) * lexical
        return weighed

    def best(self, depth: int, scores: Floats | None = None) -> Ints:
        """[queries, depth]: the labels whose score is highest, of equals the lower one first, -1 behind all. `scores`
        [P]: by default that of the label's best row."""
        query = self.pairs // self.labels
        order = np.lexsort((-(self.scores.max(1) if scores is None else scores), query))  # of equals the lower pair
        rank = np.arange(len(order)) - np.searchsorted(query, query)
        found = np.full((self.queries, depth), -1, np.int64)
        chosen = rank < depth
        found[query[chosen], rank[chosen]] = (self.pairs % self.labels)[order[chosen]]
        return found

    def look_up(self, labels: Ints) -> Floats:
        """[queries, N, 3]: the scores of given labels [queries, N]; minus infinity for those that no row stands for."""
        place, known = self.places_of(labels)
        found: Floats = np.where(known[..., None], self.scores[place], np.float32(-np.inf))
        return found

    def places_of(self, labels: Ints) -> tuple[Ints, Ints]:
        """[queries, N] each: given labels' places among the pairs, and whether they are there at all."""
        wanted = np.arange(self.queries)[:, None] * self.labels + labels
        place = np.searchsorted(self.pairs, wanted).clip(max=len(self.pairs) - 1)
        return place, (labels >= 0) & (self.pairs[place] == wanted)


def weigh(scores: Floats, together: Floats, weighing: Weighing) -> tuple[Floats, Floats]:
    """(evidence [..., 5], screening scores [...]) of labels whose rows have these best `scores` [..., 3] of each kind,
    minus infinity where there is none but of the own text, and whose rows say this `together` [...]."""
    own, alias, description = np.moveaxis(scores, -1, 0)
    best = scores.max(-1)
    evidence = np.zeros((*own.shape, len(EVIDENCE)), np.float32)
    evidence[..., OWN] = own
    evidence[..., ALIAS] = np.where(np.isneginf(alias), own, alias)
    evidence[..., DESCRIPTION] = np.where(np.isneginf(description), np.maximum(own, alias), description)
    evidence[..., 3] = together
    return evidence, best + np.float32(weighing.votes_weight) * (together - best)


# Numbers below so many are told apart by a table of them, which takes a byte and four a number.
_MOST_TABLED = 1 << 26
# A table of more than so many numbers for each that is to be told apart takes longer than sorting them.
_WIDEST_TABLE = 32


def distinct(numbers: Ints, bound: int) -> tuple[Ints, Ints]:
    """(the distinct numbers ascending, the place of each number among them) of numbers from 0 to below `bound`: what
    `np.unique(numbers, return_inverse=True)` says, some times as fast where there are many."""
    if bound > min(_MOST_TABLED, _WIDEST_TABLE * max(len(numbers), 1)):
        return np.unique(numbers, return_inverse=True)
    there = np.zeros(bound, np.bool_)
    there[numbers] = True
    found = np.flatnonzero(there)
    place = np.empty(bound, np.int32)
    place[found] = np.arange(len(found), dtype=np.int32)
    return found, place[numbers].astype(np.int64)


def rows_of_labels(labels: int, alias_labels: Ragged) -> Ragged:
    """The alias rows of each label: `alias_labels`, the labels of each alias row, turned about."""
    order = np.argsort(alias_labels.values, kind="stable")
    starts = np.searchsorted(alias_labels.values[order], np.arange(labels + 1))
    return Ragged(labels + alias_labels.owners[order], starts.astype(np.int64))


def all_rows(alias_rows: Ragged, labels: Ints) -> tuple[Ints, Ints]:
    """(query [R], rows [R]): every row of given labels [queries, N] (-1 pads); `alias_rows`: those of each label but
    its own text's."""
    place = np.flatnonzero(labels.ravel() >= 0)
    others = alias_rows.take(labels.ravel()[place])
    query = place // labels.shape[1]
    return np.concatenate([query, query[others.owners]]), np.concatenate([labels.ravel()[place], others.values])


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
