"""A kept copy of the repository in which C faults are tried, its three builds, and which lines each C test runs in it.

The builds: `cover` counts lines, `sanitized` is what the C tests run in, `plain` is the library that pytest opens. What
pytest's files run is not recorded: those nearest to a source by their subject are tried first. Lines are kept with the
sources they were seen in, as in `record.py`.
"""

from __future__ import annotations

import difflib
import fcntl
import gzip
import json
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.mutants.record import hash_of
from tests.mutants.scratch import COPIED, SITE, Scratch

RUNTIME = "edgexl/runtime"
# The tests that open the library, without those that compile or emulate it instead.
_PYTEST = ("tests/bundle", "tests/hostile", "tests/index", "tests/runtime")
_NOT = (
    "test_amalgamate", "test_build", "test_compile_matrix", "test_neon", "test_native_isas", "test_sanitized",
    "test_sources",
)  # fmt: skip
# By the words of their names, the tests whose subject a source is.
_SUBJECTS = {
    "bundle": ("test_read", "test_bundles", "test_binding"),
    "cells codes rank rescore scan shortlist": (
        "test_search",
        "test_codes",
        "test_cells",
        "test_stream",
        "test_binding",
    ),
    "explain goldens predict self_test session": ("test_binding", "test_goldens", "test_tool_arguments"),
    "labels live lookup storage": ("test_labels", "test_label_file", "test_binding"),
    "lexical terms postings added words": ("test_lexical", "test_match", "test_words", "test_labels"),
    "native plan engine weights run walk": ("test_native", "test_plan", "test_weights", "test_binding"),
    "strings utf8": ("test_strings", "test_binding"),
    "tokenizer": ("test_tokenizer", "test_texts", "test_binding"),
}
_SECONDS = 60
_BUILDS = {
    "cover": ("-DEDGEXL_COVERAGE=ON",),
    "sanitized": ("-DEDGEXL_SANITIZE=ON", "-DEDGEXL_WERROR=OFF", "-DCMAKE_C_FLAGS=-O1"),
    "plain": ("-DEDGEXL_TESTS=OFF", "-DEDGEXL_WERROR=OFF", "-DCMAKE_C_FLAGS=-O1"),
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
        """The three builds, of the sources as they are, and the bundles that they are tried with."""
        from tests.runtime import c_tests

        bundles = self.root / "build" / "bundles"
        self._make_bundles(bundles)
        options = ("-DCMAKE_BUILD_TYPE=Debug", "-DEDGEXL_TESTS=ON", f"-DEDGEXL_TEST_BUNDLES={bundles}")
        for kind, more in _BUILDS.items():
            if not (self.build(kind) / "build.ninja").exists():
                c_tests.configure(self.build(kind), *options, *more, source=self.root / RUNTIME)
            assert self.make(kind, "all"), f"the {kind} build of {self.root} fails"

    def _make_bundles(self, bundles: Path) -> None:
        sources = [self.root / "tests/runtime/tiny_bundle.py"]
        for name in ("bundle", "index", "compiler/lowering"):
            sources += sorted((self.root / "edgexl" / name).glob("*.py"))
        of, stamp = " ".join(map(hash_of, sources)), bundles / ".of"
        if not stamp.exists() or stamp.read_text() != of:
            bundles.mkdir(parents=True, exist_ok=True)
            script = "import pathlib; from tests.runtime import c_tests; c_tests.write_bundles(pathlib.Path({!r}))"
            subprocess.run(
                [sys.executable, "-c", script.format(str(bundles))], cwd=self.root, env=self.environment, check=True
            )
            stamp.write_text(of)

    def c_tests(self, kind: str) -> dict[str, list[str]]:
        """The commands of ctest's tests by name."""
        from tests.runtime.c_tests import tool

        command = [tool("ctest"), "--test-dir", str(self.build(kind)), "--show-only=json-v1"]
        shown = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        return {test["name"]: test["command"] for test in shown["tests"]}


@contextmanager
def kept_copy(root: Path, update: bool = True) -> Iterator[CScratch]:
    """The copy in build/mutants, brought up to date or as it was; one process at a time."""
    scratch = CScratch(root / "build" / "mutants")
    scratch.root.mkdir(parents=True, exist_ok=True)
    with (scratch.root / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in COPIED if update else ():
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

    from edgexl.runtime.library import find_engine_library

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
    """What each C test runs, at `place`; they are named as ctest names them."""

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
        """The file of each C test."""
        sources = self.scratch.root / RUNTIME / "tests"
        return {name: sources / f"{Path(words[0]).name}.c" for name, words in self.scratch.c_tests("cover").items()}

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
        for test in tests:
            for counts in self.scratch.build("cover").rglob("*.gcda"):
                counts.unlink()
            ran = run_c_test(commands[test], self.scratch.environment, _SECONDS)
            print(f"recorded {test}: {ran.seconds:.1f} s{', which FAILED' if ran.failed else ''}", flush=True)
            entry = {
                "test": test, "hash": hash_of(files[test]), "sources": sources, "seconds": ran.seconds,
                "failed": ran.failed, "lines": self._lines(),
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
        """The C tests, with their seconds, that run one of the lines of a source as it is now, quickest first."""
        name, found = Path(path).name, []
        for entry in self._entries:
            now = self._now(entry["sources"], path)
            near = range(lines.start - 1, lines.stop + 1)  # a call that is always inlined has no line of its own
            old = {now.get(line, 0) for line in near} - {0}
            if not entry["failed"] and not old.isdisjoint(entry["lines"].get(name, ())):
                found.append((entry["test"], entry["seconds"]))
        return sorted(found, key=lambda one: one[1])

    def _now(self, sources: str, path: str) -> dict[int, int]:
        key = (sources, path)
        if key not in self._maps:
            before = self.place / "sources" / sources / Path(path).name
            old = before.read_text().splitlines() if before.exists() else []
            new = (self.scratch.root / path).read_text().splitlines()
            same = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
            self._maps[key] = {b + i + 1: a + i + 1 for a, b, size in same for i in range(size)}
        return self._maps[key]


def pytest_tests(scratch: CScratch, path: str) -> list[str]:
    """pytest's tests of the library, those whose subject is the source at `path` first."""
    words = next((tests for names, tests in _SUBJECTS.items() if Path(path).stem.split("_")[0] in names.split()), ())
    near: list[str] = []
    far: list[str] = []
    for test in _collect(scratch):
        stem = Path(test.split("::")[0]).stem
        (near if stem in words else far).append(test)
    order = {word: place for place, word in enumerate(words)}
    return sorted(near, key=lambda test: order[Path(test.split("::")[0]).stem]) + far


@cache
def _collect(scratch: CScratch) -> list[str]:
    files = [path for name in _PYTEST for path in sorted((scratch.root / name).glob("test_*.py"))]
    names = [str(path.relative_to(scratch.root)) for path in files if path.stem not in _NOT]
    command = [sys.executable, "-m", "pytest", "-q", "--collect-only", "-p", "no:cacheprovider", *names]
    done = subprocess.run(command, cwd=scratch.root, env=scratch.environment, stdout=subprocess.PIPE, text=True)
    return [line for line in done.stdout.splitlines() if "::" in line]
