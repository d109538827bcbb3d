"""Finds C compilers for a target: what $CC names; an Android NDK; a distribution's cross gcc; Zig (PyPI's `ziglang`),
which brings every C library of its targets, glibc's old versions among them.

The first of them need not keep what the target promises; `edgexl.runtime.build` takes the first that does.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput, DeviceError
from edgexl.runtime.elf import read_elf
from edgexl.runtime.promise import expected_machine
from edgexl.target import Build, Target

# Where Android's tools say that an NDK lies, and where they keep several.
_NDK_VARIABLES = ("ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_NDK")
_SDK_VARIABLES = ("ANDROID_HOME", "ANDROID_SDK_ROOT")
_OLDEST_ANDROID = 21  # the first of 64 bits


@dataclass(frozen=True)
class Toolchain:
    """A C compiler for a target. `command` begins every call of it; `advice`: what to do where it serves badly."""

    name: str
    command: tuple[str, ...]
    advice: str = ""


def find_toolchains(target: Target) -> list[Toolchain]:
    """The compilers for `target` that are installed, best first. Raises `DeviceError` with the way to get one."""
    if named := os.environ.get("CC", "").strip():
        chosen = _named_compiler(target, named)
        if chosen is not None:
            return [chosen]
    build = target.build
    if build is None:
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise DeviceError("There is no C compiler on this machine; install gcc, or run `pip install ziglang`.")
        return [Toolchain(Path(compiler).name, (compiler,))]
    found = list(_installed(target, build))
    if not found:
        raise DeviceError(f"There is no C compiler for {target.name}: {_advice(build)}.")
    return found


def _installed(target: Target, build: Build) -> Iterator[Toolchain]:
    if build.android:
        if clang := find_ndk_clang(build.triple, build.android):
            yield Toolchain(clang.name, (str(clang), *build.flags), _advice(build))
        return
    if gcc := shutil.which(f"{build.triple}-gcc"):
        yield Toolchain(f"{build.triple}-gcc", (gcc, *build.flags), "" if _has_zig() else "run `pip install ziglang`")
    if build.zig and _has_zig():
        # Zig names CPUs its own way and takes no -march; the kernels choose instructions by function, at run time
        command = (*zig_command(), "cc", "-target", build.zig, *_without_march(build.flags))
        yield Toolchain(f"zig cc for {build.zig}", command)


def zig_directory() -> Path:
    """Where Zig lies, with the C libraries that it links and their licences. Raises `DeviceError` where it is not
    installed."""
    found = importlib.util.find_spec("ziglang")
    if found is None or found.origin is None:
        raise DeviceError("Zig is not installed, which compiles for other machines; run `pip install ziglang`.")
    return Path(found.origin).parent


def zig_command() -> tuple[str, ...]:
    """How Zig is called: itself, for the package's module only calls it, and that hundreds of times. Raises as
    `zig_directory`."""
    return (str(zig_directory() / ("zig.exe" if sys.platform == "win32" else "zig")),)


def _has_zig() -> bool:
    return importlib.util.find_spec("ziglang") is not None


def _without_march(flags: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(flag for flag in flags if not flag.startswith("-march="))


def _advice(build: Build) -> str:
    if build.android:
        return (
            f"set ANDROID_NDK_HOME to an Android NDK (r19 or newer), put its clang on PATH, "
            f"or set CC to its {build.triple}{build.android}-clang"
        )
    gcc = f"install the package gcc-{build.triple.replace('_', '-')}"
    return f"run `pip install ziglang`, or {gcc}" if build.zig else gcc


# ---- $CC -------------------------------------------------------------------------------------------------------------


def _named_compiler(target: Target, named: str) -> Toolchain | None:
    """What $CC names, with the target's flags as far as it takes them; None where it makes code for another processor,
    as the compiler of this machine does that many environments set."""
    command = tuple(shlex.split(named))
    program = shutil.which(command[0])
    if program is None:
        raise DeviceError(f"CC is {named!r}, and there is no such program: correct it, or unset it.")
    flags = target.build.flags if target.build else ()
    for taken in dict.fromkeys((flags, _without_march(flags))):
        call = (program, *command[1:], *taken)
        if (machine := _machine_of(call)) is not None:
            if target.build is not None and machine != expected_machine(target):
                return None
            return Toolchain(named, call, "correct CC, or unset it to have a compiler chosen")
    raise DeviceError(f"CC is {named!r}, which compiles nothing: correct it, or unset it.")


def _machine_of(command: tuple[str, ...]) -> int | None:
    """ELF's number of the processor for which a compiler makes code; 0: not ELF's; None where it compiles nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        source = Path(scratch, "empty.c")
        source.write_text("int edgexl_nothing;\n")
        done = subprocess.run([*command, "-c", str(source), "-o", f"{source}.o"], capture_output=True, check=False)
        if done.returncode:
            return None
        try:
            return read_elf(Path(f"{source}.o")).machine
        except BadInput:
            return 0


# ---- Android ---------------------------------------------------------------------------------------------------------


def find_ndk_clang(triple: str, android: int) -> Path | None:
    """The NDK's clang, as its `triple` begins, for the newest Android whose API level is not above `android`."""
    for directory in _ndk_directories():
        for bin_directory in sorted(directory.glob("toolchains/llvm/prebuilt/*/bin")):
            if clang := _best_clang(triple, android, str(bin_directory)):
                return clang
    return _best_clang(triple, android, os.environ.get("PATH", os.defpath))


def _best_clang(triple: str, android: int, path: str) -> Path | None:
    for api in range(android, _OLDEST_ANDROID - 1, -1):
        if found := shutil.which(f"{triple}{api}-clang", path=path):
            return Path(found)
    return None


def _ndk_directories() -> Iterator[Path]:
    """What the environment names, then the newest of each SDK."""
    yield from (Path(os.environ[name]) for name in _NDK_VARIABLES if os.environ.get(name))
    for sdk in (Path(os.environ[name]) for name in _SDK_VARIABLES if os.environ.get(name)):
        yield from sorted((sdk / "ndk").glob("*"), key=_version, reverse=True)
        yield sdk / "ndk-bundle"


def _version(directory: Path) -> tuple[int, ...]:
    """(26, 1, 10909125) of ".../26.1.10909125"."""
    return tuple(map(int, re.findall(r"\d+", directory.name)))
