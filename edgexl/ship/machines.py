"""The runtime compiled for a machine: a processor, its operating system and its C library. By Zig, which brings the C
libraries of all of them, so that one machine builds for every other, and two runs give the same bytes."""

from __future__ import annotations

import hashlib
import importlib.metadata
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from edgexl import __version__
from edgexl.base.errors import DeviceError
from edgexl.base.fetch import cache_directory
from edgexl.base.files import copy_file
from edgexl.base.progress import Progress, no_progress
from edgexl.runtime.build import (
    RUNTIME,
    TOOLS,
    call_compiler,
    compile_objects,
    digest_of_sources,
    optimization_of_sources,
)
from edgexl.runtime.toolchain import zig_command

MAJOR = __version__.partition(".")[0]
# Kernels of 16 KiB pages are on phones and on the Raspberry Pi 5; the linkers' own choice is 4 KiB on some processors.
PAGE_BYTES = 16384
STATIC = "libedgexl.a"
# -g0: Zig's own choice is to keep debug information, with paths of this machine in it
_FLAGS = ("-std=c11", "-O2", "-DNDEBUG", "-ffp-contract=off", "-fvisibility=hidden", "-fPIC", "-ffunction-sections",
          "-fdata-sections", "-fno-asynchronous-unwind-tables", "-fno-unwind-tables", "-fno-ident", "-g0")  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """`zig`: its name for it; `wheel`: the platform tag of Python packages for it."""

    name: str
    system: Literal["linux", "macos", "windows"]
    libc: Literal["glibc", "musl", "system"]
    zig: str
    wheel: str

    @property
    def shared(self) -> str:
        """The shared library's file name."""
        if self.system == "windows":
            return "edgexl.dll"
        return f"libedgexl.{__version__}.dylib" if self.system == "macos" else f"libedgexl.so.{__version__}"

    @property
    def soname(self) -> str:
        """The name by which programs ask for it."""
        if self.system == "windows":
            return self.shared
        return f"libedgexl.{MAJOR}.dylib" if self.system == "macos" else f"libedgexl.so.{MAJOR}"


MACHINES = {
    machine.name: machine
    for machine in (
        Machine("linux-x86-64", "linux", "glibc", "x86_64-linux-gnu.2.28", "manylinux_2_28_x86_64"),
        Machine("linux-arm64", "linux", "glibc", "aarch64-linux-gnu.2.28", "manylinux_2_28_aarch64"),
        Machine("linux-armhf", "linux", "glibc", "arm-linux-gnueabihf.2.28", "manylinux_2_28_armv7l"),
        Machine("linux-x86-64-musl", "linux", "musl", "x86_64-linux-musl", "musllinux_1_2_x86_64"),
        Machine("linux-arm64-musl", "linux", "musl", "aarch64-linux-musl", "musllinux_1_2_aarch64"),
        Machine("linux-armhf-musl", "linux", "musl", "arm-linux-musleabihf", "musllinux_1_2_armv7l"),
        Machine("macos-arm64", "macos", "system", "aarch64-macos.11.0", "macosx_11_0_arm64"),
        Machine("macos-x86-64", "macos", "system", "x86_64-macos.11.0", "macosx_11_0_x86_64"),
        Machine("windows-x86-64", "windows", "system", "x86_64-windows-gnu", "win_amd64"),
    )
}


# Platforms that are packed side by side want the same machines.
_BUILDING = {name: threading.Lock() for name in MACHINES}


def build_library(machine: Machine, progress: Progress = no_progress) -> dict[str, bytes]:
    """The shared and the static library for a machine, by their file names. Raises `DeviceError` without Zig."""
    return _built(machine, (machine.shared, STATIC), progress)


def build_tools(machine: Machine, progress: Progress = no_progress) -> dict[str, bytes]:
    """The tools for a Linux machine with musl, by their names: programs that need no C library of the system's; for
    Windows `exl-run.exe` alone."""
    if not (tools := _tools(machine)):
        raise ValueError(f"tools are linked with musl, not for {machine.name}")
    return _built(machine, tuple(tools), progress)


def _tools(machine: Machine) -> dict[str, str]:
    """The tools' files for a machine, with their sources."""
    if machine.system == "windows":
        return {"exl-run.exe": TOOLS["exl-run"]}
    return TOOLS if machine.libc == "musl" else {}


