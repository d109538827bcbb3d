"""Kits: an archive that measures a device by itself, and what it brings back."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
import platform
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from edgexl.base.errors import BadInput
from edgexl.runtime.elf import AARCH64, X86_64, read_elf
from edgexl.target import load_target
from edgexl.use.kit import FOLDER, RESULT, KitResult, read_kit_result, write_kit
from tests.command_line import Edgexl
from tests.runtime.tiny_bundle import build

pytestmark = [
    pytest.mark.slow,  # each worker compiles the tool for two processors
    pytest.mark.skipif(importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed"),
]
BENCHES = {"exl-bench-aarch64": AARCH64, "exl-bench-x86_64": X86_64}


@pytest.fixture(scope="module")
def kit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A kit for this machine's processor, unpacked, and its result."""
    place = tmp_path_factory.mktemp("kit")
    bundle = build(native=True).write(place / "tiny.exl")
    (place / "queries.txt").write_text('old king\nit\'s a "red" river\n')
    write_kit(bundle, place / "kit.tar.gz", place / "queries.txt", runs=5)
    with tarfile.open(place / "kit.tar.gz") as archive:
        archive.extractall(place, filter="data")
    folder = place / FOLDER
    assert {path.name for path in folder.iterdir()} == {"bundle.exl", *BENCHES, "queries.txt", "run.sh"}
    done = subprocess.run(["sh", str(folder / "run.sh")], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    assert f"{folder}/{RESULT} is written" in done.stdout
    return folder


@pytest.fixture(scope="module")
def result(kit: Path) -> KitResult:
    return read_kit_result(kit / RESULT)


def test_it_needs_nothing_of_the_device(kit: Path) -> None:
    for name, machine in BENCHES.items():
        read = read_elf(kit / name)
        assert (read.machine, list(read.needed)) == (machine, [])
    subprocess.run(["sh", "-n", str(kit / "run.sh")], check=True)


def test_it_brings_back_what_the_device_is(kit: Path, result: KitResult) -> None:
    assert result.system.machine == platform.machine()
    assert result.system.page_bytes == os.sysconf("SC_PAGE_SIZE")
    assert sum(cluster.cores for cluster in result.cpus.clusters) == len(os.sched_getaffinity(0))
    assert result.bundle_sha256 == hashlib.sha256((kit / "bundle.exl").read_bytes()).hexdigest()
    assert result.profile["runs"] == 5
    assert result.profile["total"]["p50_ms"] > 0
    assert result.limits["int8_gmacs"] > 0


def test_a_target_comes_of_it(kit: Path, edgexl: Edgexl, tmp_path: Path) -> None:
    out = tmp_path / "far.toml"
    said = edgexl("targets", "detect", "--from", kit / RESULT, "-o", out, "--json")
    assert said.status == 0, said.err
    far, here = load_target(out), load_target("host")
    assert (far.name, far.isa, far.hardware.features) == ("far", here.isa, here.hardware.features)
    assert "by result.json" in out.read_text()
    edgexl("targets", "detect", "--from", kit / RESULT, "-o", out).refuses(2, "far.toml is there")
    edgexl("targets", "detect", "--from", kit / RESULT, "--device", "adb", "-o", tmp_path / "x.toml").refuses(
        2, "--from"
    )


def test_the_same_kit_has_the_same_bytes(kit: Path, tmp_path: Path) -> None:
    bundle = kit / "bundle.exl"
    kits = [write_kit(bundle, tmp_path / name).read_bytes() for name in ("a.tar.gz", "b.tar.gz")]
    assert kits[0] == kits[1]
    assert kits[0][4:8] == bytes(4)  # gzip's header has no time


def test_what_can_be_no_kit(kit: Path, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"let it end in \.tar\.gz"):
        write_kit(kit / "bundle.exl", tmp_path / "kit.zip")
    with pytest.raises(BadInput, match="made for the engine ort"):
        write_kit(build(native=False).write(tmp_path / "ort.exl"), tmp_path / "kit.tgz")
    with pytest.raises(BadInput, match=r"none\.txt"):
        write_kit(kit / "bundle.exl", tmp_path / "kit.tgz", tmp_path / "none.txt")
    assert not (tmp_path / "kit.tgz").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"kit": 2}, "make a new kit"),
        ({"system": "sh: uname: not found"}, "does not tell what the device is"),
        ({"system": 5}, "lacks a part"),
        ({"limits": {}}, "lacks a part of what a kit writes"),
        ({"limits": {"kernel": "x", "int8_gmacs": -1, "f32_gmacs": 1, "read": []}}, "its limits are no numbers"),
        ({"limits": {"kernel": "x", "int8_gmacs": "a", "f32_gmacs": 1, "read": []}}, "its limits are no numbers"),
        ({"profile": None}, "lacks a part"),
    ],
)
def test_what_is_no_result(kit: Path, changed: dict[str, Any], words: str, tmp_path: Path) -> None:
    told = json.loads((kit / RESULT).read_text()) | changed
    (tmp_path / "result.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match=words):
        read_kit_result(tmp_path / "result.json")


def test_what_is_no_json(tmp_path: Path) -> None:
    for content in (b"", b"[1]", b'{"kit": NaN}'):
        (tmp_path / "result.json").write_bytes(content)
        with pytest.raises(BadInput, match="is not what a kit writes"):
            read_kit_result(tmp_path / "result.json")


def test_a_device_that_cannot_run_it_says_so(kit: Path, tmp_path: Path) -> None:
    for name in ("bundle.exl", "run.sh", "queries.txt"):
        (tmp_path / name).write_bytes((kit / name).read_bytes())
    for name in BENCHES:
        (tmp_path / name).write_text("#!/bin/sh\nexit 3\n")
    done = subprocess.run(["sh", str(tmp_path / "run.sh")], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (3, "")
    assert "cannot measure this device" in done.stderr
    assert not (tmp_path / RESULT).exists()


def test_the_command(kit: Path, edgexl: Edgexl, tmp_path: Path) -> None:
    asked = ("profile", kit / "bundle.exl", kit / "queries.txt", "--runs", "5", "--kit", tmp_path / "kit.tar.gz")
    said = edgexl(*asked, "--json")
    assert said.status == 0, said.err
    assert said.json == {"kit": str(tmp_path / "kit.tar.gz"), "bytes": (tmp_path / "kit.tar.gz").stat().st_size}
    assert (tmp_path / "kit.tar.gz").read_bytes() == (kit.parent / "kit.tar.gz").read_bytes()
    assert "run.sh" in edgexl(*asked).out
    edgexl(*asked, "--device", "adb").refuses(2, "leave out --device")
    edgexl(*asked, "--sweep", "--csv", tmp_path / "x.csv").refuses(2, "leave out --csv, --sweep")
