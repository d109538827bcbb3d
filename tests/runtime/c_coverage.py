"""Prints which share of the C library's and tools' lines and branches the tests reached, by file.

    python -m tests.runtime.c_coverage BUILD_DIRECTORY        one that was configured with -DEDGEXL_COVERAGE=ON

Only what is compiled here counts: neither NEON nor WASM. A macro's branches count wherever it is used.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.runtime.c_tests import RUNTIME


def print_table(directory: Path) -> None:
    only = [f"--filter={RUNTIME / part}" for part in ("src", "tools")]
    # Threshold: a loop's count may be large without being an error of gcov's.
    options = [f"--root={RUNTIME}", *only, "--gcov-suspicious-hits-threshold=0", "--merge-mode-functions=separate"]
    options.append("--json-summary=-")
    command = [sys.executable, "-m", "gcovr", *options, str(directory)]
    summary = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    print(f"{'file':<24}{'lines':>12}{'%':>7}{'branches':>14}{'%':>7}")
    for file in [*summary["files"], {**summary, "filename": "all"}]:
        if file["line_total"]:
            print(f"{file['filename']:<24}{_share(file, 'line', 12)}{_share(file, 'branch', 14)}")


def _share(file: dict[str, str | float], kind: str, width: int) -> str:
    covered, total, percent = (file[f"{kind}_{part}"] for part in ("covered", "total", "percent"))
    return f"{f'{covered}/{total}':>{width}}" + (f"{percent:7.1f}" if total else f"{'-':>7}")


if __name__ == "__main__":
    print_table(Path(sys.argv[1]))
