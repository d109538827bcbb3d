"""From files of labels and queries to answers, by the commands that take them, with the tiny student as encoder."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from edgexl.data import Query, read_queries, write_dataset
from edgexl.data.label_set import LabelSet
from edgexl.runtime.binding import open_bundle
from tests.command_line import TARGET, Edgexl, Tiny
from tests.tiny import tiny_labels, tiny_queries

RECIPE = """
name = "eight-byte codes"
[index]
code_bytes = 8
overfetch = 64
"""
# A shop's own ids: over labels of its own, the student would bring its own queries along.
LABELS = replace(tiny_labels(200), ids=tuple(f"S{place:04d}" for place in range(200)))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with products.csv, a recipe, and past.csv of 450 queries, which name products by id or by name."""
    folder = tmp_path_factory.mktemp("shop")
    with open(folder / "products.csv", "w", newline="") as stream:
        lines = csv.writer(stream, delimiter=";")
        lines.writerow(("SKU", "Name", "Synonyms", "Price"))
        lines.writerows(
            (uid, text, f"alias{uid}|also{uid}", 3) for uid, text in zip(LABELS.ids, LABELS.texts, strict=True)
        )
    queries = [*tiny_queries(LABELS, 200, 0), *tiny_queries(LABELS, 200, 1), *tiny_queries(LABELS, 50, 2)]
    with open(folder / "past.csv", "w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(("search", "product"))
        for place, query in enumerate(queries):
            names = LABELS.ids if place % 2 else LABELS.texts
            lines.writerow((query.text, names[query.targets[0]]))
    (folder / "recipe.toml").write_text(RECIPE)
    return folder


def test_labels_are_compiled_without_queries_or_recipe(shop: Path, tiny: Tiny, edgexl: Edgexl, tmp_path: Path) -> None:
    out = tmp_path / "tags.exl"
    report = edgexl(
        "compile", shop / "products.csv", "--encoder", tiny.student, "--target", TARGET, "-o", out, "--json"
    )
    assert report.status == 0, report.err
    told = report.json
    assert told["labels_file"]["understood"] == (
        "id = SKU; text = Name; aliases = Synonyms (parted at |); passed over: Price"
    )
    assert (told["labels_file"]["labels"], told["queries_file"]) == (200, None)
    assert told["held_out"]["made_of"].startswith("label texts")
    assert {gate["name"] for gate in told["gates"]} >= {"p_at_1_kept", "r_at_100_kept"}
    assert all(row["P@1"] is not None for row in told["ledger"])
    first = edgexl("run", out, LABELS.texts[7], "--json").json["labels"][0]
    assert (first["id"], first["text"]) == (LABELS.ids[7], LABELS.texts[7])
    looked = edgexl("inspect", out)
    assert told["held_out"]["measured_on"] in looked.out
    assert edgexl("inspect", out, "--json").json["held_out"] == told["held_out"]


def test_queries_are_divided_into_those_that_fit_and_those_that_judge(
    shop: Path, tiny: Tiny, edgexl: Edgexl, tmp_path: Path
) -> None:
    out = tmp_path / "tags.exl"
    given = ("--encoder", tiny.student, "--queries", shop / "past.csv", "--recipe", shop / "recipe.toml")
    said = edgexl("compile", shop / "products.csv", *given, "--target", TARGET, "-o", out)
    assert said.status == 0, said.err
    assert "text = search; labels = product" in said.out
    assert "probabilities are fitted on" in said.out
    with open_bundle(out) as handle:
        assert handle.manifest["calibration"]["queries"] == handle.manifest["held_out"]["calibration"] > 190
    measured = edgexl("eval", out, "--queries", shop / "past.csv", "--json").json
    by_name = edgexl("eval", out, shop / "past.csv", "--json").json
    assert measured["bundle"]["P@1"] == by_name["bundle"]["P@1"] > 50
    edgexl("eval", out).refuses(2, "--queries")
    edgexl("eval", out, shop / "past.csv", "--queries", shop / "past.csv").refuses(2, "--queries")


def test_a_student_is_calibrated_on_a_table_of_queries(tiny: Tiny, edgexl: Edgexl, tmp_path: Path) -> None:
    labels = LabelSet.load(tiny.student / "labels.json.gz")
    path = tmp_path / "past.jsonl"
    judged = {query.text for query in read_queries(tiny.student / "evaluation.json.gz")}
    queries = [query for query in tiny_queries(labels, 120, 0) if query.text not in judged][:60]
    lines = ({"query": each.text, "label": labels.ids[each.targets[0]]} for each in queries)
    path.write_text("\n".join(map(json.dumps, lines)))
    out = tmp_path / "out.exl"
    arguments = ("--recipe", tiny.recipe, "--target", TARGET, "--calibrate", path, "-o", out)
    assert edgexl("compile", tiny.student, *arguments).status == 0
    with open_bundle(out) as handle:
        assert handle.manifest["calibration"]["queries"] == 60
    path.write_text('{"query": "x", "label": "nothing"}\n')
    edgexl("compile", tiny.student, *arguments).refuses(2, f"{path}, line 1", "nothing")


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path, edgexl: Edgexl) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("id,text\n1,a\n1,b\n")
    given = ("--encoder", "all-MiniLM-L6-v1", "--queries", tmp_path / "past.csv", "--recipe", "blanced")
    said = edgexl(
        "compile", labels, *given, "--target", "hots", "-o", tmp_path / "nowhere" / "out.exl", "--workers", "x"
    )
    assert said.status == 2
    wrong = ("nowhere", "workers 'x'", "recipe 'blanced'", "target 'hots'", "MiniLM-L6-v1", "line 3", "past.csv")
    assert len(said.err.splitlines()) == len(wrong)
    for line, words in zip(said.err.splitlines(), wrong, strict=True):
        assert line.startswith("edgexl: ")
        assert words in line


