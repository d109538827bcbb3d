"""Distillation recipes: the shipped ones can be read, and a profile advises where a recipe is silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgexl import toml
from edgexl.distill.characterize import ReasoningAdvice, Recommendation, ScreeningAdvice
from edgexl.distill.recipe import MOST_HARD_LABELS, DistillRecipe, advised, read_recipe
from edgexl.errors import BadInput

RECIPES = Path(__file__).parents[2] / "recipes"
SILENT = {
    "data": "d",
    "teacher": "t",
    "student": {"teacher_layers": [0]},
    "screening": {"steps": 1},
    "reasoning": {"steps": 1},
}
ADVICE = Recommendation(64, ScreeningAdvice(1.5, 0.3, 9), ReasoningAdvice(0.2, 0.4, 0.15), {})


@pytest.mark.parametrize("name", [*sorted(path.stem for path in RECIPES.glob("*-*.toml")), "wordnet"])
def test_shipped_recipes_can_be_read(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.toml")
    assert recipe.data == name.split("-")[0]
    assert recipe.student.shortlist == 128


def test_advice_stands_in_for_what_a_recipe_leaves_out() -> None:
    recipe = toml.build(advised(SILENT, ADVICE), DistillRecipe, "test")
    assert recipe.student.shortlist == 64
    assert (recipe.screening.teacher_weight, recipe.screening.ranking_weight) == (1.5, 0.3)
    assert recipe.screening.hard_labels == MOST_HARD_LABELS  # 9 would cost more than they teach
    assert (recipe.reasoning.teacher_weight, recipe.reasoning.near_miss_weight) == (0.2, 0.4)
    assert recipe.reasoning.absent_share == 0.15


def test_what_a_recipe_says_itself_holds() -> None:
    own = SILENT | {
        "student": {"teacher_layers": [0], "shortlist": 32},
        "reasoning": {"steps": 1, "teacher_weight": 0.0},
    }
    recipe = toml.build(advised(own, ADVICE), DistillRecipe, "test")
    assert recipe.student.shortlist == 32
    assert recipe.reasoning.teacher_weight == 0.0
    assert recipe.reasoning.near_miss_weight == 0.4


def test_a_profile_that_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text('profile = "profile.json"\n' + (RECIPES / "wordnet.toml").read_text())
    with pytest.raises(BadInput, match=r"profile\.json"):
        read_recipe(path)


def test_somebody_must_teach_or_something_be_started_from(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text((RECIPES / "mesh-teacher.toml").read_text().replace("start = ", "teacher = "))
    assert read_recipe(path).teacher == "all-MiniLM-L6-v2"
    path.write_text((RECIPES / "mesh-teacher.toml").read_text().replace("start = ", "# "))
    with pytest.raises(BadInput, match="names no teacher"):
        read_recipe(path)
