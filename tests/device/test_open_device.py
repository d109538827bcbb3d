"""Devices by name, the tools that each gets, and what cannot run a bundle."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import platform
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput, DeviceError
from edgexl.device.emulated import why_not
from edgexl.device.local import LocalDevice, this_machine
from edgexl.device.open_device import open_device
from edgexl.device.probe import SystemFacts
from edgexl.device.tools import glibc_version, tools_for
from edgexl.runtime.elf import read_elf
from edgexl.use.profile import profile
from tests.device.sshd import Server
from tests.runtime.tiny_bundle import build


def has_zig() -> bool:
    return importlib.util.find_spec("ziglang") is not None


LIBC = " ".join(platform.libc_ver())
HERE = SystemFacts("Linux", platform.machine(), "a CPU", 4, LIBC, 4096, 10**9, 10**9)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native=True).write(tmp_path_factory.mktemp("device") / "tiny.exl")


def test_this_machine_is_local() -> None:
    with open_device("local") as device:
        assert isinstance(device, LocalDevice)


@pytest.mark.parametrize("name", ["", "pi", "http://till", "emulated", "LOCAL"])
def test_what_is_no_device(name: str) -> None:
    with pytest.raises(BadInput, match="ssh://user@host"), open_device(name):
        pass


def test_a_target_without_an_emulator() -> None:
    with pytest.raises(BadInput, match="host names no emulator"), open_device("emulated:host"):
        pass
    with pytest.raises(BadInput, match="no-such-board"), open_device("emulated:no-such-board"):
        pass


def test_a_profile_by_ssh_has_the_keys_of_one_here(server: Server, bundle: Path) -> None:
    here = profile(bundle, runs=20)
    with open_device(server.address) as device:
        there = profile(bundle, runs=20, device=device)
    assert list(there) == list(here)
    assert (there["device"], there["timed"]) == (server.address, True)
    assert list(there["stages"]) == list(here["stages"])
    # what starts the tool does not count, however large it is
    assert 0.5 < there["peak_resident_bytes"] / here["peak_resident_bytes"] < 2
    assert here["peak_resident_bytes"] < 30e6


@pytest.mark.skipif(bool(why_not("cortex-a72")), reason=why_not("cortex-a72") or "it is there")
@pytest.mark.slow
def test_an_emulated_device_gets_tools_of_its_own_once(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with open_device("emulated:raspberry-pi-4") as device:
        report = profile(bundle, runs=2, device=device)
    assert (report["timed"], report["engine"]) == (False, "native")
    tools, counting = sorted((tmp_path / "edgexl" / "tools").iterdir(), key=lambda folder: "counting" in folder.name)
    made = [(folder / "exl-bench").stat().st_mtime_ns for folder in (tools, counting)]
    with open_device("emulated:raspberry-pi-4") as device:
        assert device.run("exl-bench", [str(bundle), "--runs", "1"]).exit_code == 0
    assert [(folder / "exl-bench").stat().st_mtime_ns for folder in (tools, counting)] == made


def test_a_machine_like_this_one_gets_its_tools() -> None:
    assert tools_for(HERE, "ssh://till") == this_machine().tools


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"system": "Darwin"}, "is a Darwin on"),
        ({"machine": "riscv64"}, "on riscv64; bundles are timed on Linux, 64 bits"),
        ({"machine": "armv7l"}, "on armv7l"),
        ({"page_bytes": 65536}, "pages of 65,536 bytes"),
    ],
)
def test_what_cannot_run_a_bundle_is_said(changed: dict[str, str], sentence: str) -> None:
    with pytest.raises(DeviceError, match=sentence) as said:
        tools_for(dataclasses.replace(HERE, **changed), "ssh://till")
    assert str(said.value).startswith("ssh://till ")
    assert os.linesep not in str(said.value)


@pytest.mark.slow  # zig builds its own C library first
@pytest.mark.skipif(not has_zig(), reason="ziglang is not installed")
@pytest.mark.parametrize(
    "libc", ["musl libc (x86_64) Version 1.2.4", "bionic, API level 34", "ldd (GNU libc) 2.17", ""]
)
def test_another_c_library_gets_tools_that_bring_one(libc: str, bundle: Path) -> None:
    tools = tools_for(dataclasses.replace(HERE, machine="x86_64", libc=libc, page_bytes=16384), "ssh://till")
    read = read_elf(tools / "exl-run")
    assert not read.needed
    assert read.load_alignment >= 16384
    if platform.machine() == "x86_64":
        asked = [str(bundle), "old king"]
        there = LocalDevice(tools, None).run("exl-run", asked).stdout
        assert there.split('"ms"')[0] == this_machine().run("exl-run", asked).stdout.split('"ms"')[0]
        # whatever compiled them, they find the processor's instructions
        timed = [str(bundle), "--runs", "1"]
        benches = [each.run("exl-bench", timed).stdout for each in (LocalDevice(tools, None), this_machine())]
        assert json.loads(benches[0])["kernel"] == json.loads(benches[1])["kernel"]


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("glibc 2.36", (2, 36)),
        ("ldd (Debian GLIBC 2.36-9+deb12u14) 2.36", (2, 36)),
        ("ldd (GNU libc) 2.17", (2, 17)),
        ("musl libc (aarch64) Version 1.2.4", ()),
        ("bionic, API level 34", ()),
        ("", ()),
    ],
)
def test_versions_of_glibc(said: str, version: tuple[int, ...]) -> None:
    assert glibc_version(said) == version
