"""Scores rows by the lexical section as the C runtime does, to the bit (lexical.c; docs/format.md, "Lexical section"):
what tests compare with, and what a compile weighs the lexical side by."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from edgexl.base.arrays import Bools, Floats, Ints
from edgexl.bundle.lexical import Lexical
from edgexl.index.added_words import AddedWords, count_rows, features_of, list_numbers, terms_of
from edgexl.index.lexical import weigh_terms
from edgexl.runtime.lexical import split_words

MOST_WORDS = 63
MOST_MATCHES = 32  # of a word
NEAR = 1638  # .4: an unknown word so near to a term is most likely that one, misspelt
MOST_TOUCHED = 131072  # rows that a query looks at
MIXED_WORDS = 9  # of a query, that both a dense and another term match
SIMILARITY, LEAST_SIMILARITY = 4096, 1229  # 1 and .3
POINTS = 65535  # that a query can give
_UNIT = np.float32(65535.0 * 4096.0 * 256.0)
_BEST = 10


@dataclass(frozen=True, eq=False)
class _Word:
    """A word of the query: its terms by descending points (once they are shared out), what it is worth, whether the
    index knows it."""

    terms: Ints
    weights: Ints  # similarity x idf of each
    points: Ints
    best: int  # similarity
    idf: int
    norm_idf: int

    @property
    def known(self) -> bool:
        """Whether a term has the very same features."""
        return self.best == SIMILARITY


class LexicalScores:
    """What the rows of an index score by a text, and behind them those that were `added` since."""

    def __init__(self, lexical: Lexical, text: str, added: AddedWords | None = None, dead: Bools | None = None) -> None:
        """`dead` [rows of the index]: which of them are not to be found any more."""
        self._lexical, self._added = lexical, added
        distinct = list(dict.fromkeys(split_words([text])[0]))[:MOST_WORDS]
        found = [self._match(word) for word in distinct]
        total = sum(int((word.weights * word.idf).max(initial=0)) for word in found)
        square = sum(word.norm_idf**2 for word in found)
        factor = np.float32(total) / _UNIT / np.sqrt(np.float32(square)) if total else np.float32(0)
        self._words = self._drop_dense([_share_points(word, total) for word in found])
        points, touched = self._collect()
        inverse_norms = lexical.inverse_norms[lexical.norms]
        if added is not None:
            points = np.concatenate([points, self._collect_added(added)])
            touched = np.concatenate([touched, lexical.rows + np.flatnonzero(self._are_found(added))])
            inverse_norms = np.concatenate([inverse_norms, added.inverse_norms])
        scores = points.astype(np.float32) * factor * inverse_norms
        self.scores: Floats = scores  # [rows of the index, then added ones]
        if dead is not None:
            touched = touched[~np.pad(dead, (0, len(scores) - len(dead)))[touched]]
        touched = touched[np.lexsort((touched, -scores[touched]))]
        self._ten: Floats = scores[touched[:_BEST]]
        self.ranked: Ints = touched  # rows with a word of the text, by score descending, ties by row

    def score(self, rows: Ints) -> Floats:
        """The scores of some rows; 0 for those that the section does not have."""
        known = rows < len(self.scores)
        found: Floats = np.where(known, self.scores[np.where(known, rows, 0)], np.float32(0))
        return found

    def features(self, dense: float) -> Floats:
        """What the weight of the scores is made of; dense: the best score of a row by its vector."""
        count, one = np.float32(len(self._words)), np.float32(1)
        idf = sum(word.norm_idf for word in self._words)
        alike = sum(word.norm_idf * word.best for word in self._words)
        best, total = self._ten[0] if len(self._ten) else np.float32(0), np.float32(0)
        for score in self._ten:
            total += score
        values = [
            one,
            np.float32(sum(not word.known for word in self._words)) / count if count else 0,
            np.float32(alike) / (np.float32(idf) * np.float32(SIMILARITY)) if count else 0,
            np.float32(sum(not word.known and word.best >= NEAR for word in self._words)) / count if count else 0,
            np.float32(dense),
            best,
            best - total / np.float32(_BEST),
            min(count, np.float32(_BEST)) / np.float32(_BEST),
        ]
        return np.array(values, np.float32)

    def _match(self, word: str) -> _Word:
        """The terms most like a word."""
        lexical, added = self._lexical, self._added
        features = features_of(lexical, word)
        counts, size = np.zeros(lexical.terms, np.int64), len(features)
        for feature in features.tolist():
            counts[terms_of(lexical, feature)] += 1
        sizes = lexical.sizes
        if added is not None:
            counts, sizes = np.concatenate([counts, added.count(features)]), np.concatenate([sizes, added.sizes])
        some = np.flatnonzero(counts)
        similarity = 2 * SIMILARITY * counts[some] // (size + sizes[some])
        order = np.lexsort((some, -similarity))[:MOST_MATCHES]
        order = order[similarity[order] >= LEAST_SIMILARITY]
        terms, similarity = some[order], similarity[order]
        rows = lexical.rows + (added.rows if added is not None else 0)
        idf = weigh_terms(rows, np.array([self._count_rows(term) for term in terms.tolist()], np.int64))
        most, weights = int(weigh_terms(rows, np.array([1]))[0]), similarity * idf
        best = int(similarity[0]) if len(terms) else 0
        norm = int(idf[0]) if best == SIMILARITY else most
        guess = int(weights.sum()) // int(similarity.sum()) if len(terms) else most
        return _Word(terms, weights, weights, best, norm if best == SIMILARITY else min(most, guess), norm)

    def _count_rows(self, term: int) -> int:
        count = count_rows(self._lexical, term) if term < self._lexical.terms else 0
        return count + (len(self._added.rows_of(term)) if self._added is not None else 0)

    def _list(self, term: int) -> Ints:
        """The numbers of a dense or listed term."""
        return list_numbers(self._lexical, term)

    def _list_rows(self, term: int) -> Ints:
        """The rows of a term of the index; ascending."""
        lexical = self._lexical
        if term >= lexical.terms:
            return np.zeros(0, np.int64)
        if term < lexical.dense:
            return np.flatnonzero(np.unpackbits(lexical.bitmaps[term].view(np.uint8), bitorder="little"))
        if term >= lexical.dense + lexical.listed:
            return lexical.singles[[term - lexical.dense - lexical.listed]]
        return np.cumsum(self._list(term)[1:]) - 1

    def _drop_dense(self, words: list[_Word]) -> list[_Word]:
        """The words, without dense terms where these and others match and so many words before have both."""
        out, mixed = [], 0
        for word in words:
            others = word.terms >= self._lexical.dense
            if others.any() and not others.all():
                mixed += 1
                if mixed > MIXED_WORDS:
                    word = replace(word, terms=word.terms[others], points=word.points[others])
            out.append(word)
        return out

    def _collect(self) -> tuple[Ints, Ints]:
        """(points of every row, the rows that were brought)."""
        lexical = self._lexical
        points, touched, count = np.zeros(lexical.rows, np.int64), np.zeros(lexical.rows, bool), 0
        for word in sorted(self._words, key=lambda word: -word.idf):
            of_word = np.zeros(lexical.rows, np.int64)
            for term, worth in zip(word.terms.tolist(), word.points.tolist(), strict=True):
                rows = self._list_rows(term)
                if term >= lexical.dense:
                    new = rows[~touched[rows]][: MOST_TOUCHED - count]
                    touched[new] = True
                    count += len(new)
                    rows = rows[touched[rows]]
                of_word[rows] = np.maximum(of_word[rows], worth)
            points += of_word
        for word in self._words:
            for term in word.terms[word.terms < lexical.dense].tolist():
                rows = np.cumsum(self._list(term)[1:]) - 1
                new = rows[~touched[rows]][: MOST_TOUCHED - count]
                touched[new] = True
                count += len(new)
        return points, np.flatnonzero(touched)

    def _collect_added(self, added: AddedWords) -> Ints:
        """Points of every added row."""
        points = np.zeros(added.rows, np.int64)
        for word in self._words:
            of_word = np.zeros(added.rows, np.int64)
            for term, worth in zip(word.terms.tolist(), word.points.tolist(), strict=True):
                rows = added.rows_of(term)
                of_word[rows] = np.maximum(of_word[rows], worth)
            points += of_word
        return points

    def _are_found(self, added: AddedWords) -> Bools:
        """Which added rows have a term of the query."""
        found = np.zeros(added.rows, bool)
        for word in self._words:
            for term in word.terms.tolist():
                found[added.rows_of(term)] = True
        return found


def _share_points(word: _Word, total: int) -> _Word:
    """A word's points, of which a row has `POINTS` at most of all words."""
    points = word.weights * word.idf * POINTS // max(total, 1)
    order = np.argsort(-points, kind="stable")
    return replace(word, terms=word.terms[order], points=points[order])
