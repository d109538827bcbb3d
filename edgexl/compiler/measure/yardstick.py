"""Measuring an artifact at any stage: as much of the compiled product as there is, float and exact for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Array, Floats
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_queries
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.measure.kernel_search import fastest
from edgexl.compiler.measure.ledger import Accuracy
from edgexl.compiler.measure.reference import BATCH, Answer, Blend, ReferencePipeline
from edgexl.data import Query, metrics
from edgexl.data.layout import spell_queries
from edgexl.index import Shortlist
from edgexl.index.exact_search import ExactSearch
from edgexl.index.remembered import remembered
from edgexl.index.rows import Rows
from edgexl.student.text import encode_texts


@dataclass(frozen=True)
class Yardstick:
    """Held-out queries, and float label vectors [rows, D] for the stages that have none of their own yet."""

    queries: tuple[Query, ...]
    vectors: Floats
    rows: Rows
    threads: int

    def measure(self, artifact: Artifact, progress: StageProgress = no_stage_progress) -> Accuracy:
        """What the artifact reaches on the queries; all None when there are none."""
        if not self.queries:
            return Accuracy()
        there = artifact.has("vectors")
        vectors, rows = (artifact.vectors, artifact.rows) if there else (self.vectors, self.rows)
        texts = [query.text for query in self.queries]

        def find_out() -> dict[str, Any]:
            answers = answer_texts(artifact, texts, self.threads, progress, vectors, rows)
            ranked, screened = zip(*((answer.ranked, answer.labels) for answer in answers), strict=True)
            return measure_accuracy(pad_rows(ranked, -1), self.queries, pad_rows(screened, -1)).pack()

        found = Accuracy.unpack(remembered("accuracy", self._parts(artifact, vectors, rows), find_out))
        progress(len(texts), len(texts))
        return found

    def _parts(self, artifact: Artifact, vectors: Floats, rows: Rows) -> Iterator[bytes | memoryview | str | Array]:
        """All that the artifact's answers to the queries depend on."""
        yield spell_queries(self.queries)
        yield artifact.student.tokenizer.to_str()
        yield repr((artifact.shapes, artifact.windows, _blend(artifact), artifact.reasoner is None))
        yield from (artifact.graphs.screener, artifact.reasoner or b"")
        yield artifact.rows.label_pieces(artifact.shapes.label_tokens)
        if artifact.has("index"):
            yield from artifact.index.parts()
        else:
            yield repr((rows.labels, rows.descriptions))
            yield from (vectors, rows.alias_labels.starts, rows.alias_labels.values)


def answer_texts(
    artifact: Artifact,
    texts: Sequence[str],
    threads: int,
    progress: StageProgress = no_stage_progress,
    vectors: Floats | None = None,
    rows: Rows | None = None,
) -> list[Answer]:
    """The artifact's answers, over its index or `vectors` of `rows`; those to texts that it was asked before are
    known, unless a pass since then changed more than the blend."""
    vectors = artifact.vectors if vectors is None else vectors
    pipeline = reference_pipeline(artifact, vectors, rows or artifact.rows)
    source = artifact.index if artifact.has("index") else vectors
    lengths = map(len, encode_texts(artifact.student.tokenizer, texts, pipeline.max_tokens + 1, pipeline.prompt))
    reasons = pipeline.reasoner is not None
    # a short text is read in one window, however many there may be
    keys = [
        (text, reasons, pipeline.windows if length > pipeline.max_tokens else 1)
        for text, length in zip(texts, lengths, strict=True)
    ]
    asked = partial(pipeline.answers, threads=threads)
    answers = artifact.heard.ask((artifact.graphs, source), texts, keys, asked, progress)
    return [answer.blended(pipeline.blend) for answer in answers]


