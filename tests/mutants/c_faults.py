"""Small faults in the C library: where they can be put, and how they are tried.

Only lines that tests run on this machine get one: what is compiled for other processors is not drawn, nor what no test
reaches, which `make cover` shows. Each is compiled in a copy; the C tests that run its line are tried first, with
sanitizers, then pytest's.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from edgexl.base.fetch import cache_directory
from tests.mutants import BUDGET_SECONDS, Fault, Outcome
from tests.mutants.c_record import RUNTIME, CRecord, CScratch, kept_copy, pytest_tests, run_c_test
from tests.mutants.c_source import find_changes
from tests.mutants.equivalent import is_equivalent
from tests.mutants.trial import Trials

# Faults that do not compile are replaced by others of so large a reserve.
SPARE = 0.5
# The files that decide answers.
MODULES = (
    *("scan", "scan_x86", "rescore", "rescore_x86", "shortlist", "cells", "codes", "rank", "tokenizer", "strings"),
    *(
        "lookup",
        "live",
        "live_store",
        "labels",
        "storage",
        "explain",
        "self_test",
        "goldens",
        "session",
        "predict",
        "format",
        "run",
        "walk",
    ),
    *("lexical", "terms", "postings", "added", "words"),
    *("native_x86", "native_scalar", "plan", "plan_rules", "weights", "utf8", "engine_native", "bundle"),
)
_HEADERS = ("native_float", "plan", "bytes")
# A test that used to take no time gets this much of a CPU before it is taken to hang.
_PATIENCE_SECONDS = 15.0


def find_faults(root: Path) -> list[Fault]:
    """All faults that can be put into what the tests run. Tests that are new or changed are first run once."""
    with kept_copy(root) as scratch:
        record = _record(scratch, record_first=True)
        paths = [f"{RUNTIME}/src/{name}.c" for name in MODULES] + [f"{RUNTIME}/src/{name}.h" for name in _HEADERS]
        return [fault for path in paths if (root / path).exists() for fault in _faults_of(root, path, record)]


def _faults_of(root: Path, path: str, record: CRecord) -> Iterator[Fault]:
    source = (root / path).read_text()
    assert source.isascii()
    covered: dict[range, bool] = {}
    for change in find_changes(source):
        if change.statement not in covered:
            covered[change.statement] = bool(record.covering(path, change.statement))
        line = source.count("\n", 0, change.begin) + 1
        before = source[change.begin : change.end]
        fault = Fault(path, line, change.begin, change.end, change.function, change.kind, before, change.after)
        if covered[change.statement] and not is_equivalent(fault):
            yield fault


def _record(scratch: CScratch, record_first: bool) -> CRecord:
    if record_first:
        scratch.make_all()
    record = CRecord(cache_directory() / "mutants" / "c", scratch)
    if record_first and (stale := record.stale()):
        record.record(stale)
    return record


def try_faults(
    root: Path, faults: Sequence[Fault], record_first: bool = True, with_pytest: bool = True
) -> Iterator[Outcome]:
    """Each fault that compiles against the tests that run its statement; pytest's only where those of C see nothing."""
    with kept_copy(root, update=False) as scratch:  # all that was done to find them
        record = _record(scratch, record_first=False)
        trials = Trials(scratch) if with_pytest else None
        try:
            for fault in faults:
                whole = scratch.root / fault.path
                source = whole.read_bytes()
                covering = record.covering(fault.path, _statement(source.decode(), fault))
                whole.write_bytes(fault.apply(source))
                try:
                    if scratch.make("sanitized", "edgexl_static"):
                        yield _try(scratch, trials, fault, covering)
                finally:
                    whole.write_bytes(source)
        finally:
            if trials:
                trials.close()


def _try(scratch: CScratch, trials: Trials | None, fault: Fault, covering: list[tuple[str, float]]) -> Outcome:
    begun, spent, tried = time.perf_counter(), 0.0, 0
    commands = scratch.c_tests("sanitized")

    def outcome(seen: bool, by: str | None, note: str) -> Outcome:
        return Outcome(fault, seen, by, tried, len(covering), time.perf_counter() - begun, note)

    for test, seconds in covering:
        if spent + seconds > BUDGET_SECONDS:
            continue
        if not scratch.make("sanitized", Path(commands[test][0]).name):
            return outcome(True, test, "it does not link")
        ran = run_c_test(commands[test], scratch.environment, max(_PATIENCE_SECONDS, 4 * seconds))
        spent, tried = spent + ran.seconds, tried + 1
        if ran.failed:
            return outcome(True, test, "hung" if ran.hung else " ".join(ran.said.split()))
    if trials and spent < BUDGET_SECONDS:
        scratch.make("plain", "edgexl", "edgexl_private", "exl-run", "exl-bench")
        scratch.forget()
        said = trials.run(pytest_tests(scratch, fault.path), BUDGET_SECONDS - spent, hung=2 * BUDGET_SECONDS)
        tried += said["tests"]
        return outcome(said["seen"], said["by"], said["note"])
    return outcome(False, None, "the budget is spent" if spent > BUDGET_SECONDS else "")


def _statement(source: str, fault: Fault) -> range:
    for change in find_changes(source):
        if (change.begin, change.end, change.after) == (fault.begin, fault.end, fault.after):
            return change.statement
    return range(fault.line, fault.line + 1)


def line_of(fault: Fault, source: str) -> str:
    """The line that the fault is in, with single spaces."""
    return re.sub(r"\s+", " ", source.splitlines()[fault.line - 1]).strip()
