"""What an update takes: patches by edgexl, bsdiff and zstd, their bytes, times to make and apply them, and memory.

    python -m benchmarks.updates OLD.exl NEW.exl [OLD.exl NEW.exl ...]

Needs `bsdiff`, `bspatch` and `zstd` (Debian's packages bsdiff and zstd) and a C compiler. Memory is the peak resident
set of the process that applies the patch; edgexl's also opens the new bundle, but runs no self-test. zstd runs at level
19 with a window of the larger bundle.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.report.table import format_bytes
from edgexl.runtime.library import find_library
from edgexl.use.diff import write_patch

PROGRAM = r"""
#include <stdio.h>
#include "edgexl.h"
int main(int argc, char **argv) {
    exl_error error = {.struct_size = sizeof error};
    exl_open_options open = {.struct_size = sizeof open, .flags = EXL_OPEN_NO_ENGINE};
    exl_patch_options options = {.struct_size = sizeof options, .open = &open};
    if (argc == 4 && exl_patch(argv[1], argv[2], argv[3], &options, NULL, &error) == EXL_OK)
        return 0;
    fprintf(stderr, "%s\n", error.sentence);
    return 1;
}
"""


@dataclass(frozen=True)
class Cost:
    """`bytes` of a patch, `seconds` to make it and to apply it, and the peak memory of applying it in bytes."""

    by: str
    bytes: int
    made_seconds: float
    applied_seconds: float
    memory_bytes: int


def measure(old: Path, new: Path) -> list[Cost]:
    """The three patches from `old` to `new`, each applied and compared. Raises `BadInput` where a program is missing or
    makes another bundle."""
    with tempfile.TemporaryDirectory() as scratch:
        ours, made = Path(scratch, "patch"), Path(scratch, "made.exl")
        program = _build(Path(scratch))
        log = max(20, (max(old.stat().st_size, new.stat().st_size) - 1).bit_length())
        ways: list[tuple[str, Sequence[object], Sequence[object]]] = [
            ("bsdiff", ("bsdiff", old, new, ours), ("bspatch", old, made, ours)),
            (
                "zstd --patch-from",
                ("zstd", "-q", "-f", "-19", f"--long={log}", f"--patch-from={old}", new, "-o", ours),
                ("zstd", "-q", "-f", "-d", f"--long={log}", f"--patch-from={old}", ours, "-o", made),
            ),
        ]
        difference = write_patch(old, new, ours)
        applied, memory = _run((program, old, ours, made))
        costs = [Cost("edgexl", difference.patch_bytes, difference.seconds, applied, memory)]
        _compare(new, made)
        for name, make, apply in ways:
            seconds, _ = _run(make)
            size = ours.stat().st_size
            applied, memory = _run(apply)
            _compare(new, made)
            costs.append(Cost(name, size, seconds, applied, memory))
        return costs


def _build(scratch: Path) -> Path:
    """A program that applies a patch by the installed library."""
    library = find_library()
    (scratch / "apply.c").write_text(PROGRAM, encoding="utf-8")
    include = library.parents[1] / "include"
    command = ["cc", "-O2", "apply.c", f"-I{include}", str(library), f"-Wl,-rpath,{library.parent}", "-o", "apply"]
    subprocess.run(command, cwd=scratch, check=True)
    return scratch / "apply"


def _run(command: Sequence[object]) -> tuple[float, int]:
    """(seconds, peak resident bytes) of a command. What wait4 says of memory includes the process that made it."""
    begun, peak = time.monotonic(), 0
    try:
        child = subprocess.Popen([str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError:
        raise BadInput(f"{command[0]} is not installed; run `apt-get install bsdiff zstd`.") from None
    status = Path(f"/proc/{child.pid}/status")
    while child.poll() is None:
        if found := re.search(r"^VmHWM:\s*(\d+)", status.read_text(encoding="utf-8"), re.M):
            peak = 1024 * int(found[1])
        time.sleep(0.002)
    if child.returncode:
        raise BadInput(f"{command[0]} ended with {child.returncode}.")
    return time.monotonic() - begun, peak


def _compare(wanted: Path, made: Path) -> None:
    if wanted.read_bytes() != made.read_bytes():
        raise BadInput(f"what was made is not {wanted}.")
    made.unlink()


def main(arguments: Sequence[str]) -> None:
    """Print a table for each pair of bundles."""
    if not arguments or len(arguments) % 2:
        raise BadInput("give pairs of bundles: OLD.exl NEW.exl.")
    for old, new in zip(arguments[::2], arguments[1::2], strict=True):
        size = Path(new).stat().st_size
        print(f"{old} to {new} ({format_bytes(size)})\n")
        print("| by | patch | of the bundle | s to make | s to apply | memory to apply |")
        print("|---|---|---|---|---|---|")
        for cost in measure(Path(old), Path(new)):
            print(
                f"| {cost.by} | {cost.bytes:,} | {100 * cost.bytes / size:.2f} % | {cost.made_seconds:.1f} | "
                f"{cost.applied_seconds:.2f} | {cost.memory_bytes / 1e6:.1f} MB |"
            )
        print()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except BadInput as error:
        sys.exit(str(error))
