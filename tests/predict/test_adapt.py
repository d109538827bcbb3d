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
from edgexl.student.importer import import_sentence_transformer
from edgexl.student.label_tower import LabelTower
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.screeners import kind_of
from edgexl.student.student import Student, load_student
from tests.command_line import Edgexl
from tests.distill.conftest import write_teacher
from tests.tiny import assembled, tiny_labels, tiny_ngram_student, tiny_queries, tiny_student


def one_stage(student: Student) -> Student:
    """The student without its reasoner."""
    return assembled(student.labels, student.screener, ScreeningReasoner())


def stretching() -> torch.Tensor:
    """A map that makes much of some directions."""
    torch.manual_seed(3)
    directions = torch.linalg.qr(torch.randn(32, 32)).Q
    stretch = torch.ones(32)
    stretch[:6] = 3.0
    return directions @ torch.diag(stretch) @ directions.T


def noisy(student: Student) -> Student:
    """The student after such a map: what measures likeness badly."""
    return replace(student, screener=kind_of(student.screener).with_map(student.screener, stretching()))


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


def test_a_label_tower_is_adapted_with_the_screener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(adapting, "LEARNING_RATE", 1e-2)
    imported = import_sentence_transformer(write_teacher(tmp_path / "model"))
    alone = noisy(assembled(tiny_labels(), imported.screener, ScreeningReasoner()))
    tower = LabelTower(str(tmp_path / "model"), imported.provenance["weights_sha256"], stretching())
    towered = replace(alone, label_tower=tower)  # the same model behind the same map
    queries = tiny_queries(alone.labels, 280, 0)
    found, wanted = adapt(towered, queries), adapt(alone, queries)
    assert found.passes == wanted.passes > 0
    assert found.after == pytest.approx(wanted.after, abs=1.0)
    vectors = [StudentPredictor(one.student).row_vectors for one in (found, wanted)]
    assert torch.cosine_similarity(*vectors).min() > 0.999


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
