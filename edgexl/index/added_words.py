"""The words of labels that were added to a bundle, as the C runtime has them (added.c; docs/format.md, "The words of
added labels"): what tests compare with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgexl.base.arrays import Bytes, Floats, Ints
from edgexl.bundle.lexical import LEFT_OUT, Lexical, decode_list, decode_numbers
from edgexl.index.lexical import bucket_features, hash_features, weigh_terms
from edgexl.runtime.lexical import split_words

_NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class AddedWords:
    """The terms of some rows: those of the section, by their number, and from its `terms` on those that only these rows
    have."""

    rows: int
    inverse_norms: Floats  # [rows]
    sizes: Bytes  # [own terms]: features of each
    features: tuple[frozenset[int], ...]  # of each own term
    postings: dict[int, Ints]  # the rows of each term, ascending

    def rows_of(self, term: int) -> Ints:
        """The rows that have a term; ascending."""
        return self.postings.get(term, _NO_ROWS)

    def count(self, features: Ints) -> Ints:
        """[own terms]: how many of the features each has."""
        wanted = set(features.tolist())
        return np.array([len(wanted & own) for own in self.features], np.int64)


def read_words(lexical: Lexical, texts: Sequence[str]) -> AddedWords:
    """The words of rows with these texts, beside a section."""
    known = _terms_by_features(lexical)
    of_rows: list[dict[frozenset[int], None]] = []
    for words in split_words(texts):
        of_words = (frozenset(features_of(lexical, word).tolist()) for word in words)
        of_rows.append(dict.fromkeys(features for features in of_words if features))
    first_seen = dict.fromkeys(features for row in of_rows for features in row if features not in known)
    own = sorted(first_seen, key=len)  # of equal sizes in the order in which they came up
    number = known | {features: lexical.terms + i for i, features in enumerate(own)}
    found: dict[int, list[int]] = {}
    for row, terms in enumerate(of_rows):
        for features in terms:
            found.setdefault(number[features], []).append(row)
    postings = {term: np.array(rows, np.int64) for term, rows in found.items()}
    counts = {
        term: len(rows) + (count_rows(lexical, term) if term < lexical.terms else 0) for term, rows in postings.items()
    }
    weights = {
        term: int(weigh_terms(lexical.rows + len(texts), np.array([count]))[0]) for term, count in counts.items()
    }
    squares = [sum(weights[number[features]] ** 2 for features in terms) for terms in of_rows]
    inverse = [np.float32(256) / np.sqrt(np.float32(square)) if square else np.float32(0) for square in squares]
    sizes = np.array([len(features) for features in own], np.uint8)
    return AddedWords(len(texts), np.array(inverse, np.float32), sizes, tuple(own), postings)


def features_of(lexical: Lexical, word: str) -> Ints:
    """A word's distinct features, without those that the section leaves out."""
    features = np.unique(bucket_features(hash_features([word])[0], lexical.features))
    starts = lexical.feature_starts
    kept = [lexical.feature_lists[starts[one] : starts[one + 1]] != LEFT_OUT for one in features.tolist()]
    chosen: Ints = features[np.array(kept, bool)]
    return chosen


def terms_of(lexical: Lexical, feature: int) -> Ints:
    """The terms that have a feature, which is not left out; ascending."""
    starts = lexical.feature_starts
    return decode_list(lexical.feature_lists[starts[feature] : starts[feature + 1]])


def count_rows(lexical: Lexical, term: int) -> int:
    """In how many rows of the section a term of it stands."""
    return int(list_numbers(lexical, term)[0]) if term < lexical.dense + lexical.listed else 1


def list_numbers(lexical: Lexical, term: int) -> Ints:
    """The numbers of a dense or listed term: how many rows it has, then the distances of those that are listed."""
    starts = lexical.term_starts
    return decode_numbers(lexical.term_lists[starts[term] : starts[term + 1]])


def _terms_by_features(lexical: Lexical) -> dict[frozenset[int], int]:
    """The lowest term of the section with each set of features."""
    features: list[set[int]] = [set() for _ in range(lexical.terms)]
    starts = lexical.feature_starts
    for feature in range(lexical.features):
        if lexical.feature_lists[starts[feature] : starts[feature + 1]] != LEFT_OUT:
            for term in terms_of(lexical, feature).tolist():
                features[term].add(feature)
    known: dict[frozenset[int], int] = {}
    for term, each in enumerate(features):
        known.setdefault(frozenset(each), term)
    return known
