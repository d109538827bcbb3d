"""The tiny bundle, once with and once without aliases, for the runtime's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runtime.tiny_bundle import TinyBundle, build


@pytest.fixture(scope="session", params=[False, True], ids=["labels", "aliases"])
def toy(request: pytest.FixtureRequest) -> TinyBundle:
    return build(aliases=request.param)


@pytest.fixture(scope="session")
def toy_path(toy: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write(tmp_path_factory.mktemp("toy") / "toy.exl")


@pytest.fixture(scope="session")
def alias_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(aliases=True).write(tmp_path_factory.mktemp("alias") / "toy.exl")
