"""Devices that cannot do what is asked say so, and those that can tell what they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.base.errors import DeviceError
from edgexl.device.emulated import CPUS, EmulatedDevice, emulator_root, why_not
from edgexl.device.local import LocalDevice, this_machine


def script(directory: Path, name: str, body: str) -> None:
    path = directory / name
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)


def test_this_machine_knows_its_tools_and_cores() -> None:
    device = this_machine()
    facts = device.facts()
    assert (facts.name, facts.timed) == ("host", True)
    assert facts.cores >= 1
    assert device.run("exl-run", ["--version"]).stdout.strip() == __version__


def test_a_tool_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="make lib"):
        LocalDevice(tmp_path, tmp_path / "engine").run("exl-run", [])


def test_input_output_and_engine_reach_the_tool(tmp_path: Path) -> None:
    script(tmp_path, "exl-run", 'cat; echo "$EDGEXL_ORT_LIBRARY" >&2; exit 2')
    done = LocalDevice(tmp_path, Path("/the/engine.so")).run("exl-run", [], stdin="häuser\n")
    assert (done.exit_code, done.stdout, done.stderr) == (2, "häuser\n", "/the/engine.so\n")


def test_a_tool_that_dies_or_does_not_end(tmp_path: Path) -> None:
    device = LocalDevice(tmp_path, tmp_path / "engine")
    script(tmp_path, "exl-run", "kill -SEGV $$")
    with pytest.raises(DeviceError, match="SIGSEGV"):
        device.run("exl-run", [])
    script(tmp_path, "exl-run", "exec sleep 30")
    with pytest.raises(DeviceError, match=r"did not end within 0\.2 s"):
        device.run("exl-run", [], timeout_s=0.2)


def test_an_unknown_cpu_is_not_emulated(tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match="cortex-a76"):
        EmulatedDevice("cortex-m0", tmp_path, tmp_path / "engine")


def test_a_missing_emulator_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert "qemu-user" in why_not("cortex-a72")


def test_a_missing_c_library_names_its_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script(tmp_path, "qemu-aarch64", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("EDGEXL_SYSROOT", str(tmp_path))
    assert "libstdc++6-arm64-cross" in why_not("cortex-a72")


def test_the_emulators_root_holds_the_cpus_own_cpuinfo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("EDGEXL_SYSROOT", str(tmp_path / "sysroot"))
    for name, cpu in CPUS.items():
        cpuinfo = (emulator_root(name) / "proc" / "cpuinfo").read_text()
        assert cpuinfo.count("processor") == cpu.cores
        assert cpu.part in cpuinfo
        assert ("asimddp" in cpuinfo) == (name == "cortex-a76")
    # another sysroot makes another root
    monkeypatch.setenv("EDGEXL_SYSROOT", str(tmp_path / "other"))
    assert (emulator_root("cortex-a72") / "lib").readlink() == tmp_path / "other" / "lib"
    assert len(list((tmp_path / "cache" / "edgexl" / "emulated").iterdir())) == len(CPUS)


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a shell")
def test_what_a_tool_says_may_be_any_bytes(tmp_path: Path) -> None:
    script(tmp_path, "exl-run", r"printf '\377\n'")
    assert LocalDevice(tmp_path, tmp_path).run("exl-run", []).stdout == "\ufffd\n"
