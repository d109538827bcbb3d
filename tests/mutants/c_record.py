"""A kept copy of the repository in which C faults are tried, its three builds, and which lines each test runs in it.

The builds: `cover` counts lines, `sanitized` is what the C tests run in, `plain` is the library that pytest opens. A
pytest file is recorded as a whole. Lines are kept with the sources they were seen in, as in `record.py`.
"""

from __future__ import annotations

import difflib
import fcntl
import gzip
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.record import hash_of
from tests.mutants.scratch import COPIED, SITE, Scratch

RUNTIME = "edgexl/runtime"
DURATIONS = "EDGEXL_MUTANTS_DURATIONS"
# The tests that open the library, and those among them that compile or emulate it instead.
_PYTEST = ("tests/bundle", "tests/hostile", "tests/index", "tests/runtime")
_NOT = ("test_amalgamate", "test_build", "test_neon", "test_native_isas", "test_sanitized", "test_sources")
_TOO_SLOW = "not test_long_strings"  # which test_strings.c has too
_SECONDS = 60
_BUILDS = {
    "cover": ("-DEDGEXL_COVERAGE=ON",),
    "sanitized": ("-DEDGEXL_SANITIZE=ON", "-DEDGEXL_WERROR=OFF", "-DCMAKE_C_FLAGS=-O1"),
    "plain": ("-DEDGEXL_WERROR=OFF", "-DCMAKE_C_FLAGS=-O1"),
}  # fmt: skip


@dataclass(frozen=True)
class CScratch(Scratch):
    """The kept copy."""

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {
            "EDGEXL_LIBRARY": str(self.build("plain") / "libedgexl.so"),
            # A fault may ask for any amount of memory.
            "ASAN_OPTIONS": "hard_rss_limit_mb=3000:max_allocation_size_mb=3000:detect_leaks=1",
        }

    def build(self, kind: str) -> Path:
        """The directory of a build."""
        return self.root / "build" / kind

    def make(self, kind: str, *targets: str) -> bool:
        """Build what has changed; whether it compiles."""
        from tests.runtime.c_tests import tool

        command = [tool("cmake"), "--build", str(self.build(kind)), "-j2", "--target", *targets]
        return (
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False).returncode == 0
        )

    def make_all(self) -> None:
        """The three builds, of the sources as they are."""
        for kind, options in _BUILDS.items():
            script = (
                "import sys; from pathlib import Path; from tests.runtime import c_tests; "
                "c_tests.build(Path(sys.argv[1]), *sys.argv[2:])"
            )
            command = [sys.executable, "-c", script, str(self.build(kind)), *options]
            subprocess.run(command, cwd=self.root, env=self.environment, stdout=subprocess.DEVNULL, check=True)

    def c_tests(self, kind: str) -> dict[str, list[str]]:
        """The commands of ctest's tests by name."""
        from tests.runtime.c_tests import tool

        command = [tool("ctest"), "--test-dir", str(self.build(kind)), "--show-only=json-v1"]
        shown = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return {test["name"]: test["command"] for test in shown["tests"]}