def reference_pipeline(artifact: Artifact, vectors: Floats, rows: Rows) -> ReferencePipeline:
    """The artifact's graphs over its index, or over an exact search of the `vectors` of `rows` while there is no
    index."""
    student, shapes = artifact.student, artifact.shapes
    exact = ExactSearch(vectors, rows.labels, rows.alias_labels, shapes.shortlist, rows.descriptions)
    return ReferencePipeline(
        tokenizer=student.tokenizer,
        screener=Session(artifact.graphs.screener),
        reasoner=Session(artifact.reasoner) if artifact.reasoner else None,
        screening=fastest(artifact.index) if artifact.has("index") else exact,
        label_pieces=artifact.rows.label_pieces(shapes.label_tokens),
        max_tokens=shapes.max_tokens,
        calibration=artifact.calibration,
        blend=_blend(artifact),
        windows=artifact.windows,
    )


def _blend(artifact: Artifact) -> Blend:
    return artifact.blend if artifact.has("blend") else artifact.own_blend


def screening_accuracy(
    artifact: Artifact, rows: Rows, vectors: Floats, queries: Sequence[Query], threads: int
) -> tuple[float, float]:
    """R@N and P@1 of an exact search of the float vectors of `rows`, in percent; N is the shortlist's length."""
    shapes = artifact.shapes
    encoded = encode_queries(artifact, queries, threads)
    search = ExactSearch(vectors, rows.labels, rows.alias_labels, shapes.shortlist, rows.descriptions)
    found: list[Shortlist] = []
    with ThreadPoolExecutor(threads) as pool:
        for begin in range(0, len(encoded), BATCH):
            found += search.search_all(encoded[begin : begin + BATCH], pool)
    ranked = pad_rows([shortlist.labels for shortlist in found], -1)
    targets = [query.targets for query in queries]
    recalls, precisions = metrics.recalls(ranked, targets, ranked.shape[1]), metrics.precisions(ranked, targets, 1)
    return round(100 * float(recalls.mean()), 4), round(100 * float(precisions.mean()), 4)


def pad_rows(rows: Iterable[npt.NDArray[Any]], filler: float) -> npt.NDArray[Any]:
    """[rows, longest]: rows of unequal length, for aliases of few labels can fill all places of the over-fetch."""
    rows = list(rows)
    full = np.full((len(rows), max(map(len, rows))), filler, rows[0].dtype)
    for line, row in zip(full, rows, strict=True):
        line[: len(row)] = row
    return full


def measure_accuracy(
    ranked: npt.NDArray[np.int64], queries: Sequence[Query], screened: npt.NDArray[np.int64] | None = None
) -> Accuracy:
    """P@1, R@100 and nDCG@5 of rankings [queries, N], and of screening's where they are given; a shortlist under 100 is
    padded, so R@100 is its recall."""
    targets = [query.targets for query in queries]
    ranked = _at_least(ranked, 100)
    whole = Accuracy(*_figures(ranked, targets), shares=_shares(ranked, targets))
    if screened is None:
        return whole
    screened = _at_least(screened, 100)
    p_at_1, r_at_100, ndcg_at_5 = _figures(screened, targets)
    shares = {f"screening_{name}": values for name, values in _shares(screened, targets).items()}
    return replace(
        whole,
        screening_p_at_1=p_at_1,
        screening_r_at_100=r_at_100,
        screening_ndcg_at_5=ndcg_at_5,
        shares=whole.shares | shares,
    )


def _shares(ranked: npt.NDArray[np.int64], targets: Sequence[Sequence[int]]) -> dict[str, npt.NDArray[np.float64]]:
    return {"p_at_1": metrics.precisions(ranked, targets, 1), "r_at_100": metrics.recalls(ranked, targets, 100)}


def _figures(ranking: npt.NDArray[np.int64], targets: Sequence[Sequence[int]]) -> tuple[float, float, float]:
    found = metrics.evaluate(ranking, targets, ks=(1, 5, 100))
    return round(float(found["P@1"]), 4), round(float(found["R@100"]), 4), round(float(found["nDCG@5"]), 4)


def _at_least(ranking: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    return np.pad(ranking, ((0, 0), (0, max(0, width - ranking.shape[1]))), constant_values=-1)
