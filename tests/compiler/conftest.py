"""The tiny student and a bundle of it, compiled once for all tests of the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl.compiler import CompileReport, compile
from edgexl.compiler.recipe import IndexRecipe, Recipe
from edgexl.student.student import Student
from tests.tiny import tiny_student

TINY_RECIPE = Recipe("tiny test", index=IndexRecipe(code_bytes=8, overfetch=64))


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
