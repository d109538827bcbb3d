"""Targets: the shipped ones load, and this machine's facts come from what Linux says of its CPU."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.device.emulated import CPUS
from edgexl.target import (
    KERNEL_FEATURES,
    Budget,
    Cluster,
    Hardware,
    Int8,
    Target,
    available_targets,
    host_isa,
    load_target,
)

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
        assert set(target.hardware.features) <= set(KERNEL_FEATURES)
        assert target.libc == ("" if name == "host" else "bionic" if name == "android-arm64" else "glibc")


def test_the_boards_have_cores_and_levels() -> None:
    for name, core, mhz, levels in (
        ("raspberry-pi-zero-2", "Cortex-A53", 1000, ["L1", "L2", "DRAM"]),
        ("raspberry-pi-4", "Cortex-A72", 1500, ["L1", "L2", "DRAM"]),
        ("raspberry-pi-5", "Cortex-A76", 2400, ["L1", "L2", "L3", "DRAM"]),
    ):
        target = load_target(name)
        assert target.hardware.one_thread == Cluster(core, 4, mhz, one_thread=True)
        assert [level.name for level in target.hardware.levels] == levels
        assert target.emulator is not None
        assert target.emulator.cpu == core.lower()
        assert target.budget.ms == 20


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


PLAIN = Target("odd", "x86-64-v3", 2, 1, 1, 4096, Int8("avx2", "uint8"))


def test_what_no_compile_reads_is_not_in_a_manifest() -> None:
    known = dataclasses.replace(
        PLAIN, libc="glibc", budget=Budget(ms=5), hardware=Hardware(features=("avx2",), int8_gmacs=100.0)
    )
    assert known.as_compiled() == PLAIN.as_compiled()
    assert list(PLAIN.as_compiled()) == [
        "name", "isa", "cores", "memory_bytes", "disk_bytes", "page_bytes", "int8", "description", "engine", "glibc",
        "build", "emulator",
    ]  # fmt: skip


def test_the_core_of_one_thread() -> None:
    little, big = Cluster("Cortex-A55", 4), Cluster("Cortex-A76", 2)
    assert Hardware().one_thread is None
    assert Hardware(clusters=(little, big)).one_thread == little
    marked = dataclasses.replace(big, one_thread=True)
    assert Hardware(clusters=(little, marked)).one_thread == marked


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("libc = 'musl'\nglibc = '2.28'", "contradict each other"),
        ("libc = 'uclibc'", "libc = 'uclibc' is not known"),
        ("budget = { ms = -1 }", "a budget must not be negative"),
        ("budget = { milliseconds = 1 }", "unknown key 'milliseconds'"),
        ("hardware = { feature = [] }", "unknown key 'feature'; did you mean 'features'"),
        ("hardware = { f32_gmacs = -1.0 }", "rates must not be negative"),
        ("hardware = { clusters = [{ core = 'x', cores = 3 }] }", "cores = 2, and the clusters have another number"),
        ("hardware = { clusters = [{ core = 'x', cores = 0 }] }", "give one core or more"),
        (
            "[[hardware.clusters]]\ncore = 'x'\ncores = 1\none_thread = true\n" * 2,
            "one_thread stands at several clusters",
        ),
        ("hardware.levels = [{ name = 'L2', size_bytes = 2 }, { name = 'L1', size_bytes = 1 }]", "levels must grow"),
        ("hardware.levels = [{ name = 'L4', size_bytes = 2 }]", "'L4' is not known"),
        ("hardware.levels = [{ name = 'L1', size_bytes = 0 }]", "L1 of 0 bytes"),
    ],
)
def test_what_is_wrong_of_hardware_is_said(table: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(
        'name = "odd"\nisa = "x86-64-v3"\ncores = 2\nmemory_bytes = 1\ndisk_bytes = 1\npage_bytes = 4096\n'
        f'int8 = {{ preset = "avx2", weights = "uint8" }}\n{table}\n'
    )
    with pytest.raises(BadInput, match=sentence):
        load_target(path)


def test_a_hosts_own_facts_stay(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(
        'name = "mine"\nisa = "host"\ncores = 64\nmemory_bytes = 1\ndisk_bytes = 1\npage_bytes = 4096\n'
        'int8 = { preset = "avx2", weights = "uint8" }\n'
        "hardware = { int8_gmacs = 3.5, clusters = [{ core = 'x', cores = 64 }] }\n"
    )
    mine = load_target(path)
    assert (mine.cores, mine.hardware.int8_gmacs) == (64, 3.5)
