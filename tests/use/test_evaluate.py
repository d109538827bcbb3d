"""What a bundle is measured on: every query has its answer, or is named as one without a word."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.read import read_bundle
from edgexl.data import metrics
from edgexl.data.label_set import LabelSet
from edgexl.data.reliability import expected_calibration_error
from edgexl.predict.float_student import StudentPredictor
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.student.student import load_student
from edgexl.use.evaluate import evaluate
from edgexl.use.labels import add_labels, retire_labels
from tests.command_line import Edgexl, Tiny

# Nothing, blanks, and control characters, which no tokenizer makes a token of.
EMPTY = ("", "  ", "\x01\x02 \x7f")


def write(path: Path, records: list[dict[str, Any]]) -> None:
    path.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))


@pytest.fixture
def data(tiny: Tiny, tmp_path: Path) -> Path:
    """A data set of the tiny student's labels with nine queries, of which the first three of the test set are empty."""
    place = tmp_path / "data"
    place.mkdir()
    shutil.copy(tiny.student / "labels.json.gz", place / "lbl.json.gz")
    labels = LabelSet.load(place / "lbl.json.gz")
    queries = [{"uid": f"q{n}", "title": labels.texts[n], "target_ind": [n]} for n in range(6)]
    empty = [{"uid": f"e{n}", "title": text, "target_ind": [n]} for n, text in enumerate(EMPTY)]
    write(place / "trn.json.gz", queries)
    write(place / "tst.json.gz", [*empty, *queries])
    return place


@pytest.mark.parametrize("with_student", [False, True])
def test_queries_without_a_word_are_misses_or_left_out(with_student: bool, tiny: Tiny, data: Path) -> None:
    student = tiny.student if with_student else None
    (data / "filter_labels_test.txt").write_text("0 7\n3 7\n5 8\n8 9\n")
    missed, skipped = (evaluate(tiny.bundle, data, student, empty=how) for how in ("miss", "skip"))
    named = [{"file": str(data / "tst.json.gz"), "line": n + 1, "uid": f"e{n}"} for n in range(3)]
    assert missed["empty_queries"] == skipped["empty_queries"] == named
    assert (missed["queries"], skipped["queries"]) == (9, 6)
    for system in ("bundle", "screening", *(["student"] if with_student else [])):
        assert skipped[system]["P@1"] > 0
        for metric in ("P@1", "R@10", "nDCG@5"):
            assert missed[system][metric] == pytest.approx(skipped[system][metric] * 6 / 9)
    assert evaluate(tiny.bundle, data, limit=3)["bundle"]["P@1"] == 0
    with pytest.raises(BadInput, match="no query with a token"):
        evaluate(tiny.bundle, data, limit=3, empty="skip")


def test_the_command_names_them(tiny: Tiny, data: Path, edgexl: Edgexl) -> None:
    said = edgexl("eval", tiny.bundle, data)
    assert said.status == 0
    assert f"3 queries hold no token and count as misses, first {data}/tst.json.gz, line 1, e0" in said.out
    assert "are left out" in edgexl("eval", tiny.bundle, data, "--empty", "skip").out
    said = edgexl("eval", tiny.bundle, data, "--json", "--empty", "skip")
    assert [query["uid"] for query in said.json["empty_queries"]] == ["e0", "e1", "e2"]
    assert "empty_queries" not in edgexl("eval", tiny.bundle, tiny.student / "evaluation.json.gz", "--json").json


