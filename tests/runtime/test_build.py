"""Cross builds: which compiler is taken, what it makes, and that a failed build changes nothing."""

from __future__ import annotations

import dataclasses
import struct
from pathlib import Path

import pytest

from edgexl.errors import DeviceError
from edgexl.runtime.build import LIBRARY, TOOLS, build_runtime, find_toolchain
from edgexl.target import load_target

AARCH64, X86_64 = 183, 62  # ELF e_machine


def machine(path: Path) -> int:
    content = path.read_bytes()
    assert content[:4] == b"\x7fELF"
    (found,) = struct.unpack_from("<H", content, 18)
    return int(found)


def test_zig_builds_for_arm_where_there_is_no_cross_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    monkeypatch.setenv("PATH", "/usr/nowhere")
    steps: list[tuple[str, int, int]] = []
    built = build_runtime(load_target("raspberry-pi-5"), tmp_path / "pi", progress=lambda *step: steps.append(step))
    assert "zig" in built.compiler
    assert set(built.files) == {LIBRARY, *TOOLS, "edgexl.h"}
    assert {machine(built.directory / name) for name in (LIBRARY, *TOOLS)} == {AARCH64}
    assert steps[0] == ("compile", 0, 4)
    assert steps[-1] == ("compile", 4, 4)


def test_no_compiler_at_all_names_two_ways_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DeviceError, match=r"pip install ziglang.*gcc-aarch64-linux-gnu"):
        find_toolchain(load_target("raspberry-pi-4"))
    with pytest.raises(DeviceError, match="install gcc"):
        find_toolchain(load_target("host"))


def test_android_has_no_compiler_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/nowhere")
    with pytest.raises(DeviceError, match="aarch64-linux-android-gcc"):
        find_toolchain(load_target("android-arm64"))


def test_a_compiler_that_refuses_changes_nothing(tmp_path: Path) -> None:
    target = load_target("raspberry-pi-4")
    assert target.build is not None
    wrong = dataclasses.replace(target, build=dataclasses.replace(target.build, flags=("--no-such-flag",)))
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("stays")
    with pytest.raises(DeviceError, match="could not compile the runtime"):
        build_runtime(wrong, out)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_an_engine_that_nobody_pinned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from edgexl.runtime.engine import fetch_engine

    with pytest.raises(DeviceError, match="EDGEXL_ORT_LIBRARY"):
        fetch_engine("riscv64", tmp_path)
    assert list(tmp_path.iterdir()) == []
