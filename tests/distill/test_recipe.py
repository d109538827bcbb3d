"""Distillation recipes: the shipped ones can be read, and a profile advises where a recipe is silent."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.distill.characterize import ReasoningAdvice, Recommendation, ScreeningAdvice
from edgexl.distill.recipe import (
    MOST_HARD_LABELS,
    DistillRecipe,
    ReasoningTable,
    ScreeningTable,
    SplitTable,
    read_recipe,
    take_advice,
)
from edgexl.student.screeners.ngrams import NgramShape
from edgexl.student.screeners.transformer import TransformerShape

RECIPES = Path(__file__).parents[2] / "recipes" / "distill"
SILENT = {
    "data": "d",
    "teacher": "t",
    "student": {"teacher_layers": [0]},
    "screening": {"steps": 1},
    "reasoning": {"steps": 1},
}
ADVICE = Recommendation(64, ScreeningAdvice(1.5, 0.3, 9), ReasoningAdvice(0.2, 0.4, 0.15), {})


@pytest.mark.parametrize("name", sorted(path.stem for path in RECIPES.glob("*.toml")))
def test_shipped_recipes_can_be_read(name: str) -> None:
    recipe = read_recipe(RECIPES / f"{name}.toml")
    assert recipe.data == name.split("-")[0]
    assert recipe.student.shortlist == (192 if name == "dictionary" else 128)


def test_advice_stands_in_for_what_a_recipe_leaves_out() -> None:
    recipe = toml.build(take_advice(SILENT, ADVICE), DistillRecipe, "test")
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
    recipe = toml.build(take_advice(own, ADVICE), DistillRecipe, "test")
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


@pytest.mark.parametrize(
    ("table", "given", "key", "inside", "outside"),
    [
        (TransformerShape, {}, "teacher_layers", ((0,),), ((),)),
        (TransformerShape, {"teacher_layers": (0,)}, "ffn_dims", (0,), (-1,)),
        (TransformerShape, {"teacher_layers": (0,)}, "vocabulary", (0,), (-1,)),
        (NgramShape, {}, "buckets", (1,), (0, -1)),
        (NgramShape, {"buckets": 1}, "ffn_dims", (0,), (-1,)),
        (NgramShape, {"buckets": 1}, "vocabulary", (0,), (-1,)),
        (SplitTable, {}, "reasoning_share", (0.001, 0.999), (0.0, 1.0)),
        (SplitTable, {}, "screening_queries", (0,), (-1,)),
        (SplitTable, {}, "calibration", (1,), (0,)),
        (SplitTable, {}, "development", (1,), (0,)),
        (SplitTable, {}, "evaluation", (1,), (0,)),
        (ScreeningTable, {}, "steps", (0, 1), (-1,)),
        (ScreeningTable, {"steps": 1}, "batch", (1,), (0,)),
        (ScreeningTable, {"steps": 1}, "random_labels", (1,), (0,)),
        (ScreeningTable, {"steps": 1}, "temperature", (1e-6,), (0.0, -1.0)),
        (ScreeningTable, {"steps": 1}, "learning_rate", (1e-9,), (0.0, -1.0)),
        (ScreeningTable, {"steps": 1}, "ranking_temperature", (1e-6,), (0.0,)),
        (ScreeningTable, {"steps": 1}, "teacher_weight", (0.0,), (-0.1,)),
        (ScreeningTable, {"steps": 1}, "ranking_weight", (0.0,), (-0.1,)),
        (ScreeningTable, {"steps": 1}, "token_dropout", (0.0, 0.999), (-0.1, 1.0)),
        (ScreeningTable, {"steps": 1}, "frozen_layers", (0,), (-1,)),
        (ScreeningTable, {"steps": 1}, "naming_queries", (0,), (-1,)),
        (ScreeningTable, {"steps": 1}, "hard_labels", (0,), (-1,)),
        (ScreeningTable, {"steps": 1}, "mine_at", ((), (0.001, 0.999)), ((0.0,), (1.0,), (0.5, 1.0))),
        (ReasoningTable, {}, "steps", (0, 1), (-1,)),
        (ReasoningTable, {"steps": 1}, "batch", (1,), (0,)),
        (ReasoningTable, {"steps": 1}, "leading_dims", (2,), (0, 3)),
        (ReasoningTable, {"steps": 1}, "learning_rate", (1e-9,), (0.0,)),
        (ReasoningTable, {"steps": 1}, "bits", (2, 4, 8), (0, 3, 9)),
        (ReasoningTable, {"steps": 1}, "dropout", (0.0, 0.999), (-0.1, 1.0)),
        (ReasoningTable, {"steps": 1}, "token_dropout", (0.0, 0.999), (-0.1, 1.0)),
        (ReasoningTable, {"steps": 1}, "familiar_queries", (0,), (-1,)),
        (ReasoningTable, {"steps": 1}, "own_queries", (0,), (-1,)),
        (ReasoningTable, {"steps": 1}, "naming_queries", (0,), (-1,)),
        (ReasoningTable, {"steps": 1}, "near_miss_weight", (0.0,), (-0.1,)),
        (ReasoningTable, {"steps": 1}, "teacher_weight", (0.0,), (-0.1,)),
        (ReasoningTable, {"steps": 1}, "teacher_temperature", (1e-6,), (0.0,)),
        (ReasoningTable, {"steps": 1}, "absent_share", (0.0, 0.999), (-0.1, 1.0)),
    ],
)
def test_limits_are_where_they_are_said_to_be(
    table: type, given: dict[str, object], key: str, inside: tuple, outside: tuple
) -> None:
    for value in inside:
        assert getattr(table(**(given | {key: value})), key) == value
    for value in outside:
        with pytest.raises(ValueError, match=r"\w"):
            table(**(given | {key: value}))


def test_the_reasoner_cannot_keep_more_dimensions_than_there_are(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    text = 'data = "d"\nteacher = "t"\n[student]\nteacher_layers = [0]\nquery_dims = 64\n[screening]\nsteps = 1\n'
    path.write_text(text + "[reasoning]\nsteps = 1\nleading_dims = 64\n")
    assert read_recipe(path).reasoning.leading_dims == 64
    path.write_text(text + "[reasoning]\nsteps = 1\nleading_dims = 66\n")
    with pytest.raises(BadInput, match=r"leading_dims \(66\) is more than student.query_dims \(64\)"):
        read_recipe(path)


@pytest.mark.parametrize(("weights", "needed"), [((0.0, 0.0), False), ((0.1, 0.0), True), ((0.0, 0.1), True)])
def test_the_teacher_is_queried_where_a_term_needs_it(weights: tuple[float, float], needed: bool) -> None:
    assert ReasoningTable(1, teacher_weight=weights[0], near_miss_weight=weights[1]).needs_decisions == needed


def test_what_a_recipe_leaves_out() -> None:
    """A file that leaves a key out trains today as it did before."""
    recipe = toml.build(SILENT, DistillRecipe, "test")
    assert recipe == DistillRecipe(
        data="d", teacher="t", start=None, cross_encoder=None, method="mechanistic", aliases="own", profile=None,
        seed=0,
        student=TransformerShape(
            screener="transformer", teacher_layers=(0,), max_tokens=128, query_dims=256, word_dims=192, ffn_dims=0,
            vocabulary=0, shortlist=128, label_tokens=8, reasoner_dims=192,
            reasoner_ffn_dims=384, reasoner_heads=6, reasoner_layers=2, cross_layers=1, token_dims=48,
        ),
        split=SplitTable(
            reasoning_share=0.2, screening_queries=0, calibration=2000, development=2000, evaluation=2000
        ),
        screening=ScreeningTable(
            steps=1, batch=512, random_labels=512, hard_labels=0, mine_at=(0.4,), mine_queries=50_000,
            naming_queries=0, learning_rate=4e-4, warmup=0.06, temperature=0.05, teacher_weight=2.0, ranking_weight=0.0,
            ranking_temperature=0.05, token_dropout=0.0, frozen_layers=0, weight_decay=0.01,
        ),
        reasoning=ReasoningTable(
            steps=1, batch=64, learning_rate=5e-4, warmup=0.06, teacher_weight=0.05, teacher_temperature=1.0,
            near_miss_weight=0.0, absent_share=0.0, weight_decay=0.05, dropout=0.1, token_dropout=0.1,
            familiar_queries=0, own_queries=0, naming_queries=0, bits=4, leading_dims=192,
        ),
    )  # fmt: skip
