"""What is imported when: the light commands of a tool that can bring torch must not pay for it."""

from __future__ import annotations

import subprocess
import sys

import pytest

import edgexl
from tests.command_line import Tiny

HEAVY = [
    "pandas",
    "polars",
    "sklearn",
    "torch",
    "onnx",
    "onnxruntime",
    "transformers",
    "tokenizers",
    "safetensors",
    "scipy",
    "rich",
]


def loaded_by(code: str) -> set[str]:
    """The modules of `HEAVY`, and numpy, that a fresh interpreter has after running `code`."""
    report = f"import sys; print('\\n' + ' '.join(m for m in {[*HEAVY, 'numpy']} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{report}"], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_importing_edgexl_imports_nothing_else() -> None:
    assert loaded_by("import edgexl") == set()


def test_running_a_bundle_needs_numpy_alone(tiny: Tiny) -> None:
    arguments = ["run", str(tiny.bundle), tiny.texts(1)[0], "--json"]
    code = f"from edgexl.cli import edgexl; from edgexl.cli.exits import exit_status; exit_status(edgexl, {arguments})"
    assert loaded_by(code) == {"numpy"}


def test_profiling_and_inspecting_need_numpy_alone(tiny: Tiny) -> None:
    code = f"import edgexl; edgexl.profile({str(tiny.bundle)!r}, runs=2)"
    code += f"; from edgexl.use.inspect import inspect; inspect({str(tiny.bundle)!r})"
    assert loaded_by(code) == {"numpy"}


def test_the_public_names_are_there_and_no_others() -> None:
    assert set(dir(edgexl)) == {
        "Student",
        "__version__",
        "compile",
        "compile_labels",
        "evaluate",
        "load_student",
        "open_bundle",
        "profile",
    }
    for name in dir(edgexl):
        assert getattr(edgexl, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nosuch'"):
        _ = edgexl.nosuch
