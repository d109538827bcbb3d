"""Measures a device into a target: what its system tells, and what its cores reach by the runtime's own kernels."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.files import check_output, write_text
from edgexl.base.progress import Progress, no_progress
from edgexl.device.cpus import PROBE_CPUS, Cpus, read_cpus
from edgexl.device.device import Device
from edgexl.device.emulated import CPUS, EMULATOR
from edgexl.device.levels import fold
from edgexl.device.open_device import EMULATED, open_device
from edgexl.device.probe import PROBE, SystemFacts, read_probe
from edgexl.device.target_file import write_target
from edgexl.device.tools import glibc_version
from edgexl.target import Build, Emulator, Hardware, Libc, Target, host_isa, kernel_features

# What is read to time the storage, where there is room for four of it; less than the least says nothing.
STORAGE_BYTES, LEAST_STORAGE_BYTES = 64 << 20, 4 << 20
# `exl-bench --limits` reads a quarter of what is free; less than this would be no more than a cache.
MEASURED_BYTES = 64 << 20
# Compilers build for no older glibc than this by default; programs for it run on later ones.
_BUILD_GLIBC = (2, 28)
_IN_MEMORY = ("tmpfs", "ramfs", "none", "rootfs")


@dataclass(frozen=True)
class Detected:
    """A target as it was measured, and what stands beside its facts in its file: field -> comment."""

    target: Target
    notes: dict[str, str]


def detect_to(name: str, out: Path, overwrite: bool = False, progress: Progress = no_progress) -> Target:
    """Measure the device of this name (as `open_device` takes it) and write the target, named as the file, to `out`.

    Raises `BadInput` where `out` is there and `overwrite` does not say to write over it, or the device is emulated, and
    `DeviceError` as `open_device` does.
    """
    if name.startswith(EMULATED):
        raise BadInput(f"{name} is emulated, and its speed would be this machine's; edgexl targets shows its facts.")
    check_target_file(out, overwrite)
    with open_device(name, progress) as device:
        found = detect(device, out.stem, progress)
    write_text(out, write_target(found.target, found.notes, device=name))
    return found.target


def check_target_file(out: Path, overwrite: bool) -> None:
    """Refuse what is no name for a target's file, cannot be written, or is there already."""
    if out.suffix != ".toml":
        raise BadInput(f"{out} is no name for a target's file; let it end in .toml.")
    check_output(out)
    if out.exists() and not overwrite:
        raise BadInput(f"{out} is there; give another name, or --force to write over it.")


def detect(device: Device, name: str, progress: Progress = no_progress) -> Detected:
    """What a device is, as the target `name`. Raises `DeviceError` where it does not tell, or cannot be a target."""
    progress("measure", 0, 3)
    system = read_probe(device.run_shell(PROBE))
    if system is None or system.system != "Linux":
        raise DeviceError(f"{device.facts().name} does not tell what it is; detecting takes Linux or Android.")
    cpus = read_cpus(device.run_shell(PROBE_CPUS), system.cores)
    progress("measure", 1, 3)
    if 0 < system.memory_bytes < MEASURED_BYTES:
        raise DeviceError(
            f"{device.facts().name} has {system.memory_bytes:,} bytes of memory free, and measuring takes "
            f"{MEASURED_BYTES:,}; end something that runs there."
        )
    with _storage_file(device, system) as path:
        arguments = ["--limits", "--core", str(cpus.fastest), *(("--file", path) if path else ())]
        limits = _measure_limits(device, arguments)
    progress("measure", 3, 3)
    return describe(name, system, cpus, limits)


