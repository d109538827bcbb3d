"""`edgexl distill` over files of labels and queries: what it says, refuses and writes."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.command_line import TARGET, Edgexl, Tiny
from tests.tiny import tiny_labels, tiny_queries

LABELS = tiny_labels(200)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """labels.csv, and past.csv of 150 queries; the working directory."""
    with open(tmp_path / "labels.csv", "w", newline="") as stream:
        csv.writer(stream).writerows([("id", "name"), *zip(LABELS.ids, LABELS.texts, strict=True)])
    with open(tmp_path / "past.csv", "w", newline="") as stream:
        rows = [(query.text, LABELS.ids[query.targets[0]]) for query in tiny_queries(LABELS, 150, 1)]
        csv.writer(stream).writerows([("search", "product"), *rows])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_few_queries_make_a_student_that_compiles(files: Path, tiny: Tiny, edgexl: Edgexl) -> None:
    said = edgexl("distill", "labels.csv", "--queries", "past.csv", "--encoder", tiny.student, "-o", "tags")
    assert said.status == 0, said.err
    assert "200 labels: id = id; text = name" in said.err
    assert "150 queries: text = search; labels = product" in said.err
    assert "150 queries are too few to distill a student from (300 would do)" in said.err
    assert "tags: a student for 200 labels; `edgexl compile tags` comes next" in said.out
    made = edgexl("compile", "tags", "--recipe", tiny.recipe, "--target", TARGET, "-o", "tags.exl", "--json")
    assert made.status in (0, 1), made.err  # gates on so little may fail
    assert not (files / "tags.work").exists()


def test_one_command_goes_from_files_to_answers(files: Path, tiny: Tiny, edgexl: Edgexl) -> None:
    asked = ("distill", "labels.csv", "--queries", "past.csv", "--encoder", tiny.student, "-o", "tags")
    edgexl(*asked, "--bundle", "no/such/folder/tags.exl").refuses(2, "no/such/folder")
    assert not (files / "tags").exists()
    edgexl(*asked, "--bundle", "tags.exl", "--bundle-recipe", "balancd").refuses(2, "balancd")
    said = edgexl(*asked, "--bundle", "tags.exl", "--bundle-recipe", tiny.recipe)
    if said.status == 1:  # a gate on so little may fail: the student is there all the same
        assert "gate" in said.err
    else:
        assert "compiled into tags.exl" in said.out
        assert edgexl("run", "tags.exl", LABELS.texts[3], "--json").json["labels"]
    assert (files / "tags" / "student.json").exists()


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (("labels.csv",), ("labels.csv is no recipe", "--encoder all-MiniLM-L6-v2 --queries FILE")),
        (("labels.csv", "--queries", "past.csv"), ("--encoder all-MiniLM-L6-v2, or a student's name",)),
        (("labels.csv", "--encoder", "x", "--queries", "past.csv"), ("-o DIRECTORY",)),
        (("labels.csv", "--encoder", "wordnet", "-o", "tags"), ("--queries FILE", "needs none")),
        (
            ("gone.csv", "--encoder", "wordnett", "--queries", "none.csv", "-o", "tags", "--minutes", "0"),
            ("gone.csv", "did you mean 'wordnet'", "none.csv", "--minutes is 0"),
        ),
        (("wordnet-micro", "--minutes", "5"), ("--minutes is for a file of labels",)),
        (("wordnet-micro", "--text", "name"), ("--text is for a file of labels",)),
        (("wordnet-mikro",), ("did you mean 'wordnet-micro'",)),
    ],
)
def test_what_does_not_go_together_is_refused(
    files: Path, edgexl: Edgexl, arguments: tuple[str, ...], sentences: tuple[str, ...]
) -> None:
    said = edgexl("distill", *arguments)
    assert said.status == 2
    assert "Traceback" not in said.err
    for sentence in sentences:
        assert sentence in " ".join(said.err.split())
    assert not list(files.glob("*.work"))


def test_a_row_that_is_wrong_is_named_with_its_line(files: Path, tiny: Tiny, edgexl: Edgexl) -> None:
    with open(files / "past.csv", "a") as stream:
        stream.write("something,nosuch\n")
    said = edgexl("distill", "labels.csv", "--queries", "past.csv", "--encoder", tiny.student, "-o", "tags")
    said.refuses(2, "past.csv, line 152", "nosuch")


def test_the_help_shows_how_both_begin(edgexl: Edgexl) -> None:
    said = edgexl("distill", "--help").out
    assert "edgexl distill labels.csv --queries past.csv --encoder all-MiniLM-L6-v2 -o s" in said
    assert "edgexl distill s/recipe.toml -o s2 --bundle tags.exl" in said
