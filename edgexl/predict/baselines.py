"""What simple searches find with no training: TF-IDF over letters, BM25 over words, an untrained encoder.

Each scores every text of every label. A label's score is that of its best text, be it its own, an alias or a
description; labels of score 0 share nothing with the query and are not ranked, and ties go to the lower label.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, StageProgress, no_progress, no_stage_progress

ENCODER = "all-MiniLM-L6-v2"
BASELINES = ("tf-idf", "bm25", "minilm")
# Okapi BM25 as Lucene has it: term frequency saturates at k1, length counts by b, and no word counts less than 0.
BM25_K1, BM25_B = 1.2, 0.75
# Queries scored at once: 32 x 700,000 scores are 90 MB.
_BATCH = 32

Scores = Callable[[Sequence[str]], Floats]


@dataclass(frozen=True)
class LabelTexts:
    """All texts of the labels side by side: those of `labels[i]` (numbers, ascending) begin at `starts[i]`."""

    labels: Ints
    starts: Ints
    texts: list[str]

    @classmethod
    def of(cls, texts: Mapping[int, Sequence[str]]) -> LabelTexts:
        """Of each label's number and its texts, of which it has one at least."""
        labels = sorted(texts)
        counts = [len(texts[label]) for label in labels]
        starts = np.cumsum([0, *counts[:-1]])
        return cls(np.array(labels), starts, [text for label in labels for text in texts[label]])


def rank_baselines(
    labels: LabelTexts,
    queries: Sequence[str],
    depth: int,
    progress: Progress = no_progress,
    names: Collection[str] = BASELINES,
) -> dict[str, Ints]:
    """{name: the first `depth` labels of each query [queries, depth], best first, padded with -1}.

    `tf-idf`: cosine of sublinear TF-IDF vectors over 2 to 4 letters within words. `bm25`: Okapi BM25 over words in
    lower case, k1 = 1.2, b = 0.75. `minilm`: cosine of all-MiniLM-L6-v2's vectors, mean pooled, exact search. Raises
    `BadInput` where a package is missing or the encoder cannot be had.
    """
    searches: dict[str, Callable[[Sequence[str]], Scores]]
    searches = {"tf-idf": tf_idf, "bm25": bm25, "minilm": partial(encoder, progress=progress)}
    searches = {name: search for name, search in searches.items() if name in names}
    ranked = {}
    try:
        for name, make in searches.items():
            progress(f"query {name}", 0, len(queries))
            scores = make(labels.texts)
            parts = []
            for begin in range(0, len(queries), _BATCH):
                batch = queries[begin : begin + _BATCH]
                parts.append(_rank(np.maximum.reduceat(scores(batch), labels.starts, axis=1), depth))
                progress(f"query {name}", begin + len(batch), len(queries))
            found = np.concatenate(parts)
            ranked[name] = np.where(found >= 0, labels.labels[found], -1)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        missing = {"sklearn": "scikit-learn"}.get(package, package)
        raise BadInput(f"The baselines need {missing}; `pip install edgexl[compile]` brings it.") from None
    return ranked


def tf_idf(texts: Sequence[str]) -> Scores:
    """Scores by TF-IDF over letters."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True, dtype=np.float32)
    rows = vectorizer.fit_transform(texts).T.tocsr()
    return lambda queries: (vectorizer.transform(queries) @ rows).toarray()


def bm25(texts: Sequence[str]) -> Scores:
    """Scores by BM25: the sum over a query's words of idf x tf x (k1 + 1) / (tf + k1 x (1 - b + b x length / mean))."""
    from sklearn.feature_extraction.text import CountVectorizer

    vectorizer = CountVectorizer(token_pattern=r"(?u)\b\w+\b", dtype=np.float32)
    try:
        counts = vectorizer.fit_transform(texts)
    except ValueError:  # no text has a word
        return lambda queries: np.zeros((len(queries), len(texts)), np.float32)
    lengths = np.asarray(counts.sum(axis=1)).ravel()
    holders = np.bincount(counts.indices, minlength=counts.shape[1])
    idf = np.log1p((len(texts) - holders + 0.5) / (holders + 0.5))
    row = np.repeat(np.arange(len(texts)), np.diff(counts.indptr))
    norm = BM25_K1 * (1 - BM25_B + BM25_B * lengths[row] / lengths.mean())
    counts.data = (idf[counts.indices] * counts.data * (BM25_K1 + 1) / (counts.data + norm)).astype(np.float32)
    rows = counts.T.tocsr()
    return lambda queries: (vectorizer.transform(queries) @ rows).toarray()


def encoder(texts: Sequence[str], progress: Progress) -> Scores:
    """Scores by the untrained encoder; what lies across from a query scores 0."""
    from edgexl.student.encode import encode_vectors
    from edgexl.student.importer import import_sentence_transformer

    model = import_sentence_transformer(ENCODER)

    def encode(some: Sequence[str], told: StageProgress = no_stage_progress) -> Floats:
        vectors: Floats = encode_vectors(model.screener, model.tokenizer, some, progress=told).numpy()
        return vectors

    rows = encode(texts, partial(progress, "encode the labels by minilm")).T
    return lambda queries: np.maximum(encode(queries) @ rows, 0)


def _rank(scores: Floats, depth: int) -> Ints:
    """Where the `depth` highest scores of each row above 0 are, best first, padded with -1."""
    ranked = np.full((len(scores), depth), -1, np.int64)
    for line, row in zip(ranked, scores, strict=True):
        least = np.partition(row, len(row) - depth)[len(row) - depth] if depth < len(row) else 0
        places = np.flatnonzero((row >= least) & (row > 0))
        best = places[np.argsort(-row[places], kind="stable")][:depth]
        line[: len(best)] = best
    return ranked
