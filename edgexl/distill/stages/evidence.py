"""Shortlists with all kinds of evidence, as the device screens them (docs/format.md, "Shortlist"): by vectors of label
texts, aliases and descriptions, by the votes of all of these, and by words.

Only the scan's coarse codes are left out. What a label lacks has one value, here as on the device: its alias score is
its own, its description score the better of both, its votes are its best score, and its lexical score is 0.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from edgexl.base.arrays import Bools, Floats, Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress
from edgexl.base.ragged import Ragged
from edgexl.bundle.parameters import EVIDENCE
from edgexl.compiler.measure.kernel_search import match_words
from edgexl.compiler.passes.build_index import usual_votes
from edgexl.compiler.passes.index_words import MOST, USUAL
from edgexl.data.label_set import LabelSet
from edgexl.distill.stages.search import ROWS_A_SHORTLIST, SEARCH_BATCH, RowSearch
from edgexl.index.best_of_rows import ALIAS, DESCRIPTION, LEXICAL, LabelScores, RowWords, Weighing
from edgexl.index.lexical import build_lexical
from edgexl.index.rows import Rows

# As a compile weighs the lexical side of a label set without held-out queries, and as many rows as it brings.
WEIGHING = Weighing(lexical_weight=USUAL.features, lexical_most=MOST)
LEXICAL_ROWS, LEXICAL_BYTES = 128, 24.0
VOTES = EVIDENCE.index("votes")


@dataclass(frozen=True)
class Evidence:
    """What is known of n queries' shortlists beside the own texts' scores, which follow from the vectors.

    Each [n,M]: the best scores of `aliases` and of `descriptions`, minus infinity where there is none; what all of a
    label's rows say beyond its best, `votes`; and its lexical score, `words`. `weights` [n,2]: how many times these two
    count.
    """

    aliases: Tensor
    descriptions: Tensor
    votes: Tensor
    words: Tensor
    weights: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """Its tensors by name."""
        return {each.name: getattr(self, each.name) for each in fields(self)}

    def to(self, device: torch.device) -> Evidence:
        """The same on `device`."""
        return Evidence(**{name: value.to(device) for name, value in self.tensors().items()})

    def take(self, rows: Tensor, columns: Tensor | None = None) -> Evidence:
        """That of some queries [B] and, where they are given, columns [B,N] of their shortlists, as fp32."""
        chosen = {name: value[rows].to(torch.float32) for name, value in self.tensors().items()}
        if columns is not None:
            chosen |= {name: value.gather(1, columns) for name, value in chosen.items() if name != "weights"}
        return Evidence(**chosen)

    def drop(self, share: float) -> Evidence:
        """Each kind missing, label by label, from a random `share` of the queries: so a student serves label sets
        without it. A kind of rows takes the votes along, which count its rows, too."""
        dropped = torch.rand(4, len(self.weights), 1, device=self.weights.device) < share
        nothing = torch.full_like(self.aliases[:1], -torch.inf)
        return Evidence(
            torch.where(dropped[0], nothing, self.aliases),
            torch.where(dropped[1], nothing, self.descriptions),
            self.votes.masked_fill(dropped[:3].any(0), 0.0),
            self.words.masked_fill(dropped[3], 0.0),
            self.weights,
        )

    def weigh(self, own: Tensor) -> tuple[Tensor, Tensor]:
        """(the graph's `evidence` [n,M,5], the screening scores [n,M]), with the own texts' scores [n,M]: what
        `edgexl.index.best_of_rows.weigh` and the lexical side make of them."""
        alias = torch.where(self.aliases.isneginf(), own, self.aliases)
        named = torch.maximum(own, alias)
        description = torch.where(self.descriptions.isneginf(), named, self.descriptions)
        best = torch.maximum(named, description)
        evidence = torch.stack([own, alias, description, best + self.votes, self.words], -1)
        votes, words = self.weights[:, :1] * self.votes, self.weights[:, 1:] * self.words
        return evidence, best + votes + words


@dataclass(frozen=True)
class Hiding:
    """One description of every label that a query may not meet: its own text, where that describes the label, else one
    by chance. So a missing description tells nothing of gold labels.

    `places` [rows]: which of its label's descriptions a row is a passage of, -1 of other rows; `labels`, `counts`
    [rows]: that label, and how many descriptions it has. `described` are the (label, place)s of each description.
    """

    places: Ints
    labels: Ints
    counts: Ints
    described: dict[str, list[tuple[int, int]]]
    seed: int

    @classmethod
    def of(cls, labels: LabelSet, rows: Rows, places: Ints, seed: int) -> Hiding:
        """`places`: `Rows.description_places`."""
        first = len(rows) - rows.descriptions
        own = rows.alias_labels.values[rows.alias_labels.starts[first - rows.labels] :].astype(np.int64)
        count = np.array([len(texts) for texts in labels.descriptions])
        described: dict[str, list[tuple[int, int]]] = {}
        for label, texts in enumerate(labels.descriptions):
            for place, text in enumerate(texts):
                described.setdefault(text, []).append((label, place))
        pad = np.full(first, -1, np.int64)
        return cls(
            np.concatenate([pad, places]), np.concatenate([pad, own]), np.concatenate([pad, count[own]]),
            described, seed,
        )  # fmt: skip

    def part(self, places: Ints) -> Hiding:
        """That of some rows; their labels keep their numbers in here."""
        return replace(self, places=self.places[places], labels=self.labels[places], counts=self.counts[places])

    def hides(self, query: str, rows: Ints) -> Bools:
        """Which of the rows a query may not meet."""
        place, label, count = self.places[rows], self.labels[rows], self.counts[rows]
        key = np.uint64(abs(hash_text(query)) ^ self.seed)
        mixed = (label.astype(np.uint64) + key) * np.uint64(0x9E3779B97F4A7C15)
        chosen = ((mixed >> np.uint64(33)) % np.maximum(count, 1).astype(np.uint64)).astype(np.int64)
        for of, own in reversed(self.described.get(query, ())):
            chosen = np.where(label == of, own, chosen)
        found: Bools = (place >= 0) & (place == chosen)
        return found


def hash_text(text: str) -> int:
    """The same number on every machine."""
    number = 0xCBF29CE484222325
    for byte in text.encode("utf-8", "surrogatepass"):
        number = (number ^ byte) * 0x100000001B3 & (1 << 63) - 1
    return number


@dataclass(frozen=True)
class Screened:
    """Shortlists [n,M]: labels best first, and their evidence in fp16."""

    labels: Tensor
    evidence: Evidence


class EvidenceSearch:
    """Screening over the `vectors` [rows,d] of `rows`, whose `texts` [rows] the lexical side is built of, of at most
    `lexical_bytes` a row (None: there is none). `hiding`: which rows a query may not meet, where there is any. `places`
    [rows]: what the rows are among those of a larger set, where they are a part of it. The rows `asked` (-1: none) are
    queries, which never meet themselves: their words are left out of the lexical side, for a query that finds all of
    its words there, in one row, is weighed as no other query is."""

    def __init__(
        self, rows: Rows, vectors: Tensor, texts: Sequence[str], hiding: Hiding | None = None,
        places: Ints | None = None, lexical_bytes: float | None = LEXICAL_BYTES, asked: Ints | None = None,
    ) -> None:  # fmt: skip
        self.rows, self.hiding, self.lexical_bytes = rows, hiding, lexical_bytes
        self.texts = list(texts)
        for row in [] if asked is None else asked[asked >= 0].tolist():
            self.texts[row] = ""
        self.places = np.arange(len(rows)) if places is None else places
        self._search = RowSearch(rows, vectors, rough=True)
        self._weighing = replace(WEIGHING, votes_weight=usual_votes(rows))
        self._row_labels = Ragged(rows.alias_labels.values.astype(np.int64), rows.alias_labels.starts)

    def part(self, labels: Ints) -> EvidenceSearch:
        """Over some of the labels (ascending), numbered anew, as though there were no others."""
        rows, places = self.rows.part(labels)
        vectors = self._search.vectors[torch.from_numpy(places).to(self._search.vectors.device)]
        hiding = self.hiding.part(places) if self.hiding else None
        texts = [self.texts[place] for place in places.tolist()]
        found = EvidenceSearch(rows, vectors, texts, hiding, places, self.lexical_bytes)
        return found.weighed_by(replace(found.weighing, lexical_weight=self.weighing.lexical_weight))

    def showing_all(self) -> EvidenceSearch:
        """The same with nothing hidden, as held-out queries meet it."""
        found = copy.copy(self)
        found.hiding = None
        return found

    def weighed_by(self, weighing: Weighing) -> EvidenceSearch:
        """The same with other weights of votes and words."""
        found = copy.copy(self)
        found._weighing = weighing
        return found

    @property
    def weighing(self) -> Weighing:
        """What screening scores are made of."""
        return self._weighing

    def candidates(
        self, queries: Tensor, texts: Sequence[str], depth: int, banned: Ints, progress: Progress
    ) -> Iterator[Candidates]:
        """Of each query all labels that it meets, `depth` at least, before anything is weighed."""
        for each in self._weigh(queries, texts, min(depth, self.rows.labels), banned, progress, None):
            best = each.scores.scores.max(1)
            yield Candidates(
                each.scores.pairs, best, each.evidence[:, VOTES] - best, each.evidence[:, LEXICAL], each.features
            )

    def shortlists(
        self, queries: Tensor, texts: Sequence[str], shortlist: int, banned: Ints, progress: Progress
    ) -> Screened:
        """The `shortlist` best labels for query vectors [n,d] and their texts; a query never meets the `banned` [n] row
        (-1: none)."""
        shortlist = min(shortlist, self.rows.labels)
        found = [query.best(shortlist) for query in self._weigh(queries, texts, shortlist, banned, progress, None)]
        return Screened(
            torch.from_numpy(np.stack([labels for labels, _, _ in found]).astype(np.int32)),
            pack_evidence([(kinds, weights) for _, kinds, weights in found]),
        )

    def evidence_of(
        self, queries: Tensor, texts: Sequence[str], labels: Tensor, banned: Ints, progress: Progress
    ) -> Evidence:
        """The evidence of given labels [n,N], by the rows that screening would find and their own texts."""
        given = labels.cpu().numpy().astype(np.int64)
        weighed = self._weigh(queries, texts, labels.shape[1], banned, progress, given)
        return pack_evidence([query.of(mine)[1:] for query, mine in zip(weighed, given, strict=True)])

    @cached_property
    def _match(self) -> Callable[[str], RowWords | None]:
        if self.lexical_bytes is not None:
            try:
                return match_words(build_lexical(self.texts, bytes_a_row=self.lexical_bytes), LEXICAL_ROWS)
            except BadInput:  # no such index is as small: a compile goes without, too
                pass
        return lambda text: None

    def _weigh(
        self, queries: Tensor, texts: Sequence[str], shortlist: int, banned: Ints, progress: Progress,
        given: Ints | None,
    ) -> Iterator[_Weighed]:  # fmt: skip
        """Each query's candidates: the rows near it and those that share words with it, but none that it may not meet,
        and with each row the own texts of its labels, as those of the labels `given` [n,N]."""
        none = np.full(SEARCH_BATCH, -1, np.int64)
        tried = min(len(self.rows), shortlist * ROWS_A_SHORTLIST if self._search.has_aliases else shortlist + 1)
        for start in range(0, len(queries), SEARCH_BATCH):
            batch = queries[start : start + SEARCH_BATCH]
            near = self._search.best_rows(batch, tried, none[: len(batch)])[1].cpu().numpy()
            for at, rows in enumerate(near, start):
                words = self._match(texts[at])
                found = self._meet(rows, texts[at], int(banned[at]), words)
                if given is not None:
                    found = np.union1d(found, given[at])
                weighed = self._score(queries[at], found, words)
                if len(weighed.scores.pairs) < shortlist:  # few labels have many rows: more by their own texts alone
                    own = self._search.exact(queries[at][None], torch.arange(self.rows.labels)[None].to(batch.device))
                    order = own[0].argsort(descending=True).cpu().numpy()
                    more = order[~np.isin(order, weighed.scores.pairs)][: shortlist - len(weighed.scores.pairs)]
                    weighed = self._score(queries[at], np.union1d(found, more), words)
                yield weighed
            progress("make shortlists with their evidence", min(start + SEARCH_BATCH, len(queries)), len(queries))

    def _meet(self, rows: Ints, text: str, banned: int, words: RowWords | None) -> Ints:
        if words is not None:
            rows = np.union1d(rows, words.ranked[:LEXICAL_ROWS])
        rows = rows[rows != banned]
        if self.hiding is not None:
            rows = rows[~self.hiding.hides(text, rows)]
        others = rows[rows >= self.rows.labels] - self.rows.labels
        return np.union1d(rows, self._row_labels.take(others).values)

    def _score(self, vector: Tensor, rows: Ints, words: RowWords | None) -> _Weighed:
        place = torch.from_numpy(rows).to(vector.device)
        scores = self._search.exact(vector[None], place[None])[0].cpu().numpy()
        of_rows = self.rows.labels, self.rows.alias_labels, self.rows.descriptions
        found = LabelScores.of(1, np.zeros_like(rows), rows, scores, *of_rows)
        features = None if words is None else words.features(float(found.scores.max()))
        weight = np.float32(0) if features is None else self._weighing.weigh_words(features)
        weights = self._weighing.votes_weight, float(weight)
        return _Weighed(found, *found.weigh(self._weighing, words), weights, features)


@dataclass(frozen=True)
class Candidates:
    """The labels [P] that a query meets: what their best rows score, their votes and their words say beyond it, each
    [P], and the query's lexical features, None where there is no lexical side."""

    labels: Ints
    best: Floats
    votes: Floats
    words: Floats
    features: Floats | None

    def rank(self, weighing: Weighing) -> Ints:
        """The labels, best first."""
        score = self.best + np.float32(weighing.votes_weight) * self.votes
        if self.features is not None:
            score = score + weighing.weigh_words(self.features) * self.words
        ranked: Ints = self.labels[np.argsort(-score, kind="stable")]
        return ranked


@dataclass(frozen=True)
class _Weighed:
    """One query's labels: what their rows score, their evidence [P,5] and screening scores [P], how much its votes and
    its lexical scores weigh, and what the latter follows from."""

    scores: LabelScores
    evidence: Floats
    screening: Floats
    weights: tuple[float, float]
    features: Floats | None = None

    def best(self, shortlist: int) -> tuple[Ints, Floats, tuple[float, float]]:
        """`of` the best labels."""
        return self.of(self.scores.best(shortlist, self.screening)[0])

    def of(self, labels: Ints) -> tuple[Ints, Floats, tuple[float, float]]:
        """(labels [M], what `Evidence` keeps of them [4,M], the query's weights)."""
        at = self.scores.places_of(labels[None])[0][0]
        scores, known = self.scores.scores[at], self.evidence[at]
        kinds = [scores[:, ALIAS], scores[:, DESCRIPTION], known[:, VOTES] - scores.max(1), known[:, LEXICAL]]
        return labels, np.stack(kinds), self.weights


def pack_evidence(parts: Sequence[tuple[Floats, tuple[float, float]]]) -> Evidence:
    """Of queries one by one: what is kept of their labels [4,M], and their weights."""
    kinds = torch.from_numpy(np.stack([kinds for kinds, _ in parts])).to(torch.float16)
    aliases, descriptions, votes, words = kinds.unbind(1)
    return Evidence(aliases, descriptions, votes, words, torch.tensor([weights for _, weights in parts]))
