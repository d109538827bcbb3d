"""Encode: a vector for each row, and the aliases that say nothing new left out."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import encode_rows
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.measure.yardstick import reference_pipeline
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.recipe import IndexRecipe
from edgexl.index.rows import Rows


def encode(artifact: Artifact, **index: object) -> Artifact:
    quantize = Quantize(artifact.recipe, artifact.target)
    return Encode(IndexRecipe(**index), quantize, LocalWorkers(1)).run(artifact)  # type: ignore[arg-type]


def test_aliases_are_left_out_and_what_that_costs_is_told(aliased: Artifact) -> None:
    made = encode(aliased, alias_cosine=0.98)
    rows = aliased.rows
    vectors = encode_rows(aliased.graphs.label_encoder, rows.tokens, True, 1)
    repetitions = rows.repetitions(vectors, 0.98)
    assert repetitions.near_text.any()
    assert (repetitions.near_alias & ~repetitions.near_text).any()  # or this shows nothing
    kept, places = rows.without(repetitions.either)
    assert made.rows.alias_labels.tolist() == kept.alias_labels.tolist()
    np.testing.assert_array_equal(made.vectors, vectors[places])
    told = made.facts["aliases"]
    assert told["rows"] == len(kept.alias_labels) < len(rows.alias_labels)
    assert told["dropped_near_label_text"] == repetitions.near_text.sum()
    assert told["dropped_near_other_alias"] == (repetitions.near_alias & ~repetitions.near_text).sum()
    assert told["queries"] == len(aliased.student.calibration)
    for name, some, of in (("R@16_with_all", rows, vectors), ("R@16", kept, vectors[places])):
        assert told[name] == pytest.approx(recall_by_hand(aliased, some, of), abs=1e-3)
    every = encode(dataclasses.replace(aliased, rows=kept), alias_cosine=1.0)
    assert set(every.facts["aliases"]) == {"rows", "dropped_near_label_text", "dropped_near_other_alias"}


def recall_by_hand(artifact: Artifact, rows: Rows, vectors: np.ndarray) -> float:
    """R@16 of labels by the best of their rows, query by query."""
    student, shares = artifact.student, []
    pipeline = reference_pipeline(artifact, vectors, rows.alias_labels)
    owners = rows.alias_labels
    for query in student.calibration:
        scores = vectors @ pipeline.answer(query.text).query_vector
        best = scores[: rows.labels].copy()
        for alias in range(len(owners)):
            for label in owners[alias]:
                best[label] = max(best[label], scores[rows.labels + alias])
        found = np.lexsort((np.arange(rows.labels), -best))[:16]
        shares.append(len(set(found.tolist()) & set(query.targets)) / len(query.targets))
    return 100 * float(np.mean(shares))


def test_labels_as_the_device_would_encode_them(aliased: Artifact) -> None:
    """By the quantized screener itself, one text at a time."""
    made = encode(aliased, labels_from="quantized", alias_cosine=1.0)
    screener = Quantize(aliased.recipe, aliased.target).quantize(aliased.graphs.screener, aliased.recipe.screener)
    assert screener != aliased.graphs.screener
    alone = encode_rows(screener, made.rows.tokens, False, 1)
    np.testing.assert_array_equal(made.vectors, alone)
