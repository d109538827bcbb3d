"""Quantize: each graph by its own scheme, for the engine that may run it."""

from __future__ import annotations

import dataclasses

import pytest

from edgexl.compiler.graphs.schemes import quantize_graph
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.quantize import Quantize
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import GraphRecipe, ReasonerRecipe, Scheme
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.mark.parametrize("engine", ["ort", "native"])
def test_each_graph_is_quantized_by_its_own_scheme_for_the_engine(student: Student, engine: str) -> None:
    recipe = dataclasses.replace(TINY_RECIPE, engine=engine, reasoner=ReasonerRecipe("int8-weights"))  # type: ignore[arg-type]
    target = load_target("raspberry-pi-5")
    exported = Export().run(begin(student, recipe, target))
    scheme: Scheme = "int8-token" if engine == "native" else "int8"
    assert Quantize(recipe, target).run(exported).graphs == dataclasses.replace(
        exported.graphs,
        screener=quantize_graph(exported.graphs.screener, GraphRecipe(scheme=scheme), target.int8),
        reasoner=quantize_graph(exported.graphs.reasoner, GraphRecipe(scheme="int8-weights"), target.int8),
    )
