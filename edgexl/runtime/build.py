"""Builds the runtime for a target on this machine: libedgexl.so, its tools and edgexl.h in one directory.

The C sources lie in the installed package, need nothing but libc and libm, and are compiled by one command. What comes
out is checked against the target; where one compiler's does not serve the device, the next one is tried.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl import __version__
from edgexl.base.errors import DeviceError
from edgexl.base.files import copy_file
from edgexl.base.progress import Progress, no_progress
from edgexl.runtime.engine import fetch_engine
from edgexl.runtime.promise import find_broken_promises
from edgexl.runtime.toolchain import Toolchain, find_toolchains
from edgexl.target import Target

RUNTIME = Path(__file__).parent
HEADER = RUNTIME / "include" / "edgexl.h"
CPP_HEADER = RUNTIME / "cpp" / "edgexl.hpp"
LIBRARY = "libedgexl.so"
# Tool -> its source, as in CMakeLists.txt. The tools hold the library, so that each is one file to copy.
TOOLS = {"exl-run": "exl_run.c", "exl-bench": "exl_bench.c", "exl-serve": "exl_serve.c"}
# As in CMakeLists.txt, but for -Werror: a newer compiler's new warning is no reason for a user to have no runtime.
# Without -ffp-contract=off, compilers for ARM fuse multiply and add, and the index would give other scores than on x86.
_FLAGS = ("-std=c11", "-Wall", "-Wextra", "-O3", "-ffp-contract=off", "-fvisibility=hidden")


@dataclass(frozen=True)
class RuntimeBuild:
    """What `build_runtime` made: `files` maps each file's name to its bytes."""

    directory: Path
    target: str
    compiler: str
    files: dict[str, int]

    def as_json(self) -> dict[str, Any]:
        """The build with the keys of `runtime build --json`."""
        return {
            "directory": str(self.directory),
            "target": self.target,
            "compiler": self.compiler,
            "files_bytes": self.files,
        }


def build_runtime(
    target: Target, directory: Path, with_engine: bool = False, progress: Progress = no_progress
) -> RuntimeBuild:
    """Compile the runtime for `target` into `directory`, beside what is there, by the first compiler whose output keeps
    what the target promises.

    `with_engine` puts ONNX Runtime's library for the device with it. Where anything fails, `directory` is as it was.
    Raises `DeviceError` where no compiler for the target serves, with what to do, or no engine is pinned for it.
    """
    toolchains = find_toolchains(target)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        staging = Path(scratch)
        toolchain = _compile_by_first(toolchains, target, staging, progress)
        shutil.copyfile(HEADER, staging / HEADER.name)
        if with_engine:
            progress("fetch the engine", 0, 1)
            fetch_engine(architecture(target), staging)
            progress("fetch the engine", 1, 1)
        directory.mkdir(exist_ok=True)
        files = {path.name: path.stat().st_size for path in sorted(staging.iterdir())}
        for name in files:
            copy_file(staging / name, directory / name)
    return RuntimeBuild(directory, target.name, toolchain.name, files)


def build_counting_bench(target: Target, directory: Path) -> None:
    """Put `exl-bench` for an emulated `target` into `directory`, compiled as for the device but for its clock: a
    millisecond is a million instructions; and the plugin for qemu that counts them, `count.so`. Raises `DeviceError`
    where no compiler serves."""
    toolchain = find_toolchains(target)[0]
    flags = (*_FLAGS, "-fPIC", f"-I{RUNTIME / 'include'}")
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        sources = [*sorted((RUNTIME / "src").glob("*.c")), RUNTIME / "counting" / "clock.c"]
        renamed = {"platform": ("-Dexl__now_ms=exl__system_now_ms",)}  # clock.c has that one
        objects = compile_objects((*toolchain.command, *flags), scratch, sources, renamed)
        tool = (str(RUNTIME / "tools" / TOOLS["exl-bench"]), *map(str, objects))
        built = Path(scratch, "exl-bench")
        call_compiler((*toolchain.command, *flags, "-s", *tool, "-o", str(built), *_linker_flags(target)), scratch)
        plugin = Path(scratch, "count.so")
        shared = ("cc", "-O2", "-shared", "-fPIC")
        call_compiler((*shared, str(RUNTIME / "counting" / "plugin.c"), "-o", str(plugin)), scratch)
        for file in (plugin, built):
            copy_file(file, directory / file.name)


def compile_objects(
    command: Sequence[str], scratch: str, sources: Sequence[Path] = (), own: Mapping[str, tuple[str, ...]] | None = None
) -> list[Path]:
    """Compile `sources`, by default the library's, by a compiler's `command` with its flags, side by side; gives the
    objects in `scratch`, one a source. `own`: more flags for a source, by its name. Raises `DeviceError`."""
    sources = sources or sorted((RUNTIME / "src").glob("*.c"))
    objects = [Path(scratch, f"{source.stem}.o") for source in sources]
    # a call for each, for Zig makes one object of all that are in a call, and checks of instructions go by sources
    calls = [
        (*command, *(own or {}).get(source.stem, ()), "-c", str(source), "-o", str(built))
        for source, built in zip(sources, objects, strict=True)
    ]
    _call_all(calls, scratch)
    return objects