def link_objects(machine: Machine, sources: Mapping[str, Path | None]) -> dict[str, bytes]:
    """The library's objects linked for a Linux machine with a source each, or alone: a shared library where a name ends
    in .so, else a program. Raises `DeviceError` without Zig."""
    flags = (*zig_command(), "cc", "-target", machine.zig, *_FLAGS, f"-I{RUNTIME / 'include'}")
    with tempfile.TemporaryDirectory() as scratch:
        objects = tuple(path.name for path in compile_objects(flags, scratch, own=optimization_of_sources()))
        for name, source in sources.items():
            how = ("-shared", f"-Wl,-soname,{name}") if name.endswith(".so") else ()
            linked = (*([str(source)] if source else []), *objects, *_libraries(machine), "-o", name)
            call_compiler(
                (*flags, "-s", *how, "-Wl,--gc-sections", "-Wl,-z,relro,-z,now", *_pages(machine), *linked), scratch
            )
        return {name: Path(scratch, name).read_bytes() for name in sources}


def build_jni(
    machine: Machine, name: str, source: Path, flags: Sequence[str], progress: Progress = no_progress
) -> bytes:
    """A shared library of `source` and the runtime, which exports what `source` does. `name`: its file's; `flags`: more
    for the source. Raises `DeviceError` without Zig."""
    own = (*zig_command(), "cc", "-target", machine.zig, *_FLAGS, f"-I{RUNTIME / 'include'}", "-DEXL_API=")
    optimization = optimization_of_sources()
    zig = importlib.metadata.version("ziglang")
    key = digest_of_sources(f"{machine} {_FLAGS} {optimization} {zig} hidden")
    archive = cache_directory() / "ship" / f"{machine.name}-hidden-{key}" / STATIC
    with tempfile.TemporaryDirectory() as scratch:
        if not archive.is_file():
            progress(f"compile for {machine.name}", 0, 1)
            archive.parent.mkdir(parents=True, exist_ok=True)
            objects = tuple(path.name for path in compile_objects(own, scratch, own=optimization))
            call_compiler((*zig_command(), "ar", "rcsD", STATIC, *objects), scratch)
            copy_file(Path(scratch, STATIC), archive)
            progress(f"compile for {machine.name}", 1, 1)
        strict = ("-Wall", "-Wextra", "-Wconversion", "-Werror", *flags)
        (compiled,) = compile_objects((*own, *strict), scratch, (source,))
        _link(machine, own, (str(compiled), str(archive)), name, scratch)
        return Path(scratch, name).read_bytes()


# As WebAssembly has them: a look-up of bytes, its number padded by a byte, and the relaxed one, as long.
LOOK_UP, RELAXED_LOOK_UP = b"\xfd\x8e\x00", b"\xfd\x80\x02"
# A page's reader waits for each byte: -O3 where the time goes, -Oz elsewhere, and for these, which only call that.
_COLD_ON_THE_WEB = ("rescore", "run", "terms", "walk")


def build_wasm(progress: Progress = no_progress) -> bytes:
    """The runtime with `web/module.c` as one WebAssembly module with SIMD, which imports a clock and nothing else.

    Where the scan looks nibbles up, `LOOK_UP` stands as long as `RELAXED_LOOK_UP`, and nowhere else: `web/edgexl.js`
    puts this in its place where an engine takes it."""
    module = Path(__file__).parent / "web" / "module.c"
    hot = {stem: flags for stem, flags in optimization_of_sources().items() if flags == ("-O3",)}
    own: dict[str, tuple[str, ...]] = {stem: flags for stem, flags in hot.items() if stem not in _COLD_ON_THE_WEB}
    own["scan_wasm"] = (*own["scan_wasm"], "-mrelaxed-simd")
    flags = (*zig_command(), "cc", "-target", "wasm32-wasi", "-mexec-model=reactor", "-msimd128", "-DEXL_BARE")
    flags = (*flags, *(flag for flag in _FLAGS if flag not in ("-O2", "-fPIC")), "-Oz")
    how = Path(__file__).read_bytes() + module.read_bytes()
    facts = f"{flags} {own} {importlib.metadata.version('ziglang')}".encode() + how
    built = cache_directory() / "ship" / f"web-{digest_of_sources(hashlib.sha256(facts).hexdigest())}" / "edgexl.wasm"
    if not built.is_file():
        progress("compile for the web", 0, 1)
        built.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as scratch:
            flags = (*flags, f"-I{RUNTIME / 'include'}")
            sources = [*sorted((RUNTIME / "src").glob("*.c")), module]
            objects = compile_objects(flags, scratch, sources, own)
            linked = Path(scratch, built.name)
            _link_wasm((*flags, "-s", "-Wl,--gc-sections", "-Wl,--no-entry"), objects, linked)
            look_ups = Path(scratch, "scan_wasm.o").read_bytes().count(RELAXED_LOOK_UP)
            linked.write_bytes(_unrelax(linked.read_bytes(), look_ups))
            copy_file(linked, built)
        progress("compile for the web", 1, 1)
    return built.read_bytes()


