"""The C tests (runtime/tests) under sanitizers, and that those of a whole bundle are never left out in silence."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.runtime import c_tests

OF_A_BUNDLE = ["answers", "engine", "faults", "hostile", "labels", "lookup", "sections", "session", "shortlist"]
FLAGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]


def test_the_scans_threads(tmp_path: Path) -> None:
    program = tmp_path / "test_scan_crew"
    names = ("scan_crew", "scan", "scan_x86", "scan_neon", "cpu", "memory", "platform", "file", "storage", "status")
    sources = [c_tests.RUNTIME / "tests/test_scan_crew.c", *(c_tests.RUNTIME / f"src/{name}.c" for name in names)]
    sanitize = ["-fsanitize=thread", "-fno-sanitize-recover=all"]
    include = f"-I{c_tests.RUNTIME / 'include'}"
    subprocess.run(["cc", *FLAGS, *sanitize, include, *map(str, sources), "-lpthread", "-o", str(program)], check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]


def test_all_under_address_and_undefined_behaviour() -> None:
    """In the directory of `make ctest`: what is built there is not built again."""
    directory = c_tests.build_sanitized()
    done = c_tests.run(directory)
    assert done.returncode == 0, done.stdout[-6000:]
    assert all(f"test_{name}_{engine} ." in done.stdout for name in OF_A_BUNDLE for engine in ("ort", "native"))
    assert "100% tests passed" in done.stdout
    assert "Skipped" not in done.stdout


def test_without_bundles_their_tests_are_named_as_skipped(tmp_path: Path) -> None:
    said = c_tests.configure(tmp_path, "-DEDGEXL_TESTS=ON")
    assert "EDGEXL_TEST_BUNDLES=DIRECTORY these tests are skipped" in " ".join(said.split())
    done = c_tests.run(tmp_path, "-R", "_ort$|_native$")
    for name in OF_A_BUNDLE:
        assert f"test_{name}_ort (Skipped)" in done.stdout
        assert f"test_{name}_native (Skipped)" in done.stdout


@pytest.mark.slow
def test_many_more_plans() -> None:
    """Random ones and changed ones, from other seeds than every run's."""
    command = [c_tests.build_sanitized() / "tests" / "test_plan_random", "3000", "100000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]


@pytest.mark.slow
def test_each_operation_at_its_largest() -> None:
    """In 8 GB of memory, and minutes."""
    command = [c_tests.build_sanitized() / "tests" / "test_plan_limits", "largest"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert done.stdout.count("operation ") == 32


def test_what_may_wrap_is_there() -> None:
    """Each exception names a function or a file that there still is."""
    runtime = c_tests.RUNTIME
    sources = "".join(path.read_text() for path in sorted(runtime.glob("src/*.[ch]")))
    for line in (runtime / "tests" / "wraps.txt").read_text().splitlines():
        if line.startswith("fun:"):
            assert re.search(rf"\b{line.removeprefix('fun:')}\(", sources), line
        elif line.startswith("src:"):
            assert (runtime / line.removeprefix("src:*/")).is_file(), line
