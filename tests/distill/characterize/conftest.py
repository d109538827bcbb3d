"""Teachers to characterize: the shipped WordNet student on a few thousand of its labels, a random BERT, traces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl.data import Dataset, Query, write_dataset
from edgexl.data.label_set import LabelSet
from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.study import measure, set_up
from edgexl.distill.teachers import TwoStageTeacher
from edgexl.student.student import load_student
from tests.distill.conftest import write_teacher
from tests.tiny import tiny_labels, tiny_queries

QUERIES = 60


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Vectors are kept in a cache of these tests' own; a language model is unpacked into the user's, once."""
    own = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as context:
        context.setattr("edgexl.distill.teachers.vectors.cache_directory", lambda: own)
        yield


@pytest.fixture(scope="session")
def wordnet_teacher(tmp_path_factory: pytest.TempPathFactory) -> tuple[TwoStageTeacher, Dataset]:
    """The shipped student over 2,000 labels of WordNet, and queries that it was never trained on."""
    student = load_student("wordnet")
    queries = student.evaluation[:QUERIES]
    right = {target for query in queries for target in query.targets}
    kept = sorted(right | set(range(0, len(student.labels), len(student.labels) // 2000)))
    number = {label: place for place, label in enumerate(kept)}
    labels = LabelSet(tuple(student.labels.ids[k] for k in kept), tuple(student.labels.texts[k] for k in kept))
    own = [Query(query.uid, query.text, tuple(number[target] for target in query.targets)) for query in queries]
    home = tmp_path_factory.mktemp("wordnet")
    dataset = write_dataset(home / "data", labels, own[:3], own, "a part of WordNet")
    return TwoStageTeacher(student, dataset.labels, "cpu", "wordnet"), dataset


@pytest.fixture(scope="session")
def bench(wordnet_teacher: tuple[TwoStageTeacher, Dataset]) -> Bench:
    """The WordNet student on the bench, with shortlists of 32."""
    return set_up(*wordnet_teacher, shortlist=32)


@pytest.fixture(scope="session")
def profile(bench: Bench, wordnet_teacher: tuple[TwoStageTeacher, Dataset]) -> dict[str, object]:
    """All that is measured of it."""
    return measure(bench, wordnet_teacher[1])


@pytest.fixture
def tiny_data(tmp_path: Path) -> Dataset:
    """300 labels of three words, and 80 queries of two."""
    labels = tiny_labels()
    queries = tiny_queries(labels, 80, 2)
    return write_dataset(tmp_path / "data", labels, queries[:3], queries, "made in code")


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A sentence-transformers directory with random weights."""
    return write_teacher(tmp_path / "bert")


ANIMALS = ("dog", "puppy", "wolf", "cat", "kitten", "horse", "sheep dog", "cow")


@pytest.fixture
def traces(tmp_path: Path) -> tuple[Path, Dataset]:
    """Three traces over eight labels: right at once, right in the end, and wrong; the fourth query has none."""
    labels = LabelSet(tuple(f"id-{name.replace(' ', '-')}" for name in ANIMALS), ANIMALS)
    queries = [
        Query("q0", "a tame wolf", (0,)),
        Query("q1", "a young cat", (4,)),
        Query("q2", "it keeps sheep", (6, 0)),
        Query("q3", "it gives milk", (7,)),
    ]
    lines = [
        {"text": "a tame wolf", "shortlist": ["id-dog", "id-wolf", "id-puppy", "id-cat"], "labels": ["id-dog"],
         "reasoning": "dog? wolf? no, a wolf is wild, so a wolf it is not."},
        {"text": "a young cat", "shortlist": ["id-cat", "id-puppy", "id-kitten", "id-dog"], "labels": ["id-kitten"],
         "reasoning": "cat, it says, but a young one, so it is a kitten"},
        {"text": "it keeps sheep", "shortlist": ["id-wolf", "id-dog"], "labels": ["id-wolf"]},
    ]  # fmt: skip
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path, write_dataset(tmp_path / "animals", labels, queries[:1], queries, "made in code")
