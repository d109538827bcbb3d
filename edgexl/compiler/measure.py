"""Measuring an artifact at any stage: as much of the compiled product as there is, float and exact for the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgexl import metrics
from edgexl.compiler.artifact import Artifact, Floats
from edgexl.compiler.encoding import Progress
from edgexl.compiler.graph import Session
from edgexl.compiler.ledger import Accuracy
from edgexl.compiler.reference import ExactSearch, ReferencePipeline
from edgexl.data import Query


@dataclass(frozen=True)
class Yardstick:
    """Held-out queries, and float label vectors [rows, D] for the stages that have none of their own yet."""

    queries: tuple[Query, ...]
    vectors: Floats
    alias_labels: tuple[tuple[int, ...], ...]
    threads: int

    def measure(self, artifact: Artifact, progress: Progress | None = None) -> Accuracy:
        """What the artifact reaches on the queries; all None when there are none."""
        if not self.queries:
            return Accuracy()
        vectors = self.vectors if artifact.vectors is None else artifact.vectors
        aliases = self.alias_labels if artifact.vectors is None else artifact.rows.alias_labels
        pipeline = reference_pipeline(artifact, vectors, aliases)
        answers = pipeline.answers([query.text for query in self.queries], self.threads, progress)
        return accuracy(np.stack([answer.ranked for answer in answers]), self.queries)


def reference_pipeline(
    artifact: Artifact, vectors: Floats, alias_labels: tuple[tuple[int, ...], ...]
) -> ReferencePipeline:
    """The artifact's graphs over its index, or over an exact search of `vectors` while there is no index."""
    assert artifact.graphs is not None
    student, shapes = artifact.student, artifact.shapes
    exact = ExactSearch(vectors, artifact.rows.labels, alias_labels, shapes.shortlist)
    return ReferencePipeline(
        tokenizer=student.tokenizer,
        screener=Session(artifact.graphs.screener),
        reasoner=Session(artifact.graphs.reasoner),
        screening=artifact.index or exact,
        label_pieces=artifact.rows.label_pieces(shapes.label_tokens),
        max_tokens=shapes.max_tokens,
        calibration=artifact.calibration,
    )


def accuracy(ranked: np.ndarray[tuple[int, ...], np.dtype[np.int64]], queries: Sequence[Query]) -> Accuracy:
    """P@1, R@100 and nDCG@5 of rankings [queries, N]; a shortlist under 100 is padded, so R@100 is its recall."""
    short = max(0, 100 - ranked.shape[1])
    padded = np.pad(ranked, ((0, 0), (0, short)), constant_values=-1)
    found = metrics.evaluate(padded, [query.targets for query in queries], ks=(1, 5, 100))
    return Accuracy(*(round(float(found[key]), 4) for key in ("P@1", "R@100", "nDCG@5")))
