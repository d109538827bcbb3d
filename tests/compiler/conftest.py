"""The tiny student and a bundle of it, compiled once for all tests of the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl.compiler import CompileReport, compile
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin
from edgexl.compiler.recipe import IndexRecipe, Recipe
from edgexl.data.label_set import LabelSet
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.tiny import AS_IT_IS, tiny_labels, tiny_student

TINY_RECIPE = Recipe("eight-byte codes", index=IndexRecipe(code_bytes=8, overfetch=64, lexical="none"), **AS_IT_IS)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No test reads what an earlier run remembered."""
    with pytest.MonkeyPatch.context() as patch:
        place = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(place))
        yield place


@pytest.fixture(scope="session")
def student() -> Student:
    return tiny_student()


@pytest.fixture(scope="session")
def compiled(student: Student, tmp_path_factory: pytest.TempPathFactory) -> CompileReport:
    return compile(student, TINY_RECIPE, "host", tmp_path_factory.mktemp("bundle") / "tiny.exl")


@pytest.fixture(scope="session")
def aliased() -> Artifact:
    """A student with aliases of three kinds: new ones, some that are nearly the label's text, some nearly another."""
    plain = tiny_labels(120)
    aliases = []
    for place, text in enumerate(plain.texts):
        words = text.split()
        near = " ".join([words[1], words[0], words[2]])  # the same words: the same vector but for positions
        other = plain.texts[(place + 7) % 120].split()[2]
        new, turned = f"{words[0]} {other} {other}", f"{other} {words[0]} {other}"
        aliases.append({0: (near,), 1: (new,), 2: (new, turned), 3: ()}[place % 4])
    labels = LabelSet(plain.ids, plain.texts, tuple(aliases))
    recipe = Recipe("eight-byte codes", index=IndexRecipe(code_bytes=8, overfetch=64, alias_cosine=0.98))
    return Export().run(begin(tiny_student(labels), recipe, load_target("host")))
