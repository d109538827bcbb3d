"""Which tools run on a device, after looking whether any would: this machine's own, those built for a target, or
static ones, which bring their C library with them."""

from __future__ import annotations

import contextlib
import platform
from dataclasses import replace
from pathlib import Path

from edgexl.base.errors import DeviceError
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.device.local import this_machine
from edgexl.device.probe import SystemFacts
from edgexl.runtime.build import TOOLS, architecture, build_counting_bench, build_runtime, digest_of_sources
from edgexl.target import Build, Target, load_target

# What a device's tools are built for, by its machine: the plainest target of each.
_TARGETS = {"aarch64": "raspberry-pi-4", "arm64": "raspberry-pi-4", "x86_64": "x86-64-v3", "amd64": "x86-64-v3"}
LARGEST_PAGE = 16384


def tools_for(about: SystemFacts, where: str, progress: Progress = no_progress) -> Path:
    """A directory with tools that run on a device. Raises `DeviceError` where none would, or none can be built."""
    target_name = _TARGETS.get(about.machine.lower())
    if about.system != "Linux" or target_name is None:
        raise DeviceError(f"{where} is a {about.system} on {about.machine}; bundles are timed on Linux, 64 bits.")
    if about.page_bytes > LARGEST_PAGE:
        raise DeviceError(
            f"{where} has pages of {about.page_bytes:,} bytes; bundles are laid out for {LARGEST_PAGE:,}."
        )
    target = load_target(Path(target_name))
    known = glibc_version(about.libc)
    if known < glibc_version(f"glibc {target.glibc}"):
        try:
            return build_tools(link_statically(target), progress)
        except DeviceError as error:
            raise DeviceError(
                f"{where} has {about.libc or 'no glibc'}, and tools that bring a C library cannot be built: {error}"
            ) from None
    same = about.machine == platform.machine() and platform.system() == "Linux"
    here = glibc_version(" ".join(platform.libc_ver()))
    if same and here and here <= known:
        with contextlib.suppress(DeviceError):
            return this_machine().tools
    return build_tools(target, progress)


def link_statically(target: Target) -> Target:
    """`target` with programs that need no C library of the device's: musl's is linked into them, which runs on every
    Linux, Android's among them. They cannot load ONNX Runtime."""
    machine = architecture(target)
    triple = f"{machine}-linux-musl"
    flags = target.build.flags if target.build else ()
    build = Build(triple, zig=triple, flags=flags)
    return replace(target, name=f"{machine}-static", glibc="", libc="", page_bytes=LARGEST_PAGE, build=build)


def build_tools(target: Target, progress: Progress = no_progress) -> Path:
    """The tools for a target, out of the user's cache where they were built from the same sources."""
    directory = _cached(target, target.name)
    if not all((directory / tool).is_file() for tool in TOOLS):
        directory.parent.mkdir(parents=True, exist_ok=True)
        build_runtime(target, directory, progress=progress)
    return directory


def build_counting_tools(target: Target) -> Path:
    """An exl-bench that counts an emulated target's instructions, and qemu's plugin, out of the cache likewise."""
    directory = _cached(target, f"{target.name}-counting")
    if not all((directory / file).is_file() for file in ("exl-bench", "count.so")):
        build_counting_bench(target, directory)
    return directory


def _cached(target: Target, name: str) -> Path:
    """Where what is built for a target lies, of these sources."""
    digest = digest_of_sources(f"{target.isa} {target.page_bytes} {target.glibc} {target.build}")
    return cache_directory() / "tools" / f"{name}-{digest}"


def glibc_version(text: str) -> tuple[int, ...]:
    """(2, 36) of "glibc 2.36" or of "ldd (Debian GLIBC 2.36-9) 2.36"; () of another C library, and of none."""
    if "glibc" not in text.lower() and "gnu libc" not in text.lower():
        return ()
    words = [word for word in text.replace("(", " ").split() if word[:1].isdigit()]
    parts = words[-1].split(".") if words else []
    return tuple(int(part) for part in parts if part.isdigit())
