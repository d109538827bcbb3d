"""A distillation from data set to saved student, and its continuation after a kill."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from edgexl.distill.pipeline import distill
from edgexl.distill.recipe import read_recipe
from edgexl.errors import BadInput
from edgexl.student.student import load_student


class Killed(Exception):
    """What a test raises inside the progress callback."""


def test_a_distillation_teaches_both_stages(tiny_recipe: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    told: set[str] = set()
    student = distill(tiny_recipe, tmp_path / "student", lambda what, done, total: told.add(what), lines.append)
    judged = student.metrics["evaluation"]
    # 100 queries over 300 labels: chance would be P@1 0.3
    assert judged["queries"] == 100
    assert judged["screening"]["P@1"] > 30
    assert judged["reasoned"]["P@1"] > 30
    assert load_student(tmp_path / "student").metrics == student.metrics
    assert {"train screener", "train reasoner", "make shortlists"} <= told
    assert any("reasoner step 60/60" in line for line in lines)
    assert not (tmp_path / "student.work").exists()
    seen = {query.uid + query.text for query in student.calibration}
    assert len(student.calibration) == 60
    assert not seen & {query.uid + query.text for query in student.evaluation}


def test_a_killed_distillation_continues_where_it_was(
    tiny_recipe: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgexl.distill.training.CHECKPOINT_SECONDS", 0.0)

    def kill(what: str, done: int, total: int) -> None:
        if what == "train reasoner" and done == 40:
            raise Killed

    with pytest.raises(Killed):
        distill(tiny_recipe, tmp_path / "killed", kill, lambda line: None)
    assert not (tmp_path / "killed").exists()
    steps: list[tuple[str, int]] = []
    resumed = distill(tiny_recipe, tmp_path / "killed", lambda w, d, t: steps.append((w, d)), lambda line: None)
    assert not [done for what, done in steps if what == "train screener"]
    assert min(done for what, done in steps if what == "train reasoner") == 40
    straight = distill(tiny_recipe, tmp_path / "straight", log=lambda line: None)
    for name, value in straight.reasoner.state_dict().items():
        assert torch.allclose(value, resumed.reasoner.state_dict()[name], atol=1e-5), name


def test_leading_dimensions_carry_the_variance(tiny_recipe: Path, tmp_path: Path) -> None:
    from edgexl.student.encode import encode_vectors

    student = distill(tiny_recipe, tmp_path / "student", log=lambda line: None)
    vectors = encode_vectors(student.screener, student.tokenizer, student.labels.texts)
    energy = vectors.square().mean(0)
    assert energy[:8].sum() > energy[8:16].sum() > energy[16:].sum()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (("leading_dims = 16", "leading_dims = 25"), "leading_dims"),
        (("batch = 32", "batsh = 32"), "did you mean 'batch'"),
        (("reasoning_share = 0.4", "reasoning_share = 1.5"), "between 0 and 1"),
        (("calibration = 60", "calibration = 6000"), "too few"),
        (("teacher_layers = [0, 2]", "teacher_layers = [0, 7]"), "layers 0 to 2"),
    ],
)
def test_an_impossible_recipe_is_refused(
    tiny_recipe: Path, tmp_path: Path, change: tuple[str, str], sentence: str
) -> None:
    tiny_recipe.write_text(tiny_recipe.read_text().replace(*change))
    with pytest.raises(BadInput, match=sentence):
        distill(tiny_recipe, tmp_path / "student", log=lambda line: None)


def test_a_directory_that_is_no_student_is_refused_before_any_work(tiny_recipe: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="not a student"):
        distill(tiny_recipe, tmp_path / "data", lambda what, done, total: pytest.fail(what), lambda line: None)


def test_the_shipped_recipe_can_be_read() -> None:
    recipe = read_recipe(Path(__file__).parents[2] / "recipes" / "wordnet.toml")
    assert recipe.data == "wordnet"
    assert recipe.student.shortlist == 128
