"""Cross builds: whose output is taken, what is in it, and that a failed build changes nothing."""

from __future__ import annotations

import dataclasses
import shlex
import sys
from pathlib import Path

import pytest

from edgexl.base.errors import DeviceError
from edgexl.runtime.build import LIBRARY, TOOLS, build_runtime
from edgexl.runtime.elf import AARCH64, read_elf
from edgexl.target import Target, load_target
from tests.runtime.test_toolchain import make_ndk


@pytest.fixture(autouse=True)
def zig_is_here(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    monkeypatch.delenv("CC", raising=False)


@pytest.mark.slow
def test_the_compiler_that_keeps_the_promise_is_taken(tmp_path: Path) -> None:
    """Where a distribution's cross gcc is installed, it is tried first, and its C library is too new."""
    steps: list[tuple[str, int, int]] = []
    built = build_runtime(load_target("raspberry-pi-5"), tmp_path / "pi", progress=lambda *step: steps.append(step))
    assert "zig" in built.compiler
    assert set(built.files) == {LIBRARY, *TOOLS, "edgexl.h"}
    for name in (LIBRARY, *TOOLS):
        elf = read_elf(built.directory / name)
        assert (elf.machine, elf.load_alignment) == (AARCH64, 16384)
        assert {"GLIBC_2.29", "GLIBC_2.34"}.isdisjoint(elf.versions)
    assert steps[0] == ("compile", 0, 2 + len(TOOLS))
    assert steps[-1] == ("compile", 2 + len(TOOLS), 2 + len(TOOLS))


@pytest.mark.slow
def test_an_android_build_by_an_ndk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_ndk(tmp_path / "ndk", 24)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path / "ndk"))
    built = build_runtime(load_target("android-arm64"), tmp_path / "out")
    assert built.compiler == "aarch64-linux-android24-clang"
    assert all(read_elf(built.directory / name).load_alignment == 16384 for name in (LIBRARY, *TOOLS))


def with_build(target: Target, **build: object) -> Target:
    assert target.build is not None
    return dataclasses.replace(target, build=dataclasses.replace(target.build, **build))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "target", "said"),
    [
        ("gcc", "x86-64-v3", r"needs glibc 2\.3\d, and the target promises 2\.28"),
        ("aarch64-linux-gnu-gcc", "raspberry-pi-4", r"needs glibc 2\.3\d, and the target promises 2\.28"),
        ("zig -Wl,-z,max-page-size=4096", "raspberry-pi-4", ""),
        ("zig -mcpu=generic+sve", "raspberry-pi-5", r"\.o uses instructions that not every .* \(.*sve.*\)"),
    ],
)
def test_what_cc_builds_is_checked(
    command: str, target: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zig = f"{shlex.quote(sys.executable)} -m ziglang cc -target aarch64-linux-gnu.2.28"
    monkeypatch.setenv("CC", command.replace("zig", zig))
    if not said:
        assert build_runtime(load_target(target), tmp_path / "out").compiler.startswith(sys.executable)
        return
    with pytest.raises(DeviceError, match=said + ".*correct CC, or unset it"):
        build_runtime(load_target(target), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_without_the_compiler_that_could_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(
        DeviceError, match=r"(needs glibc 2\.3\d, and the target promises 2\.28; run|:).*pip install zig"
    ):
        build_runtime(load_target("x86-64-v3"), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_compiler_that_refuses_changes_nothing(tmp_path: Path) -> None:
    wrong = with_build(load_target("raspberry-pi-4"), flags=("--no-such-flag",))
    out = tmp_path / "out"
    out.mkdir()
    (out / "mine.txt").write_text("stays")
    with pytest.raises(DeviceError, match="could not compile the runtime"):
        build_runtime(wrong, out)
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "mine.txt"]


def test_an_engine_that_nobody_pinned(tmp_path: Path) -> None:
    from edgexl.runtime.engine import fetch_engine

    with pytest.raises(DeviceError, match="EDGEXL_ORT_LIBRARY"):
        fetch_engine("riscv64", tmp_path)
    assert list(tmp_path.iterdir()) == []
