"""Instructions a label on ARM cores: the scan under qemu, with a plugin that counts. Never a time."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from edgexl.runtime import kernels

HERE = Path(__file__).parent
CPUS = ("cortex-a76", "cortex-a72")
_SOURCES = ("cpu", "memory", "scan", "scan_neon")


def scan_instructions(directory: Path, rows: int, code_bytes: int, keep: int) -> list[dict[str, Any]]:
    """A line a core: instructions a row of a scan with its first `keep`, and whether it finds what this CPU finds.

    What is missing for it is said in the place of the lines.
    """
    needed = ("qemu-aarch64", "aarch64-linux-gnu-gcc", "gcc")
    if missing := [name for name in needed if shutil.which(name) is None]:
        return [{"cpu": "none", "missing": f"not installed: {', '.join(missing)}"}]
    source = Path(kernels.__file__).parent / "src"
    scan = [str(HERE / "scan_program.c"), *(str(source / f"{name}.c") for name in _SOURCES)]
    flags = ["-std=c11", "-O3", "-ffp-contract=off", f"-I{source}", f"-I{source.parent / 'include'}"]
    plugin, there, here = directory / "count.so", directory / "scan-arm", directory / "scan-here"
    _run(["gcc", "-O2", "-shared", "-fPIC", str(source.parent / "counting" / "plugin.c"), "-o", str(plugin)])
    _run(["aarch64-linux-gnu-gcc", *flags, "-static", *scan, "-o", str(there)])
    _run(["gcc", *flags, *scan, str(source / "scan_x86.c"), "-o", str(here)])
    sizes = [str(rows), str(code_bytes), str(keep)]
    wanted = _run([str(here), *sizes, "1"])[0].split()[1]
    lines = []
    for cpu in CPUS:
        emulated = ["qemu-aarch64", "-cpu", cpu, "-plugin", str(plugin), str(there), *sizes]
        counts = []
        for scans in ("1", "2"):
            said, told = _run([*emulated, scans])
            counts.append(int(told.split()[-1]))
        kernel, found = said.split()
        instructions = (counts[1] - counts[0]) / rows
        lines.append(
            {
                "cpu": cpu,
                "kernel": kernel,
                "rows": rows,
                "bytes": code_bytes,
                "keep": keep,
                "instructions_a_row": round(instructions, 2),
                "same_rows_as_here": found == wanted,
            }
        )
    return lines


def _run(command: list[str]) -> tuple[str, str]:
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return done.stdout, done.stderr
