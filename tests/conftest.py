"""Fixtures that several packages' tests share."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest

from benchmarks.kernels import Kernels
from tests.command_line import RECIPE, TARGET, Edgexl, Said, Tiny, edgexl_process
from tests.missing_packages import name_missing_packages
from tests.serve.browser import find_chromium

# A command's only line on standard error is then what went wrong, however slow the machine is.
os.environ["EDGEXL_PROGRESS"] = "off"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Bytes are named by their parameter: gzip writes the time into them, and the workers must collect equal names."""
    return argname if isinstance(val, bytes | bytearray) else None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> Generator[None]:
    """Last before pytest's closing line: the packages that skipped tests wanted."""
    yield
    if line := name_missing_packages(report.longrepr[2] for report in terminalreporter.stats.get("skipped", ())):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def kernels() -> Kernels:
    """The runtime's private functions, compiled so that an operation that C leaves undefined traps; where a library is
    named, such as one that counts lines for `make cover`, those beside it."""
    from tests.runtime.c_tests import build_trapping

    return Kernels(None if "EDGEXL_LIBRARY" in os.environ else build_trapping())


@pytest.fixture
def edgexl(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Edgexl:
    """The command line in this process: `edgexl("run", bundle, "text", stdin=b"")`. What it raises fails the test."""
    import io
    import sys

    from edgexl.cli import edgexl as command
    from edgexl.cli.exits import exit_status

    def call(*arguments: str | Path, stdin: bytes = b"") -> Said:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8"))
        capfd.readouterr()
        status = exit_status(command, list(map(str, arguments)))
        captured = capfd.readouterr()
        return Said(status, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Tiny:
    """The tiny student, with aliases, compiled once by the command line for all tests that only read the bundle."""
    from tests.tiny import tiny_labels, tiny_student

    home = tmp_path_factory.mktemp("tiny")
    student, recipe, bundle = home / "student", home / "tiny.toml", home / "tiny.exl"
    tiny_student(tiny_labels(aliases=True)).save(student)
    recipe.write_text(RECIPE)
    said = edgexl_process("compile", student, "--recipe", recipe, "--target", TARGET, "-o", bundle, "--json")
    assert said.status == 0, said.err
    return Tiny(student, recipe, bundle, said.json)


@pytest.fixture(scope="session")
def chromium() -> str:
    """Its path; $EDGEXL_REQUIRE_BROWSER fails, as CI does, where there is none."""
    found = find_chromium()
    if found is None:
        reason = "chromium-headless-shell is not installed"
        if os.environ.get("EDGEXL_REQUIRE_BROWSER"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def axe() -> str:
    """axe-core's script; $EDGEXL_REQUIRE_BROWSER fails, as CI does, where it cannot be had."""
    from edgexl.base.errors import BadInput
    from tests.axe import read_axe

    try:
        return read_axe()
    except BadInput as error:
        if os.environ.get("EDGEXL_REQUIRE_BROWSER"):
            pytest.fail(str(error))
        pytest.skip(str(error))


@pytest.fixture
def mount() -> Iterator[Callable[..., None]]:
    """Call `mount(8)`, undone after the test; the test is skipped where this user may not."""
    mounted: list[str] = []

    def call(*arguments: str) -> None:
        if shutil.which("mount") is None:
            pytest.skip("this system has no mount(8)")
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        mounted.append(arguments[-1])

    yield call
    for place in reversed(mounted):
        subprocess.run(["umount", place], check=True)


@pytest.fixture
def small_disk(mount: Callable[..., None], tmp_path: Path) -> Path:
    """A file system of its own with room for 1 MiB."""
    place = tmp_path / "small-disk"
    place.mkdir()
    mount("-t", "tmpfs", "-o", "size=1m", "none", str(place))
    return place
