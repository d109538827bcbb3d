"""The runtime's own kernel tests: here under the sanitizers, and as an AArch64 program under qemu for NEON."""

import shutil
import subprocess
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off"]
SOURCES = {
    "test_scan": ["cpu", "scan", "scan_x86", "scan_neon"],
    "test_rescore": ["cpu", "rescore", "rescore_x86", "rescore_neon"],
    "test_strings": ["strings"],
}


def build(compiler: str, flags: list[str], program: str, directory: Path) -> Path:
    sources = [RUNTIME / "tests" / f"{program}.c", *(RUNTIME / "src" / f"{name}.c" for name in SOURCES[program])]
    built = directory / program
    subprocess.run([compiler, *STRICT, *flags, *map(str, sources), "-o", str(built), "-lm"], check=True)
    return built


@pytest.mark.parametrize("program", SOURCES)
def test_under_the_sanitizers(program, tmp_path):
    built = build("gcc", ["-g", "-fsanitize=address,undefined", "-fno-sanitize-recover"], program, tmp_path)
    done = subprocess.run([built], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")),
    reason="NEON IS UNTESTED HERE: install gcc-aarch64-linux-gnu, libc6-dev-arm64-cross and qemu-user",
)
@pytest.mark.parametrize("program", SOURCES)
def test_neon_under_qemu(program, tmp_path):
    built = build("aarch64-linux-gnu-gcc", ["-static"], program, tmp_path)
    done = subprocess.run(["qemu-aarch64", "-cpu", "cortex-a53", built], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if program == "test_scan":
        assert "kernels: scalar neon;" in done.stdout
