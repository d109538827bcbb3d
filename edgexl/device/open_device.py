"""Devices by name, as command lines give them: `local`, `ssh://user@host[:port]`, `adb[:SERIAL]`, `emulated:TARGET`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.device import adb
from edgexl.device.adb import AdbDevice
from edgexl.device.device import Device
from edgexl.device.emulated import EmulatedDevice
from edgexl.device.local import this_machine
from edgexl.device.ssh import SshDevice
from edgexl.device.tools import build_counting_tools, build_tools, tools_for
from edgexl.target import load_target

KINDS = "local, ssh://user@host[:port], adb[:SERIAL], or emulated:TARGET"
EMULATED = "emulated:"


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
            device.tools = tools_for(device.about, device.name, progress)
            yield device
    elif name == adb.CLIENT or name.startswith(adb.PREFIX):
        with AdbDevice(name) as phone:
            phone.tools = tools_for(phone.about, phone.name, progress)
            yield phone
    elif name.startswith(EMULATED):
        target = load_target(Path(name.removeprefix(EMULATED)))
        if target.emulator is None:
            raise BadInput(f"The target {target.name} names no emulator; those that do: edgexl targets.")
        # the engine's library is for bundles that need it, and is then named by its path
        tools = build_tools(target, progress)
        yield EmulatedDevice(target.emulator.cpu, tools, Path(), build_counting_tools(target))
    else:
        raise BadInput(f"{name!r} is no device; give {KINDS}.")
