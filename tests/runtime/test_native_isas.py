"""The native kernels of other processors: the C test of the kernels, built for AArch64 and run on emulated CPUs, and
built for WebAssembly and run by wasmtime; and a whole bundle answered there as on this machine.

Where a compiler, the emulator or wasmtime is missing, a test is skipped with the reason; the emulator's fail instead
when $EDGEXL_REQUIRE_EMULATION is set, as CI does.
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edgexl.device.local import this_machine
from tests.runtime.tiny_bundle import build
from tests.runtime.wasm import run_wasm

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"
SOURCES = {
    "test_native": ("native_scalar", "native_x86", "native_neon", "native_wasm", "status"),
    "test_scan": ("scan", "scan_x86", "scan_neon", "scan_wasm", "cpu", "memory"),
}
FLAGS = ("-std=c11", "-O2", "-ffp-contract=off", "-Wall", "-Wextra", "-Werror", f"-I{RUNTIME / 'include'}")
# what docs/c-api.md tells users
WASM = (sys.executable, "-m", "ziglang", "cc", "-target", "wasm32-wasi", "-msimd128", "-D_WASI_EMULATED_MMAN")


def compiled(command: tuple[str, ...], program: Path) -> Path:
    """A C test of kernels, by the program's name."""
    test = program.stem
    sources = [str(RUNTIME / "tests" / f"{test}.c"), *(str(RUNTIME / "src" / f"{name}.c") for name in SOURCES[test])]
    done = subprocess.run(
        [*command, *FLAGS, *sources, "-o", str(program), "-lm"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return program


@pytest.fixture(scope="module")
def arm_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for tool in ("aarch64-linux-gnu-gcc", "qemu-aarch64"):
        if shutil.which(tool) is None:
            if os.environ.get("EDGEXL_REQUIRE_EMULATION"):
                pytest.fail(f"{tool} is not installed")
            pytest.skip(f"no emulation: {tool} is not installed")
    return compiled(("aarch64-linux-gnu-gcc", "-static"), tmp_path_factory.mktemp("arm") / "test_native")


@pytest.mark.parametrize(
    ("cpu", "kernels"), [("cortex-a72", "neon"), ("cortex-a76", "neon-dot"), ("max,sme=off", "neon-i8mm")]
)
def test_arm_kernels_equal_the_scalar_ones(cpu: str, kernels: str, arm_program: Path) -> None:
    command = ["qemu-aarch64", "-cpu", cpu, str(arm_program), kernels]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
    assert f"{kernels} is the first choice" in done.stdout


@pytest.fixture
def wasm() -> None:
    for package in ("ziglang", "wasmtime"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no WebAssembly: the package {package} is not installed")


@pytest.mark.usefixtures("wasm")
def test_wasm_kernels_equal_the_scalar_ones(tmp_path: Path) -> None:
    code, output = run_wasm(compiled(WASM, tmp_path / "test_native.wasm"), tmp_path, "wasm-simd128")
    assert code == 0, output
    assert "wasm-simd128 is the first choice" in output


@pytest.mark.usefixtures("wasm")
def test_the_wasm_scan_equals_the_scalar_one(tmp_path: Path) -> None:
    code, output = run_wasm(compiled(WASM, tmp_path / "test_scan.wasm"), tmp_path)
    assert code == 0, output
    assert "kernels: scalar wasm-simd128; 0 failures" in output


@pytest.mark.usefixtures("wasm")
def test_a_bundle_answers_in_wasm_as_here(tmp_path: Path) -> None:
    bundle, text = build(native=True).write(tmp_path / "tiny.exl"), "a small house"
    sources = [*map(str, sorted((RUNTIME / "src").glob("*.c"))), str(RUNTIME / "tools" / "exl_run.c")]
    program = tmp_path / "exl-run.wasm"
    command = [*WASM, *FLAGS, *sources, "-o", str(program), "-lwasi-emulated-mman"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    code, output = run_wasm(program, tmp_path, "/tiny.exl", text)
    assert code == 0, output
    here = this_machine().run("exl-run", [str(bundle), text])
    assert json.loads(output)["labels"] == json.loads(here.stdout)["labels"]
