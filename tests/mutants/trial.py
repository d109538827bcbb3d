"""Running tests of the scratch copy: a server that has imported what is heavy and forks for each trial.

`python -m tests.mutants.trial`, in the copy, reads one JSON object a line, {"tests": [...], "budget": seconds, "hung":
seconds}, and answers each with one: {"seen", "by", "tests", "note"}.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import IO, Any

import pytest

from tests.mutants.scratch import Scratch

_HEAVY = ("numpy", "torch", "tokenizers", "safetensors", "onnx", "onnxruntime", "scipy", "sklearn", "hypothesis")
# A test that takes so many seconds of a clock hangs. None takes a tenth of it, and the machine may be a busy one.
_HUNG_SECONDS = 240.0


def cpu_seconds() -> float:
    """Processor time of this process and the children that it waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


class InOrder:
    """A pytest plugin: the given tests in the given order, until one fails or the budget is spent."""

    def __init__(self, tests: list[str], budget: float, said: IO[str]) -> None:
        self.place = {test: place for place, test in enumerate(tests)}
        self.budget = budget
        self.said = said
        self.begun = cpu_seconds()

    def _say(self, **what: Any) -> None:
        self.said.write(json.dumps(what) + "\n")
        self.said.flush()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = sorted((i for i in items if i.nodeid in self.place), key=lambda item: self.place[item.nodeid])

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> bool | None:
        if cpu_seconds() - self.begun > self.budget:
            self._say(spent=True)
            item.session.shouldstop = "the budget is spent"
            return True
        self._say(begins=item.nodeid)
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._say(failed=report.nodeid, why=str(report.longrepr)[-300:])

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self._say(failed=report.nodeid, why=str(report.longrepr)[-300:])


def _run_tests(tests: list[str], budget: float, said: Path) -> None:
    """In the forked process: pytest, its words on standard error's file."""
    with said.open("w") as out:
        files = sorted({test.split("::")[0] for test in tests})
        arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:cov", "-m", "", *files]
        pytest.main(arguments, plugins=[InOrder(tests, budget, out)])


def _trial(tests: list[str], budget: float, patience: float, scratch: Path) -> dict[str, Any]:
    said = scratch / "said"
    said.write_text("")
    child = os.fork()
    if child == 0:
        os.setsid()
        silence = os.open(str(scratch / "output"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        try:
            _run_tests(tests, budget, said)
        finally:
            os._exit(0)
    began = cpu_seconds()
    hung = not _wait(child, said, patience)
    if hung:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    cpu = cpu_seconds() - began
    lines = [json.loads(line) for line in said.read_text().splitlines()]
    begun = [line["begins"] for line in lines if "begins" in line]
    failed = [line for line in lines if "failed" in line]
    spent = any("spent" in line for line in lines)
    if failed:
        return {"seen": True, "by": failed[0]["failed"], "tests": len(begun), "note": failed[0]["why"], "cpu": cpu}
    if hung or (len(begun) < len(tests) and not spent):
        how = "hung" if hung else "the process ended" if begun else "nothing was collected"
        return {"seen": True, "by": begun[-1] if begun else None, "tests": len(begun), "note": how, "cpu": cpu}
    note = "the budget is spent" if spent else ""
    return {"seen": False, "by": None, "tests": len(begun), "note": note, "cpu": cpu}


def _wait(child: int, said: Path, patience: float) -> bool:
    """Whether the child ended before one of its tests hung. Its own children may outlive it: they are ended too, and so
    is all of this where nobody waits for the answer any more."""
    heard, since, asker = 0, time.monotonic(), os.getppid()
    while True:
        if os.getppid() != asker:
            os.killpg(child, signal.SIGKILL)
            sys.exit(1)
        if os.waitpid(child, os.WNOHANG)[0]:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)
            return True
        size = said.stat().st_size
        if size != heard:
            heard, since = size, time.monotonic()
        if time.monotonic() - since > patience:
            return False
        time.sleep(0.05)


def serve() -> None:
    """Answer the lines of standard input."""
    for name in _HEAVY:
        try:
            importlib.import_module(name)
        except ImportError:
            continue
    with tempfile.TemporaryDirectory(prefix="edgexl-trial.") as scratch:
        for line in sys.stdin:
            asked = json.loads(line)
            answer = _trial(asked["tests"], asked["budget"], asked["hung"], Path(scratch))
            print(json.dumps(answer), flush=True)


class Trials:
    """The server as another process sees it; it starts when it is first asked."""

    def __init__(self, scratch: Scratch) -> None:
        self.scratch = scratch
        self.process: subprocess.Popen[str] | None = None

    def run(self, tests: list[str], budget: float, hung: float = _HUNG_SECONDS) -> dict[str, Any]:
        """Run the tests in order; what became of them. One that takes `hung` seconds of a clock hangs."""
        if self.process is None:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.mutants.trial"],
                cwd=self.scratch.root, env=self.scratch.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                text=True,
            )  # fmt: skip
        assert self.process.stdin
        assert self.process.stdout
        self.process.stdin.write(json.dumps({"tests": tests, "budget": budget, "hung": hung}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        """End the server."""
        if self.process is not None:
            assert self.process.stdin
            self.process.stdin.close()
            self.process.wait()


if __name__ == "__main__":
    serve()
