"""Targets: the shipped ones load, and this machine's facts come from what Linux says of its CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.device.emulated import CPUS
from edgexl.target import Int8, Target, available_targets, host_isa, load_target

AVX512 = frozenset({"avx2", "avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512cd"})


def test_the_shipped_targets() -> None:
    assert set(available_targets()) == {
        "host", "x86-64-v3", "x86-64-v4", "raspberry-pi-zero-2", "raspberry-pi-4", "raspberry-pi-5", "android-arm64",
    }  # fmt: skip
    for name in available_targets():
        target = load_target(name)
        assert target.name == name
        assert target.description
        assert target.engine == "auto"


def test_arm_targets_can_be_emulated_and_have_arms_int8() -> None:
    for name in ("raspberry-pi-zero-2", "raspberry-pi-4", "raspberry-pi-5", "android-arm64"):
        target = load_target(name)
        assert target.emulator is not None
        assert target.emulator.cpu in CPUS
        assert target.int8 == Int8("arm64", "int8")
        assert ("asimddp" in CPUS[target.emulator.cpu].features) == target.isa.endswith("dotprod")


@pytest.mark.parametrize(
    ("machine", "features", "isa", "int8"),
    [
        ("x86_64", AVX512 | {"avx512_vnni"}, "x86-64-v4-vnni", Int8("avx512_vnni", "int8")),
        ("x86_64", AVX512, "x86-64-v4", Int8("avx512", "uint8")),
        ("x86_64", frozenset({"avx2"}), "x86-64-v3", Int8("avx2", "uint8")),
        ("x86_64", frozenset({"avx2", "avx_vnni"}), "x86-64-v3", Int8("avx2", "int8")),
        ("aarch64", frozenset({"asimd", "asimddp"}), "armv8.2-a+dotprod", Int8("arm64", "int8")),
        ("aarch64", frozenset({"asimd"}), "armv8-a", Int8("arm64", "int8")),
    ],
)
def test_this_machines_instruction_set(machine: str, features: frozenset[str], isa: str, int8: Int8) -> None:
    assert host_isa(machine, features) == (isa, int8)


def test_host_is_resolved() -> None:
    host = load_target("host")
    assert host.isa != "host"
    assert host.cores >= 1


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    text = 'name = "odd"\nisa = "x86-64-v3"\ncores = 1\nmemory_bytes = 1\ndisk_bytes = 1\npage_bytes = {}\n'
    text += 'int8 = {{ preset = "avx2", weights = "uint8" }}\n'
    path.write_text(text.format(5000))
    with pytest.raises(BadInput, match="page_bytes = 5000 must be a power of two"):
        load_target(path)
    path.write_text(text.format(4096).replace("x86-64-v3", "x86-64-v5"))
    with pytest.raises(BadInput, match="isa"):
        load_target(path)
    with pytest.raises(BadInput, match="did you mean 'raspberry-pi-5'"):
        load_target("raspberrypi-5")


@pytest.mark.parametrize("key", ["cores", "memory_bytes", "disk_bytes", "page_bytes"])
def test_facts_of_a_device_are_positive(key: str) -> None:
    facts = {"cores": 1, "memory_bytes": 1, "disk_bytes": 1, "page_bytes": 1}
    Target("odd", "x86-64-v3", **facts, int8=Int8("avx2", "uint8"))
    with pytest.raises(ValueError, match=f"{key} = 0 must be positive"):
        Target("odd", "x86-64-v3", **(facts | {key: 0}), int8=Int8("avx2", "uint8"))


def test_pages_are_powers_of_two_up_to_a_bundles_alignment() -> None:
    for page_bytes, good in ((4096, True), (16384, True), (32768, False), (6144, False), (12288, False)):
        facts = {"cores": 1, "memory_bytes": 1, "disk_bytes": 1, "page_bytes": page_bytes}
        if good:
            Target("odd", "x86-64-v3", **facts, int8=Int8("avx2", "uint8"))
            continue
        with pytest.raises(ValueError, match="power of two, at most 16384"):
            Target("odd", "x86-64-v3", **facts, int8=Int8("avx2", "uint8"))


@pytest.mark.parametrize("missing", sorted(AVX512 - {"avx2"}))
def test_one_missing_feature_is_another_instruction_set(missing: str) -> None:
    assert host_isa("x86_64", AVX512 - {missing})[0] == "x86-64-v3"
    assert host_isa("AMD64", AVX512)[0] == "x86-64-v4"
    assert host_isa("ARM64", frozenset({"asimd"})) == ("armv8-a", Int8("arm64", "int8"))
