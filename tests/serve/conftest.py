"""A small bundle with aliases and descriptions, and a server of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl.runtime.binding import BundleHandle, open_bundle
from tests.runtime.tiny_bundle import TinyBundle, build
from tests.serve.server import Server, serving


@pytest.fixture(scope="session")
def small() -> TinyBundle:
    return build(True, native=True, descriptions=150)


@pytest.fixture(scope="session")
def unchanged(small: TinyBundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server for tests that change nothing."""
    with serving(small.write(tmp_path_factory.mktemp("serve") / "small.exl")) as server:
        yield server


@pytest.fixture(scope="session")
def handle(unchanged: Server) -> Iterator[BundleHandle]:
    """The same bundle, without a server."""
    with open_bundle(unchanged.bundle) as opened:
        yield opened


@pytest.fixture
def server(small: TinyBundle, tmp_path: Path) -> Iterator[Server]:
    """One whose labels a test may change."""
    with serving(small.write(tmp_path / "small.exl")) as server:
        yield server