def _link_wasm(command: Sequence[str], objects: Sequence[Path], linked: Path) -> None:
    """Link objects beside `linked`; then again as Zig says that it did, with all references in as few bytes as they
    take, which is 8 KB and for which Zig has no flag."""
    scratch, names = str(linked.parent), [path.name for path in objects]
    said = call_compiler((*command, "-v", *names, "-o", linked.name), scratch)
    linker = [line.split() for line in said.splitlines() if line.startswith("wasm-ld ")]
    if not linker:
        raise DeviceError("Zig does not say how it links: install another ziglang")
    call_compiler((*zig_command(), "wasm-ld", "--compress-relocations", *linker[-1][1:]), scratch)


def _unrelax(module: bytes, look_ups: int) -> bytes:
    """A module whose relaxed look-ups, so many, are plain ones."""
    if module.count(RELAXED_LOOK_UP) != look_ups or look_ups == 0 or LOOK_UP in module:
        raise DeviceError("the module's look-ups cannot be told from its other bytes: install another ziglang")
    return module.replace(RELAXED_LOOK_UP, LOOK_UP)


def _build(machine: Machine, progress: Progress) -> Path:
    """A directory with all that there is for a machine, out of the user's cache where it was built of these sources."""
    flags = (*zig_command(), "cc", "-target", machine.zig, *_FLAGS)
    optimization = optimization_of_sources()
    zig = importlib.metadata.version("ziglang")
    key = digest_of_sources(f"{machine} {_FLAGS} {link_flags(machine)} {optimization} {zig} {PAGE_BYTES}")
    directory = cache_directory() / "ship" / f"{machine.name}-{key}"
    names = (machine.shared, STATIC, *_tools(machine))
    if all((directory / name).is_file() for name in names):
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    progress(f"compile for {machine.name}", 0, 1 + len(names))
    with tempfile.TemporaryDirectory() as scratch:
        flags = (*flags, f"-I{RUNTIME / 'include'}")
        objects = tuple(path.name for path in compile_objects(flags, scratch, own=optimization))
        for step, name in enumerate(names, start=1):
            progress(f"compile for {machine.name}", step, 1 + len(names))
            if name == STATIC:
                call_compiler((*zig_command(), "ar", "rcsD", name, *objects), scratch)
            else:
                _link(machine, flags, objects, name, scratch)
            copy_file(Path(scratch, name), directory / name)
    progress(f"compile for {machine.name}", 1 + len(names), 1 + len(names))
    return directory


def _link(machine: Machine, flags: Sequence[str], objects: Sequence[str], name: str, scratch: str) -> None:
    """Link what lies in `scratch` to a shared library or a tool of this name there. `flags`: how it was compiled."""
    how = (*link_flags(machine, flags), *_how(machine, name), *objects, *_libraries(machine), "-o", name)
    call_compiler(how, scratch)


def link_flags(machine: Machine, flags: Sequence[str] = _FLAGS) -> tuple[str, ...]:
    """Of `flags` by which sources are compiled for a machine, those for the linker: Zig compiles Windows' C library by
    what that is told, and it needs its tables. It compiles the library once for all that is linked by the same."""
    return tuple(flag for flag in flags if "unwind-tables" not in flag or machine.system != "windows")


def _built(machine: Machine, names: tuple[str, ...], progress: Progress) -> dict[str, bytes]:
    with _BUILDING[machine.name]:
        directory = _build(machine, progress)
    return {name: (directory / name).read_bytes() for name in names}


def _how(machine: Machine, name: str) -> tuple[str, ...]:
    """What the linker makes of the objects."""
    if source := _tools(machine).get(name):
        static = () if machine.system == "windows" else ("-static",)
        return ("-s", *static, str(RUNTIME / "tools" / source), "-Wl,--gc-sections", *_pages(machine))
    if machine.system == "windows":  # no time, and no path of a file of symbols
        return ("-shared", "-s", "-Wl,--gc-sections")
    if machine.system == "macos":
        return ("-shared", "-s", f"-Wl,-install_name,@rpath/{machine.soname if name == machine.shared else name}")
    return (
        "-shared",
        "-s",
        f"-Wl,-soname,{machine.soname if name == machine.shared else name}",
        "-Wl,--gc-sections",
        "-Wl,-z,relro,-z,now",
        *_pages(machine),
    )


def _pages(machine: Machine) -> tuple[str, ...]:
    return () if "armhf" in machine.name or machine.system == "windows" else (f"-Wl,-z,max-page-size={PAGE_BYTES}",)


def _libraries(machine: Machine) -> tuple[str, ...]:
    if machine.system == "windows":
        return ("-lshell32",)
    return () if machine.system == "macos" else ("-lm", "-ldl", "-lpthread")
