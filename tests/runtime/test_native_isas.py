"""The native kernels of other processors: the C test of the kernels, built for AArch64 and run on emulated CPUs, and
built for WebAssembly and run by wasmtime; and whole bundles, one of them with a lexical side and labels added, answered
there as on this machine.

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
from edgexl.runtime.binding import NewLabel, open_bundle
from tests.runtime.tiny_bundle import build
from tests.runtime.wasm import run_wasm

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"
SOURCES = {
    "test_native": ("native_scalar", "native_x86", "native_neon", "native_wasm", "status"),
    "test_scan": ("scan", "scan_x86", "scan_neon", "scan_wasm", "cpu", "memory"),
    "test_rescore": ("rescore", "rescore_x86", "rescore_neon", "rescore_wasm", "cpu"),
    "test_lexical": ("lexical", "terms", "postings", "added", "words", "fold", "utf8", "rank", "memory"),
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


def emulated(compiler: str, emulator: str) -> tuple[str, str]:
    """A compiler's command for static programs; skips or fails the test where that or the emulator is not there."""
    for tool in (compiler, emulator):
        if shutil.which(tool) is None:
            if os.environ.get("EDGEXL_REQUIRE_EMULATION"):
                pytest.fail(f"{tool} is not installed")
            pytest.skip(f"no emulation: {tool} is not installed")
    return compiler, "-static"


@pytest.fixture(scope="module")
def arm_program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    command = emulated("aarch64-linux-gnu-gcc", "qemu-aarch64")
    return compiled(command, tmp_path_factory.mktemp("arm") / "test_native")


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


@pytest.mark.slow
@pytest.mark.usefixtures("wasm")
def test_wasm_kernels_equal_the_scalar_ones(tmp_path: Path) -> None:
    code, output = run_wasm(compiled(WASM, tmp_path / "test_native.wasm"), tmp_path, "wasm-simd128")
    assert code == 0, output
    assert "wasm-simd128 is the first choice" in output


@pytest.mark.slow
@pytest.mark.usefixtures("wasm")
def test_the_wasm_scan_equals_the_scalar_one(tmp_path: Path) -> None:
    code, output = run_wasm(compiled(WASM, tmp_path / "test_scan.wasm"), tmp_path)
    assert code == 0, output
    assert "kernels: scalar wasm-simd128; 0 failures" in output


@pytest.mark.slow
@pytest.mark.usefixtures("wasm")
def test_fine_codes_are_scored_alike_in_wasm(tmp_path: Path) -> None:
    assert run_wasm(compiled(WASM, tmp_path / "test_rescore.wasm"), tmp_path) == (0, "rescore: 0 failures\n")


@pytest.mark.slow
@pytest.mark.usefixtures("wasm")
def test_the_lexical_side_in_wasm(tmp_path: Path) -> None:
    assert run_wasm(compiled(WASM, tmp_path / "test_lexical.wasm"), tmp_path) == (0, "")


# ---- whole bundles --------------------------------------------------------------------------------------------------


TEXTS = (
    "a small house",
    "small huose",
    "quokkka 42",
    "the old kings bridge",
    "RED river",
    "zirconium",
    "rivr dragn storm",
)


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One with vectors alone, and one with all that the lexical side has: rows of each kind, labels added and gone."""
    folder = tmp_path_factory.mktemp("bundles")
    plain = build(native=True).write(folder / "tiny.exl")
    lexical = build(True, native=True, descriptions=100, votes_weight=0.7, lexical=True).write(folder / "lexical.exl")
    new = [NewLabel("A", "zirconium plate 42", ("red rivers",)), NewLabel("B", "quokka", ("small dragon",))]
    with open_bundle(lexical) as handle:
        handle.add_labels([*new, NewLabel("C", "the quokka")])
        handle.retire_labels(["C", "L0007", "L0040"])
        assert handle.predict("quokkka", k=1).labels[0].id == "B"
    return [plain, lexical]


def program_of(command: tuple[str, ...], program: Path, *libraries: str) -> Path:
    """exl-run, of all sources."""
    sources = [*map(str, sorted((RUNTIME / "src").glob("*.c"))), str(RUNTIME / "tools" / "exl_run.c")]
    done = subprocess.run(
        [*command, *FLAGS, *sources, "-o", str(program), *libraries], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return program


def answers(output: str) -> list[object]:
    lines = [json.loads(line) for line in output.splitlines()]
    return [(line["text"], line["labels"]) for line in lines]


def answers_here(bundle: Path) -> list[object]:
    here = answers(this_machine().run("exl-run", [str(bundle), "-k", "20", *TEXTS]).stdout)
    assert len(here) == len(TEXTS)
    return here


@pytest.mark.slow
@pytest.mark.usefixtures("wasm")
def test_bundles_answer_in_wasm_as_here(bundles: list[Path], tmp_path: Path) -> None:
    program = program_of(WASM, tmp_path / "exl-run.wasm", "-lwasi-emulated-mman")
    for bundle in bundles:
        code, output = run_wasm(program, bundle.parent, f"/{bundle.name}", "-k", "20", *TEXTS)
        assert code == 0, output
        assert answers(output) == answers_here(bundle)


@pytest.mark.parametrize(
    ("compiler", "emulator", "cpus"),
    [
        ("aarch64-linux-gnu-gcc", "qemu-aarch64", ("cortex-a72", "cortex-a76", "max,sme=off")),
        ("arm-linux-gnueabihf-gcc", "qemu-arm", ("cortex-a15",)),
        ("gcc", "qemu-x86_64", ("Nehalem", "max")),
    ],
)
def test_bundles_answer_on_other_processors_as_here(
    compiler: str, emulator: str, cpus: tuple[str, ...], bundles: list[Path], tmp_path: Path
) -> None:
    """Those without SIMD of their own, too: 32-bit ARM, and an x86 without AVX."""
    command = emulated(compiler, emulator)
    program = program_of(command, tmp_path / "exl-run", "-lm", "-ldl", "-lpthread")
    for cpu in cpus:
        for bundle in bundles:
            run = [emulator, "-cpu", cpu, str(program), str(bundle), "-k", "20", *TEXTS]
            done = subprocess.run(run, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert answers(done.stdout) == answers_here(bundle), cpu


@pytest.mark.parametrize(
    ("compiler", "emulator"), [("aarch64-linux-gnu-gcc", "qemu-aarch64"), ("arm-linux-gnueabihf-gcc", "qemu-arm")]
)
def test_the_lexical_side_on_arm(compiler: str, emulator: str, tmp_path: Path) -> None:
    program = compiled(emulated(compiler, emulator), tmp_path / "test_lexical")
    done = subprocess.run([emulator, str(program)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-500:] + done.stderr
