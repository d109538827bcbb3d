"""Which engine the graphs are made for."""

from __future__ import annotations

import dataclasses

import pytest

from edgexl.compiler.engines import find_wanted_engine, may_be_native, scheme_for
from edgexl.compiler.recipe import GraphRecipe, Recipe
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


def asking(recipe: str, target: str = "auto", **schemes: str) -> tuple:
    graphs = {name: GraphRecipe(scheme=scheme) for name, scheme in schemes.items()}  # type: ignore[arg-type]
    made: Recipe = dataclasses.replace(TINY_RECIPE, engine=recipe, **graphs)  # type: ignore[arg-type]
    return made, dataclasses.replace(load_target("host"), engine=target)  # type: ignore[arg-type]


def test_the_recipe_decides_then_the_target() -> None:
    assert [find_wanted_engine(*asking(*of)) for of in (("auto", "auto"), ("ort", "native"), ("native", "ort"))] == [
        "auto", "ort", "native",
    ]  # fmt: skip
    assert find_wanted_engine(*asking("auto", "ort")) == "ort"
    assert find_wanted_engine(*asking("auto", "native")) == "native"


@pytest.mark.parametrize("graph", ["screener", "reasoner"])
def test_a_graph_in_fp32_is_left_to_onnx_runtime_unless_asked_for(graph: str) -> None:
    assert may_be_native(*asking("auto"))
    assert not may_be_native(*asking("ort"))
    assert not may_be_native(*asking("auto", **{graph: "fp32"}))
    assert may_be_native(*asking("native", **{graph: "fp32"}))


def test_only_the_native_engine_scales_by_row_unasked() -> None:
    schemes = ("fp32", "int8", "int8-token", "int8-weights", "int4-weights")
    assert [scheme_for(False, scheme) for scheme in schemes] == list(schemes)
    assert [scheme_for(True, s) for s in schemes] == [
        "fp32", "int8-token", "int8-token", "int8-weights", "int4-weights",
    ]  # fmt: skip
