"""What a two-stage teacher is queried with, against the teacher itself: no query hears of its own alias."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from edgexl.base.progress import no_progress
from edgexl.data import Query
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.teachers import TraceTeacher, TwoStageTeacher
from edgexl.distill.teachers.teaching import Lessons
from tests.tiny import tiny_labels, tiny_queries, tiny_student, tiny_tokenizer

CPU = torch.device("cpu")
LABELS = tiny_labels(90, aliases=True)
QUERIES = tiny_queries(LABELS, 12, 1)
# every third label has an alias
OF_ALIASES = tuple(Query(f"a{label}", LABELS.aliases[label][0], (label,)) for label in (3, 6, 81))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def lists_of(queries: tuple[Query, ...]) -> np.ndarray:
    """Of seventy labels each, so many that no alias is too far to count; the right one is first."""
    return np.array(
        [[query.targets[0], *(label for label in range(70) if label != query.targets[0])][:70] for query in queries]
    )


@pytest.fixture(scope="module")
def teacher() -> TwoStageTeacher:
    return TwoStageTeacher(tiny_student(LABELS), LABELS)


def make_lessons(teacher: TwoStageTeacher, aliases: bool = True) -> Lessons:
    return Lessons(teacher, RowTable.make(LABELS, tiny_tokenizer(), 16, CPU, aliases), CPU, no_progress)


def test_decisions_are_the_teachers(teacher: TwoStageTeacher) -> None:
    lists = lists_of(QUERIES)
    decided = teacher.decide([query.text for query in QUERIES], lists)
    torch.testing.assert_close(make_lessons(teacher).decide(QUERIES, lists), decided, atol=0.01, rtol=0)
    # where the index has no aliases, the teacher decides with those that it has
    assert torch.equal(make_lessons(teacher, aliases=False).decide(QUERIES, lists), decided)


def test_a_query_does_not_hear_of_its_own_alias(teacher: TwoStageTeacher) -> None:
    lists = lists_of(OF_ALIASES)
    found = make_lessons(teacher).decide(OF_ALIASES, lists)
    for place, query in enumerate(OF_ALIASES):
        others = tuple(() if label == query.targets[0] else of for label, of in enumerate(LABELS.aliases))
        without = TwoStageTeacher(tiny_student(LABELS), replace(LABELS, aliases=others))
        decided = without.decide([query.text], lists[[place]])[0]
        torch.testing.assert_close(found[place], decided, atol=0.01, rtol=0)
        assert abs(float(teacher.decide([query.text], lists[[place]])[0, 0] - decided[0])) > 0.1


def test_answers_are_remembered_by_queries_and_depth(teacher: TwoStageTeacher) -> None:
    first = make_lessons(teacher)
    labels, logits = first.answers(QUERIES, 8)
    assert (labels.dtype, logits.dtype) == (torch.int32, torch.float16)
    assert torch.equal(labels, first._find(QUERIES, 8).labels)
    decided = first.decide(QUERIES, labels.numpy().astype(np.int64))
    torch.testing.assert_close(logits.float(), decided, atol=0.02, rtol=0)
    # a teacher of the same name that would now answer otherwise
    other = copy.copy(teacher)
    other.reasoner = copy.deepcopy(teacher.reasoner)
    with torch.no_grad():
        for weights in other.reasoner.parameters():
            weights.neg_()
    again = make_lessons(other)
    assert torch.equal(again.answers(QUERIES, 8)[1], logits)
    assert not torch.equal(again.answers(QUERIES[:11], 8)[1], logits[:11])
    assert not torch.equal(again.answers(QUERIES, 9)[1][:, :8], logits)


def test_final_lists_are_the_heads_of_the_softmax(teacher: TwoStageTeacher) -> None:
    labels, logits = make_lessons(teacher).answers(QUERIES, 64)
    found = make_lessons(teacher).final_lists(QUERIES)
    assert found.labels.shape == found.probabilities.shape == (12, 32)
    for place in range(12):
        weights = np.exp(logits[place].double().numpy())
        best = np.argsort(-weights)[:32]
        np.testing.assert_allclose(found.probabilities[place], (weights / weights.sum())[best], rtol=1e-3)
        assert sorted(found.labels[place][:3]) == sorted(labels[place].numpy()[best[:3]])


def test_screening_lists_are_shares_of_what_came_into_view(tmp_path: Path) -> None:
    """Of a teacher without vectors, whose shortlists repeat the last label that it knows."""
    traced = [("some text", [7, 3, 9]), ("another one", [5])]
    lines = [{"text": text, "shortlist": [LABELS.ids[label] for label in seen], "labels": []} for text, seen in traced]
    path = tmp_path / "traces.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    traces = TraceTeacher(path, LABELS)
    lessons = Lessons(traces, RowTable.make(LABELS, tiny_tokenizer(), 16, CPU), CPU, no_progress)
    queries = tuple(Query(text, text, ()) for text, _ in traced)
    assert lessons._find(queries, 5).labels.tolist() == [[7, 3, 9, 9, 9], [5, 5, 5, 5, 5]]
    assert lessons.row_vectors() is lessons.shorten(queries, 4, lessons.rows) is None
    found = lessons.screening_lists(queries)
    _, scores = traces.screen([text for text, _ in traced], 32)
    for place, (_, seen) in enumerate(traced):
        weights = np.exp(scores[place, : len(seen)])
        assert found.labels[place].tolist() == seen + [-1] * (32 - len(seen))
        np.testing.assert_allclose(found.probabilities[place, : len(seen)], weights / weights.sum(), rtol=1e-6)
        assert (found.probabilities[place, len(seen) :] == 0).all()


def test_vectors_are_shortened_to_the_labels_leading_directions(teacher: TwoStageTeacher) -> None:
    lessons = make_lessons(teacher)
    rows, texts = lessons.row_vectors(), [query.text for query in QUERIES]
    queries = teacher.vectors(texts)
    assert rows is not None
    assert queries is not None
    own = rows[:90].double().numpy()
    directions = np.linalg.eigh(own.T @ own)[1][:, ::-1][:, :10]
    short = [part.double().numpy() @ directions for part in (queries, rows)]
    short = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in short]
    found = lessons.shorten(QUERIES, 10, lessons.rows)
    assert found is not None
    assert found.queries.dtype == torch.float16
    cosines = found.queries.double().numpy() @ found.rows.double().numpy().T
    np.testing.assert_allclose(cosines, short[0] @ short[1].T, atol=5e-3)
    padded = lessons.shorten(QUERIES, 35, lessons.rows)
    assert padded is not None
    assert padded.rows.shape == (len(lessons.rows), 35)
    assert torch.equal(padded.queries, torch.nn.functional.pad(queries, (0, 3)))
