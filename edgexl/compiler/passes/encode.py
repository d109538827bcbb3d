"""Encode: the label texts, the aliases and the descriptions become vectors."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Floats
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_labels, encode_rows
from edgexl.compiler.encoding.workers import Workers
from edgexl.compiler.measure.leave_one_out import leave_one_out
from edgexl.compiler.measure.yardstick import screening_accuracy
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.recipe import IndexRecipe
from edgexl.data import Query
from edgexl.index.rows import Repetitions, Rows

# Calibration queries that what the aliases left out cost is measured on: a point of R@100 is then ten of them.
QUERIES = 1000


@dataclass(frozen=True)
class Encode(Pass):
    """`labels_from` of the index: the float screener gives the least noise, or the student's label tower, where it has
    one; the quantized screener, as `quantize` will have it, gives the vectors that the device itself would make of a
    label added later. The screener is then quantized here and once more in `quantize`, for the rotation is fitted to
    these vectors and quantized with the other products."""

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
        """Adds `vectors`, and leaves out the aliases and descriptions that say nothing new."""
        graphs, rows, tower = artifact.graphs, artifact.rows, artifact.student.label_tower
        if self.index.labels_from == "float":
            encoded = encode_labels(artifact, self.workers, self.progress)
            if tower is not None:
                artifact = dataclasses.replace(artifact, facts=artifact.facts | {"label_tower": tower.describe()})
        else:
            model = self.quantize.quantize(graphs.screener, self.quantize.recipe.screener)
            encoded = encode_rows(model, rows.tokens, False, self.workers.threads, self.progress, self.workers)
        vectors = rows.vectors(encoded)
        if not len(rows.alias_labels):
            return dataclasses.replace(artifact, vectors=vectors)
        queries = artifact.student.calibration[:QUERIES]
        form: dict[str, Any] = {"form": "joined" if rows.joined else "rows"}
        if rows.joined and self.index.descriptions == "auto" and queries and artifact.can_judge_descriptions(queries):
            rows, vectors, form = self._choose_form(artifact, encoded, vectors, queries)
            if not len(rows.alias_labels):
                facts = artifact.facts | {"descriptions": form}
                return dataclasses.replace(artifact, rows=rows, vectors=vectors, facts=facts)
        repetitions = rows.repetitions(vectors, self.index.alias_cosine)
        kept, places = rows.without(repetitions.either)
        kept_vectors = vectors[places] if len(places) < len(vectors) else vectors
        named = len(rows.alias_labels) - rows.descriptions
        facts = {"aliases": _count(repetitions, slice(named))}
        if artifact.rows.descriptions:
            facts["descriptions"] = form | _count(repetitions, slice(named, None))
        if not queries:
            student = artifact.student
            texts = kept.row_texts(student.labels, student.tokenizer, artifact.shapes.max_tokens)
            facts["left_out"] = leave_one_out(artifact, kept, kept_vectors, texts, self.workers.threads)
        elif repetitions.either.any():
            facts["aliases"] |= self._costs(artifact, queries, (rows, vectors), (kept, kept_vectors))
        return dataclasses.replace(artifact, rows=kept, vectors=kept_vectors, facts=artifact.facts | facts)

    def _choose_form(
        self, artifact: Artifact, encoded: Floats, vectors: Floats, queries: tuple[Query, ...]
    ) -> tuple[Rows, Floats, dict[str, Any]]:
        """The rows with their vectors, descriptions joined with their labels' texts, as they are, or left out,
        whichever finds more of the queries' gold labels (then: finds more of them first), and what the manifest says
        of it."""
        student, shapes, joined = artifact.student, artifact.shapes, artifact.rows
        prompt = student.prompts.label
        plain = Rows.of(student.labels, student.tokenizer, shapes.max_tokens, self.index.aliases, "rows", prompt)
        named = len(joined.alias_labels) - joined.descriptions
        bare, places = joined.without(np.arange(len(joined.alias_labels)) >= named)
        forms = {
            "joined": (joined, vectors),
            "rows": (plain, plain.vectors(encoded)),
            "none": (bare, vectors[places]),
        }
        found = {
            name: screening_accuracy(artifact, *each, queries, self.workers.threads) for name, each in forms.items()
        }
        best = max(found, key=lambda name: found[name])  # of equals the first, joined
        facts: dict[str, Any] = {"form": best, "queries": len(queries)}
        for name, (recall, precision) in found.items():
            facts |= {f"R@{shapes.shortlist}_{name}": recall, f"P@1_{name}": precision}
        return *forms[best], facts

    def _costs(
        self,
        artifact: Artifact,
        queries: tuple[Query, ...],
        before: tuple[Rows, Floats],
        after: tuple[Rows, Floats],
    ) -> dict[str, Any]:
        """For the manifest: what leaving rows out cost in recall."""
        recalls = [screening_accuracy(artifact, *each, queries, self.workers.threads)[0] for each in (before, after)]
        n = artifact.shapes.shortlist
        return {f"R@{n}_with_all": recalls[0], f"R@{n}": recalls[1], "queries": len(queries)}


def _count(repetitions: Repetitions, part: slice) -> dict[str, Any]:
    """For the manifest: how many of a kind of rows there are, and how many were left out."""
    near_text, near_alias = repetitions.near_text[part], repetitions.near_alias[part]
    return {
        "rows": int((~(near_text | near_alias)).sum()),
        "dropped_near_label_text": int(near_text.sum()),
        "dropped_near_other_alias": int((near_alias & ~near_text).sum()),
    }
