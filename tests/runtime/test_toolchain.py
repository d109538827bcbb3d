"""Which compilers are found for a target, and in which order. All of them are real; an NDK's has a wrapper."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from edgexl.base.errors import DeviceError
from edgexl.runtime.toolchain import find_toolchains
from edgexl.target import load_target

NDK_BIN = "toolchains/llvm/prebuilt/linux-x86_64/bin"
# Zig's clang for AArch64 and musl, which, as Android's C library, is one file; it takes no -march.
WRAPPER = f"""#!/bin/sh
for word; do shift; case $word in -march=*) ;; *) set -- "$@" "$word";; esac; done
exec {shlex.quote(sys.executable)} -m ziglang cc -target aarch64-linux-musl $WRAPPED "$@"
"""


def make_ndk(directory: Path, *api_levels: int) -> Path:
    """A directory laid out as an Android NDK; where its compilers lie."""
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    place = directory / NDK_BIN
    place.mkdir(parents=True)
    for level in api_levels:
        clang = place / f"aarch64-linux-android{level}-clang"
        clang.write_text(WRAPPER)
        clang.chmod(0o755)
    return place


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CC", "ANDROID_NDK_HOME", "ANDROID_NDK_ROOT", "ANDROID_NDK", "ANDROID_HOME", "ANDROID_SDK_ROOT"):
        monkeypatch.delenv(name, raising=False)


def test_no_compiler_at_all_names_two_ways_to_get_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/nowhere")
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(DeviceError, match=r"pip install ziglang.*gcc-aarch64-linux-gnu"):
        find_toolchains(load_target("raspberry-pi-4"))
    with pytest.raises(DeviceError, match="install gcc"):
        find_toolchains(load_target("host"))


def test_a_cross_gcc_comes_before_zig(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ziglang", reason="PyPI's ziglang is not installed (the extra `cross`)")
    if shutil.which("aarch64-linux-gnu-gcc") is None:
        pytest.skip("aarch64-linux-gnu-gcc is not installed")
    target = load_target("raspberry-pi-4")
    names = [toolchain.name for toolchain in find_toolchains(target)]
    assert names == ["aarch64-linux-gnu-gcc", "zig cc for aarch64-linux-gnu.2.28"]
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    (gcc,) = find_toolchains(target)
    assert gcc.advice == "run `pip install ziglang`"


# ---- Android ---------------------------------------------------------------------------------------------------------


def test_android_names_the_ndk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/nowhere")
    with pytest.raises(DeviceError, match=r"ANDROID_NDK_HOME.*PATH.*CC.*aarch64-linux-android24-clang"):
        find_toolchains(load_target("android-arm64"))


@pytest.mark.parametrize("variable", ["ANDROID_NDK_HOME", "ANDROID_NDK_ROOT"])
def test_an_ndk_is_found_where_the_environment_says(
    variable: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make_ndk(tmp_path / "ndk", 21, 23, 28, 35)
    monkeypatch.setenv(variable, str(tmp_path / "ndk"))
    (found,) = find_toolchains(load_target("android-arm64"))
    # the newest that is not newer than promised
    assert found.command[0] == str(place / "aarch64-linux-android23-clang")


def test_the_newest_ndk_of_an_sdk_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for version in ("9.2.1", "26.1.10909125", "25.2.9519653"):
        make_ndk(tmp_path / "ndk" / version, 24)
    monkeypatch.setenv("ANDROID_HOME", str(tmp_path))
    (found,) = find_toolchains(load_target("android-arm64"))
    assert "26.1.10909125" in found.command[0]


def test_an_ndks_clang_on_path_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make_ndk(tmp_path, 24)
    monkeypatch.setenv("PATH", f"/usr/nowhere:{place}")
    assert find_toolchains(load_target("android-arm64"))[0].command[0] == str(place / "aarch64-linux-android24-clang")


# ---- CC --------------------------------------------------------------------------------------------------------------


def test_cc_is_the_only_choice_with_the_flags_that_it_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zig = f"{shlex.quote(sys.executable)} -m ziglang cc -target aarch64-linux-gnu.2.28"
    monkeypatch.setenv("CC", zig)
    (found,) = find_toolchains(load_target("raspberry-pi-5"))
    assert (found.name, found.command) == (zig, tuple(shlex.split(zig)))  # without -march, which Zig refuses
    place = make_ndk(tmp_path, 30)
    monkeypatch.setenv("CC", str(place / "aarch64-linux-android30-clang"))
    (found,) = find_toolchains(load_target("android-arm64"))
    assert found.command == (str(place / "aarch64-linux-android30-clang"), "-march=armv8-a")


def test_cc_serves_this_machine_too(monkeypatch: pytest.MonkeyPatch) -> None:
    if (clang := shutil.which("clang")) is None:
        pytest.skip("clang is not installed")
    monkeypatch.setenv("CC", "clang -g0")
    (found,) = find_toolchains(load_target("host"))
    assert found.command == (clang, "-g0")


def test_cc_for_this_machine_is_passed_over_for_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many environments set CC for what they build themselves."""
    place = make_ndk(tmp_path, 24)
    monkeypatch.setenv("ANDROID_NDK_HOME", str(tmp_path))
    monkeypatch.setenv("CC", "gcc")
    assert find_toolchains(load_target("android-arm64"))[0].command[0] == str(place / "aarch64-linux-android24-clang")


@pytest.mark.parametrize(("named", "said"), [("no-such-compiler", "no such program"), ("false", "compiles nothing")])
def test_cc_that_is_no_compiler_is_refused(named: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", named)
    for target in ("host", "raspberry-pi-4", "android-arm64"):
        with pytest.raises(DeviceError, match=rf"CC is '{named}'.*{said}.*unset it"):
            find_toolchains(load_target(target))
