"""A tiny product, shipped once."""

from __future__ import annotations

import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgexl.ship.product import Product, open_product
from tests.runtime.tiny_bundle import build

Run = Callable[..., str]


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native=True, aliases=True, lexical=True).write(tmp_path_factory.mktemp("ship") / "Tiny words.exl")


@pytest.fixture(scope="session")
def product(bundle: Path) -> Product:
    notices = bundle.with_name("notices.txt")
    notices.write_text("Words by the testers.\n")
    return open_product(bundle, version="1.2.3", license="CC0-1.0", notices=notices, support="2030-01-01")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`run("sh", "-c", ...)` in the test's folder gives what it says on standard output."""

    def call(*command: str | Path, cwd: Path = tmp_path, **more: str) -> str:
        environment = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": str(tmp_path), **more}
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, cwd=cwd, env=environment)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout.strip()

    return call


def unpack(archive: bytes, into: Path) -> Path:
    """The folder that a tarball holds."""
    (into / "archive.tar.gz").write_bytes(archive)
    with tarfile.open(into / "archive.tar.gz") as stream:
        stream.extractall(into, filter="data")
        return into / stream.getnames()[0].split("/")[0]


def commands(readme: str) -> list[str]:
    """What the blocks of a README have a reader type, a block each."""
    blocks = readme.split("```console\n")[1:]
    lines = [[line[2:] for line in block.split("```")[0].splitlines() if line.startswith("$ ")] for block in blocks]
    return ["\n".join(block) for block in lines]
