"""Adapting a screener to queries: what it gains, what it leaves alone, and that the map is in the screener."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from edgexl.base.errors import BadInput
from edgexl.data import Query
from edgexl.data.layout import write_dataset
from edgexl.predict import adapt as adapting
from edgexl.predict.adapt import adapt
from edgexl.predict.evaluate import evaluate_student
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.screeners import kind_of
from edgexl.student.student import Student, load_student
from tests.command_line import Edgexl
from tests.tiny import assembled, tiny_labels, tiny_ngram_student, tiny_queries, tiny_student


def one_stage(student: Student) -> Student:
    """The student without its reasoner."""
    return assembled(student.labels, student.screener, ScreeningReasoner())


def noisy(student: Student) -> Student:
    """The student after a map that makes much of some directions: what measures likeness badly."""
    torch.manual_seed(3)
    directions = torch.linalg.qr(torch.randn(32, 32)).Q
    stretch = torch.ones(32)
    stretch[:6] = 3.0
    matrix = directions @ torch.diag(stretch) @ directions.T
    return replace(student, screener=kind_of(student.screener).with_map(student.screener, matrix))


@pytest.mark.parametrize("aliases", [False, True])
def test_adapting_gains_on_queries_that_it_has_not_seen(aliases: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    # 32 dimensions have a twelfth of the numbers of MiniLM's, each of which may move further
    monkeypatch.setattr(adapting, "LEARNING_RATE", 1e-2)
    student = noisy(one_stage(tiny_student(tiny_labels(aliases=aliases))))
    found = adapt(student, tiny_queries(student.labels, 280, 0))
    assert found.passes > 0
    assert found.after["P@1"] > found.before["P@1"]
    unseen = tiny_queries(student.labels, 300, 1)
    before, after = (
        evaluate_student(StudentPredictor(one), unseen)["screening"]["P@1"] for one in (student, found.student)
    )
    assert after > before + 3
    assert found.student.provenance["adapted"]["passes"] == found.passes
    assert adapt(student, tiny_queries(student.labels, 280, 0)).after == found.after


def test_nothing_is_gained_where_queries_say_nothing() -> None:
    student = one_stage(tiny_student())
    asked = tiny_queries(student.labels, 120, 0)
    senseless = [replace(query, targets=((query.targets[0] * 31 + 7) % 300,)) for query in asked]
    found = adapt(student, senseless)
    assert found.passes == 0
    assert found.student is student
    assert found.before == found.after


@pytest.mark.parametrize("student", [tiny_student(), tiny_ngram_student()], ids=["transformer", "n-grams"])
def test_a_map_is_behind_the_vectors(student: Student) -> None:
    torch.manual_seed(0)
    matrix = torch.eye(32) + 0.1 * torch.randn(32, 32)
    ids = torch.randint(4, 90, (3, 7))
    mask = torch.ones_like(ids)
    mapped = kind_of(student.screener).with_map(student.screener, matrix)
    with torch.no_grad():
        wanted = torch.nn.functional.normalize(student.screener(ids, mask)[0] @ matrix.T, dim=-1)
        assert torch.allclose(mapped(ids, mask)[0], wanted, atol=1e-5)


def test_what_cannot_be_adapted_is_refused() -> None:
    student = one_stage(tiny_student())
    with pytest.raises(BadInput, match="at least 50 queries with labels, and there are 49"):
        adapt(student, (*tiny_queries(student.labels, 49, 0), Query("none", "ba be", ()), Query("empty", " ", (1,))))
    with pytest.raises(BadInput, match="reasoner was trained in the space of its screener"):
        adapt(tiny_student(), tiny_queries(student.labels, 60, 0))


def test_the_command_adapts_a_saved_student(edgexl: Edgexl, tmp_path: Path) -> None:
    student = one_stage(tiny_student())
    student.save(tmp_path / "student")
    write_dataset(tmp_path / "data", student.labels, tiny_queries(student.labels, 240, 0), (), "made up")
    said = edgexl("adapt", tmp_path / "student", "--data", tmp_path / "data", "-o", tmp_path / "out", "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    adapted = load_student(tmp_path / "out")
    assert len(adapted.calibration) == 80
    assert found["after"]["P@1"] >= found["before"]["P@1"] > 0
    assert found["passes"] >= 0
    assert (found["passes"] > 0) == ("adapted" in adapted.provenance)
    other = tiny_labels(200)
    write_dataset(tmp_path / "other", other, tiny_queries(other, 100, 0), (), "made up")
    said = edgexl("adapt", tmp_path / "student", "--data", tmp_path / "other", "-o", tmp_path / "no")
    assert said.status == 2
    assert "over other labels than the student, 200 where that has 300" in said.err