def test_options_of_labels_want_labels_and_an_encoder(tiny: Tiny, shop: Path, edgexl: Edgexl, tmp_path: Path) -> None:
    out = tmp_path / "out.exl"
    products = shop / "products.csv"
    edgexl("compile", products, "-o", out).refuses(2, str(products), "--encoder")
    edgexl("compile", "nowhere.csv", "-o", out).refuses(2, "nowhere.csv", "--encoder")
    edgexl("compile", tiny.student, "--queries", products, "-o", out).refuses(2, "--queries", "--encoder")
    edgexl("compile", tiny.student, "--query-text", "x", "-o", out).refuses(2, "--query-text", "--encoder")
    given = ("--encoder", tiny.student, "--calibrate", products, "-o", out)
    edgexl("compile", products, *given).refuses(2, "--calibrate", "--queries")
    edgexl("compile", products, "--encoder", tmp_path, "-o", out).refuses(2, "encoder", "neither")
    edgexl("compile", products, "--encoder", products, "-o", out).refuses(2, "encoder", "is a file")


def test_show_says_what_is_understood_of_labels(shop: Path, edgexl: Edgexl) -> None:
    report = edgexl("data", "show", shop / "products.csv", "--json").json
    assert (report["format"], report["delimiter"], report["encoding"]) == ("CSV", "semicolon", "UTF-8")
    assert (report["rows"], report["labels"], report["aliases"], report["refused"]) == (200, 200, 400, 0)
    assert report["columns"]["passed_over"] == ["Price"]
    assert report["scripts_percent"] == {"Latin": 100.0}
    assert [sample["line"] for sample in report["samples"]][:3] == [2, 3, 4]
    assert len(report["samples"]) == 10
    shown = edgexl("data", "show", shop / "products.csv")
    assert shown.status == 0
    assert "id = SKU; text = Name; aliases = Synonyms (parted at |)" in " ".join(shown.out.split())
    assert "nothing would be refused" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_show_lists_what_would_be_refused(tmp_path: Path, edgexl: Edgexl) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("id,text\n1,a\n1,b\n2\n3,Привет мир\n4,A\n" + f"5,{'long ' * 60}\n")
    report = edgexl("data", "show", path, "--json").json
    assert [problem["line"] for problem in report["problems"]] == [3, 4]
    assert (report["refused"], report["labels"], report["labels_sha256"]) == (2, 4, None)
    assert report["repeated_texts"] == {"texts": 1, "labels": 2, "first": ["a"]}
    assert report["longest"]["text"] == {"characters": 299, "line": 7}
    assert set(report["scripts_percent"]) == {"Latin", "Cyrillic"}
    shown = edgexl("data", "show", path)
    assert shown.status == 0
    assert "line 3: has the id '1' of line 2" in shown.out
    assert max(map(len, shown.out.splitlines())) <= 80


def test_show_says_what_is_understood_of_queries(shop: Path, edgexl: Edgexl) -> None:
    report = edgexl("data", "show", shop / "past.csv", "--labels", shop / "products.csv", "--json").json
    assert (report["columns"]["text"], report["columns"]["labels"]) == ("search", ["product"])
    assert (report["rows"], report["labels_of"], report["refused"]) == (450, 200, 0)
    assert report["samples"][0]["labels"] == [LABELS.texts[0]]
    shown = edgexl("data", "show", shop / "past.csv", "--labels", shop / "products.csv")
    assert f"-> {LABELS.texts[0]}" in shown.out
    edgexl("data", "show", shop / "past.csv", "--query-text", "search").refuses(2, "--labels")


def test_a_data_set_is_a_source_of_labels(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    write_dataset(tmp_path / "data", LABELS, [], [Query("q", "x", (0,))], "for a test")
    out = tmp_path / "out.exl"
    said = edgexl("compile", tmp_path / "data", "--encoder", tiny.student, "--target", TARGET, "-o", out, "--json")
    assert said.json["labels_file"]["format"] == "JSON lines"
    with open_bundle(out) as handle:
        assert handle.info.labels == len(LABELS)
