"""Targets: the facts about a device that a compiler needs, as one TOML file.

The instruction set decides how int8 is done, memory and disk limit the bundle, and the rest tells how to build for the
device and how to try it without one. The target `host` is this machine: its facts are read when it is used.

What a device's hardware can do (`Hardware`) and what is usually asked of it (`Budget`) serve predictions and choices;
no compile reads them, and no bundle keeps them.
"""

from __future__ import annotations

import dataclasses
import os
import platform
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from edgexl.base import toml
from edgexl.base.shipped import find_toml, shipped_files

# What runs the graphs on the device. "auto" leaves it to the target; left to nobody, it is the native engine where
# that covers both graphs and neither stays in fp32, at which ONNX Runtime is the faster one.
Engine = Literal["auto", "native", "ort"]
Isa = Literal["host", "x86-64-v3", "x86-64-v4", "x86-64-v4-vnni", "armv8-a", "armv8.2-a+dotprod"]
Libc = Literal["", "glibc", "musl", "bionic"]
LevelName = Literal["L1", "L2", "L3", "DRAM"]
# Linux's names of the instructions that decide how fast kernels of this kind are; cpuinfo has a hundred more.
KERNEL_FEATURES = (
    *("sse4_2", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl"),
    *("avx512_vnni", "avx512vbmi", "avx512_bf16", "avx512_fp16", "amx_int8", "amx_bf16"),
    *("asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "atomics"),
)
# Fields of a target that no compile reads: a bundle's manifest leaves them out.
_NOT_COMPILED = ("libc", "budget", "hardware", "costs")


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
class Cluster:
    """Cores of one kind: the `core`'s name ("Cortex-A72"), how many, and MHz at most (0: not known).

    `one_thread`: a query on one thread runs on one of them; where no cluster says so, the first.
    """

    core: str
    cores: int
    mhz: int = 0
    one_thread: bool = False

    def __post_init__(self) -> None:
        if self.cores < 1 or self.mhz < 0:
            raise ValueError(f"a cluster has {self.cores} cores of {self.mhz} MHz; give one core or more, and its MHz")


@dataclass(frozen=True)
class Level:
    """A level of memory: `size_bytes` that one core reaches (of DRAM: all there is), and how fast one core reads from
    it (0: not known)."""

    name: LevelName
    size_bytes: int
    gb_per_s: float = 0.0

    def __post_init__(self) -> None:
        if self.size_bytes < 1 or self.gb_per_s < 0:
            raise ValueError(f"{self.name} of {self.size_bytes} bytes at {self.gb_per_s} GB/s; give positive numbers")


@dataclass(frozen=True)
class Hardware:
    """What a device's processor and memory can do; numbers that are 0 and texts that are empty are not known.

    `features`: of `KERNEL_FEATURES`. `levels`: from the smallest up. Rates are those of one core and the runtime's own
    kernels: `int8_gmacs` and `f32_gmacs` (billions of multiply-adds a second) by `kernel`, as `exl-bench --limits`
    measures them. `storage_mb_per_s`: reading a file that is not in memory.
    """

    features: tuple[str, ...] = ()
    clusters: tuple[Cluster, ...] = ()
    levels: tuple[Level, ...] = ()
    kernel: str = ""
    int8_gmacs: float = 0.0
    f32_gmacs: float = 0.0
    storage_mb_per_s: float = 0.0

    def __post_init__(self) -> None:
        if sum(cluster.one_thread for cluster in self.clusters) > 1:
            raise ValueError("one_thread stands at several clusters; leave it at the one that a single thread runs on")
        if [level.size_bytes for level in self.levels] != sorted({level.size_bytes for level in self.levels}):
            raise ValueError("levels must grow; give the smallest first")
        if min(self.int8_gmacs, self.f32_gmacs, self.storage_mb_per_s) < 0:
            raise ValueError("rates must not be negative; leave out what is not known")

    @property
    def one_thread(self) -> Cluster | None:
        """The cores that a query on one thread runs on; None where no cluster is known."""
        return next((each for each in self.clusters if each.one_thread), next(iter(self.clusters), None))


@dataclass(frozen=True)
class Budget:
    """What is usually asked of a device where nobody says more: a choice, no fact. 0: nothing is asked.

    `ms`: the median of a query; `memory_bytes`: peak resident; `size_bytes`: of the bundle.
    """

    ms: float = 0.0
    memory_bytes: int = 0
    size_bytes: int = 0

    def __post_init__(self) -> None:
        if min(self.ms, self.memory_bytes, self.size_bytes) < 0:
            raise ValueError("a budget must not be negative; leave out what is not asked")


@dataclass(frozen=True)
class Target:
    """A device. `memory_bytes` and `disk_bytes` are what an application may take, not what is soldered on.

    `engine` runs the graphs where the recipe leaves it open. `page_bytes`: the largest page size to expect; `glibc`:
    the oldest C library there, empty where it is not glibc; `libc`: which one it is, empty where several may be.
    `costs`: the model that predicts times (`edgexl.cost`), a shipped one's name or a .json file beside the target's;
    empty where it is that of its instruction set.
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
    libc: Libc = ""
    budget: Budget = Budget()
    hardware: Hardware = Hardware()
    costs: str = ""

    def __post_init__(self) -> None:
        for name in ("cores", "memory_bytes", "disk_bytes", "page_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)} must be positive")
        if self.page_bytes & (self.page_bytes - 1) or self.page_bytes > 16384:
            raise ValueError(f"page_bytes = {self.page_bytes} must be a power of two, at most 16384")
        if self.glibc and self.libc not in ("", "glibc"):
            raise ValueError(f"glibc = {self.glibc} and libc = {self.libc} contradict each other; leave one out")
        if self.hardware.clusters and sum(each.cores for each in self.hardware.clusters) != self.cores:
            raise ValueError(f"cores = {self.cores}, and the clusters have another number of them together")

    def as_compiled(self) -> dict[str, Any]:
        """What a compile reads of it, as a bundle's manifest keeps it."""
        return {name: value for name, value in dataclasses.asdict(self).items() if name not in _NOT_COMPILED}


def load_target(source: str | Path) -> Target:
    """Read a target by name or path; `host` comes back with this machine's instruction set filled in."""
    path = find_target(source)
    target = toml.load(path, Target)
    if target.costs.endswith(".json"):
        target = replace(target, costs=str(path.resolve().parent / target.costs))
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
    features = cpu_features()
    isa, int8 = host_isa(platform.machine(), features)
    cores = target.cores if target.hardware.clusters else os.cpu_count() or 1
    hardware = replace(target.hardware, features=kernel_features(features))
    return replace(target, isa=isa, int8=int8, cores=cores, hardware=hardware)


def kernel_features(features: frozenset[str]) -> tuple[str, ...]:
    """Those of a CPU's features that decide how fast kernels are, in `KERNEL_FEATURES`' order."""
    return tuple(name for name in KERNEL_FEATURES if name in features)


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
