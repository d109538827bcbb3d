"""Label sets smaller than a shortlist: they compile, they answer with what they have, and they grow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.read import read_bundle
from edgexl.compiler import compile
from edgexl.compiler.measure.fitting import can_fit, fit_share
from edgexl.compiler.recipe import Engine, IndexRecipe, Recipe, load_recipe
from edgexl.data.label_set import LabelSet
from edgexl.predict.float_student import StudentPredictor
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.use.evaluate import evaluate
from tests.tiny import AS_IT_IS, SHAPES, tiny_labels, tiny_queries, tiny_student

WHOLE = tiny_labels(401, aliases=True)
QUERIES = tiny_queries(WHOLE, 100, 2)
# Over-fetch of a real size: all of a small set is rescored.
RECIPE = Recipe("small", index=IndexRecipe(code_bytes=8), **AS_IT_IS)
PCA = Recipe("small", index=IndexRecipe(code_bytes=4, rotation="pca", coarse="auto", fine_dims=24), **AS_IT_IS)


def some(count: int) -> LabelSet:
    """So many labels from all over the set."""
    places = [place * 149 % len(WHOLE) for place in range(count)]
    return LabelSet(*(tuple(part[place] for place in places) for part in (WHOLE.ids, WHOLE.texts, WHOLE.aliases)))


def others(labels: LabelSet) -> list[NewLabel]:
    mine = set(labels.ids)
    every = zip(WHOLE.ids, WHOLE.texts, WHOLE.aliases, strict=True)
    return [NewLabel(*label) for label in every if label[0] not in mine]


def found_first(path: Path, new: list[NewLabel]) -> tuple[float, float]:
    """Of the queries the share whose label comes first, and the mean of what all probabilities of an answer add to."""
    with open_bundle(path) as handle:
        handle.add_labels(new)
        answers = [handle.predict(query.text, k=SHAPES.shortlist) for query in QUERIES]
    assert {len(answer.shortlist_labels) for answer in answers} == {SHAPES.shortlist}
    first = [answer.labels[0].id for answer in answers]
    sums = [sum(label.probability for label in answer.labels) for answer in answers]
    right = [WHOLE.ids[query.targets[0]] for query in QUERIES]
    return float(np.mean([a == b for a, b in zip(first, right, strict=True)])), float(np.mean(sums))


@pytest.fixture(scope="module")
def at_once(tmp_path_factory: pytest.TempPathFactory) -> dict[str, float]:
    """What compiling the whole set at once finds first, by the recipe's rotation."""
    home = tmp_path_factory.mktemp("whole")
    recipes = (RECIPE, PCA)
    paths = [compile(tiny_student(WHOLE), recipe, "host", home / recipe.index.rotation).path for recipe in recipes]
    return {recipe.index.rotation: found_first(path, [])[0] for recipe, path in zip(recipes, paths, strict=True)}


@pytest.mark.parametrize(("count", "recipe"), [(1, RECIPE), (2, PCA), (20, RECIPE)], ids=["1", "2 by pca", "20"])
def test_a_small_set_grows(count: int, recipe: Recipe, at_once: dict[str, float], tmp_path: Path) -> None:
    labels = some(count)
    path = compile(tiny_student(labels), recipe, "host", tmp_path / "small.exl").path
    first, mass = found_first(path, others(labels))
    assert first > at_once[recipe.index.rotation] - 0.06
    # a label's probability is its part of a shortlist that has become long
    assert mass < 1.1


