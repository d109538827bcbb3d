"""Passes declare what they need and add: a breach names the pass."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

import pytest

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.passes.declaration import Pass, run_pass
from edgexl.compiler.passes.export import Export
from edgexl.compiler.passes.lower import Lower
from edgexl.compiler.pipeline import begin
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.conftest import TINY_RECIPE


@pytest.fixture(scope="module")
def beginning(student: Student) -> Artifact:
    return begin(student, TINY_RECIPE, load_target("host"))


def test_a_pass_before_what_it_needs_is_named(beginning: Artifact) -> None:
    with pytest.raises(RuntimeError, match="The pass lower needs graphs, which no pass before it has added"):
        run_pass(Lower(), beginning)


@dataclass(frozen=True)
class Forgetful(Pass):
    name = "forgetful"
    adds = ("index",)

    def run(self, artifact: Artifact) -> Artifact:
        return dataclasses.replace(artifact, facts={"forgotten": True})


def test_a_pass_that_does_not_add_what_it_says_is_named(beginning: Artifact) -> None:
    with pytest.raises(RuntimeError, match="The pass forgetful says that it adds index, and did not"):
        run_pass(Forgetful(), beginning)


def test_a_pass_adds_what_it_says(beginning: Artifact) -> None:
    assert not beginning.has("graphs")
    assert run_pass(Export(), beginning).has("graphs")
