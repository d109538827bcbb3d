"""How good a float student is, by stage, against its own rankings."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.data.metrics import evaluate
from edgexl.predict.evaluate import evaluate_student
from edgexl.predict.float_student import StudentPredictor
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
def test_both_stages_are_judged_by_the_best_rows(student: Student) -> None:
    predictor = StudentPredictor(student)
    found = evaluate_student(predictor, student.evaluation)
    assert found["queries"] == len(student.evaluation)
    of_rows = predictor.rows.of_rows
    vectors = predictor.encode([query.text for query in student.evaluation]).query_vector
    best = np.full((len(vectors), len(student.labels)), -np.inf, np.float32)
    for row, scores in enumerate((vectors @ predictor.row_vectors.T).T.numpy()):
        for label in of_rows[row]:
            best[:, label] = np.maximum(best[:, label], scores)
    wanted = evaluate(
        np.argsort(-best, 1, "stable")[:, :100], [query.targets for query in student.evaluation], (1, 100)
    )
    for name in ("P@1", "R@100"):
        assert found["screening"][name] == pytest.approx(wanted[name], abs=0.51)  # a tie moves one query of 200
    assert 0 < found["reasoned"]["P@1"] < 100
    assert (found["reasoned"] == found["screening"]) == isinstance(student.reasoner, ScreeningReasoner)


def test_queries_for_labels_that_no_training_query_had_are_told_apart() -> None:
    student = tiny_student()
    predictor, queries = StudentPredictor(student), student.evaluation
    assert "unseen" not in evaluate_student(predictor, queries, trained=set(range(len(student.labels))))
    found = evaluate_student(predictor, queries, trained=set(range(150)))
    unseen = [query for query in queries if max(query.targets) >= 150]
    assert found["unseen"]["queries"] == len(unseen) < len(queries)
    assert found["unseen"]["R@10"] == evaluate_student(predictor, unseen)["reasoned"]["R@10"]
