"""Lower: plans where the native engine covers both graphs, and what becomes of those that it does not."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.bundle.plan import Plan
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.lower import Lower
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import ReasonerRecipe
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


def exported(student: Student, engine: str, scheme: str = "int8") -> Artifact:
    recipe = dataclasses.replace(TINY_RECIPE, engine=engine, reasoner=ReasonerRecipe(blend="none", scheme=scheme))  # type: ignore[arg-type]
    return Export().run(begin(student, recipe, load_target("host")))


class _OnlyScores(nn.Module):
    """A reasoner without token states, of an operator that the native engine knows, or of one that it does not."""

    input_names = ("screening_scores",)

    def __init__(self, odd: bool) -> None:
        super().__init__()
        self.odd = odd

    def forward(self, screening_scores: Tensor) -> Tensor:
        scores = screening_scores.sum(-1)
        return torch.atan(scores) if self.odd else torch.tanh(scores)


def test_both_graphs_become_plans(student: Student) -> None:
    made = Lower().run(exported(student, "auto"))
    assert (made.engine, made.facts["engine_choice"]) == ("native", {"asked": "auto"})
    assert made.plans is not None
    for plan in (Plan.unpack(made.plans.screener), Plan.unpack(made.plans.reasoner)):
        assert (plan.max_tokens, plan.max_labels) == (student.shapes.max_tokens, student.shapes.shortlist)
        assert plan.operations


@pytest.mark.parametrize(
    ("engine", "scheme", "why"),
    [("ort", "int8", {"asked": "ort"}), ("auto", "fp32", {"asked": "auto", "because": "a graph stays in fp32"})],
)
def test_nothing_is_lowered_for_onnx_runtime(student: Student, engine: str, scheme: str, why: dict[str, str]) -> None:
    made = Lower().run(exported(student, engine, scheme))
    assert (made.engine, made.plans, made.facts["engine_choice"]) == ("ort", None, why)


def test_a_graph_that_is_not_covered_is_left_to_onnx_runtime_or_refused(student: Student) -> None:
    odd = dataclasses.replace(student, reasoner=_OnlyScores(True))
    made = Lower().run(exported(odd, "auto"))
    assert (made.engine, made.plans) == ("ort", None)
    assert made.facts["engine_choice"] == {"asked": "auto", "not_covered": ["Atan"]}
    with pytest.raises(BadInput, match=r"does not cover the student's graphs \(Atan\)"):
        Lower().run(exported(odd, "native"))


def test_token_states_that_nobody_takes_are_not_computed(student: Student) -> None:
    made, less = (
        Lower().run(exported(of, "native"))
        for of in (student, dataclasses.replace(student, reasoner=_OnlyScores(False)))
    )
    assert made.plans is not None
    assert less.plans is not None
    outputs = [
        sum(buffer.place.name == "OUTPUT" for buffer in Plan.unpack(plans.screener).buffers)
        for plans in (made.plans, less.plans)
    ]
    assert outputs == [2, 1]
