"""The label tower: its vectors, what it refuses, and a student that is saved with one."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from edgexl.base.errors import BadInput
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.encode import encode_vectors
from edgexl.student.importer import import_sentence_transformer
from edgexl.student.label_tower import LabelTower, locate_source, open_model, width_of
from edgexl.student.student import Student, load_student
from tests.distill.conftest import write_teacher
from tests.steps import StageProgress
from tests.tiny import tiny_labels, tiny_student


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def tower(tmp_path: Path) -> LabelTower:
    """Over a random BERT of 32 dimensions, to as many others."""
    directory = write_teacher(tmp_path / "tower", seed=1)
    projection = torch.randn(32, 32, generator=torch.Generator().manual_seed(0))
    return LabelTower(str(directory), open_model(str(directory)).provenance["weights_sha256"], projection)


def towered(tower: LabelTower, count: int = 60) -> Student:
    plain = tiny_student(tiny_labels(count, aliases=True))
    return Student.from_modules(
        screener=plain.screener, reasoner=plain.reasoner, tokenizer=plain.tokenizer, labels=plain.labels,
        shapes=plain.shapes, evaluation=plain.evaluation, label_tower=tower,
    )  # fmt: skip


def test_vectors_are_the_models_own_projected(tower: LabelTower) -> None:
    texts = [*tiny_labels(40).texts, "ba", ""]
    model = import_sentence_transformer(tower.source)
    wanted = encode_vectors(model.screener, model.tokenizer, texts) @ tower.projection.T
    wanted = torch.nn.functional.normalize(wanted, dim=1)
    steps = StageProgress()
    found = tower.encode(texts, 2, lambda done, total: steps("encode", done, total))
    np.testing.assert_allclose(found, wanted.numpy(), atol=1e-6)
    steps.assert_whole()
    np.testing.assert_array_equal(tower.encode(texts, 1), found)
    assert (tower.dims, tower.width, width_of(model)) == (32, 32, 32)
    assert tower.encode([]).shape == (0, 32)


def test_another_model_than_the_students_is_refused(tower: LabelTower, tmp_path: Path) -> None:
    other = write_teacher(tmp_path / "other", seed=2)
    digest = open_model(str(other)).provenance["weights_sha256"]
    with pytest.raises(BadInput, match=rf"weights of sha256 {digest}, .* those of {tower.weights_sha256}; give it"):
        replace(tower, source=str(other)).encode(["ba"])
    with pytest.raises(BadInput, match=r"gives vectors of 32 dimensions, .* ones of 48; give it"):
        replace(tower, projection=torch.ones(32, 48)).encode(["ba"])
    with pytest.raises(BadInput, match="is no directory"):
        replace(tower, source=str(tmp_path / "nowhere")).encode(["ba"])


@pytest.mark.parametrize(
    ("projection", "words"),
    [(torch.ones(4), "it must be"), (torch.ones(0, 4), "it must be"), (torch.full((2, 2), torch.nan), "not finite")],
)
def test_a_projection_that_is_none_is_refused(projection: torch.Tensor, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        LabelTower("model", "00", projection)


def test_a_place_is_no_part_of_a_description(
    tower: LabelTower, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert tower.describe() == {"model": "tower", "weights_sha256": tower.weights_sha256, "width": 32}
    monkeypatch.chdir(tmp_path)
    assert locate_source("tower") == str(tmp_path / "tower")
    assert locate_source("some/model") == replace(tower, source="some/model").describe()["model"] == "some/model"


def test_a_student_keeps_its_tower(tower: LabelTower, tmp_path: Path) -> None:
    towered(tower).save(tmp_path / "student")
    loaded = load_student(tmp_path / "student").label_tower
    assert loaded is not None
    assert (loaded.source, loaded.weights_sha256) == (tower.source, tower.weights_sha256)
    torch.testing.assert_close(loaded.projection, tower.projection, rtol=0, atol=0.02)
    again = load_student(tmp_path / "student").with_labels(tiny_labels(10))
    again.save(tmp_path / "again")
    kept = load_student(tmp_path / "again").label_tower
    assert kept is not None
    torch.testing.assert_close(kept.projection, loaded.projection, rtol=0, atol=0)
    tiny_student().save(tmp_path / "plain")
    assert "label_tower" not in json.loads((tmp_path / "plain/student.json").read_text())
    assert load_student(tmp_path / "plain").label_tower is None


def test_a_projection_to_another_width_is_refused(tower: LabelTower) -> None:
    with pytest.raises(BadInput, match=r"vectors have 24 dimensions, but the student's 32"):
        towered(replace(tower, projection=tower.projection[:24]))


def edit_json(**entries: object) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        path = directory / "student.json"
        about = json.loads(path.read_text())
        about["label_tower"] |= entries
        path.write_text(json.dumps(about))

    return change


def drop_entry(directory: Path) -> None:
    path = directory / "student.json"
    about = json.loads(path.read_text())
    del about["label_tower"]
    path.write_text(json.dumps(about))


def rename_tensor(name: str) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        tensors = load_file(directory / "model.safetensors")
        value, scale = tensors.pop("label_tower.projection"), tensors.pop("label_tower.projection.scale")
        if name:
            tensors |= {name: value, f"{name}.scale": scale}
        save_file(tensors, directory / "model.safetensors")

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (edit_json(width=48), r"'label_tower.projection' is \[32, 32\], but student.json's sizes make it \[32, 48\]"),
        (edit_json(width=0), "label_tower: width is 0; it must be from 1"),
        (edit_json(width="32"), "width must be int"),
        (edit_json(heads=2), "unknown key 'heads'"),
        (drop_entry, "holds the tensor 'label_tower.projection', but student.json names no label tower"),
        (rename_tensor(""), "lacks the tensor 'label_tower.projection'"),
        (rename_tensor("label_tower.other"), "holds the unknown tensor 'label_tower.other'"),
    ],
)
def test_a_damaged_tower_is_refused(
    tower: LabelTower, tmp_path: Path, change: Callable[[Path], None], words: str
) -> None:
    towered(tower).save(tmp_path / "student")
    change(tmp_path / "student")
    with pytest.raises(BadInput, match=words):
        load_student(tmp_path / "student")


def test_the_float_student_answers_by_the_towers_vectors(tower: LabelTower) -> None:
    student = towered(tower)
    predictor = StudentPredictor(student)
    texts = predictor.rows.texts(student.labels)
    np.testing.assert_array_equal(predictor.row_vectors.numpy(), tower.encode(texts))
    query = predictor.encode(["ba be"]).query_vector
    own = predictor.row_vectors[: len(student.labels)] @ query[0]
    screened = predictor.screen(query, 60)
    by_hand = torch.tensor([own[label] for label in screened.labels[0].tolist()])
    torch.testing.assert_close(screened.scores[0, :, 0], by_hand, rtol=0, atol=1e-5)
