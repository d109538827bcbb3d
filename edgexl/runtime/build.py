"""Builds the runtime for a target on this machine: libedgexl.so, exl-run, exl-bench and edgexl.h in one directory.

The C sources lie in the installed package, need nothing but libc and libm, and are compiled by one command: gcc's cross
compiler where it is installed, or else Zig (PyPI's `ziglang`), which brings every C library of its targets.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.errors import DeviceError
from edgexl.progress import Progress, no_progress
from edgexl.runtime.engine import fetch_engine
from edgexl.target import Target

RUNTIME = Path(__file__).parent
HEADER = RUNTIME / "include" / "edgexl.h"
LIBRARY = "libedgexl.so"
# Tool -> its source, as in CMakeLists.txt. The tools hold the library, so that each is one file to copy.
TOOLS = {"exl-run": "exl_run.c", "exl-bench": "exl_bench.c"}
# As in CMakeLists.txt, but for -Werror: a newer compiler's new warning is no reason for a user to have no runtime.
# Without -ffp-contract=off, compilers for ARM fuse multiply and add, and the index would give other scores than on x86.
_FLAGS = ("-std=c11", "-Wall", "-Wextra", "-O3", "-ffp-contract=off", "-fvisibility=hidden")
_LIBRARIES = ("-lm", "-ldl", "-lpthread")


@dataclass(frozen=True)
class Toolchain:
    """A C compiler for a target. `command` begins every call of it."""

    name: str
    command: tuple[str, ...]


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
    """Compile the runtime for `target` into `directory`, beside what is there.

    `with_engine` puts ONNX Runtime's library for the device with it. Where anything fails, `directory` is as it was.
    Raises `DeviceError` where there is no compiler for the target or it refuses, or no engine is pinned for it.
    """
    toolchain = find_toolchain(target)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as scratch:
        staging = Path(scratch)
        _compile(toolchain, staging, progress)
        shutil.copyfile(HEADER, staging / HEADER.name)
        if with_engine:
            progress("fetch the engine", 0, 1)
            fetch_engine(architecture(target), staging)
            progress("fetch the engine", 1, 1)
        directory.mkdir(exist_ok=True)
        files = {path.name: path.stat().st_size for path in sorted(staging.iterdir())}
        for name in files:
            os.replace(staging / name, directory / name)
    return RuntimeBuild(directory, target.name, toolchain.name, files)


def architecture(target: Target) -> str:
    """The machine name that a target's instruction set belongs to: "aarch64" or "x86_64"."""
    return "aarch64" if target.isa.startswith("armv") else "x86_64"


def find_toolchain(target: Target) -> Toolchain:
    """The first compiler for `target` that is installed. Raises `DeviceError` with the way to get one."""
    build = target.build
    if build is None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise DeviceError("There is no C compiler on this machine; install gcc, or run `pip install ziglang`.")
        return Toolchain(Path(compiler).name, (compiler,))
    if gcc := shutil.which(f"{build.triple}-gcc"):
        return Toolchain(f"{build.triple}-gcc", (gcc, *build.flags))
    if not build.zig:
        raise DeviceError(f"There is no {build.triple}-gcc on this machine; install the target's own compiler.")
    if importlib.util.find_spec("ziglang") is None:
        raise DeviceError(
            f"There is no C compiler for {target.name}: run `pip install ziglang`, "
            f"or install the package gcc-{build.triple.replace('_', '-')}."
        )
    # Zig names CPUs its own way and takes no -march; the kernels choose instructions by function, at run time
    flags = tuple(flag for flag in build.flags if not flag.startswith("-march="))
    return Toolchain(f"zig cc for {build.zig}", (sys.executable, "-m", "ziglang", "cc", "-target", build.zig, *flags))


def installed_paths() -> dict[str, str]:
    """Where this machine's runtime is, for other programs to build against: each part's path.

    Raises `DeviceError` where the library or the engine is missing.
    """
    from edgexl.runtime.binding import find_engine_library, find_library

    library = Path(find_library())
    return {
        "library": str(library),
        "tools": str(library.parent),
        "header": str(HEADER),
        "sources": str(RUNTIME / "src"),
        "engine_library": str(find_engine_library()),
    }


def _compile(toolchain: Toolchain, directory: Path, progress: Progress) -> None:
    """Compile the library's sources once, then link the library and each tool out of the objects."""
    outputs = [LIBRARY, *TOOLS]
    progress("compile", 0, 1 + len(outputs))
    flags = (*_FLAGS, "-fPIC", f"-I{RUNTIME / 'include'}")
    with tempfile.TemporaryDirectory() as scratch:
        _call((*toolchain.command, *flags, "-c", *map(str, sorted((RUNTIME / "src").glob("*.c")))), scratch)
        objects = tuple(str(path) for path in sorted(Path(scratch).glob("*.o")))
        for step, name in enumerate(outputs, start=1):
            progress("compile", step, 1 + len(outputs))
            tool = (str(RUNTIME / "tools" / TOOLS[name]),) if name in TOOLS else ()
            how = () if tool else ("-shared", f"-Wl,-soname,{LIBRARY}")
            output = ("-o", str(directory.resolve() / name))
            # -s: no symbol tables, which only a debugger on this machine would read
            _call((*toolchain.command, *flags, "-s", *how, *tool, *objects, *output, *_LIBRARIES), scratch)
    progress("compile", 1 + len(outputs), 1 + len(outputs))


def _call(command: tuple[str, ...], directory: str) -> None:
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        reason = next((line for line in said if "error" in line), said[-1])
        raise DeviceError(f"{Path(command[0]).name} could not compile the runtime: {reason}")
