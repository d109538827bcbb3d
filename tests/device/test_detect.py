"""Measuring a device into a target: this machine in earnest, and what is made of what others tell."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from edgexl.base.errors import DeviceError
from edgexl.device.cpus import Cpus
from edgexl.device.detect import describe
from edgexl.device.probe import PROBE, SystemFacts, read_probe
from edgexl.device.target_file import write_target
from edgexl.target import Build, Cluster, Emulator, Level, Target, load_target
from tests.command_line import Edgexl, Tiny

GIB = 1 << 30
PLAIN = ("-march=armv8-a",)
PI = SystemFacts(
    "Linux", "aarch64", "Raspberry Pi 4 Model B Rev 1.4", 4, "glibc 2.36", 4096, 3 * GIB, 20 * GIB, 4 * GIB, "/dev/root"
)
PI_CPUS = Cpus(
    (Cluster("Cortex-A72", 4, 1800, one_thread=True),), 0, {"L1": 32 << 10, "L2": 1 << 20}, frozenset({"asimd", "fp"})
)
LIMITS = {
    "kernel": "neon", "core": 0, "int8_gmacs": 11.5, "f32_gmacs": 5.25, "file_mb_per_s": None,
    "read": [
        {"bytes": 16384 << at, "gb_per_s": rate} for at, rate in enumerate([20.0, 12.0, 9.0, 9.0, 9.0, 8.0, 8.0, 3.5])
    ],
}  # fmt: skip


def read_back(target: Target, notes: dict[str, str], folder: Path) -> Target:
    path = folder / "read-back.toml"
    path.write_text(write_target(target, notes, "ssh://pi@till"))
    return load_target(path)


def test_this_machine_in_earnest(edgexl: Edgexl, tmp_path: Path, tiny: Tiny) -> None:
    out = tmp_path / "mine.toml"
    said = edgexl("targets", "detect", "-o", out, "--json")
    assert said.status == 0, said.err
    mine, host = load_target(out), load_target("host")
    assert said.json == json.loads(json.dumps(dataclasses.asdict(mine)))
    assert (mine.name, mine.isa, mine.int8) == ("mine", host.isa, host.int8)
    assert mine.cores == len(os.sched_getaffinity(0))
    assert mine.page_bytes == os.sysconf("SC_PAGE_SIZE")
    assert mine.hardware.features == host.hardware.features
    assert mine.hardware.int8_gmacs > 1
    assert mine.hardware.f32_gmacs > 1
    rates = [level.gb_per_s for level in mine.hardware.levels if level.gb_per_s]
    assert rates[0] > rates[-1] > 0.1
    assert mine.hardware.levels[-1].name == "DRAM"
    # it is not written over unasked, and a compile takes it
    before = out.read_text()
    edgexl("targets", "detect", "-o", out).refuses(2, "mine.toml is there", "--force")
    assert out.read_text() == before
    bundle = tmp_path / "mine.exl"
    done = edgexl("compile", tiny.student, "--recipe", tiny.recipe, "--target", out, "-o", bundle)
    assert done.status == 0, done.err
    known = edgexl("inspect", bundle, "--json").json["target"]
    assert known == json.loads(json.dumps(mine.as_compiled()))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--device", "emulated:raspberry-pi-4", "-o", "x.toml"), ("is emulated",)),
        (("--device", "pi", "-o", "x.toml"), ("'pi' is no device", "adb[:SERIAL]")),
        (("-o", "x.json"), ("end in .toml",)),
        (("-o", "nowhere/x.toml"), ("directory that exists",)),
    ],
)
def test_what_is_refused(
    edgexl: Edgexl, arguments: tuple[str, ...], words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    edgexl("targets", "detect", *arguments).refuses(2, *words)
    assert not list(tmp_path.iterdir())


def test_a_raspberry_pi(tmp_path: Path) -> None:
    found = describe("till", PI, PI_CPUS, LIMITS)
    target = found.target
    assert (target.isa, target.glibc, target.libc, target.page_bytes) == ("armv8-a", "2.36", "glibc", 4096)
    assert target.description == "Raspberry Pi 4 Model B Rev 1.4: 4 Cortex-A72"
    assert (target.memory_bytes, target.disk_bytes) == (3 * GIB, 20 * GIB)
    assert target.build == Build("aarch64-linux-gnu", "aarch64-linux-gnu.2.28", ("-march=armv8-a",))
    assert target.emulator == Emulator("qemu-aarch64", "cortex-a72")
    assert target.hardware.levels == (
        Level("L1", 32 << 10, 20.0), Level("L2", 1 << 20, 9.0), Level("DRAM", 4 * GIB, 3.5),
    )  # fmt: skip
    assert (target.hardware.kernel, target.hardware.int8_gmacs, target.hardware.storage_mb_per_s) == ("neon", 11.5, 0)
    assert read_back(target, found.notes, tmp_path) == target
    text = write_target(target, found.notes, "ssh://pi@till")
    for comment in ("# Measured by", "# free when it was measured, of 4,294,967,296", "# not known: the folder"):
        assert comment in text
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize(
    ("system", "cpus", "build", "emulator"),
    [
        ({"libc": "glibc 2.17"}, {}, Build("aarch64-linux-gnu", "aarch64-linux-gnu.2.17", PLAIN), "cortex-a72"),
        ({"libc": "musl libc (aarch64)"}, {}, Build("aarch64-linux-musl", "aarch64-linux-musl", PLAIN), "cortex-a72"),
        (
            {"libc": "bionic, API level 34"},
            {"clusters": (Cluster("Cortex-X1", 4),), "features": frozenset({"asimd", "asimddp"})},
            Build("aarch64-linux-android", flags=("-march=armv8.2-a+dotprod",), android=24),
            "cortex-a76",
        ),
        (
            {"machine": "x86_64"},
            {"features": frozenset({"avx2"})},
            Build("x86_64-linux-gnu", "x86_64-linux-gnu.2.28"),
            None,
        ),
    ],
)  # fmt: skip
def test_how_tools_are_built_for_it(
    system: dict[str, Any], cpus: dict[str, Any], build: Build, emulator: str | None, tmp_path: Path
) -> None:
    found = describe("till", dataclasses.replace(PI, **system), dataclasses.replace(PI_CPUS, **cpus), LIMITS)
    assert found.target.build == build
    assert (found.target.emulator.cpu if found.target.emulator else None) == emulator
    assert read_back(found.target, found.notes, tmp_path) == found.target


def test_what_can_be_no_target() -> None:
    with pytest.raises(DeviceError, match="page_bytes = 65536 must be"):
        describe("till", dataclasses.replace(PI, page_bytes=65536), PI_CPUS, LIMITS)


def test_odd_names_are_read_back(tmp_path: Path) -> None:
    odd = dataclasses.replace(PI_CPUS, clusters=(Cluster('A "core" \\ of \x7f Žižkov', 4, one_thread=True),))
    found = describe("till", PI, odd, LIMITS)
    assert read_back(found.target, found.notes, tmp_path) == found.target


def test_what_a_small_shell_does_not_tell_is_unknown() -> None:
    facts = read_probe(
        "system=Linux\nmachine=aarch64\npage=\ncores=\nlibc=\nmemory=\ndisk=-\ncpu=\nboard=A\x01 board\x02\n"
    )
    assert facts == SystemFacts("Linux", "aarch64", "A board", 1, "", 0, 0, 0)
    assert read_probe("sh: uname: not found\n") is None
    assert "awk" not in PROBE  # which small systems leave out


def test_pages_are_told_without_getconf(tmp_path: Path) -> None:
    for name in ("sh", "uname", "sed", "head", "grep", "cat", "tr", "tail", "df", "nproc"):
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = subprocess.run(["sh", "-c", PROBE], env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=True)
    facts = read_probe(done.stdout)
    assert facts is not None
    assert facts.page_bytes == os.sysconf("SC_PAGE_SIZE")
    assert facts.libc == ""
