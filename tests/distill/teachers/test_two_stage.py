"""A student as a teacher: the same answers as the float student's, over any label set, in either phase alone."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from edgexl.base.errors import BadInput
from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers import TwoStageTeacher
from edgexl.predict.float_student import Screened, StudentPredictor
from tests.tiny import tiny_queries, tiny_student


def test_both_phases_agree_with_the_float_student(labels: LabelSet) -> None:
    student = tiny_student(labels)
    teacher, predictor = TwoStageTeacher(student, labels), StudentPredictor(student)
    texts = [query.text for query in tiny_queries(labels, 90, 1)]

    shortlists, scores = teacher.screen(texts, depth=16)
    encoded = predictor.encode(texts)
    exact = predictor.screen(encoded.query_vector, len(labels))
    every = torch.empty(len(texts), len(labels))
    every.scatter_(1, exact.labels, exact.scores.amax(-1))
    theirs = every.gather(1, torch.from_numpy(shortlists)).numpy()
    # bf16 moves a cosine by less than a hundredth
    np.testing.assert_allclose(scores, theirs, atol=0.01)
    assert (scores[:, -1] >= np.sort(every.numpy())[:, -16] - 0.02).all()
    assert (np.diff(scores) <= 0).all()
    np.testing.assert_allclose(teacher.score(texts, shortlists).numpy(), scores, atol=1e-5)

    both = torch.stack(
        [predictor_scores(predictor, encoded.query_vector, shortlists, own) for own in (True, False)], -1
    )
    expected = predictor.reason(encoded, Screened.of(torch.from_numpy(shortlists), both))
    np.testing.assert_allclose(teacher.decide(texts, shortlists), expected, atol=0.05 * float(expected.abs().max()))


def predictor_scores(
    predictor: StudentPredictor, queries: torch.Tensor, shortlists: np.ndarray, own: bool
) -> torch.Tensor:
    """Scores [B,N] of the labels' own rows, or of their best alias, straight from the definition."""
    rows = [[label] for label in range(len(predictor.student.labels))]
    if not own:
        of_aliases: dict[int, list[int]] = {}
        for place, labels in enumerate(predictor.rows.alias_labels):
            for label in labels.tolist():
                of_aliases.setdefault(label, []).append(len(rows) + place)
        rows = [of_aliases.get(label, row) for label, row in enumerate(rows)]
    scores = queries @ predictor.row_vectors.T
    return torch.stack(
        [
            torch.stack([line[rows[label]].max() for label in some])
            for line, some in zip(scores, shortlists, strict=True)
        ]
    )


def test_deciding_leaves_pads_out_and_follows_a_permutation(labels: LabelSet) -> None:
    teacher = TwoStageTeacher(tiny_student(labels), labels)
    texts = [query.text for query in tiny_queries(labels, 6, 1)]
    shortlists = teacher.screen(texts, depth=8)[0]
    plain = teacher.decide(texts, shortlists)
    padded = np.full((6, 11), -1, dtype=np.int64)
    padded[:, [10, 1, 2, 3, 5, 6, 7, 8]] = shortlists
    padded[4, 5] = -1  # one row has fewer labels, and so other logits
    logits = teacher.decide(texts, padded)
    kept = [0, 1, 2, 3, 5]
    np.testing.assert_allclose(logits[kept][:, [10, 1, 2, 3, 5, 6, 7, 8]], plain[kept], atol=0.02)
    assert logits[padded < 0].isneginf().all()
    assert logits[padded >= 0].isfinite().all()


def test_it_answers_for_labels_that_the_student_never_saw(labels: LabelSet) -> None:
    others = LabelSet(("x", "y", "z"), ("ba da fa", "sin tu ti", "gel kin mar"))
    teacher = TwoStageTeacher(tiny_student(labels), others)
    shortlists, scores = teacher.screen(["tu ti", "gel kin"], depth=5)
    assert shortlists[:, 0].tolist() == [1, 2]
    assert shortlists[:, 3:].tolist() == [[-1, -1], [-1, -1]]
    assert np.isneginf(scores[:, 3:]).all()
    assert teacher.identity != TwoStageTeacher(tiny_student(labels), labels).identity
    assert teacher.identity == TwoStageTeacher(tiny_student(labels), others).identity
    assert teacher.identity != TwoStageTeacher(tiny_student(labels, seed=1), others).identity


def test_output_that_is_not_finite_is_refused(labels: LabelSet) -> None:
    student = tiny_student(labels)
    with torch.no_grad():
        student.screener.get_parameter("word.weight")[7] = torch.nan
    with pytest.raises(BadInput, match="gives a vector that is not finite"):
        TwoStageTeacher(student, labels).screen([labels.texts[0]], depth=3)
    student = tiny_student(labels)
    with torch.no_grad():
        student.reasoner.get_parameter("verdict").fill_(torch.inf)
    with pytest.raises(BadInput, match=r"gives a logit that is not finite .* for 2 of 2 texts, first for 'ba'"):
        TwoStageTeacher(student, labels).decide(["ba", "be"], np.array([[0, 1], [2, 3]]))


def test_the_students_own_modules_stay_as_they_are(labels: LabelSet) -> None:
    student = tiny_student(labels)
    teacher = TwoStageTeacher(dataclasses.replace(student), labels)
    assert teacher.screener is not student.screener
    with torch.no_grad():
        student.screener.get_parameter("word.weight").zero_()
    assert teacher.screener.get_parameter("word.weight").abs().sum() > 0
