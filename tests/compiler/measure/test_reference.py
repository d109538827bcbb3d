"""The reference pipeline's own parts against brute force."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.bundle.read import read_bundle
from edgexl.compiler import CompileReport
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.student.student import Student


def test_threads_do_not_change_answers(compiled: CompileReport, student: Student) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    texts = [query.text for query in student.evaluation[:40]]
    for one, many in zip(pipeline.answers(texts), pipeline.answers(texts, threads=4), strict=True):
        np.testing.assert_array_equal(one.ranked, many.ranked)
        np.testing.assert_array_equal(one.logits, many.logits)
        assert one.logits[one.order].tolist() == sorted(one.logits.tolist(), reverse=True)


def test_labels_taken_out_of_the_shortlist_leave_their_places(compiled: CompileReport, student: Student) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    queries = student.evaluation[:40]
    texts, taken = [query.text for query in queries], [query.targets for query in queries]
    usual, missing = list(pipeline.answers(texts)), list(pipeline.answers(texts, threads=2, without=taken))
    assert any(np.isin(answer.labels, labels).any() for answer, labels in zip(usual, taken, strict=True))
    for whole, answer, labels in zip(usual, missing, taken, strict=True):
        others = whole.labels[~np.isin(whole.labels, labels)]
        assert len(answer.labels) == len(whole.labels)
        assert answer.labels[: len(others)].tolist() == others.tolist()
        assert not np.isin(answer.labels, labels).any()


def test_a_bundle_notices_the_share_of_absent_labels_that_its_recipe_asks_for(
    compiled: CompileReport, student: Student
) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    fitted = read_bundle(compiled.path)
    queries = student.calibration
    texts, taken = [query.text for query in queries], [query.targets for query in queries]
    best = np.array([answer.logits.max() for answer in pipeline.answers(texts, threads=2, without=taken)])
    assert fitted.manifest["calibration"]["absence_noticed"] == 0.8
    certain = 0.8 + 1.645 * np.sqrt(0.8 * 0.2 / len(queries))
    noticed = np.mean(best < fitted.calibration.presence)
    told = fitted.manifest["calibration"]
    assert told["noticed_percent"] == pytest.approx(100 * noticed, abs=1)
    # as many as it asks for, unless too many right answers were doubted with them
    assert noticed == pytest.approx(certain, abs=1 / len(queries) + 0.02) or told["doubted_percent"] >= 30


def test_goldens_are_the_pipelines_answers(compiled: CompileReport, student: Student) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    goldens = read_bundle(compiled.path).goldens
    assert len(goldens.items) == 32
    for golden in goldens.items:
        assert pipeline.answer(golden.text).tokens == golden.tokens
        found = pipeline.predict(golden.text, goldens.k)
        assert [label for label, _ in found] == list(golden.labels)
        np.testing.assert_allclose([share for _, share in found], golden.probabilities, atol=1e-6)
