"""Words that labels and queries share: which texts are indexed, and when the lexical side is left out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgexl.bundle.layout import Kind
from edgexl.bundle.read import read_bundle
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import IndexRecipe, Recipe
from edgexl.data import Query
from edgexl.runtime.binding import open_bundle
from edgexl.use.inspect import inspect
from tests.tiny import AS_IT_IS, described_queries, tiny_described, tiny_labels, tiny_queries, tiny_student

RECIPE = Recipe("words", index=IndexRecipe(code_bytes=8, overfetch=64, lexical_bytes=400), **AS_IT_IS)


def test_labels_are_found_by_the_words_of_their_names_and_descriptions(tmp_path: Path) -> None:
    labels = tiny_described(tiny_labels(120, aliases=True))
    queries = tiny_queries(labels, 40, 1)
    student = tiny_student(labels).with_labels(labels, queries, queries)
    scores: dict[str, list[float]] = {}
    for form in ("joined", "rows", "none"):
        recipe = dataclasses.replace(RECIPE, index=dataclasses.replace(RECIPE.index, descriptions=form))
        bundle = tmp_path / f"{form}.exl"
        compile(student, recipe, "host", bundle)
        told = inspect(bundle, self_test=True)["lexical"]
        assert told["kept"] is True
        assert "there are not 50 queries" in told["because"]
        with open_bundle(bundle) as handle:
            for kind, asked in (("named", tiny_queries(labels, 8, 0)), ("described", described_queries(labels, 8))):
                ways = [handle.explain(query.text, labels.ids[query.targets[0]]) for query in asked]
                scores[f"{form} {kind}"] = [way.words_score for way in ways]
    assert min(scores["none named"]) > 0.5
    assert np.mean(scores["joined described"]) == pytest.approx(np.mean(scores["rows described"]))
    assert np.mean(scores["joined described"]) > np.mean(scores["none described"]) + 0.2


def test_it_is_left_out_where_held_out_queries_gain_nothing(tmp_path: Path) -> None:
    """Queries of words that no label has."""
    student = tiny_student()
    strange = tuple(Query(f"s{place}", "zz" * (1 + place % 7), (place,)) for place in range(60))
    bare = dataclasses.replace(student, calibration=strange)
    compile(bare, RECIPE, "host", tmp_path / "b.exl")
    told = inspect(tmp_path / "b.exl")["lexical"]
    assert told["kept"] is False
    assert told["because"] == "Left out: on 60 held-out queries it gains nothing."
    assert Kind.LEXICAL not in {entry.kind for entry in read_bundle(tmp_path / "b.exl").entries}


def test_labels_without_a_letter_or_a_digit_have_none(tmp_path: Path) -> None:
    labels = dataclasses.replace(tiny_labels(8), texts=tuple("?!." * (1 + place) for place in range(8)))
    student = tiny_student(tiny_labels(8)).with_labels(labels, tiny_student(tiny_labels(8)).calibration, ())
    compile(student, RECIPE, "host", tmp_path / "b.exl")
    told = inspect(tmp_path / "b.exl")["lexical"]
    assert told["kept"] is False
    assert told["because"] == (
        "There is no lexical side, for no label's text has a letter or a digit, and a lexical index holds words."
    )
