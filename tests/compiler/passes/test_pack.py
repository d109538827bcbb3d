"""Goldens: which texts become one, so that another CPU's last digits do not turn their order round."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgexl.bundle.read import read_bundle
from edgexl.compiler import CompileReport, compile
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.compiler.recipe import GateRecipe
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student import Student
from tests.compiler.conftest import TINY_RECIPE


def leads(path: Path, student: Student, k: int) -> dict[str, float]:
    """Of each evaluation text, by how much its k-th logit leads the next."""
    pipeline = ReferencePipeline.from_bundle(path, student.tokenizer)
    logits = {query.text: np.sort(pipeline.answer(query.text).logits)[::-1] for query in student.evaluation}
    return {text: float(found[k - 1] - found[k]) for text, found in logits.items()}


def test_goldens_are_the_first_texts_whose_last_label_leads_clearly(compiled: CompileReport, student: Student) -> None:
    goldens = read_bundle(compiled.path).goldens
    assert (goldens.k, goldens.tolerance) == (5, pytest.approx(0.02))
    margin = leads(compiled.path, student, 5)
    clear = [text for text, lead in margin.items() if lead >= 0.1]
    assert len(clear) > 32  # or this shows nothing
    assert len(clear) < len(margin)
    assert [golden.text for golden in goldens.items] == clear[:32]


def test_goldens_are_the_clearest_texts_where_few_lead(
    compiled: CompileReport, student: Student, tmp_path: Path
) -> None:
    margin = leads(compiled.path, student, 5)
    few = {text for text, lead in margin.items() if lead < 0.1} | set(
        [text for text in margin if margin[text] >= 0.1][:3]
    )
    evaluation = tuple(query for query in student.evaluation if query.text in few)
    assert len({query.text for query in evaluation}) > 32  # or this shows nothing
    other = dataclasses.replace(student, evaluation=evaluation)
    report = compile(other, TINY_RECIPE, "host", tmp_path / "few.exl")
    margin = leads(report.path, other, 5)
    least = sorted(margin.values(), reverse=True)[31]
    assert least < 0.1
    chosen = [golden.text for golden in read_bundle(report.path).goldens.items]
    assert chosen == [text for text, lead in margin.items() if lead >= least]


def test_logits_of_screening_scores_must_lead_by_more(student: Student, tmp_path: Path) -> None:
    """A student without a reasoner has logits that are 20 times its scores, and engines differ in these."""
    bare = dataclasses.replace(student, reasoner=ScreeningReasoner())
    report = compile(bare, dataclasses.replace(TINY_RECIPE, gates=GateRecipe()), "host", tmp_path / "bare.exl")
    margin = leads(report.path, bare, 5)
    least = min(sorted(margin.values(), reverse=True)[31], 0.02 * read_bundle(report.path).parameters.screening_weight)
    assert least > 0.1  # or this shows nothing
    chosen = [golden.text for golden in read_bundle(report.path).goldens.items]
    assert chosen == [text for text, lead in margin.items() if lead >= least][:32]
