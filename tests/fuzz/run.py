"""Builds the fuzz targets (`edgexl/runtime/fuzz`) and runs them, one after the other."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.fetch import cache_directory
from tests.fuzz.seeds import ROOT, SEEDS, write_seeds
from tests.runtime import c_tests

STORED = ROOT / "tests" / "fuzz" / "corpus"
BUILT = ROOT / "build" / "fuzz"
TARGETS = tuple(SEEDS)
LONGEST_SECONDS, MOST_MEGABYTES, MOST_INPUT_BYTES = 20, 2048, 1 << 18


@dataclass(frozen=True)
class Outcome:
    """What a target did: `edges` of `all_edges` were reached; `fault` is what a sanitizer said, or null."""

    target: str
    executions: int
    seconds: int
    edges: int
    all_edges: int
    inputs: int
    fault: str | None


def has_clang() -> bool:
    """Whether there is a clang that brings libFuzzer."""
    clang = shutil.which("clang")
    if clang is None:
        return False
    named = subprocess.run([clang, "-print-runtime-dir"], capture_output=True, text=True, check=False).stdout.strip()
    return any(Path(named).glob("libclang_rt.fuzzer*")) or any(Path(named).parent.glob("*/libclang_rt.fuzzer*"))


def build() -> Path:
    """Build all targets and write their seeds; gives the directory of the targets."""
    BUILT.mkdir(parents=True, exist_ok=True)
    with (BUILT / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        compiler = f"-DCMAKE_C_COMPILER={shutil.which('clang')}"
        c_tests.configure(BUILT, "-DCMAKE_BUILD_TYPE=Debug", "-DEDGEXL_FUZZ=ON", "-DEDGEXL_TOOLS=OFF", compiler)
        subprocess.run([c_tests.tool("cmake"), "--build", str(BUILT)], check=True, stdout=subprocess.DEVNULL)
        write_seeds(BUILT / "fuzz")
    return BUILT / "fuzz"


def run(target: str, seconds: int, corpus: Path, directory: Path) -> Outcome:
    """Run one target of `directory` for so long, from its seeds, what is stored, and the `corpus`, which grows. An
    input that it fails on is left in `corpus`'s parent."""
    corpus.mkdir(parents=True, exist_ok=True)
    folders = [corpus, directory / "seeds" / target, *filter(Path.is_dir, [STORED / target])]
    words = ROOT / "tests" / "fuzz" / "dictionaries" / f"{target}.dict"
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={LONGEST_SECONDS}",
        f"-rss_limit_mb={MOST_MEGABYTES}",
        f"-max_len={MOST_INPUT_BYTES}",
        f"-artifact_prefix={corpus.parent}/{target}-",
        "-print_final_stats=1",
        *([f"-dict={words}"] if words.is_file() else []),
    ]
    sanitizers = {"ASAN_OPTIONS": "allocator_may_return_null=1", "UBSAN_OPTIONS": "print_stacktrace=1"}
    done = subprocess.run(
        [directory / f"fuzz_{target}", *options, *folders],
        env={**os.environ, **sanitizers}, capture_output=True, text=True, errors="replace", check=False,
    )  # fmt: skip
    said = done.stderr
    if done.returncode != 0 and "stat::number_of_executed_units" not in said:
        raise RuntimeError(f"fuzz_{target} does not run: {said[-2000:]}")
    counts = re.findall(r"cov: (\d+) ft: \d+ corp: (\d+)/", said) or [("0", "0")]
    return Outcome(
        target,
        int(re.findall(r"stat::number_of_executed_units: (\d+)", said)[-1]),
        seconds,
        int(counts[-1][0]),
        int(re.findall(r"\((\d+) inline 8-bit counters\)", said)[0]),
        int(counts[-1][1]),
        said[-6000:] if done.returncode != 0 else None,
    )


def minimise(target: str, corpus: Path, directory: Path) -> None:
    """Keep of the corpus what reaches all of its edges."""
    small = corpus.with_name(corpus.name + ".new")
    shutil.rmtree(small, ignore_errors=True)
    small.mkdir()
    command = [directory / f"fuzz_{target}", "-merge=1", f"-max_len={MOST_INPUT_BYTES}", small, corpus]
    subprocess.run(command, capture_output=True, check=True)
    shutil.rmtree(corpus)
    small.rename(corpus)


def kept_corpus(target: str) -> Path:
    """Where a target's corpus is kept between runs: in the user's cache."""
    return cache_directory() / "fuzz" / target
