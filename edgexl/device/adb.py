"""An Android device that is reached by adb: `adb`, or `adb:SERIAL` where several are connected, by the client of
Android's own tools. Scratch lies in /data/local/tmp, where every device lets adb's shell write and run programs.
"""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

from edgexl.base.errors import BadInput, DeviceError
from edgexl.device.device import Outcome
from edgexl.device.remote import RemoteDevice

CLIENT = "adb"
PREFIX = "adb:"
SCRATCH = "/data/local/tmp"
_SERIAL = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:\[\]%-]*")
# What the client says where it failed itself; what runs on the device never begins a line so.
_FAILED = re.compile(r"^(?:error|adb): ", re.MULTILINE)


class AdbDevice(RemoteDevice):
    """The device called `adb` or `adb:SERIAL`, as `RemoteDevice` says. Raises `BadInput`, too, for what is no name."""

    _room_advice = f"free some in {SCRATCH}"

    def __init__(self, name: str, tools: Path | None = None, engine_library: Path | None = None) -> None:
        self.serial = name.removeprefix(PREFIX) if name != CLIENT else ""
        if name != CLIENT and not _SERIAL.fullmatch(self.serial):
            raise BadInput(f"{name!r} is no device; write adb, or adb:SERIAL with one that `adb devices` lists.")
        self.name = name
        if shutil.which(CLIENT) is None:
            raise DeviceError("adb is not installed; install Android's platform tools (Debian's package adb).")
        features = self._call_client(self._words("features")).stdout.split()
        if "shell_v2" not in features:
            raise DeviceError(f"{name} tells no exit status of its programs; it needs Android 7 or newer.")
        super().__init__(tools, engine_library)

    def _copy(self, file: Path, path: str) -> Outcome:
        done = self._call_client(self._words("push", str(file.resolve()), path))
        # the client tells of files on standard output, and counts them after that
        reason = next((line for line in done.stdout.splitlines() if _FAILED.match(line)), "")
        return Outcome(done.exit_code, done.stdout, done.stderr or reason)

    def _client(self, command: str) -> list[str]:
        # -T: no terminal, which would turn line ends into two bytes
        script = f"export TMPDIR={SCRATCH}; {command}"
        return self._words("shell", "-T", f"exec sh -c {shlex.quote(script)}")

    def _words(self, *more: str) -> list[str]:
        return [CLIENT, *(("-s", self.serial) if self.serial else ()), *more]

    def _failed(self, done: Outcome) -> bool:
        return done.exit_code != 0 and _FAILED.search(done.stderr) is not None
