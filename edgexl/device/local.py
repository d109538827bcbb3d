"""This machine as a device: the tools built for it, run as they are."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import DeviceError
from edgexl.device.device import DeviceFacts, Outcome
from edgexl.device.process import run_process


@dataclass(frozen=True)
class LocalDevice:
    """`tools`: the directory with exl-run and exl-bench. `engine_library`: ONNX Runtime's, for bundles that need it."""

    tools: Path
    engine_library: Path | None

    def facts(self) -> DeviceFacts:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return DeviceFacts("host", platform.machine(), cpu_model(), cores, timed=True)

    def push(self, file: Path) -> str:
        return str(file)

    def run(self, tool: str, arguments: Sequence[str], stdin: str = "", timeout_s: float = 600) -> Outcome:
        path = self.tools / tool
        if not path.is_file():
            raise DeviceError(f"{path} is not there; build the tools with `make lib` or `edgexl runtime build`.")
        known = {"EDGEXL_ORT_LIBRARY": str(self.engine_library)} if self.engine_library else {}
        return run_process([str(path), *arguments], stdin, timeout_s, known)

    def run_shell(self, script: str) -> str:
        return run_process(["sh", "-c", script], "", 600, {}).stdout


def this_machine() -> LocalDevice:
    """This machine with the tools and the engine that the package finds. Raises `DeviceError` without the tools."""
    from edgexl.runtime.library import engine_library_if_any, find_library

    return LocalDevice(Path(find_library()).parent, engine_library_if_any())


def cpu_model() -> str:
    """The processor's name as Linux tells it, or as Python does elsewhere."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
