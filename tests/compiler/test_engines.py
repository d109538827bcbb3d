"""Which engine runs the graphs, and for what reason."""

from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.engines import choose_engine, scheme_for, uncovered
from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import GraphRecipe, Scheme
from edgexl.student.student import Student
from edgexl.target import Int8, load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.fixture(scope="module")
def exported(student: Student) -> Artifact:
    return Export().run(begin(student, TINY_RECIPE, load_target("host")))


class _Odd(nn.Module):
    """A reasoner of an operator that the native engine does not know."""

    input_names = ("screening_scores",)

    def forward(self, screening_scores: Tensor) -> Tensor:
        return torch.atan(screening_scores.sum(-1))


@pytest.fixture(scope="module")
def odd(student: Student) -> Artifact:
    return Export().run(begin(dataclasses.replace(student, reasoner=_Odd()), TINY_RECIPE, load_target("host")))


def asking(artifact: Artifact, recipe: str, target: str = "auto", **schemes: str) -> Artifact:
    graphs = {name: GraphRecipe(scheme=scheme) for name, scheme in schemes.items()}  # type: ignore[arg-type]
    return dataclasses.replace(
        artifact,
        recipe=dataclasses.replace(artifact.recipe, engine=recipe, **graphs),  # type: ignore[arg-type]
        target=dataclasses.replace(artifact.target, engine=target),  # type: ignore[arg-type]
    )


def test_the_recipe_decides_then_the_target_then_what_is_covered(exported: Artifact) -> None:
    assert choose_engine(asking(exported, "auto")) == ("native", {"asked": "auto"})
    assert choose_engine(asking(exported, "ort", "native")) == ("ort", {"asked": "ort"})
    assert choose_engine(asking(exported, "native", "ort")) == ("native", {"asked": "native"})
    assert choose_engine(asking(exported, "auto", "ort")) == ("ort", {"asked": "ort"})
    assert choose_engine(asking(exported, "auto", "native")) == ("native", {"asked": "native"})


@pytest.mark.parametrize("graph", ["screener", "reasoner"])
def test_a_graph_in_fp32_is_left_to_onnx_runtime_unless_asked_for(exported: Artifact, graph: str) -> None:
    engine, why = choose_engine(asking(exported, "auto", **{graph: "fp32"}))
    assert (engine, why["because"]) == ("ort", "a graph stays in fp32")
    assert choose_engine(asking(exported, "native", **{graph: "fp32"}))[0] == "native"


def test_a_graph_that_is_not_covered_is_named(odd: Artifact) -> None:
    assert uncovered(odd.graphs, 16, 16) == ("Atan",)
    assert choose_engine(asking(odd, "auto")) == ("ort", {"asked": "auto", "not_covered": ["Atan"]})
    with pytest.raises(BadInput, match=r"does not cover the student's graphs \(Atan\)"):
        choose_engine(asking(odd, "native"))


def test_only_the_native_engine_scales_by_row_unasked() -> None:
    schemes = ("fp32", "int8", "int8-token", "int8-weights", "int4-weights")
    assert [scheme_for("ort", scheme) for scheme in schemes] == list(schemes)
    assert [scheme_for("native", s) for s in schemes] == [
        "fp32", "int8-token", "int8-token", "int8-weights", "int4-weights",
    ]  # fmt: skip


@pytest.mark.parametrize("engine", ["ort", "native"])
def test_each_graph_is_quantized_by_its_own_scheme_for_the_engine(exported: Artifact, engine: str) -> None:
    int8 = Int8("avx512_vnni", "int8")
    scheme: Scheme = "int8-token" if engine == "native" else "int8"
    done = Quantize(GraphRecipe(scheme="int8"), GraphRecipe(scheme="int8-weights"), int8).run(asking(exported, engine))
    assert done.graphs == dataclasses.replace(
        exported.graphs,
        screener=quantize_graph(exported.graphs.screener, GraphRecipe(scheme=scheme), int8),
        reasoner=quantize_graph(exported.graphs.reasoner, GraphRecipe(scheme="int8-weights"), int8),
    )
    assert (done.engine, done.facts["engine_choice"]) == (engine, {"asked": engine})
