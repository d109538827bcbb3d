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
from edgexl.compiler.recipe import IndexRecipe, Recipe
from edgexl.runtime.binding import open_bundle
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
