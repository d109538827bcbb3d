"""What tests of the command line share: calling it as a user does, and a tiny student with its bundle to call it on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.target import cpu_features

# Without VNNI, x86 adds two int8 products in 16 bits: a bundle with 8-bit weights, as ARM takes them, saturates there.
TARGET = "raspberry-pi-5" if "avx512_vnni" in cpu_features() else "x86-64-v3"
RECIPE = """
name = "eight-byte codes"
[index]
code_bytes = 8
overfetch = 64
[reasoner]
blend = "none"  # its weights are random: screening alone would be chosen
[gates]
reasoner_gain = -100
"""


@dataclass(frozen=True)
class Said:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Standard output as one JSON value."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as a JSON value a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def refuses(self, status: int, *words: str) -> None:
        """Assert that the command ended with `status` and one line on standard error that holds all `words`."""
        assert (self.status, self.err.count("\n")) == (status, 1), self
        assert "Traceback" not in self.err
        for word in words:
            assert word.lower() in self.err.lower(), f"{word!r} is not in {self.err!r}"


Edgexl = Callable[..., Said]


@dataclass(frozen=True)
class Tiny:
    """A saved student, the recipe it was compiled by, the bundle, and what `compile --json` said."""

    student: Path
    recipe: Path
    bundle: Path
    report: dict[str, Any]

    def texts(self, count: int) -> list[str]:
        """The first evaluation queries."""
        from edgexl.data import read_queries

        queries = list(read_queries(self.student / "evaluation.json.gz"))
        return [query.text for query in queries[:count]]


def edgexl_process(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> Said:
    """`edgexl` as a process of its own."""
    command = [sys.executable, "-m", "edgexl", *map(str, arguments)]
    done = subprocess.run(
        command, input=stdin, capture_output=True, env={**os.environ, **environment}, timeout=600, check=False
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def exl_run(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> Said:
    """The C tool `exl-run`, with this machine's engine."""
    from edgexl.runtime.library import find_engine_library, find_library

    tool = find_library().parent / "exl-run"
    environment = {"EDGEXL_ORT_LIBRARY": str(find_engine_library()), **environment}
    done = subprocess.run(
        [tool, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env={**os.environ, **environment},
        timeout=600,
        check=False,
    )
    return Said(done.returncode, done.stdout.decode(), done.stderr.decode())


def heed_interrupts() -> None:
    """For a child process, before it runs: Ctrl-C reaches it even where the test run was started to ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
