"""Devices by name, as command lines give them: `local`, `ssh://user@host[:port]`, `emulated:TARGET`."""

from __future__ import annotations

import contextlib
import hashlib
import platform
from collections.abc import Iterator
from pathlib import Path

from edgexl import __version__
from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.device.device import Device
from edgexl.device.emulated import EmulatedDevice
from edgexl.device.local import this_machine
from edgexl.device.ssh import RemoteFacts, SshDevice
from edgexl.runtime.build import RUNTIME, TOOLS, build_runtime
from edgexl.target import Target, load_target

KINDS = "local, ssh://user@host[:port], or emulated:TARGET"
EMULATED = "emulated:"
# What a device's tools are built for, by its machine: the plainest target of each.
_TARGETS = {"aarch64": "raspberry-pi-4", "arm64": "raspberry-pi-4", "x86_64": "x86-64-v3", "amd64": "x86-64-v3"}
LARGEST_PAGE = 16384


@contextlib.contextmanager
def open_device(name: str, progress: Progress = no_progress) -> Iterator[Device]:
    """The device of this name; what it needed on the way is gone afterwards. Tools for it are built once, into the
    user's cache.

    Raises `BadInput` for a name that is none, `DeviceError` where the device is not there or cannot run bundles, with
    what to do.
    """
    if name == "local":
        yield this_machine()
    elif name.startswith("ssh://"):
        with SshDevice(name) as device:
            device.tools = tools_for(device.about, str(device.address), progress)
            yield device
    elif name.startswith(EMULATED):
        target = load_target(Path(name.removeprefix(EMULATED)))
        if target.emulator is None:
            raise BadInput(f"The target {target.name} names no emulator; those that do: edgexl targets.")
        # the engine's library is for bundles that need it, and is then named by its path
        yield EmulatedDevice(target.emulator.cpu, build_tools(target, progress), Path())
    else:
        raise BadInput(f"{name!r} is no device; give {KINDS}.")


def tools_for(about: RemoteFacts, where: str, progress: Progress = no_progress) -> Path:
    """A directory with tools that run on a device, after looking whether any would."""
    target_name = _TARGETS.get(about.machine.lower())
    if about.system != "Linux" or target_name is None:
        raise DeviceError(f"{where} is a {about.system} on {about.machine}; bundles are timed on Linux, 64 bits.")
    if about.page_bytes > LARGEST_PAGE:
        raise DeviceError(
            f"{where} has pages of {about.page_bytes:,} bytes; bundles are laid out for {LARGEST_PAGE:,}."
        )
    if "musl" in about.libc.lower():
        raise DeviceError(
            f"{where} has musl for its C library, and the tools are built for glibc; build them there: "
            "edgexl runtime amalgamate."
        )
    target = load_target(Path(target_name))
    if (known := _version(about.libc)) and target.glibc and known < _version(target.glibc):
        raise DeviceError(f"{where} has {about.libc}, and the tools need {target.glibc} or a later one.")
    same = about.machine == platform.machine() and platform.system() == "Linux"
    here = tuple(platform.libc_ver())
    if same and here[0] == "glibc" and _version(here[1]) <= known:
        with contextlib.suppress(DeviceError):
            return this_machine().tools
    return build_tools(target, progress)


def build_tools(target: Target, progress: Progress = no_progress) -> Path:
    """The tools for a target, out of the user's cache where they were built from the same sources."""
    digest = hashlib.sha256(f"{__version__} {target}".encode())
    for source in sorted([*(RUNTIME / "src").iterdir(), *(RUNTIME / "tools").iterdir(), *RUNTIME.glob("include/*")]):
        digest.update(source.read_bytes())
    directory = cache_directory() / "tools" / f"{target.name}-{digest.hexdigest()[:16]}"
    if not all((directory / tool).is_file() for tool in TOOLS):
        directory.parent.mkdir(parents=True, exist_ok=True)
        build_runtime(target, directory, progress=progress)
    return directory


def _version(text: str) -> tuple[int, ...]:
    """The numbers of a version, such as those of `glibc 2.36`; none where it says none."""
    words = [word for word in text.replace("(", " ").split() if word[:1].isdigit()]
    parts = words[-1].split(".") if words else []
    return tuple(int(part) for part in parts if part.isdigit())
