"""Traces: what the strict reader takes and refuses, and what a teacher makes of them."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers import TraceTeacher, read_traces

LABELS = LabelSet(("a", "b", "c", "d", "e"), ("one", "two", "three", "four", "five"))


def write(path: Path, *records: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_a_teacher_repeats_its_traces(tmp_path: Path) -> None:
    path = write(
        tmp_path / "t.jsonl",
        {"text": "first", "shortlist": ["c", "a", "d"], "labels": ["d", "b"], "reasoning": "hm", "model": "m"},
        {"text": "second", "shortlist": [], "labels": []},
    )
    teacher = TraceTeacher(path, LABELS)
    texts = ["unheard of", "first", "second"]
    assert teacher.vectors(texts) is None
    labels, scores = teacher.screen(texts, depth=5)
    # b, which only the final answer names, came up last
    assert labels.tolist() == [[-1] * 5, [2, 0, 3, 1, -1], [-1] * 5]
    np.testing.assert_allclose(scores[1], [1, 0.75, 0.5, 0.25, -np.inf])
    assert teacher.screen(texts, depth=2)[0].tolist() == [[-1, -1], [2, 0], [-1, -1]]

    candidates = np.array([[0, 1, 2], [4, 0, -1], [0, 1, 2]])
    scores = teacher.score(texts, candidates).numpy()
    np.testing.assert_allclose(scores[1], [-np.inf, 0.75, -np.inf])
    assert np.isneginf(scores[[0, 2]]).all()
    logits = teacher.decide(texts, np.array([[0, 1, 2, 3, 4]] * 3)).numpy()
    assert np.argsort(-logits[1], kind="stable").tolist() == [3, 1, 2, 0, 4]
    assert np.isneginf(logits[1, 4])
    shares = np.exp(logits[1]) / np.exp(logits[1]).sum()
    assert shares[[1, 3]].sum() > 0.99
    assert np.isneginf(logits[[0, 2]]).all()


def test_plain_and_gzipped_files_say_the_same(tmp_path: Path) -> None:
    record = {"text": "first", "shortlist": ["c"], "labels": ["c"], "reasoning": "hm"}
    plain = write(tmp_path / "t.jsonl", record)
    zipped = tmp_path / "t.jsonl.gz"
    zipped.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    assert list(read_traces(plain, LABELS)) == list(read_traces(zipped, LABELS))
    one, other = TraceTeacher(plain, LABELS), TraceTeacher(write(plain, {**record, "labels": []}), LABELS)
    assert one.identity != other.identity


GOOD = {"text": "t", "shortlist": ["a"], "labels": ["a"]}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('{"text": "x", ', "not valid JSON"),
        ("[1]", "expected a JSON object, found list"),
        ({**GOOD, "text": " "}, "needs the string 'text', and not an empty one"),
        ({"shortlist": [], "labels": []}, "needs the string 'text'"),
        ({**GOOD, "text": "\ud800"}, "surrogate"),
        ({**GOOD, "text": "x", "shortlist": ["a", "zz"]}, "'shortlist' names the label 'zz', which the label set does"),
        ({**GOOD, "text": "x", "labels": ["zz"]}, "'labels' names the label 'zz', which the label set does"),
        ({**GOOD, "text": "x", "shortlist": ["b", "a", "b"]}, "'shortlist' names the label 'b' twice"),
        ({**GOOD, "text": "x", "labels": ["b", "b"]}, "'labels' names the label 'b' twice"),
        ({**GOOD, "text": "x", "shortlist": "a"}, "needs 'shortlist', a list of label ids"),
        ({**GOOD, "text": "x", "labels": [1]}, "needs 'labels', a list of label ids"),
        ({**GOOD, "text": "x", "reasoning": 1}, "'reasoning' must be a string"),
        (GOOD, "the text is that of line 1"),
    ],
)
def test_a_wrong_line_is_named_in_one_sentence(tmp_path: Path, line: Any, words: str) -> None:
    path = write(tmp_path / "t.jsonl", GOOD)
    with open(path, "a") as file:
        file.write("\n" + (line if isinstance(line, str) else json.dumps(line)) + "\n")
    with pytest.raises(BadInput) as caught:
        TraceTeacher(path, LABELS)
    assert str(caught.value).startswith(f"{path}, line 3: ")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_without_traces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="holds no traces"):
        TraceTeacher(write(tmp_path / "t.jsonl"), LABELS)
    with pytest.raises(BadInput, match="does not exist"):
        TraceTeacher(tmp_path / "none.jsonl", LABELS)
