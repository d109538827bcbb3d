"""Encode: the label texts, and the aliases, become vectors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from edgexl.base.arrays import Floats
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.encoding.workers import Workers
from edgexl.compiler.measure.yardstick import screening_recall
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.recipe import IndexRecipe
from edgexl.index.rows import Repetitions, Rows

# Calibration queries that what the aliases left out cost is measured on: a point of R@100 is then ten of them.
QUERIES = 1000


@dataclass(frozen=True)
class Encode(Pass):
    """`labels_from` of the index: the float screener gives the least noise; the quantized one, as `quantize` will have
    it, gives the vectors that the device itself would make of a label added later. The screener is then quantized here
    and once more in `quantize`, for the rotation is fitted to these vectors and quantized with the other products."""

    index: IndexRecipe
    quantize: Quantize
    workers: Workers
    progress: StageProgress = no_stage_progress

    name = "encode"
    needs = ("graphs",)
    adds = ("vectors",)
    tells = True

    @property
    def measured(self) -> bool:
        """The float screener's vectors are those that earlier passes are measured by."""
        return self.index.labels_from != "float"

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `vectors`, and leaves out the aliases that say nothing new."""
        batched, graphs = self.index.labels_from == "float", artifact.graphs
        model = graphs.label_encoder
        if not batched:
            model = self.quantize.quantize(graphs.screener, self.quantize.recipe.screener)
        rows = artifact.rows
        vectors = encode_rows(model, rows.tokens, batched, self.workers.threads, self.progress, self.workers)
        if not len(rows.alias_labels):
            return dataclasses.replace(artifact, vectors=vectors)
        repetitions = rows.repetitions(vectors, self.index.alias_cosine)
        kept, places = rows.without(repetitions.either)
        kept_vectors = vectors[places] if len(places) < len(vectors) else vectors
        facts = self._facts(artifact, repetitions, (rows, vectors), (kept, kept_vectors))
        return dataclasses.replace(artifact, rows=kept, vectors=kept_vectors, facts=artifact.facts | {"aliases": facts})

    def _facts(
        self, artifact: Artifact, repetitions: Repetitions, before: tuple[Rows, Floats], after: tuple[Rows, Floats]
    ) -> dict[str, Any]:
        """For the manifest: how many aliases there are, how many were left out, and what that cost in recall."""
        facts: dict[str, Any] = {
            "rows": len(after[0].alias_labels),
            "dropped_near_label_text": int(repetitions.near_text.sum()),
            "dropped_near_other_alias": int((repetitions.near_alias & ~repetitions.near_text).sum()),
        }
        queries = artifact.student.calibration[:QUERIES]
        if not queries or not repetitions.either.any():
            return facts
        recalls = [
            screening_recall(artifact, rows, vectors, queries, self.workers.threads)
            for rows, vectors in (before, after)
        ]
        n = artifact.shapes.shortlist
        return facts | {f"R@{n}_with_all": recalls[0], f"R@{n}": recalls[1], "queries": len(queries)}
