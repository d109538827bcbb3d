"""A reasoner of random weights costs: the compile leaves it out, or blends it where no query was held out."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import cast

import pytest
import torch

from edgexl.base.errors import GateFailed
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import read_bundle
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import CalibrateRecipe, GateRecipe, IndexRecipe, ReasonerRecipe, Recipe
from edgexl.runtime.binding import open_bundle
from edgexl.student.reasoner import ListwiseReasoner, ScreeningReasoner
from edgexl.student.student import Student
from edgexl.use.inspect import inspect
from tests.tiny import assembled, tiny_described, tiny_labels, tiny_queries, tiny_student

RECIPE = Recipe("blended", index=IndexRecipe(code_bytes=8, overfetch=64))


def costly_student() -> Student:
    """The tiny one, whose random reasoner says more."""
    student = tiny_student()
    with torch.no_grad():
        cast(ListwiseReasoner, student.reasoner).verdict.mul_(10)
    return student


def test_what_only_costs_is_left_out_of_the_bundle(tmp_path: Path) -> None:
    report = compile(costly_student(), RECIPE, "host", tmp_path / "b.exl")
    bundle = read_bundle(tmp_path / "b.exl", verify=True)
    told = inspect(tmp_path / "b.exl", self_test=True)
    assert told["blend"]["kind"] == "left out"
    assert told["blend"]["P@1"]["chosen"] == told["blend"]["P@1"]["screening"] > told["blend"]["P@1"]["reasoner"]
    assert "The reasoner is left out" in told["blend"]["because"]
    assert not {Kind.REASONER_GRAPH, Kind.REASONER_WEIGHTS} & {entry.kind for entry in bundle.entries}
    sizes = bundle.parameters
    assert (sizes.reasoner_inputs, sizes.reasoner_weight) == (0, 0.0)
    assert sizes.screening_weight > 0
    last = report.ledger[-1].accuracy
    assert last.p_at_1 == last.screening_p_at_1
    assert last.ndcg_at_5 == last.screening_ndcg_at_5
    gate = next(gate for gate in report.gates if gate.name == "reasoner_gain")
    assert (gate.value, gate.margin, gate.passed) == (0, 0, True)
    with open_bundle(tmp_path / "b.exl") as handle:
        found = handle.predict(tiny_student().evaluation[0].text, k=5, threshold=0.0)
        assert found.ranked.tolist() == found.shortlist_labels.tolist()
        assert 0 < found.labels[0].probability <= 1


def test_queries_made_of_label_texts_keep_no_reasoner_that_is_not_better(tmp_path: Path) -> None:
    bare = dataclasses.replace(costly_student(), calibration=())
    recipe = dataclasses.replace(RECIPE, calibrate=CalibrateRecipe("none"))
    report = compile(bare, recipe, "host", tmp_path / "b.exl")
    told = inspect(tmp_path / "b.exl", self_test=True)["blend"]
    assert (told["kind"], told["queries"], told["queries_made"]) == ("left out", 300, True)
    sizes = read_bundle(tmp_path / "b.exl").parameters
    assert (sizes.reasoner_weight, sizes.screening_weight) == (0.0, pytest.approx(told["screening_weight"]))
    assert "queries made of label texts" in told["because"]
    assert "which is not better by more than chance" in told["because"]
    before, blended = (row.accuracy for row in report.ledger if row.name in ("quantize", "blend"))
    last = report.ledger[-1].accuracy
    assert before.p_at_1 is not None
    assert blended.p_at_1 is not None
    assert before.p_at_1 < blended.p_at_1
    assert last.p_at_1 == last.screening_p_at_1


def test_a_recipe_may_want_no_blend_and_the_gate_says_what_that_costs(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, reasoner=ReasonerRecipe(blend="none"))
    with pytest.raises(GateFailed, match=r"reasoner_gain failed.*blame is blend"):
        compile(tiny_student(), recipe, "host", tmp_path / "b.exl")
    recipe = dataclasses.replace(recipe, gates=GateRecipe(reasoner_gain=-100))
    compile(tiny_student(), recipe, "host", tmp_path / "b.exl")
    assert "the recipe wants no blend" in inspect(tmp_path / "b.exl")["blend"]["because"]
    # a set of a few labels, without queries, has nothing to choose by
    few = dataclasses.replace(tiny_student(tiny_labels(20)), calibration=(), evaluation=())
    few_recipe = Recipe("few", index=IndexRecipe(code_bytes=8), calibrate=CalibrateRecipe("none"))
    compile(few, few_recipe, "host", tmp_path / "few.exl")
    assert "there are not the 100 queries" in inspect(tmp_path / "few.exl")["blend"]["because"]


def test_a_student_without_a_reasoner_answers_by_screening_with_all_its_evidence(tmp_path: Path) -> None:
    labels = tiny_labels()
    student = assembled(labels, tiny_student().screener, ScreeningReasoner())
    bare = dataclasses.replace(student, calibration=())
    recipe = dataclasses.replace(RECIPE, calibrate=CalibrateRecipe("none"))
    report = compile(bare, recipe, "host", tmp_path / "b.exl")
    assert "reasoner_graph" not in report.sections
    assert "lexical" in report.sections
    assert "The student has no reasoner" in inspect(tmp_path / "b.exl", self_test=True)["blend"]["because"]
    last = report.ledger[-1].accuracy
    assert last.p_at_1 == last.screening_p_at_1
    words = labels.texts[40].split()
    misspelt = " ".join([words[0][1] + words[0][0] + words[0][2:], *words[1:]])
    with open_bundle(tmp_path / "b.exl") as handle:
        assert handle.predict(misspelt).labels[0].text == labels.texts[40]


def test_a_reasoner_that_is_told_nothing_of_descriptions_is_left_out_where_no_query_shows_what_that_costs(
    tmp_path: Path,
) -> None:
    """All labels but those that are asked for are described; then these, too."""
    labels = tiny_described(tiny_labels(120))
    queries = tiny_queries(labels, 100, 1)
    gold = {target for query in queries for target in query.targets}
    held_out = tuple(() if label in gold else texts for label, texts in enumerate(labels.descriptions))
    some = dataclasses.replace(labels, descriptions=held_out)
    assert 0 < len(gold) < 60 or queries  # most labels are described in one case, all in the other
    found = {}
    for name, set_of_labels in (("without", some), ("with", labels)):
        student = tiny_student(set_of_labels).with_labels(set_of_labels, queries, queries)
        compile(student, dataclasses.replace(RECIPE, gates=GateRecipe()), "host", tmp_path / f"{name}.exl")
        found[name] = inspect(tmp_path / f"{name}.exl")
    assert found["without"]["blend"]["because"].startswith("The reasoner is left out: labels are found by descriptions")
    assert found["without"]["descriptions"]["form"] == "joined"
    assert "queries" not in found["without"]["descriptions"]
    assert "P@1" in found["with"]["blend"]["because"]
    assert found["with"]["descriptions"]["queries"] == 100
