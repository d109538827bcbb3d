"""Targets: the facts about a device that a compiler needs, as one TOML file.

The instruction set decides how int8 is done, memory and disk limit the bundle, and the rest tells how to build for the
device and how to try it without one. The target `host` is this machine: its facts are read when it is used.
"""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from edgexl.base import toml
from edgexl.base.shipped import find_toml, shipped_files

# What runs the graphs on the device. "auto" leaves it to the target; left to nobody, it is the native engine where
# that covers both graphs and neither stays in fp32, at which ONNX Runtime is the faster one.
Engine = Literal["auto", "native", "ort"]
Isa = Literal["host", "x86-64-v3", "x86-64-v4", "x86-64-v4-vnni", "armv8-a", "armv8.2-a+dotprod"]


@dataclass(frozen=True)
class Int8:
    """How 8-bit matrix products are done. `preset` names the CPU's instructions for readers of the manifest.

    x86 without VNNI adds two products of unsigned and signed bytes in 16 bits, which saturates (onnxruntime#14642).
    There, `weights` are uint8, whose kernels add in 32 bits: the same numbers as on every other CPU, at about three
    quarters of the speed. `reduce_range` keeps int8 weights to 7 bits instead, which cannot saturate: fast, less exact.
    """

    preset: Literal["avx2", "avx512", "avx512_vnni", "arm64"]
    weights: Literal["int8", "uint8"]
    reduce_range: bool = False


@dataclass(frozen=True)
class Build:
    """How C is compiled for the device: `triple` of the cross compiler, `zig` target (if it has one), `flags`.

    `android`: the oldest API level, where an NDK compiles; 0 where none does.
    """

    triple: str
    zig: str = ""
    flags: tuple[str, ...] = ()
    android: int = 0


@dataclass(frozen=True)
class Emulator:
    """qemu's user-mode emulator and the CPU that it plays (`edgexl.device.emulated` knows its cpuinfo)."""

    command: str
    cpu: str


@dataclass(frozen=True)
class Target:
    """A device. `memory_bytes` and `disk_bytes` are what an application may take, not what is soldered on.

    `engine` runs the graphs where the recipe leaves it open. `page_bytes`: the largest page size to expect; `glibc`:
    the oldest C library there, empty where it is not glibc.
    """

    name: str
    isa: Isa
    cores: int
    memory_bytes: int
    disk_bytes: int
    page_bytes: int
    int8: Int8
    description: str = ""
    engine: Engine = "auto"
    glibc: str = ""
    build: Build | None = None
    emulator: Emulator | None = None

    def __post_init__(self) -> None:
        for name in ("cores", "memory_bytes", "disk_bytes", "page_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be positive")
        if self.page_bytes & (self.page_bytes - 1) or self.page_bytes > 16384:
            raise ValueError(f"page_bytes = {self.page_bytes} must be a power of two, at most 16384")


def load_target(source: str | Path) -> Target:
    """Read a target by name or path; `host` comes back with this machine's instruction set filled in."""
    target = toml.load(find_target(source), Target)
    return resolve_host(target) if target.isa == "host" else target


def find_target(source: str | Path) -> Path:
    """The file of a target: a path, or the name of one that edgexl ships. Raises `BadInput`."""
    return find_toml(source, "targets", "target")


def available_targets() -> tuple[str, ...]:
    """Names of the targets that edgexl ships, sorted."""
    return tuple(shipped_files("targets"))


def resolve_host(target: Target) -> Target:
    """`target` with the instruction set, int8 facts and cores of this machine.

    Memory and disk stay the file's, so that two runs on like CPUs give the same bundle whatever else the machines do.
    """
    isa, int8 = host_isa(platform.machine(), cpu_features())
    return replace(target, isa=isa, int8=int8, cores=os.cpu_count() or 1)


def host_isa(machine: str, features: frozenset[str]) -> tuple[Isa, Int8]:
    """Instruction set and int8 facts of a CPU, from Linux's names of its `features`."""
    if machine.lower() in ("aarch64", "arm64"):
        # every Apple CPU has dot products, and macOS has no cpuinfo that would say so
        dotprod = "asimddp" in features or platform.system() == "Darwin"
        return ("armv8.2-a+dotprod" if dotprod else "armv8-a"), Int8("arm64", "int8")
    if "avx512_vnni" in features:
        return "x86-64-v4-vnni", Int8("avx512_vnni", "int8")
    if {"avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"} <= features:
        return "x86-64-v4", Int8("avx512", "uint8")
    return "x86-64-v3", Int8("avx2", "int8" if "avx_vnni" in features else "uint8")


def cpu_features() -> frozenset[str]:
    """This CPU's feature names as Linux's /proc/cpuinfo gives them; empty on other systems."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()
