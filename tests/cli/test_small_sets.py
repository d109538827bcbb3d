"""The command line on label sets of fewer labels than it gives by default, down to none."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgexl.compiler import compile
from edgexl.compiler.recipe import IndexRecipe, Recipe, ShortlistRecipe
from edgexl.runtime.binding import open_bundle
from tests.command_line import Edgexl, exl_run
from tests.tiny import AS_IT_IS, tiny_labels, tiny_student


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """three.exl, over three labels, and two.exl, which shortlists two of them; and their student."""
    folder = tmp_path_factory.mktemp("small")
    student = tiny_student(tiny_labels(3))
    student.save(folder / "student")
    for name, shortlist in (("three", None), ("two", 2)):
        recipe = Recipe(name, index=IndexRecipe(code_bytes=8), shortlist=ShortlistRecipe(shortlist), **AS_IT_IS)
        compile(student, recipe, "host", folder / f"{name}.exl")
    return folder


@pytest.mark.parametrize(("name", "answers"), [("three", 3), ("two", 2)])
def test_there_are_as_many_answers_as_there_can_be(edgexl: Edgexl, home: Path, name: str, answers: int) -> None:
    bundle, text = home / f"{name}.exl", tiny_labels(3).texts[1]
    asked = edgexl("run", bundle, text, "--explain", "id0001", "--json")
    assert (asked.status, len(asked.json["labels"]), asked.json["explanation"]["reasoner_rank"]) == (0, answers, 1)
    assert len(exl_run(bundle, text).json["labels"]) == answers
    with open_bundle(bundle) as handle:
        assert [len(answer.labels) for answer in handle.predict_batch([text, text])] == [answers, answers]
    evaluated = edgexl("eval", bundle, home / "student" / "evaluation.json.gz", "--student", home / "student", "--json")
    assert evaluated.status == 0
    assert evaluated.json["student"]["R@100"] == 100
    assert edgexl("profile", bundle, "--runs", "2", "--json").json["runs"] == 2


def test_more_than_a_bundle_can_give_is_refused(edgexl: Edgexl, home: Path) -> None:
    edgexl("run", home / "two.exl", "ba", "-k", "3").refuses(2, "shortlists 2 labels")
    assert exl_run(home / "two.exl", "ba", "-k", "3").status == 2
    asked = edgexl("run", home / "three.exl", "ba", "-k", "16", "--json")
    assert (asked.status, len(asked.json["labels"])) == (0, 3)


def test_a_set_that_shrinks_to_nothing_and_grows_again(edgexl: Edgexl, home: Path, tmp_path: Path) -> None:
    bundle, text = home / "three.exl", tiny_labels(3).texts[1]
    given = ("--labels-file", tmp_path / "labels")
    assert edgexl("labels", "retire", bundle, "id0000", "id0001", *given).status == 0
    asked = edgexl("run", bundle, text, *given, "--json").json
    assert [label["id"] for label in asked["labels"]] == ["id0002"]
    assert edgexl("labels", "retire", bundle, "id0002", *given).status == 0
    assert edgexl("labels", "compact", bundle, *given).status == 0
    asked = edgexl("run", bundle, text, *given)
    assert asked.status == 0
    assert "label set is empty" in asked.out
    asked = edgexl("run", bundle, text, *given, "--json").json
    assert (asked["labels"], asked["none_fits"]) == ([], True)
    assert edgexl("complete", bundle, "b", *given).out == ""
    edgexl("run", bundle, text, "--explain", "id0001", *given).refuses(2, "no label")
    assert edgexl("labels", "add", bundle, "id0001", text, *given).status == 0
    asked = edgexl("run", bundle, text, *given, "--json").json
    assert [label["id"] for label in asked["labels"]] == ["id0001"]