@contextmanager
def kept_copy(root: Path) -> Iterator[CScratch]:
    """The copy in build/mutants, brought up to date; one process at a time."""
    scratch = CScratch(root / "build" / "mutants")
    scratch.root.mkdir(parents=True, exist_ok=True)
    with (scratch.root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in COPIED:
            _update(root / name, scratch.root / name)
        (scratch.root / "sitecustomize.py").write_text(SITE)
        yield scratch


def _update(source: Path, copy: Path) -> None:
    """Make the copy's files those of the source, without touching those that are the same."""
    if source.is_file():
        if not copy.is_file() or copy.read_bytes() != source.read_bytes():
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
        return
    names = {path.name for path in source.iterdir()} - {"__pycache__", "lib"} if source.is_dir() else set()
    for path in copy.iterdir() if copy.is_dir() else ():
        if path.name not in names | {"__pycache__"}:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name in names:
        _update(source / name, copy / name)


@dataclass(frozen=True)
class Ran:
    """A C test's end. `said`: the last of its words; `hung`: it used up its time."""

    failed: bool
    hung: bool
    seconds: float
    said: str


def run_c_test(command: list[str], environment: dict[str, str], seconds: float) -> Ran:
    """Run a C test with so many seconds of a CPU, and eight times as many of a clock."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 1))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

    from edgexl.runtime.binding import find_engine_library

    environment = {**environment, "EDGEXL_ORT_LIBRARY": str(find_engine_library())}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=8 * seconds,
            preexec_fn=limit, check=False,
        )  # fmt: skip
        code, said = done.returncode, done.stdout
    except subprocess.TimeoutExpired as late:
        code, said = -9, late.stdout or b""
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Ran(code != 0, code == -9, used, said.decode(errors="replace")[-300:])


@dataclass
class CRecord:
    """What each test runs, at `place`; C tests are named as ctest does, pytest's files by their path."""

    place: Path
    scratch: CScratch
    _entries: list[dict[str, Any]] = field(default_factory=list)
    _maps: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = self.test_files()
        for path in sorted(self.place.glob("*.json.gz")):
            entry = json.loads(gzip.decompress(path.read_bytes()))
            if entry["test"] in known:
                self._entries.append(entry)

    def test_files(self) -> dict[str, Path]:
        """The file of each test."""
        root = self.scratch.root
        found = {}
        for name, command in self.scratch.c_tests("cover").items():
            found[name] = root / RUNTIME / "tests" / f"{Path(command[0]).name}.c"
        for directory in _PYTEST:
            for path in sorted((root / directory).glob("test_*.py")):
                if path.stem not in _NOT:
                    found[str(path.relative_to(root))] = path
        return found

    def stale(self) -> list[str]:
        """The tests that are new or changed, or failed with other sources."""
        now = self._keep_sources()
        sound = [entry for entry in self._entries if not entry["failed"] or entry["sources"] == now]
        known = {entry["test"]: entry["hash"] for entry in sound}
        return [test for test, path in self.test_files().items() if known.get(test) != hash_of(path)]

    def record(self, tests: list[str]) -> None:
        """Run the tests in the coverage build, one at a time, and keep what they cover."""
        sources = self._keep_sources()
        commands, files = self.scratch.c_tests("cover"), self.test_files()
        environment = self.scratch.environment | {
            "EDGEXL_LIBRARY": str(self.scratch.build("cover") / "libedgexl.so")
        }  # fmt: skip
        for test in tests:
            for counts in self.scratch.build("cover").rglob("*.gcda"):
                counts.unlink()
            durations: dict[str, float] = {}
            if test in commands:
                ran = run_c_test(commands[test], environment, _SECONDS)
                seconds, failed = ran.seconds, ran.failed
            else:
                begun = time.perf_counter()
                durations = _run_pytest(self.scratch, environment, test)
                seconds, failed = time.perf_counter() - begun, not durations
            print(f"recorded {test}: {seconds:.1f} s{', which FAILED' if failed else ''}", flush=True)
            entry = {
                "test": test, "hash": hash_of(files[test]), "sources": sources, "seconds": seconds,
                "tests": durations, "failed": failed, "lines": self._lines(), "kernels": _uses_kernels(files[test]),
            }  # fmt: skip
            self.place.mkdir(parents=True, exist_ok=True)
            kept = self.place / (test.replace("/", "+") + ".json.gz")
            kept.write_bytes(gzip.compress(json.dumps(entry).encode()))
        self._entries.clear()
        self.__post_init__()

    def _keep_sources(self) -> str:
        import hashlib

        paths = sorted((self.scratch.root / RUNTIME / "src").glob("*.[ch]"))
        together = hashlib.sha256("".join(hash_of(path) for path in paths).encode()).hexdigest()[:20]
        kept = self.place / "sources" / together
        kept.mkdir(parents=True, exist_ok=True)
        for path in paths:
            shutil.copy2(path, kept / path.name)
        return together

    def _lines(self) -> dict[str, list[int]]:
        """Of each source the lines that have run since the counts were removed."""
        found: dict[str, set[int]] = {}
        objects = [str(path) for path in self.scratch.build("cover").rglob("*.gcda")]
        if not objects:
            return {}
        done = subprocess.run(
            ["gcov", "--json-format", "--stdout", *objects], cwd=self.scratch.build("cover"), check=True,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        for line in done.stdout.splitlines():
            for file in json.loads(line)["files"] if line.startswith(b"{") else ():
                path = Path(file["file"])
                if path.parent.name == "src":
                    ran = (one["line_number"] for one in file["lines"] if one["count"])
                    found.setdefault(path.name, set()).update(ran)
        return {name: sorted(lines) for name, lines in found.items()}

    def covering(self, path: str, lines: range) -> list[tuple[str, float]]:
        """The tests, with their seconds, that run one of the lines of a source as it is now: C tests first, quickest
        first."""
        name, found = Path(path).name, []
        kernel = name.split(".")[0] in _kernel_sources() and self._runs(path, lines, self._entries)
        for entry in self._entries:
            if not entry["failed"] and (self._runs(path, lines, [entry]) or (kernel and entry["kernels"])):
                found.append((entry["test"], entry["seconds"]))
        return sorted(found, key=lambda one: (one[0].endswith(".py"), one[1]))

    def tests_of(self, test: str) -> dict[str, float]:
        """The seconds of a pytest file's tests."""
        return next((entry["tests"] for entry in self._entries if entry["test"] == test), {})

    def _runs(self, path: str, lines: range, entries: list[dict[str, Any]]) -> bool:
        name = Path(path).name
        for entry in entries:
            now = self._now(entry["sources"], path)
            old = {now.get(line, 0) for line in lines} - {0}
            if old and not old.isdisjoint(entry["lines"].get(name, ())):
                return True
        return False

    def _now(self, sources: str, path: str) -> dict[int, int]:
        key = (sources, path)
        if key not in self._maps:
            before = self.place / "sources" / sources / Path(path).name
            old = before.read_text().splitlines() if before.exists() else []
            new = (self.scratch.root / path).read_text().splitlines()
            same = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
            self._maps[key] = {b + i + 1: a + i + 1 for a, b, size in same for i in range(size)}
        return self._maps[key]


def _kernel_sources() -> tuple[str, ...]:
    from edgexl.runtime.kernels import SOURCES

    return SOURCES


def _uses_kernels(path: Path) -> bool:
    """Whether a test calls the private functions of a library of their own, which nothing counts."""
    return path.suffix == ".py" and "kernels" in path.read_text()


def _run_pytest(scratch: CScratch, environment: dict[str, str], test: str) -> dict[str, float]:
    place = scratch.root / "durations"
    place.write_text("")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.mutants.c_record", "-p", "no:cacheprovider", test]
    command += ["-k", _TOO_SLOW]
    subprocess.run(
        command, cwd=scratch.root, env=environment | {DURATIONS: str(place)}, check=False, stdout=subprocess.DEVNULL
    )
    return dict(json.loads(line) for line in place.read_text().splitlines())


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """As a plugin of a recording run: notes the tests that pass."""
    if DURATIONS in os.environ and report.when == "call" and report.passed:
        with Path(os.environ[DURATIONS]).open("a") as file:
            file.write(json.dumps([report.nodeid, report.duration]) + "\n")
