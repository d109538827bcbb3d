"""ONNX Runtime leaves no device id and no events behind, however edgexl opens it, unless its user asks for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from edgexl.runtime.library import find_engine_library, find_library
from tests.command_line import Tiny

# Half a second: it writes its files when it starts.
PYTHON = "import edgexl, onnxruntime, time; time.sleep(0.5)"


@pytest.fixture(scope="module")
def ort_bundle(tiny: Tiny, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny student for the engine ONNX Runtime."""
    home = tmp_path_factory.mktemp("ort")
    recipe, bundle = home / "ort.toml", home / "ort.exl"
    recipe.write_text('engine = "ort"\n' + tiny.recipe.read_text())
    command = [sys.executable, "-m", "edgexl", "compile", tiny.student, "--recipe", recipe, "--target", "host"]
    done = run([*command, "-o", bundle], home)
    assert done.returncode == 0, done.stderr
    assert left_by_others(home) == []
    return bundle


def run(command: list[str | Path], home: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """A process with an environment of its own, whose user's home is `home`/user."""
    (home / "user").mkdir(exist_ok=True)
    environment = {"HOME": str(home / "user"), "PATH": os.environ["PATH"], **more}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def left_by_others(home: Path) -> list[str]:
    """The files in the user's home, but for edgexl's own cache."""
    files = (path.relative_to(home / "user") for path in (home / "user").rglob("*") if path.is_file())
    return sorted(str(path) for path in files if path.parts[:2] != (".cache", "edgexl"))


def test_a_compile_and_an_answer_leave_nothing(ort_bundle: Path, tmp_path: Path) -> None:
    answered = run([sys.executable, "-m", "edgexl", "run", ort_bundle, "ba be"], tmp_path)
    assert answered.returncode == 0, answered.stderr
    assert left_by_others(tmp_path) == []


def test_the_c_library_alone_leaves_nothing(ort_bundle: Path, tmp_path: Path) -> None:
    engine = {"EDGEXL_ORT_LIBRARY": str(find_engine_library())}
    tool = find_library().parent / "exl-run"
    answered = run([tool, ort_bundle, "ba be"], tmp_path, **engine)
    assert answered.returncode == 0, answered.stderr
    assert left_by_others(tmp_path) == []


def test_who_asks_for_it_has_chosen(tmp_path: Path) -> None:
    """It also shows that this version would write its files, so that the other tests can fail."""
    assert run([sys.executable, "-c", PYTHON], tmp_path).returncode == 0
    assert left_by_others(tmp_path) == []
    assert run([sys.executable, "-c", PYTHON], tmp_path, ORT_DISABLE_TELEMETRY="0").returncode == 0
    if not left_by_others(tmp_path):
        pytest.skip("this ONNX Runtime has no telemetry")
