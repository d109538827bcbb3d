"""Builds the runtime for a device on this machine: libedgexl.so, exl-run, exl-bench and edgexl.h in one directory.

The C sources lie in the installed package, need nothing but libc and libm, and are compiled by one command: gcc's cross
compiler where it is installed, or else Zig (PyPI's `ziglang`), which brings every C library of its targets.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from edgexl.errors import DeviceError
from edgexl.runtime.engine import fetch_engine

RUNTIME = Path(__file__).parent
HEADER = RUNTIME / "include" / "edgexl.h"
LIBRARY = "libedgexl.so"
# Tool -> its source; the CMake build makes the same ones.
TOOLS = {"exl-run": "exl_run.c", "exl-bench": "exl_bench.c"}
# As in CMakeLists.txt, but for -Werror: a newer compiler's new warning is no reason for a user to have no runtime.
# Without -ffp-contract=off, compilers for ARM fuse multiply and add, and the index would give other scores than on x86.
_FLAGS = ("-std=c11", "-Wall", "-Wextra", "-O3", "-ffp-contract=off", "-fvisibility=hidden")
_LIBRARIES = ("-lm", "-ldl", "-lpthread")
# ONNX Runtime's wheels ask for this glibc as well.
_ZIG_TARGET = "{architecture}-linux-gnu.2.28"


@dataclass(frozen=True)
class Toolchain:
    """A C compiler for a device. `command` begins every call of it."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class RuntimeBuild:
    """What `build_runtime` made: `files` maps each file's name to its bytes."""

    directory: Path
    architecture: str
    toolchain: str
    files: dict[str, int]


def build_runtime(architecture: str, directory: Path, with_engine: bool = False) -> RuntimeBuild:
    """Compile the runtime for `architecture` ("aarch64", "x86_64") with Linux and glibc into `directory`.

    `with_engine` puts ONNX Runtime's library for the device beside it. The directory holds all of the files or, where
    the compiler fails, none new. Raises `DeviceError` where there is no compiler for it or it refuses.
    """
    toolchain = find_toolchain(architecture)
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as scratch:
        staging = Path(scratch)
        _compile(toolchain, staging)
        shutil.copyfile(HEADER, staging / HEADER.name)
        if with_engine:
            fetch_engine(architecture, staging)
        directory.mkdir(exist_ok=True)
        files = {path.name: path.stat().st_size for path in sorted(staging.iterdir())}
        for name in files:
            os.replace(staging / name, directory / name)
    return RuntimeBuild(directory, architecture, toolchain.name, files)


def find_toolchain(architecture: str) -> Toolchain:
    """The first compiler for `architecture` that is installed. Raises `DeviceError` with the way to get one."""
    gcc = shutil.which(f"{architecture}-linux-gnu-gcc") or (
        shutil.which("cc") if architecture == platform.machine() and sys.platform == "linux" else None
    )
    if gcc:
        return Toolchain(Path(gcc).name, (gcc,))
    if importlib.util.find_spec("ziglang"):
        target = _ZIG_TARGET.format(architecture=architecture)
        return Toolchain(f"zig cc {target}", (sys.executable, "-m", "ziglang", "cc", "-target", target))
    raise DeviceError(
        f"There is no C compiler for {architecture}: run `pip install ziglang`, "
        f"or install the package gcc-{architecture.replace('_', '-')}-linux-gnu."
    )


def _compile(toolchain: Toolchain, directory: Path) -> None:
    sources = sorted((RUNTIME / "src").glob("*.c"))
    include = f"-I{RUNTIME / 'include'}"
    # -s: no symbol tables, which only a debugger on this machine would read
    common = (*toolchain.command, *_FLAGS, "-s", include)
    library = directory / LIBRARY
    _call((*common, "-shared", "-fPIC", f"-Wl,-soname,{LIBRARY}", *map(str, sources), "-o", str(library), *_LIBRARIES))
    for tool, source in TOOLS.items():
        beside = ("-Wl,-rpath,$ORIGIN", f"-L{directory}", "-ledgexl")
        _call((*common, str(RUNTIME / "tools" / source), "-o", str(directory / tool), *beside, *_LIBRARIES))


def _call(command: tuple[str, ...]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines()[-1:]
        raise DeviceError(f"{Path(command[0]).name} failed: {errors[0] if errors else 'it said nothing'}")
