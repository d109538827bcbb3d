"""The runtime's kernel tests as AArch64 programs under qemu: NEON gives the scalar kernel's bits."""

import shutil
import subprocess
from pathlib import Path

import pytest

RUNTIME = Path(__file__).parents[2] / "edgexl" / "runtime"
FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O2", "-ffp-contract=off", "-static", f"-I{RUNTIME / 'include'}"]
SOURCES = {
    "test_scan": ["cpu", "memory", "scan", "scan_x86", "scan_neon"],
    "test_rescore": ["cpu", "rescore", "rescore_x86", "rescore_neon"],
    "test_strings": ["fold", "strings"],
}


@pytest.mark.skipif(
    not (shutil.which("aarch64-linux-gnu-gcc") and shutil.which("qemu-aarch64")),
    reason="NEON is untested here: aarch64-linux-gnu-gcc or qemu-aarch64 is not installed",
)
@pytest.mark.parametrize("program", SOURCES)
def test_kernels_under_qemu(program, tmp_path):
    sources = [RUNTIME / "tests" / f"{program}.c", *(RUNTIME / "src" / f"{name}.c" for name in SOURCES[program])]
    built = tmp_path / program
    subprocess.run(["aarch64-linux-gnu-gcc", *FLAGS, *map(str, sources), "-o", str(built), "-lm"], check=True)
    done = subprocess.run(["qemu-aarch64", "-cpu", "cortex-a53", built], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    if program == "test_scan":
        assert "kernels: scalar neon;" in done.stdout