def optimization_of_sources() -> dict[str, tuple[str, ...]]:
    """-O3 for a source where the time goes, -Os where it does not, by its name; out of CMakeLists.txt."""
    text = (RUNTIME / "CMakeLists.txt").read_text(encoding="utf-8")
    listed = {name: re.findall(rf"set\(EXL_{name} (.*)\)", text)[0].split() for name in ("HOT", "COLD")}
    return {stem: (flag,) for name, flag in (("HOT", "-O3"), ("COLD", "-Os")) for stem in listed[name]}


def digest_of_sources(facts: str) -> str:
    """A name, of 16 characters, for what is built of these sources under these `facts`."""
    digest = hashlib.sha256(f"{__version__} {facts}".encode())
    folders = ("src", "tools", "include", "counting")
    for source in sorted(file for folder in folders for file in (RUNTIME / folder).iterdir()):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def architecture(target: Target) -> str:
    """The machine name that a target's instruction set belongs to: "aarch64" or "x86_64"."""
    return "aarch64" if target.isa.startswith("armv") else "x86_64"


def installed_paths() -> dict[str, str]:
    """Where this machine's runtime is, for other programs to build against: each part's path.

    Raises `DeviceError` where the library or the engine is missing.
    """
    from edgexl.runtime.library import find_engine_library, find_library

    library = Path(find_library())
    return {
        "library": str(library),
        "tools": str(library.parent),
        "header": str(HEADER),
        "sources": str(RUNTIME / "src"),
        "engine_library": str(find_engine_library()),
    }


def _compile_by_first(
    toolchains: Sequence[Toolchain], target: Target, directory: Path, progress: Progress
) -> Toolchain:
    """The first of `toolchains` whose library and tools, which then lie in `directory`, keep the target's promises."""
    refusals = []
    for toolchain in toolchains:
        try:
            broken = _compile(toolchain, target, directory, progress)
        except DeviceError as error:
            refusals.append(str(error).rstrip("."))
            continue
        if not broken:
            return toolchain
        refusals.append(f"What {toolchain.name} builds does not serve {target.name}: {broken[0]}")
    raise DeviceError("; ".join(filter(None, (*refusals, toolchains[-1].advice))) + ".")


def _compile(toolchain: Toolchain, target: Target, directory: Path, progress: Progress) -> list[str]:
    """Compile the library's sources once, then link the library and each tool out of the objects; which of the
    target's promises they break."""
    outputs = [LIBRARY, *TOOLS]
    progress("compile", 0, 1 + len(outputs))
    flags = (*_FLAGS, "-fPIC", f"-I{RUNTIME / 'include'}")
    linked = _linker_flags(target)
    with tempfile.TemporaryDirectory() as scratch:
        objects = compile_objects((*toolchain.command, *flags), scratch)
        for step, name in enumerate(outputs, start=1):
            progress("compile", step, 1 + len(outputs))
            tool = (str(RUNTIME / "tools" / TOOLS[name]),) if name in TOOLS else ()
            how = () if tool else ("-shared", f"-Wl,-soname,{LIBRARY}")
            output = ("-o", str(directory.resolve() / name))
            # -s: no symbol tables, which only a debugger on this machine would read
            call_compiler(
                (*toolchain.command, *flags, "-s", *how, *tool, *map(str, objects), *output, *linked), scratch
            )
        progress("compile", 1 + len(outputs), 1 + len(outputs))
        if target.build is None:  # for this machine, by its own compiler
            return []
        return find_broken_promises(target, [directory / name for name in outputs], objects)


def _linker_flags(target: Target) -> tuple[str, ...]:
    # pages of 4096 bytes are every linker's least; a larger number would only make files larger
    pages = (f"-Wl,-z,max-page-size={target.page_bytes}",) if target.page_bytes > 4096 else ()
    threads = () if target.build and target.build.android else ("-lpthread",)  # a part of Android's libc
    return (*pages, "-lm", "-ldl", *threads)


def _call_all(commands: Sequence[tuple[str, ...]], directory: str) -> None:
    """Run commands side by side. After an error or an interrupt none of them runs on."""
    started: list[subprocess.Popen[str]] = []
    stopped = threading.Event()

    def note(process: subprocess.Popen[str]) -> None:
        started.append(process)
        if stopped.is_set():  # too late for the loop below
            process.kill()

    pool = ThreadPoolExecutor(os.cpu_count())
    try:
        for done in as_completed([pool.submit(call_compiler, command, directory, note) for command in commands]):
            done.result()
    except BaseException:
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)
        for process in started:
            process.kill()
        raise
    finally:
        pool.shutdown()


def call_compiler(
    command: tuple[str, ...], directory: str, note: Callable[[subprocess.Popen[str]], None] = lambda _process: None
) -> str:
    """Run a compiler in `directory`; `note` is told of its process. What it says there. Raises `DeviceError` with its
    first error."""
    where = subprocess.PIPE
    with subprocess.Popen(command, cwd=directory, stdout=where, stderr=where, text=True, errors="replace") as process:
        note(process)
        try:
            _, errors = process.communicate()
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        said = errors.strip().splitlines() or ["it said nothing"]
        reason = next((line for line in said if "error" in line), said[-1])
        raise DeviceError(f"{Path(command[0]).name} could not compile the runtime: {reason}")
    return errors
