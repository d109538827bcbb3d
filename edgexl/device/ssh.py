"""A device that is reached by SSH: `ssh://user@host[:port]`, by the OpenSSH client with its own configuration and keys.
One connection is kept open and shared."""

from __future__ import annotations

import contextlib
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput, DeviceError
from edgexl.device.device import Outcome
from edgexl.device.remote import CONNECT_S, RemoteDevice

CLIENT = ("ssh",)
# What the client ends with where it failed itself.
_FAILED = 255
_ADDRESS = re.compile(r"ssh://(?:([^@/\s]+)@)?(\[[0-9a-fA-F:.]+\]|[^:/@\s\[\]-][^:/@\s\[\]]*)(?::(\d{1,5}))?/?")


@dataclass(frozen=True)
class Address:
    """Where a device is; what is left out is the SSH configuration's."""

    host: str
    user: str | None = None
    port: int | None = None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Of `ssh://user@host[:port]`. Raises `BadInput`."""
        match = _ADDRESS.fullmatch(text)
        if match is None or (match[3] and not 0 < int(match[3]) < 65536):
            raise BadInput(f"{text!r} is no device; write ssh://user@host or ssh://user@host:port.")
        return cls(match[2].strip("[]"), match[1], int(match[3]) if match[3] else None)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ssh://{f'{self.user}@' if self.user else ''}{host}{f':{self.port}' if self.port else ''}"


class SshDevice(RemoteDevice):
    """The device at an `address`, as `RemoteDevice` says. Raises `BadInput`, too, for an address that is none."""

    def __init__(self, address: str, tools: Path | None = None, engine_library: Path | None = None) -> None:
        self.address = Address.parse(address)
        self.name = str(self.address)
        if shutil.which(CLIENT[0]) is None:
            raise DeviceError("ssh is not installed; install the OpenSSH client.")
        super().__init__(tools, engine_library)

    def close(self) -> None:
        # the client asks its own master process, whose socket lies in the folder that goes next
        self._leave()
        with contextlib.suppress(OSError):
            subprocess.run(self._words("-O", "exit"), capture_output=True, timeout=CONNECT_S, check=False)
        super().close()

    def _client(self, command: str) -> list[str]:
        return [*self._words(), f"exec sh -c {shlex.quote(command)}"]

    def _words(self, *more: str) -> list[str]:
        """The client's command line up to what is to be run."""
        options = {
            "BatchMode": "yes", "ConnectTimeout": str(CONNECT_S), "ServerAliveInterval": "5",
            "ServerAliveCountMax": "3", "ControlMaster": "auto", "ControlPath": f"{self._folder}/socket",
            "ControlPersist": "60", "LogLevel": "ERROR",
        }  # fmt: skip
        words = [*CLIENT, "-T", *(f"-o{name}={value}" for name, value in options.items())]
        if self.address.port:
            words += ["-p", str(self.address.port)]
        if self.address.user:
            words += ["-l", self.address.user]
        return [*words, *more, "--", self.address.host]

    def _failed(self, done: Outcome) -> bool:
        return done.exit_code == _FAILED
