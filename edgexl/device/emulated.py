"""An ARM CPU emulated by qemu's user mode: whether the device's own build gives the right answers, never how fast.

ONNX Runtime picks its kernels by what /proc/cpuinfo says, and crashes at start where that is x86's. So the emulator
gets a root directory of its own, which holds the cross compiler's libraries and a proc/cpuinfo that matches the
emulated CPU (one that claims features which the CPU lacks ends in an illegal instruction).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgexl.base.directories import write_directory
from edgexl.base.errors import DeviceError
from edgexl.base.fetch import cache_directory
from edgexl.device.device import DeviceFacts, Outcome
from edgexl.device.process import run_process

EMULATOR = "qemu-aarch64"
# Where Debian's and Ubuntu's cross packages put the device's C library; $EDGEXL_SYSROOT names another such directory.
DEBIAN_SYSROOT = Path("/usr/aarch64-linux-gnu")
_NEEDED_LIBRARIES = ("ld-linux-aarch64.so.1", "libc.so.6", "libstdc++.so.6", "libgcc_s.so.1")
# What the plugin says at the end.
_COUNTED = re.compile(r"^instructions \d+\n", re.M)
_ARMV8_0 = "fp asimd evtstrm aes pmull sha1 sha2 crc32 cpuid"
_ARMV8_2_DOTPROD = "fp asimd evtstrm aes pmull sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp"


@dataclass(frozen=True)
class Cpu:
    """What Linux's cpuinfo says of a CPU by Arm (implementer 0x41), and how many cores the boards have that use it."""

    part: str
    variant: str
    revision: str
    features: str
    cores: int = 4


# The CPUs on which ONNX Runtime's integer kernels were seen to give x86's numbers. Not `max`: qemu 7.2's SME is wrong.
CPUS = {
    "cortex-a53": Cpu("0xd03", "0x0", "4", _ARMV8_0),
    "cortex-a72": Cpu("0xd08", "0x0", "3", _ARMV8_0),
    "cortex-a76": Cpu("0xd0b", "0x4", "1", _ARMV8_2_DOTPROD),
}


@dataclass(frozen=True)
class EmulatedDevice:
    """`cpu`: a key of `CPUS`; `tools`: a directory made by `edgexl runtime build`; `engine_library`: the device's own.
    `counting`: a directory made by `build_counting_bench`, whose exl-bench runs in the place of the other one: what it
    calls a millisecond is a million instructions.

    Raises `DeviceError`, naming what to install, where the emulator or the device's C library is not on this machine.
    """

    cpu: str
    tools: Path
    engine_library: Path
    counting: Path | None = None

    def __post_init__(self) -> None:
        reason = why_not(self.cpu)
        if reason:
            raise DeviceError(reason)

    def facts(self) -> DeviceFacts:
        return DeviceFacts(f"{self.cpu} (emulated)", "aarch64", self.cpu, CPUS[self.cpu].cores, timed=False)

    def push(self, file: Path) -> str:
        # an emulated program sees this machine's files, except those that the root directory has too
        return str(file.resolve())

    def run(self, tool: str, arguments: Sequence[str], stdin: str = "", timeout_s: float = 600) -> Outcome:
        if self.counting is not None and tool == "exl-bench":
            return self._count(self.counting, arguments, stdin, timeout_s)
        path = self.tools / tool
        if not path.is_file():
            raise DeviceError(f"{path} is not there; make it with `edgexl runtime build`.")
        known = {"EDGEXL_ORT_LIBRARY": str(self.engine_library)}
        return run_process([*self._emulator(), str(path), *arguments], stdin, timeout_s, known)

    def _emulator(self) -> list[str]:
        return [EMULATOR, "-cpu", self.cpu, "-L", str(emulator_root(self.cpu))]

    def _count(self, counting: Path, arguments: Sequence[str], stdin: str, timeout_s: float) -> Outcome:
        with tempfile.NamedTemporaryFile(prefix="edgexl-count-") as counter:
            counter.write(bytes(8))
            counter.flush()
            plugin = f"{counting / 'count.so'},into={counter.name}"
            command = [*self._emulator(), "-plugin", plugin, str(counting / "exl-bench"), *arguments]
            known = {"EDGEXL_ORT_LIBRARY": str(self.engine_library), "EDGEXL_INSTRUCTIONS": counter.name}
            done = run_process(command, stdin, timeout_s, known)
        return replace(done, stderr=_COUNTED.sub("", done.stderr))

    def run_shell(self, script: str) -> str:
        raise DeviceError(f"{self.cpu} is emulated and has no shell; its facts are those of the target.")


def why_not(cpu: str) -> str:
    """Why `cpu` cannot be emulated on this machine and what to install; empty where it can be."""
    if cpu not in CPUS:
        return f"The CPU {cpu!r} is not known to the emulated device; known are {', '.join(CPUS)}."
    if shutil.which(EMULATOR) is None:
        return f"{EMULATOR} is not installed; install the package qemu-user."
    missing = [name for name in _NEEDED_LIBRARIES if not (_sysroot() / "lib" / name).exists()]
    if missing:
        return (
            f"{_sysroot()}/lib has no {', '.join(missing)}; install the packages libc6-dev-arm64-cross, "
            "libstdc++6-arm64-cross and libgcc-s1-arm64-cross, or name an aarch64 root in $EDGEXL_SYSROOT."
        )
    return ""


def emulator_root(cpu: str) -> Path:
    """The directory that programs on the emulated `cpu` take for `/`: libraries and proc/cpuinfo. Made once, cached."""
    root = cache_directory() / "emulated" / cpu
    if not _is_current(root, cpu):
        with write_directory(root, ("proc", "lib")) as staging:
            (staging / "proc").mkdir()
            (staging / "proc" / "cpuinfo").write_text(_cpuinfo(cpu), encoding="ascii")
            (staging / "lib").symlink_to(_sysroot() / "lib")
    return root


def _is_current(root: Path, cpu: str) -> bool:
    try:
        written = (root / "proc" / "cpuinfo").read_text(encoding="ascii")
        return written == _cpuinfo(cpu) and (root / "lib").readlink() == _sysroot() / "lib"
    except OSError:
        return False


def _sysroot() -> Path:
    return Path(os.environ.get("EDGEXL_SYSROOT") or DEBIAN_SYSROOT)


def _cpuinfo(name: str) -> str:
    cpu = CPUS[name]
    return "".join(
        f"processor\t: {core}\nBogoMIPS\t: 108.00\nFeatures\t: {cpu.features}\nCPU implementer\t: 0x41\n"
        f"CPU architecture: 8\nCPU variant\t: {cpu.variant}\nCPU part\t: {cpu.part}\nCPU revision\t: {cpu.revision}\n\n"
        for core in range(cpu.cores)
    )
