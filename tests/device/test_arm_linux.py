"""A real ARM Linux, end to end by SSH: Debian for arm64 in qemu's system emulation."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgexl.device import ssh
from edgexl.target import Cluster, load_target
from edgexl.use.kit import FOLDER, RESULT, read_kit_result, write_kit
from tests.command_line import Edgexl, Tiny
from tests.device.arm_linux import BOOT_S, ArmLinux, boot, why_no_arm_linux

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def arm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArmLinux]:
    if reason := why_no_arm_linux():
        if os.environ.get("EDGEXL_REQUIRE_EMULATION"):
            pytest.fail(reason)
        pytest.skip(reason)
    with boot(tmp_path_factory.mktemp("arm")) as running:
        yield running


@pytest.fixture(autouse=True)
def client(arm: ArmLinux, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh, "CLIENT", ("ssh", "-F", str(arm.config)))


def call(arm: ArmLinux, command: str, stdin: bytes = b"") -> str:
    words = ["ssh", "-F", str(arm.config), "-p", arm.address.rsplit(":", 1)[1], "127.0.0.1", command]
    return subprocess.run(words, input=stdin, capture_output=True, check=True).stdout.decode()


def files_there(arm: ArmLinux) -> list[str]:
    return call(arm, "ls -A /tmp").split()


def test_it_boots_in_time(arm: ArmLinux) -> None:
    assert arm.boot_s < BOOT_S


def test_a_profile(arm: ArmLinux, tiny: Tiny, edgexl: Edgexl) -> None:
    said = edgexl("profile", tiny.bundle, "--device", arm.address, "--runs", "5", "--json")
    assert said.status == 0, said.err
    report = said.json
    assert (report["device"], report["timed"], report["engine"], report["runs"]) == (arm.address, True, "native", 5)
    assert report["total"]["p50_ms"] > 0
    assert not files_there(arm)


def test_answers_are_those_of_this_machine(arm: ArmLinux, tiny: Tiny, edgexl: Edgexl) -> None:
    texts = b"a small red river\nold king\n"
    here = edgexl("run", tiny.bundle, "-", "--json", stdin=texts)
    there = edgexl("run", tiny.bundle, "-", "--json", "--device", arm.address, stdin=texts)
    assert there.status == here.status == 0, there.err
    for one, other in zip(here.lines, there.lines, strict=True):
        assert [label["id"] for label in one["labels"]] == [label["id"] for label in other["labels"]]
        assert [label["probability"] for label in one["labels"]] == pytest.approx(
            [label["probability"] for label in other["labels"]], rel=1e-5
        )
    assert not files_there(arm)


def test_a_target_is_detected(arm: ArmLinux, edgexl: Edgexl, tmp_path: Path) -> None:
    out = tmp_path / "arm.toml"
    said = edgexl("targets", "detect", "--device", arm.address, "-o", out)
    assert said.status == 0, said.err
    target = load_target(out)
    assert (target.isa, target.cores, target.libc, target.page_bytes) == ("armv8-a", 2, "glibc", 4096)
    assert target.hardware.clusters == (Cluster("Cortex-A72", 2, 0, one_thread=True),)
    assert target.hardware.kernel.startswith("neon")
    assert target.hardware.int8_gmacs > 0
    assert target.hardware.storage_mb_per_s > 0
    assert [level.name for level in target.hardware.levels][-1] == "DRAM"
    assert target.emulator is not None
    assert target.emulator.cpu == "cortex-a72"
    assert not files_there(arm)


def test_a_kit_runs_with_the_smallest_tools(arm: ArmLinux, tiny: Tiny, tmp_path: Path) -> None:
    """Of busybox alone, as it is on a router."""
    archive = write_kit(tiny.bundle, tmp_path / "kit.tar.gz", runs=5)
    call(arm, "mkdir -p /root/small && busybox --install -s /root/small && tar -C /root -xz", archive.read_bytes())
    said = call(arm, f"PATH=/root/small /root/small/sh /root/{FOLDER}/run.sh")
    assert f"/root/{FOLDER}/{RESULT} is written" in said
    (tmp_path / RESULT).write_text(call(arm, f"cat /root/{FOLDER}/{RESULT}"))
    result = read_kit_result(tmp_path / RESULT)
    assert result.cpus.clusters == (Cluster("Cortex-A72", 2, 0, one_thread=True),)
    assert (result.system.machine, result.system.page_bytes, result.profile["runs"]) == ("aarch64", 4096, 5)
    assert result.limits["int8_gmacs"] > 0
