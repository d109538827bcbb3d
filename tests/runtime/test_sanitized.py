"""The C tests of a whole bundle, under AddressSanitizer and UndefinedBehaviorSanitizer (sources: runtime/tests)."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from edgexl.runtime.binding import find_engine_library
from tests.runtime.tiny_bundle import build

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"
FLAGS = ["-std=c11", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-ffp-contract=off"]
SANITIZE = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The library's sources, compiled once for both tests."""
    directory = tmp_path_factory.mktemp("objects")
    sources = [str(path) for path in sorted((RUNTIME / "src").glob("*.c"))]
    command = ["cc", *FLAGS, *SANITIZE, f"-I{RUNTIME / 'include'}", "-c", *sources]
    subprocess.run(command, check=True, cwd=directory)
    return sorted(directory.glob("*.o"))


@pytest.mark.parametrize("kind", ["thread", "address,undefined"])
def test_the_scans_threads(kind: str, tmp_path: Path) -> None:
    program = tmp_path / "test_scan_crew"
    names = ("scan_crew", "scan", "scan_x86", "scan_neon", "cpu", "memory")
    sources = [RUNTIME / "tests" / "test_scan_crew.c", *(RUNTIME / "src" / f"{name}.c" for name in names)]
    sanitize = [f"-fsanitize={kind}", "-fno-sanitize-recover=all"]
    command = ["cc", *FLAGS, *sanitize, f"-I{RUNTIME / 'include'}", *map(str, sources), "-lpthread", "-o", str(program)]
    subprocess.run(command, check=True)
    done = subprocess.run([program], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]


@pytest.mark.parametrize(
    ("name", "engine"),
    [("test_session", "ort"), ("test_hostile", "ort"), ("test_hostile", "native"), ("test_labels", "native")],
)
def test_under_sanitizers(name: str, engine: str, objects: list[Path], alias_path: Path, tmp_path: Path) -> None:
    bundle = alias_path if engine == "ort" else build(aliases=True, native=True, cells=9).write(tmp_path / "native.exl")
    program, source = tmp_path / name, RUNTIME / "tests" / f"{name}.c"
    links = ["-lm", "-ldl", "-lpthread", "-o", str(program)]
    subprocess.run(
        ["cc", *FLAGS, *SANITIZE, f"-I{RUNTIME / 'include'}", str(source), *map(str, objects), *links], check=True
    )
    environment = {**os.environ, "EDGEXL_ORT_LIBRARY": str(find_engine_library())}
    command = [str(program), str(bundle), str(tmp_path / "damaged.exl")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-4000:]
    assert f"{name}: done" in done.stdout
