"""Which lines of edgexl each test runs: a pytest plugin that records it, and the record as it is read again.

What a fixture of a longer life than one test does is recorded once, by the fixture, and counts for every test that
uses it. Processes that a test starts count too (`inside.py`). Lines are kept with the sources they were seen in, so
that a file that changed since is compared with what it was, and only test files that changed are recorded again.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.inside import CONTEXT, DATA, ROOT
from tests.mutants.scratch import Scratch

RECORD = "EDGEXL_MUTANTS_RECORD"


def hash_of(path: Path) -> str:
    """By which a file is known to be the one that was recorded."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:20]


class Recorder:
    """The plugin: `pytest -p tests.mutants.record`, in the scratch copy, with the place for the record in $RECORD."""

    def __init__(self) -> None:
        import coverage

        self.root = Path(os.environ[ROOT])
        self.data = Path(os.environ[DATA])
        self.coverage = coverage.Coverage(
            data_file=str(self.data), source=[str(self.root / "edgexl")], config_file=False
        )
        self.running: list[str] = []
        self.seconds: dict[str, float] = {}
        self.spent_inside: list[float] = []
        self.uses: dict[str, list[str]] = {}
        self.failed: set[str] = set()
        self.coverage.start()

    def _within(self, context: str) -> Iterator[None]:
        """Lines and time go to `context`, and no longer to what was running."""
        self.running.append(context)
        self.spent_inside.append(0.0)
        self._switch()
        begun = time.perf_counter()
        yield
        took = time.perf_counter() - begun
        self.seconds[context] = self.seconds.get(context, 0.0) + took - self.spent_inside.pop()
        if self.spent_inside:
            self.spent_inside[-1] += took
        self.running.pop()
        self._switch()

    def _switch(self) -> None:
        context = self.running[-1] if self.running else "between"
        os.environ[CONTEXT] = context
        self.coverage.switch_context(context)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        if fixturedef.scope == "function":
            return (yield)
        within = self._within(name_of(fixturedef))
        next(within)
        try:
            return (yield)
        finally:
            next(within, None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        definitions = getattr(item, "_fixtureinfo", None)
        if definitions:
            known = [found[-1] for found in definitions.name2fixturedefs.values() if found]
            self.uses[item.nodeid] = [name_of(one) for one in known if one.scope != "function"]
        within = self._within(item.nodeid)
        next(within)
        try:
            return (yield)
        finally:
            next(within, None)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed or report.skipped:
            self.failed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        self.coverage.stop()
        self.coverage.save()
        lines = self._lines()
        place = Path(os.environ[RECORD])
        tests: dict[str, dict[str, Any]] = {}
        for test, uses in self.uses.items():
            if test not in self.failed:
                tests.setdefault(test.split("::")[0], {})[test] = {
                    "seconds": round(self.seconds[test], 3), "uses": uses, "lines": lines.get(test, {}),
                }  # fmt: skip
        for test_file in {test.split("::")[0] for test in self.uses}:
            used = {name for one in tests.get(test_file, {}).values() for name in one["uses"]}
            fixtures = {
                name: {"seconds": round(self.seconds.get(name, 0.0), 3), "lines": lines.get(name, {})} for name in used
            }
            written = place / "tests" / (test_file.replace("/", "+") + ".json")
            written.parent.mkdir(parents=True, exist_ok=True)
            entry = {
                "hash": hash_of(self.root / test_file), "sources": str(os.environ[RECORD + "_SOURCES"]),
                "tests": tests.get(test_file, {}), "fixtures": fixtures,
                "failed": sorted(test for test in self.failed if test.startswith(test_file + "::")),
            }  # fmt: skip
            written.write_text(json.dumps(entry))

    def _lines(self) -> dict[str, dict[str, list[int]]]:
        """Of each context the lines of each file, from the root."""
        from coverage import CoverageData
        from coverage.exceptions import DataError

        found: dict[str, dict[str, list[int]]] = {}
        for path in sorted(self.data.parent.glob(self.data.name + "*")):
            data = CoverageData(basename=str(path))
            try:
                data.read()
            except DataError:  # of a process that a test ended while it wrote
                continue
            for measured in data.measured_files():
                name = os.path.relpath(measured, self.root)
                for line, contexts in data.contexts_by_lineno(measured).items():
                    for context in contexts:
                        found.setdefault(context, {}).setdefault(name, []).append(line)
        return found


def name_of(fixture: Any) -> str:
    """A fixture's name with the place that defines it."""
    return f"fixture {fixture.baseid}::{fixture.argname}"


def pytest_configure(config: pytest.Config) -> None:
    if RECORD in os.environ:
        config.pluginmanager.register(Recorder(), "edgexl-recorder")


@dataclass(frozen=True)
class Covering:
    """A test that runs a line: its seconds, with those of the fixtures that it needs."""

    test: str
    seconds: float


@dataclass
class Record:
    """What was recorded, for the sources as they are now under `root`."""

    place: Path
    root: Path
    _entries: list[dict[str, Any]] = field(default_factory=list)
    _read: float = 0.0
    _maps: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._read = self._changed()
        for path in self._files():
            if (self.root / path.stem.replace("+", "/")).exists():
                self._entries.append(json.loads(path.read_text()))

    def is_old(self) -> bool:
        """Whether something was recorded since this was read."""
        return self._changed() != self._read

    def _changed(self) -> float:
        return max((path.stat().st_mtime for path in self._files()), default=0.0)

    def stale(self) -> list[str]:
        """The test files that are new or changed."""
        known = {path.stem.replace("+", "/"): json.loads(path.read_text())["hash"] for path in self._files()}
        here = sorted(path for path in (self.root / "tests").rglob("test_*.py"))
        names = [str(path.relative_to(self.root)) for path in here]
        return [name for name, path in zip(names, here, strict=True) if known.get(name) != hash_of(path)]

    def _files(self) -> list[Path]:
        return sorted((self.place / "tests").glob("*.json"))

    def covering(self, path: str, lines: range) -> list[Covering]:
        """The tests that run one of the lines of a file as it is now, quickest first; before all others, those of the
        test file that has its name. Of lines that are newer than the record, all tests that run the file."""
        found: dict[str, float] = {}
        for entry in self._entries:
            old = {self._now(entry["sources"], path).get(line, 0) for line in lines} - {0}

            def runs(recorded: dict[str, list[int]], old: set[int] = old) -> bool:
                ran = recorded.get(path, ())
                return any(line in old for line in ran) if old else bool(ran)

            by_fixture = {name: runs(fixture["lines"]) for name, fixture in entry["fixtures"].items()}
            for test, one in entry["tests"].items():
                if runs(one["lines"]) or any(by_fixture[name] for name in one["uses"]):
                    found[test] = one["seconds"] + sum(entry["fixtures"][name]["seconds"] for name in one["uses"])
        own = f"test_{Path(path).stem}.py"

        def order(one: Covering) -> tuple[bool, float, str]:
            slow = one.seconds > 20  # it would leave nothing of the budget to the others
            return slow or Path(one.test.split("::")[0]).name != own, one.seconds, one.test

        return sorted((Covering(test, seconds) for test, seconds in found.items()), key=order)

    def _now(self, sources: str, path: str) -> dict[int, int]:
        """For each line of a file as it is now the line of the same text when it was recorded."""
        key = (sources, path)
        if key not in self._maps:
            before = self.place / "sources" / sources / path
            old = before.read_text().splitlines() if before.exists() else []
            new = (self.root / path).read_text().splitlines()
            same = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
            self._maps[key] = {b + i + 1: a + i + 1 for a, b, size in same for i in range(size)}
        return self._maps[key]


def record_tests(scratch: Scratch, place: Path, test_files: list[str]) -> None:
    """Run the test files in the copy and add what they cover to the record at `place`."""
    sources = sorted((scratch.root / "edgexl").rglob("*.py"))
    together = hashlib.sha256("".join(hash_of(path) for path in sources).encode()).hexdigest()[:20]
    for path in sources:
        kept = place / "sources" / together / path.relative_to(scratch.root)
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(path.read_bytes())
    with tempfile.TemporaryDirectory(prefix="edgexl-record.") as data:
        environment = {
            **scratch.environment, DATA: f"{data}/coverage", RECORD: str(place), RECORD + "_SOURCES": together
        }  # fmt: skip
        command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.record", "-p", "no:cacheprovider"]
        subprocess.run([*command, *test_files], cwd=scratch.root, env=environment, check=False)
