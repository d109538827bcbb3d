"""Calibrate: which queries it is fitted on, and what it says of answers that none of the shortlist is right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.open_workers import open_workers
from edgexl.compiler.measure.fitting import count_coverage, fit, fit_presence
from edgexl.compiler.measure.reference import REASONER_ALONE
from edgexl.compiler.measure.yardstick import reference_pipeline
from edgexl.compiler.passes.build_index import BuildIndex
from edgexl.compiler.passes.calibrate import Calibrate
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import CalibrateRecipe
from edgexl.index import Shortlist
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.fixture(scope="module")
def indexed(student: Student) -> Artifact:
    """All passes before calibrate."""
    recipe, target, workers = TINY_RECIPE, load_target("host"), open_workers("1")
    artifact, quantize = begin(student, recipe, target), Quantize(recipe, target)
    for step in (
        Export(),
        Encode(recipe.index, quantize, workers),
        BuildIndex(recipe.index),
        quantize,
    ):
        artifact = step.run(artifact)
    return dataclasses.replace(artifact, blend=REASONER_ALONE)


def test_at_most_so_many_queries_are_taken_the_first_ones(indexed: Artifact) -> None:
    fewer = Calibrate(CalibrateRecipe(queries=60), 1).run(indexed)
    cut = dataclasses.replace(indexed.student, calibration=indexed.student.calibration[:60])
    alone = Calibrate(CalibrateRecipe(), 1).run(dataclasses.replace(indexed, student=cut))
    assert fewer.calibration == alone.calibration
    assert fewer.facts["calibration"] == alone.facts["calibration"]
    assert fewer.facts["calibration"]["queries"] == 60
    every = Calibrate(CalibrateRecipe(), 1).run(indexed)
    assert every.facts["calibration"]["queries"] == len(indexed.student.calibration) == 200
    assert every.calibration != fewer.calibration


def test_what_is_fitted_is_what_the_pipeline_says_of_the_queries(indexed: Artifact) -> None:
    """Query by query: the shortlist's logits and which are right; then the same with the right ones taken away."""
    queries = indexed.student.calibration
    pipeline = reference_pipeline(indexed, indexed.vectors, indexed.rows)
    answers = [pipeline.answer(query.text) for query in queries]
    logits = np.stack([answer.logits for answer in answers])
    right = np.stack(
        [[label in query.targets for label in a.labels] for a, query in zip(answers, queries, strict=True)]
    )
    wanted = fit(logits, right, sum(len(set(query.targets)) for query in queries), "isotonic", bytes(32))

    longer = dataclasses.replace(pipeline, screening=pipeline.screening.with_shortlist(logits.shape[1] + 1))
    absent, present = [], []
    for query, answer in zip(queries, answers, strict=True):
        found = longer.screening.search(longer.answer(query.text).query_vector)
        kept = [place for place, label in enumerate(found.labels) if label not in query.targets][: logits.shape[1]]
        feeds = longer._screen(answer.tokens)
        shorter = Shortlist(found.labels[kept], found.evidence[kept], found.screening[kept])
        absent.append(longer._reason(feeds, shorter).logits.max())
        if answer.labels[answer.logits.argmax()] in query.targets:
            present.append(answer.logits.max())
    presence, doubted, noticed = fit_presence(
        wanted.calibration, np.array(absent, np.float32), np.array(present, np.float32), 0.6
    )

    made = Calibrate(CalibrateRecipe(absence_noticed=0.6, most_doubted=1.0), 1).run(indexed)
    counted = count_coverage(presence, logits, right)
    assert made.calibration == dataclasses.replace(counted, label_set_sha256=made.calibration.label_set_sha256)
    assert len(counted.scores) == right.any(axis=1).sum() < counted.queries == len(queries)
    first = next(place for place, row in enumerate(right) if row.any())
    assert presence.inputs(logits[first])[right[first]].max() in counted.scores
    assert made.calibration.label_set_sha256.hex() == indexed.student.labels.sha256()
    below = sum(logit < made.calibration.presence for logit in present)
    assert 0 < below < len(present) < len(queries)  # or this shows nothing
    said = made.facts["calibration"]
    assert said["doubted_percent"] == round(100 * below / len(present), 2) == round(100 * doubted, 2)
    assert (said["absence_noticed"], said["noticed_percent"]) == (0.6, round(100 * noticed, 2))
    assert said["presence"] == made.calibration.presence
    assert (said["threshold"], said["F1_micro"]) == (wanted.calibration.threshold, wanted.f1_micro)


def test_absence_that_is_not_asked_for_is_never_said(indexed: Artifact) -> None:
    made = Calibrate(CalibrateRecipe(absence_noticed=0.0), 1).run(indexed)
    assert made.calibration.presence == -np.inf
    assert "doubted_percent" not in made.facts["calibration"]
