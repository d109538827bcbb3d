"""Judging in batches against the predictor that answers query by query."""

from __future__ import annotations

import pytest
import torch

from edgexl.distill.stages.judging import Judge
from edgexl.student.evaluate import evaluate_student
from edgexl.student.predict import StudentPredictor
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student import Student
from tests.tiny import assembled, tiny_labels, tiny_ngram_student, tiny_student


def one_stage() -> Student:
    """A student that decides nothing beyond screening."""
    return assembled(tiny_labels(), tiny_student().screener, ScreeningReasoner())


@pytest.mark.parametrize(
    "student",
    [tiny_student(), tiny_student(tiny_labels(aliases=True)), tiny_ngram_student(), one_stage()],
    ids=["two stages", "aliases", "n-grams", "one stage"],
)
def test_a_judge_finds_what_the_predictor_finds(student: Student) -> None:
    judged = Judge(student, torch.device("cpu"))(student.evaluation)
    alone = evaluate_student(StudentPredictor(student), student.evaluation)
    assert judged["queries"] == alone["queries"] == len(student.evaluation)
    for stage in ("screening", "reasoned"):
        assert judged[stage] == pytest.approx(alone[stage], abs=0.51)  # a tie in fp32 moves one query of 200
        assert 0 < judged[stage]["P@1"] < 100
    if isinstance(student.reasoner, ScreeningReasoner):
        assert judged["reasoned"] == judged["screening"]
    else:
        assert judged["reasoned"] != judged["screening"]