def test_a_label_file_is_measured_where_it_is_named(tiny: Tiny, data: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    bundle, file = Path(shutil.copy(tiny.bundle, tmp_path / "b.exl")), tmp_path / "elsewhere.labels"
    bundle.chmod(0o444)
    labels = LabelSet.load(data / "lbl.json.gz")
    add_labels(bundle, [NewLabel("new", "word of its own")], labels_file=file)
    retire_labels(bundle, [labels.ids[0]], labels_file=file)
    with pytest.raises(BadInput, match="is not over the bundle's label set"):
        evaluate(bundle, data, labels_file=file)
    changed = LabelSet((*labels.ids[1:], "new"), (*labels.texts[1:], "word of its own"), (*labels.aliases[1:], ()))
    changed.save(data / "lbl.json.gz")
    queries = [
        {"uid": "a", "title": labels.texts[5], "target_ind": [4]},
        {"uid": "b", "title": "word of its own", "target_ind": [len(labels) - 1]},
    ]
    write(data / "tst.json.gz", queries)
    write(data / "trn.json.gz", queries)
    report = edgexl("eval", bundle, data, "--labels-file", file, "--json").json
    assert (report["labels"], report["bundle"]["P@1"]) == (len(labels), 100.0)
    edgexl("eval", bundle, data).refuses(2, "label set")


def test_every_command_takes_a_label_file(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    bundle, file = tmp_path / "read-only" / "b.exl", tmp_path / "elsewhere.labels"
    bundle.parent.mkdir()
    shutil.copy(tiny.bundle, bundle)
    assert edgexl("labels", "add", bundle, "new", "zebra crossing", "--labels-file", file).status == 0
    assert sorted(path.name for path in bundle.parent.iterdir()) == ["b.exl"]
    found = edgexl("run", bundle, "zebra crossing", "--labels-file", file, "--json").json
    assert found["labels"][0]["id"] == "new"
    assert edgexl("run", bundle, "zebra crossing", "--json").json["labels"][0]["id"] != "new"
    assert edgexl("complete", bundle, "zebra", "--labels-file", file, "--json").json["labels"][0]["id"] == "new"
    assert edgexl("complete", bundle, "zebra", "--json").json["labels"] == []
    assert edgexl("profile", bundle, "--runs", "3", "--labels-file", file, "--json").json["runs"] == 3
    edgexl("profile", bundle, "--labels-file", tiny.bundle).refuses(2, "label file")
    told = edgexl("inspect", bundle, "--labels-file", file, "--json").json["labels_file"]
    assert (told["path"], told["added"], told["retired"], told["labels"]) == (str(file), 1, 0, 301)
    assert "1 labels added" in edgexl("inspect", bundle, "--labels-file", file).out


def test_a_batch_names_the_text_that_cannot_be_answered(tiny: Tiny) -> None:
    with open_bundle(tiny.bundle) as handle:
        for threads in (1, 3):
            with pytest.raises(BadInput, match=r"^Text 2 of the batch \('\\x01'\): .*no token"):
                handle.predict_batch(["ba", "be", "\x01", ""], threads=threads)
            with pytest.raises(BadInput, match=r"^Text 1 of the batch \(b'\\xff'\): .*UTF-8"):
                handle.predict_batch(["ba", b"\xff"], threads=threads)
            assert len(handle.predict_batch(["ba", "be"], threads=threads)) == 2


def test_figures_are_of_what_each_system_answers(tiny: Tiny, tmp_path: Path) -> None:
    """The bundle's order, its screening's order alone and the float student's, each judged by the metrics."""
    labels = LabelSet.load(tiny.student / "labels.json.gz")
    texts = tiny.texts(60)
    right = [[n * 7 % 300, (n * 7 + 11) % 300][: 1 + n % 2] for n in range(60)]
    order = [(n * 11 + 5) % 300 for n in range(300)]  # the data set numbers the labels otherwise
    number = {label: place for place, label in enumerate(order)}
    data = tmp_path / "data"
    data.mkdir()
    LabelSet(tuple(labels.ids[n] for n in order), tuple(labels.texts[n] for n in order)).save(data / "lbl.json.gz")
    asked = [
        {"uid": f"t{n}", "title": text, "target_ind": [number[t] for t in right[n]]} for n, text in enumerate(texts)
    ]
    train = [{"uid": f"n{n}", "title": f"text {n}", "target_ind": [number[n * n % 50]]} for n in range(400)]
    write(data / "tst.json.gz", asked)
    write(data / "trn.json.gz", train)
    report = evaluate(tiny.bundle, data, tiny.student)
    counts = np.bincount([n * n % 50 for n in range(400)], minlength=300)
    cutoffs, width = (1, 3, 5, 10, 100, 1000), 1000
    ranked = {name: np.full((60, width), -1) for name in ("bundle", "screening", "student")}
    accepted = np.zeros((60, width), np.bool_)
    with open_bundle(tiny.bundle) as handle:
        for row, text in enumerate(texts):
            found = handle.predict(text, k=handle.info.shortlist, threshold=-1.0)
            ranked["bundle"][row, : len(found.ranked)] = found.ranked
            ranked["screening"][row, : len(found.shortlist_labels)] = found.shortlist_labels
            accepted[row, : len(found.labels)] = True
    answers = StudentPredictor(load_student(tiny.student)).rank(texts)
    ranked["student"][:, : answers.shape[1]] = answers
    assert 0 < accepted.sum() < (ranked["bundle"] >= 0).sum()  # or F1 shows nothing
    for name, rows in ranked.items():
        mask = accepted if name == "bundle" else None
        wanted = metrics.evaluate(rows, right, cutoffs, metrics.TrainFrequency(counts, 400), mask)
        for key, value in report[name].items():
            assert value == pytest.approx(wanted[key], abs=1e-9), (name, key)
        assert report["bands"][name] == wanted["bands"]
    assert set(report["bundle"]) >= {"P@1", "nDCG@5", "R@1000", "PSP@5", "coverage@1", "F1_micro", "F1_macro"}
    for key, value in report["difference"].items():
        if key.startswith("F1"):
            assert value is None
        else:
            assert value == pytest.approx(report["bundle"][key] - report["student"][key])
    assert (report["queries"], report["labels"]) == (60, 300)
    assert report["screening"] != report["bundle"] != report["student"]


def shares_a_word(labels: LabelSet, number: int) -> bool:
    return bool(set(labels.texts[number].split()) & set(labels.aliases[number][0].split()))


def test_baselines_answer_the_same_queries(tiny: Tiny, data: Path, tmp_path: Path, edgexl: Edgexl) -> None:
    said = edgexl("eval", tiny.bundle, data, "--baselines", "--json")
    assert said.status == 0
    found = said.json["baselines"]
    assert list(found) == ["tf-idf", "bm25", "minilm"]
    for of_one in found.values():
        assert of_one.keys() == said.json["bundle"].keys()
        assert of_one["P@1"] == pytest.approx(100 * 6 / 9)  # three queries are empty, six are label texts
    lines = edgexl("eval", tiny.bundle, data, "--baselines", "--student", tiny.student).out.splitlines()
    heading = "screening bundle student difference tf-idf bm25 minilm"
    assert heading in [" ".join(line.split()) for line in lines]
    assert len(lines[2]) <= 80
    # a file of queries: the labels beside it have aliases, and alone it has the bundle's own texts
    labels = LabelSet.load(tiny.student / "labels.json.gz")
    number = next(n for n in range(300) if labels.aliases[n] and not shares_a_word(labels, n))
    alone, beside = tmp_path / "queries.json.gz", tmp_path / "student" / "queries.json.gz"
    beside.parent.mkdir()
    shutil.copy(tiny.student / "labels.json.gz", beside.parent)
    for path in (alone, beside):
        write(path, [{"uid": "q", "title": labels.aliases[number][0], "target_ind": [number]}])
    assert evaluate(tiny.bundle, beside, baselines=True)["baselines"]["bm25"]["P@1"] == 100
    assert evaluate(tiny.bundle, alone, baselines=True)["baselines"]["bm25"]["P@1"] == 0


def test_sets_of_a_coverage_are_counted(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    queries = tiny.student / "evaluation.json.gz"
    found = edgexl("eval", tiny.bundle, queries, "--coverage", "0.5", "--json").json["coverage"]
    with open_bundle(tiny.bundle) as handle:
        sets = [handle.predict(text, coverage=0.5) for text in tiny.texts(200)]
        with gzip.open(queries) as stream:
            gold = [json.loads(line)["target_ind"] for line in stream]
    hits = [bool({at.index for at in one.labels} & set(right)) for one, right in zip(sets, gold, strict=True)]
    assert (found["asked"], found["reached"], found["holds"]) == (0.5, np.mean(hits), True)
    assert found["mean_labels"] == pytest.approx(np.mean([len(one.labels) for one in sets]))
    assert 0 < found["low"] < found["reached"] < found["high"] < 1
    out = edgexl("eval", tiny.bundle, queries, "--coverage", "0.5").out
    assert f"sets of coverage 0.5 hold a right label in {found['reached']:.1%} of queries" in out
    edgexl("eval", tiny.bundle, queries, "--coverage", "0.9999").refuses(2, "at most", "[shortlist]")
    # a changed label set promises nothing, and the command says so
    bundle = Path(shutil.copy(tiny.bundle, tmp_path / "b.exl"))
    text = tiny.texts(1)[0]
    assert "no longer promised" not in edgexl("run", bundle, text, "--coverage", "0.5").out
    assert edgexl("run", bundle, text, "--coverage", "0.5", "--json").json["coverage_holds"] is True
    add_labels(bundle, [NewLabel("new", "zebra")])
    assert "no longer promised" in edgexl("run", bundle, text, "--coverage", "0.5").out
    assert edgexl("run", bundle, text, "--coverage", "0.5", "--json").json["coverage_holds"] is False


def test_reliability_is_how_far_probabilities_lie_from_what_came_true(tiny: Tiny, edgexl: Edgexl) -> None:
    assert expected_calibration_error([0.95, 0.95, 0.15, 1.0], [True, False, False, True]) == pytest.approx(
        (abs(0.95 * 2 + 1 - 2) + 0.15) / 4
    )
    assert expected_calibration_error([], []) is None
    said = edgexl("eval", tiny.bundle, tiny.student / "evaluation.json.gz", "--json").json["reliability"]
    with open_bundle(tiny.bundle) as handle:
        found = [handle.predict(text, k=16, threshold=-1.0) for text in tiny.texts(200)]
    assert said["accepted"] == sum(len(one.labels) for one in found) > 0
    assert 0 <= said["ECE"] <= 1
    assert 0 < said["accepted_right"] <= 1
    assert (
        "first labels' probabilities are off by" in edgexl("eval", tiny.bundle, tiny.student / "evaluation.json.gz").out
    )


def test_a_compile_takes_queries_of_ones_own(tiny: Tiny, tmp_path: Path, edgexl: Edgexl) -> None:
    arguments = ("compile", tiny.student, "--recipe", tiny.recipe, "--target", "host", "-o", tmp_path / "own.exl")
    edgexl(*arguments, "--calibrate", tiny.student / "evaluation.json.gz").refuses(2, "line 1", "evaluate on")
    labels = LabelSet.load(tiny.student / "labels.json.gz")
    own = [{"uid": f"o{n}", "title": f"{labels.texts[n]} of mine", "target_ind": [n]} for n in range(150)]
    write(tmp_path / "own.json.gz", own)
    assert edgexl(*arguments, "--calibrate", tmp_path / "own.json.gz", "--json").status == 0
    assert read_bundle(tmp_path / "own.exl").calibration.queries == 150
