"""Answers that were heard before are not asked for again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgexl.compiler import CompileReport, compile
from edgexl.compiler.measure import heard
from edgexl.compiler.measure.heard import Heard
from edgexl.compiler.measure.reference import Answer, Blend, ReferencePipeline
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.fixture
def pipeline(compiled: CompileReport, student: Student) -> ReferencePipeline:
    return ReferencePipeline.from_bundle(compiled.path, student.tokenizer)


class Asker:
    """Asks a pipeline, and knows what it was asked."""

    def __init__(self, pipeline: ReferencePipeline) -> None:
        self.pipeline = pipeline
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> Iterator[Answer]:
        self.asked += texts
        return self.pipeline.answers(texts)


def test_each_text_is_asked_once_of_the_same_parts(pipeline: ReferencePipeline, student: Student) -> None:
    ask, known, parts = Asker(pipeline), Heard(), (object(), object())
    texts = [query.text for query in student.evaluation[:6]]
    told: list[tuple[int, int]] = []
    first = known.ask(parts, [*texts[:4], texts[0]], [*texts[:4], texts[0]], ask)
    again = known.ask(parts, texts, texts, ask, lambda *share: told.append(share))
    assert ask.asked == texts
    assert first[0] is first[4] is again[0]
    for text, answer in zip(texts, again, strict=True):
        np.testing.assert_array_equal(answer.ranked, pipeline.answer(text).ranked)
    assert told == [(5, 6), (6, 6), (6, 6)]
    known.ask((parts[0], object()), texts, texts, ask)
    known.ask(parts, texts, texts, ask)  # one pipeline at a time
    assert ask.asked == 3 * texts


def test_it_keeps_no_more_than_fits(
    pipeline: ReferencePipeline, student: Student, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = [query.text for query in student.evaluation[:6]]
    size = pipeline.answer(texts[0]).nbytes
    assert size > 8 * len(pipeline.answer(texts[0]).labels)
    monkeypatch.setattr(heard, "_MOST_BYTES", int(3.5 * size))
    ask, known = Asker(pipeline), Heard()
    assert len(known.ask((), texts, texts, ask)) == 6
    known.ask((), texts, texts, ask)
    assert 6 + 1 <= len(ask.asked) <= 6 + 4


def test_answers_are_blended_anew(pipeline: ReferencePipeline, student: Student) -> None:
    text = student.evaluation[0].text
    for blend in (Blend(1.0, 0.0), Blend(0.5, 3.0), Blend(0.0, 2.0)):
        wanted = Answer.blended(pipeline.answer(text), blend)
        assert wanted.reasoned is not None
        expected = np.float32(blend.reasoner) * wanted.reasoned + np.float32(blend.screening) * wanted.screening
        np.testing.assert_allclose(wanted.logits, expected, rtol=1e-6)
        assert wanted.logits[wanted.order].tolist() == sorted(wanted.logits.tolist(), reverse=True)


def test_a_compile_asks_held_out_queries_once_and_the_next_one_those_of_the_ledger_not_again(
    student: Student, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Counter[str] = Counter()
    answers = ReferencePipeline.answers

    def listen(self: ReferencePipeline, texts: Sequence[str], *rest: Any, **more: Any) -> Iterator[Answer]:
        if more.get("without") is None and len(rest) < 3:
            asked.update(texts)
        return answers(self, texts, *rest, **more)

    monkeypatch.setattr(ReferencePipeline, "answers", listen)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    calibration, evaluation = ({query.text for query in each} for each in (student.calibration, student.evaluation))
    names = set(student.labels.texts)  # which are asked for, too
    calibration, evaluation = calibration - evaluation - names, evaluation - calibration - names
    report = compile(student, TINY_RECIPE, load_target("host"), tmp_path / "a.exl")
    assert {asked[text] for text in calibration} == {1}
    # by float vectors, by the index, with words, by small graphs; and the goldens
    assert {asked[text] for text in evaluation} <= {2, 3, 4, 5}
    asked.clear()
    compile(student, TINY_RECIPE, load_target("host"), tmp_path / "b.exl")
    assert {asked[text] for text in calibration} == {1}
    assert {asked[text] for text in evaluation} <= {0, 1}
    assert report.path.read_bytes() == (tmp_path / "b.exl").read_bytes()
