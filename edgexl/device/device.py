"""What running and profiling a bundle need of a device, and nothing more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class Outcome:
    """How a tool ended on a device. `exit_code` is the tool's own; a tool killed by a signal is a `DeviceError`."""

    exit_code: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class DeviceFacts:
    """What a report says about where it was measured. `timed`: whether its clock says anything about the device."""

    name: str
    architecture: str
    cpu: str
    cores: int
    timed: bool


class Device(Protocol):
    """A place where bundles run: this machine, one that is reached from it, or an emulated CPU on it."""

    def facts(self) -> DeviceFacts:
        """What the device is."""
        ...

    def push(self, file: Path) -> str:
        """Make a file of this machine readable on the device; returns its path as the device's programs see it."""
        ...

    def run(self, tool: str, arguments: Sequence[str], stdin: str = "", timeout_s: float = 600) -> Outcome:
        """Run one of the runtime's tools (`exl-run`, `exl-bench`) with this standard input, and wait for its end.

        Raises `DeviceError` where the tool is not there, dies by a signal or does not end in `timeout_s` seconds.
        """
        ...

    def run_shell(self, script: str) -> str:
        """What a shell of the device prints for a script. Raises `DeviceError` where there is none."""
        ...
