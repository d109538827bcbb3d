"""The students that edgexl ships: found by name, small, honest about themselves, and as good as they say."""

from __future__ import annotations

import gzip
import json

import pytest

from edgexl.base.shipped import available_students
from edgexl.data import metrics
from edgexl.data.label_set import LabelSet
from edgexl.predict.float_student import StudentPredictor
from edgexl.student.encode import encode_vectors
from edgexl.student.student import Student, load_student


@pytest.fixture(scope="module")
def wordnet_student() -> Student:
    return load_student("wordnet")


def test_it_is_small_enough(wordnet_student: Student) -> None:
    directory = available_students()["wordnet"]
    sizes = {path.name: path.stat().st_size for path in directory.iterdir()}
    assert sum(sizes.values()) - sizes["labels.json.gz"] <= 12_000_000
    assert len(wordnet_student.labels) == 147_478
    assert len(wordnet_student.calibration) == len(wordnet_student.evaluation) == 2000


@pytest.mark.parametrize("name", ["dictionary", "mesh"])
def test_one_that_names_its_labels_carries_none(name: str) -> None:
    """Nor the texts of Webster's dictionary that the other is measured by."""
    directory = available_students()[name]
    sizes = {path.name: path.stat().st_size for path in directory.iterdir()}
    assert "labels.json.gz" not in sizes
    assert sum(sizes.values()) <= 12_000_000
    assert json.loads((directory / "student.json").read_text())["labels_from"] == name
    held_out = list(map(json.loads, gzip.decompress((directory / "evaluation.json.gz").read_bytes()).splitlines()))
    assert len(held_out) == 2000
    assert any(query["title"] for query in held_out) is (name == "mesh")


def test_its_recorded_metrics_pass_the_bars(wordnet_student: Student) -> None:
    judged = wordnet_student.metrics["evaluation"]
    assert judged["queries"] == 2000
    assert judged["reasoned"]["P@1"] >= 17
    assert judged["reasoned"]["nDCG@5"] >= 21
    assert judged["reasoned"]["R@100"] >= 47
    assert judged["reasoned"]["P@1"] >= judged["screening"]["P@1"] + 4


def test_no_query_it_is_judged_on_was_held_back_for_calibration(wordnet_student: Student) -> None:
    calibration = {query.text.lower() for query in wordnet_student.calibration}
    assert not [query for query in wordnet_student.evaluation if query.text.lower() in calibration]


@pytest.mark.slow
def test_it_finds_labels_as_well_as_it_says(wordnet_student: Student) -> None:
    """On 200 queries over a third of the labels, all right ones among them: fewer labels than it says it is good at."""
    queries, whole = wordnet_student.evaluation[:200], wordnet_student.labels
    kept = sorted({target for query in queries for target in query.targets} | set(range(0, len(whole), 3)))
    place = {label: index for index, label in enumerate(kept)}
    labels = LabelSet(
        tuple(whole.ids[label] for label in kept),
        tuple(whole.texts[label] for label in kept),
    )
    student = wordnet_student.with_labels(labels)
    vectors = encode_vectors(student.screener, student.tokenizer, labels.texts, bfloat16=True)
    screened, reasoned = StudentPredictor(student, vectors).rank_by_stage([query.text for query in queries])
    targets = [tuple(place[target] for target in query.targets) for query in queries]
    before, after = (metrics.evaluate(ranked, targets, (1, 100)) for ranked in (screened, reasoned))
    assert before["P@1"] > 13
    assert before["R@100"] > 50
    assert after["P@1"] > 18