@pytest.mark.parametrize(("count", "engine"), [(1, "native"), (1, "ort"), (2, "native"), (4, "native")])
def test_fewer_labels_than_answers(count: int, engine: Engine, tmp_path: Path) -> None:
    student = tiny_student(some(count))
    path = compile(student, dataclasses.replace(RECIPE, engine=engine), "host", tmp_path / "small.exl").path
    bundle = read_bundle(path)
    assert bundle.parameters.shortlist == SHAPES.shortlist
    text = student.labels.texts[-1]
    with open_bundle(path) as handle:
        for answer in (handle.predict(text), handle.predict(text, k=0), handle.predict(text, k=SHAPES.shortlist)):
            assert {label.id for label in answer.labels} == set(student.labels.ids)
            assert answer.labels[0].text == text
        with pytest.raises(BadInput, match="shortlist is 16"):
            handle.predict(text, k=SHAPES.shortlist + 1)
        assert handle.self_test()["failed"] == 0
        assert {handle.explain(text, at).reasoner_rank for at in range(count)} == set(range(1, count + 1))
    student.save(tmp_path / "student")
    report = evaluate(path, tmp_path / "student" / "evaluation.json.gz", tmp_path / "student")
    assert report["bundle"]["R@100"] == report["student"]["R@100"] == 100
    assert report["bundle"]["P@5"] == pytest.approx(20)
    assert len(StudentPredictor(student).predict(text)) == count
    calibration = bundle.manifest["calibration"]
    assert calibration["method"] == ("share" if count > 1 else "none")
    assert "reason" in calibration
    assert bundle.manifest["learnt_from"]["texts_of_vocabulary_words"] > 1000


def test_a_shipped_recipe_takes_a_single_label(tmp_path: Path) -> None:
    recipe = load_recipe("balanced")
    index = dataclasses.replace(recipe.index, code_bytes=4, fine_dims=24, cells="auto")
    path = compile(tiny_student(some(1)), dataclasses.replace(recipe, index=index), "host", tmp_path / "one.exl").path
    with open_bundle(path) as handle:
        handle.add_labels(others(some(1))[:50])
        assert len(handle.predict(WHOLE.texts[0]).labels) == 5


def test_cells_over_fewer_rows_than_there_are_to_be(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, index=IndexRecipe(code_bytes=8, cells=8))
    labels = some(3)
    path = compile(tiny_student(labels), recipe, "host", tmp_path / "small.exl").path
    first, _ = found_first(path, others(labels))
    assert first > 0.65


def test_one_query_is_no_calibration(tmp_path: Path) -> None:
    """Also over a set of any size: a curve through one answer would give every label the same probability."""
    student = tiny_student(some(40))
    student = dataclasses.replace(student, calibration=student.calibration[:1])
    path = compile(student, RECIPE, "host", tmp_path / "one.exl").path
    assert read_bundle(path).manifest["calibration"]["method"] == "none"
    with open_bundle(path) as handle:
        labels = handle.predict(student.labels.texts[3], k=SHAPES.shortlist).labels
    assert sum(label.probability for label in labels) == pytest.approx(1, abs=0.01)
    assert labels[0].probability > labels[-1].probability


def test_shares_are_scaled_to_what_they_predict() -> None:
    draw = np.random.default_rng(0)
    logits = draw.standard_normal((4000, 6)) * 2
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = np.zeros(logits.shape, np.bool_)
    right[np.arange(4000), (draw.random((4000, 1)) < share.cumsum(1)).argmax(1)] = True
    fitted = fit_share((logits / 5).astype(np.float32), right, 4000, bytes(32))
    assert fitted.scale == pytest.approx(5, rel=0.05)
    assert fitted.times == 1
    # several gold labels a query: each has its part of the share, and is as probable as all of it
    both = np.tile(right, 2)
    doubled = fit_share(np.tile(logits, 2).astype(np.float32), both, 8000, bytes(32))
    assert (doubled.scale, doubled.times) == (pytest.approx(1, rel=0.05), 2)
    sure = fit_share(np.array([[1.0, 0.0]] * 30, np.float32), np.array([[True, False]] * 30), 30, bytes(32))
    assert sure.calibration.probabilities(np.array([1.0, 0.0]) * sure.scale)[0] == pytest.approx(0.985, abs=0.01)


def test_what_can_be_fitted() -> None:
    right = np.zeros((30, 3), np.bool_)
    right[:20, 0] = True
    assert can_fit(np.zeros((30, 3), np.float32), right)
    assert not can_fit(np.zeros((19, 3), np.float32), right[:19])
    assert not can_fit(np.zeros((30, 1), np.float32), np.ones((30, 1), np.bool_))
    padded = np.full((30, 2), -np.inf, np.float32)
    padded[:, 0] = 0
    assert not can_fit(padded, np.tile([True, False], (30, 1)))
