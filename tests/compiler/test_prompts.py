"""Prompts before queries and before labels, from a student's directory through the whole compiler to the C runtime."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.tokenizer import Prompts
from edgexl.compiler import compile
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.compiler.recipe import IndexRecipe, Recipe, ShortlistRecipe
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.student.student import load_student
from edgexl.student.text import encode_texts
from tests.tiny import AS_IT_IS, tiny_labels, tiny_student, tiny_tokenizer

RECIPE = Recipe("test", index=IndexRecipe(code_bytes=8, overfetch=64, lexical="none"), **AS_IT_IS)
PROMPTS = Prompts(query="ba be: ", label="de ")


def test_queries_and_labels_are_read_behind_their_prompts(tmp_path: Path) -> None:
    dataclasses.replace(tiny_student(tiny_labels(aliases=True)), prompts=PROMPTS).save(tmp_path / "student")
    student = load_student(tmp_path / "student")
    assert student.prompts == PROMPTS
    report = compile(student, RECIPE, "host", tmp_path / "b.exl")
    tokenizer, most = student.tokenizer, student.shapes.max_tokens
    reference = ReferencePipeline.from_bundle(report.path, tiny_tokenizer())
    texts = [query.text for query in student.evaluation[:20]]
    with open_bundle(report.path) as handle:
        assert handle.self_test()["failed"] == 0
        for text, wanted in zip(texts, reference.answers(texts), strict=True):
            ids = encode_texts(tokenizer, [PROMPTS.query + text], most)[0]
            assert handle.tokenize(text) == ids
            assert ids != encode_texts(tokenizer, [text], most)[0]
            got = handle.predict(text)
            np.testing.assert_allclose(got.query_vector, wanted.query_vector, atol=2e-3)
        assert not handle.has_tokens("")


def test_an_added_label_is_read_behind_the_prompt_of_labels(tmp_path: Path) -> None:
    """The device's own row of a label's text is the one that the compile made of it; without the prompt it is not."""
    scores = {}
    for name, prompts in (("with", PROMPTS), ("without", Prompts(query=PROMPTS.query))):
        student = dataclasses.replace(tiny_student(), prompts=prompts)
        report = compile(student, RECIPE, "host", tmp_path / f"{name}.exl")
        text = student.labels.texts[3]
        with open_bundle(report.path, labels_path=tmp_path / f"{name}.labels") as handle:
            added = handle.add_labels([NewLabel("again", text)])
            got = handle.predict(student.evaluation[0].text)
            of = {label: float(score) for label, score in zip(got.shortlist_labels, got.shortlist_scores, strict=True)}
            scores[name] = (of[3], of[added])
    assert scores["with"][1] == pytest.approx(scores["with"][0], abs=0.01), scores
    assert abs(scores["with"][0] - scores["without"][0]) > 0.03, scores


def test_each_window_of_a_long_text_is_read_behind_the_prompt(tmp_path: Path) -> None:
    student = dataclasses.replace(tiny_student(), prompts=PROMPTS)
    recipe = dataclasses.replace(RECIPE, shortlist=ShortlistRecipe(windows=8))
    report = compile(student, recipe, "host", tmp_path / "b.exl")
    reference = ReferencePipeline.from_bundle(report.path, tiny_tokenizer())
    text = " ".join(query.text for query in student.evaluation[:30])
    wanted = reference.answer(text)
    with open_bundle(report.path) as handle:
        got = handle.predict(text)
    assert got.windows > 2
    np.testing.assert_allclose(got.query_vector, wanted.query_vector, atol=2e-3)
    assert got.shortlist_labels[:5].tolist() == wanted.labels[:5].tolist()


def test_label_tokens_are_the_texts_alone() -> None:
    from edgexl.index.rows import Rows

    student = tiny_student()
    about = (student.labels, student.tokenizer, student.shapes.max_tokens, False)
    plain, prompted = Rows.of(*about), Rows.of(*about, prompt=PROMPTS.label)
    assert np.array_equal(plain.label_pieces(4), prompted.label_pieces(4))
    assert prompted.tokens.lengths.sum() > plain.tokens.lengths.sum()
    some, _ = prompted.part(np.array([3, 7]))
    assert np.array_equal(some.label_pieces(4), plain.label_pieces(4)[[3, 7]])


@pytest.mark.parametrize("text", ["x" * 1025, "\0", "\ud800"])
def test_what_is_no_prompt_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="the prompt of a query"):
        Prompts(query=text)