def describe(name: str, system: SystemFacts, cpus: Cpus, limits: dict[str, Any]) -> Detected:
    """The target of what was found; `limits` as `exl-bench --limits` prints them."""
    isa, int8 = host_isa(system.machine, cpus.features)
    libc, glibc = _find_libc(system)
    memory = system.all_memory_bytes or system.memory_bytes
    hardware = Hardware(
        features=kernel_features(cpus.features),
        clusters=cpus.clusters,
        levels=fold([(each["bytes"], each["gb_per_s"]) for each in limits["read"]], cpus.caches, memory),
        kernel=limits["kernel"],
        int8_gmacs=limits["int8_gmacs"],
        f32_gmacs=limits["f32_gmacs"],
        storage_mb_per_s=limits.get("file_mb_per_s") or 0.0,
    )
    try:
        target = Target(
            name=name,
            description=_describe(system, cpus),
            isa=isa,
            cores=sum(cluster.cores for cluster in cpus.clusters),
            memory_bytes=system.memory_bytes,
            disk_bytes=system.disk_bytes,
            page_bytes=system.page_bytes,
            int8=int8,
            glibc=glibc,
            libc=libc,
            build=_choose_build(isa, libc, glibc),
            emulator=_choose_emulator(isa, cpus),
            hardware=hardware,
        )
    except ValueError as error:
        raise DeviceError(f"The device cannot be a target: {error}.") from None
    notes = {
        "memory_bytes": f"free when it was measured, of {memory:,}",
        "disk_bytes": "free in the folder for temporary files when it was measured",
        "levels": "by the caches that the system tells" if cpus.caches else "by where the rate of reading falls",
    }
    if not hardware.storage_mb_per_s:
        notes["storage_mb_per_s"] = "not known: the folder for temporary files is in memory, small, or kept in memory"
    if target.emulator and target.emulator.cpu not in {each.core.lower() for each in cpus.clusters}:
        notes["emulator"] = "of the CPUs that can be emulated, one with the same instructions"
    return Detected(target, notes)


def _measure_limits(device: Device, arguments: list[str]) -> dict[str, Any]:
    done = device.run("exl-bench", arguments)
    if done.exit_code:
        said = done.stderr.strip().splitlines() or ["it said nothing"]
        raise DeviceError(f"exl-bench measured nothing on {device.facts().name}: {said[0]}.")
    limits: dict[str, Any] = json.loads(done.stdout)
    return limits


@contextlib.contextmanager
def _storage_file(device: Device, system: SystemFacts) -> Any:
    """A file on the device's disk, written out and large enough to time; None where there can be no such."""
    size = min(STORAGE_BYTES, system.disk_bytes // 4)
    if size < LEAST_STORAGE_BYTES or system.file_system in _IN_MEMORY:
        yield None
        return
    with tempfile.NamedTemporaryFile(prefix="edgexl-", suffix=".bytes") as file:
        for _ in range(size >> 20):
            file.write(os.urandom(1 << 20))
        file.flush()
        path = device.push(Path(file.name))
        device.run_shell("sync")
        yield path


def _find_libc(system: SystemFacts) -> tuple[Libc, str]:
    """Which C library, and of glibc the version."""
    if version := glibc_version(system.libc):
        return "glibc", ".".join(map(str, version))
    said = system.libc.lower()
    return ("bionic" if "bionic" in said else "musl" if "musl" in said else ""), ""


def _choose_build(isa: str, libc: Libc, glibc: str) -> Build:
    machine = "aarch64" if isa.startswith("armv") else "x86_64"
    flags = (f"-march={isa}",) if machine == "aarch64" else ()
    if libc == "bionic":
        return Build(f"{machine}-linux-android", flags=flags, android=24)
    if libc != "glibc":
        return Build(f"{machine}-linux-musl", zig=f"{machine}-linux-musl", flags=flags)
    version = min(glibc_version(f"glibc {glibc}"), _BUILD_GLIBC)
    return Build(f"{machine}-linux-gnu", zig=f"{machine}-linux-gnu.{'.'.join(map(str, version))}", flags=flags)


def _choose_emulator(isa: str, cpus: Cpus) -> Emulator | None:
    if not isa.startswith("armv"):
        return None
    same = [each.core.lower() for each in cpus.clusters if each.one_thread and each.core.lower() in CPUS]
    return Emulator(EMULATOR, same[0] if same else "cortex-a76" if "dotprod" in isa else "cortex-a53")


def _describe(system: SystemFacts, cpus: Cpus) -> str:
    cores = " and ".join(f"{each.cores} {each.core}" for each in cpus.clusters)
    return cores if not system.cpu or system.cpu in cores else f"{system.cpu}: {cores}"
