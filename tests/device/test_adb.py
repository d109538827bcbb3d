"""A device by adb: the real client, and a stand-in that speaks its protocol and runs programs on this machine."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.base.errors import BadInput, DeviceError
from edgexl.device.adb import CLIENT, AdbDevice
from edgexl.device.local import this_machine
from edgexl.device.open_device import open_device
from edgexl.use.profile import profile
from tests.device.adb_server import Phone, serve
from tests.runtime.tiny_bundle import build

pytestmark = pytest.mark.skipif(shutil.which(CLIENT) is None, reason="adb is not installed")
TOOLS = Path(this_machine().tools)


@contextlib.contextmanager
def connect(monkeypatch: pytest.MonkeyPatch, *phones: Phone) -> Iterator[None]:
    with serve(*phones) as address:
        monkeypatch.setenv("ADB_SERVER_SOCKET", address)
        yield


@pytest.fixture
def phone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Phone]:
    one = Phone(tmp_path / "phone")
    with connect(monkeypatch, one):
        yield one


def is_empty(phone: Phone) -> bool:
    return not list((phone.folder / "tmp").iterdir())


def until(done: Callable[[], bool], seconds: float = 40) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)
    return done()


@pytest.mark.parametrize("name", ["adb:", "adb:-d", "adb:a b", "adb:x;y", "adb://phone"])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(BadInput, match="write adb, or adb:SERIAL"):
        AdbDevice(name)


def test_a_bundle_answers_there_as_here(phone: Phone, tmp_path: Path) -> None:
    bundle = build(native=True).write(tmp_path / "it's a tiny bundle.exl")
    with AdbDevice("adb", TOOLS) as device:
        facts = device.facts()
        assert (facts.name, facts.cpu, facts.timed) == ("adb", "Stand-in", True)
        assert device.about.libc == "bionic, API level 34"
        assert device.about.memory_bytes > 1 << 20
        path = device.push(bundle)
        assert Path(phone.path(path)).read_bytes() == bundle.read_bytes()
        asked = ["-k", "2", "--", "old king", 'it\'s "red" $HOME `x`']
        there = device.run("exl-run", [path, *asked])
        here = this_machine().run("exl-run", [str(bundle), *asked])
        assert there.exit_code == 0
        assert [line.split('"ms"')[0] for line in there.stdout.splitlines()] == [
            line.split('"ms"')[0] for line in here.stdout.splitlines()
        ]
        assert device.run("exl-run", [path], stdin="häuser\nred river\n").stdout.count("\n") == 2
        failed = device.run("exl-run", ["nothing.exl"])
        assert failed.exit_code == 2
        assert "nothing.exl" in failed.stderr
        assert device.push(bundle) == path
    assert len(phone.pushed) == 2  # the bundle and exl-run, once each
    assert until(lambda: is_empty(phone))


@pytest.mark.slow
def test_a_profile_of_a_phone_by_its_serial(phone: Phone, tmp_path: Path) -> None:
    bundle = build(native=True).write(tmp_path / "tiny.exl")
    with open_device("adb:stand-in-1") as device:
        report = profile(bundle, runs=5, device=device)
    assert (report["device"], report["timed"], report["engine"]) == ("adb:stand-in-1", True, "native")
    assert until(lambda: is_empty(phone))


def test_what_cannot_be_reached_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with connect(monkeypatch), pytest.raises(DeviceError, match=r"adb cannot be reached: .*no devices"):
        AdbDevice("adb", TOOLS)
    two = (Phone(tmp_path / "a", "phone-a"), Phone(tmp_path / "b", "phone-b"))
    with connect(monkeypatch, *two):
        with pytest.raises(DeviceError, match="more than one device"):
            AdbDevice("adb", TOOLS)
        with pytest.raises(DeviceError, match=r"adb:phone-c cannot be reached: .*'phone-c' not found"):
            AdbDevice("adb:phone-c", TOOLS)
        with AdbDevice("adb:phone-b", TOOLS) as device:
            assert device.run("exl-run", ["--version"]).stdout.strip() == __version__
    assert two[1].pushed
    assert not two[0].pushed


def test_an_old_android(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        connect(monkeypatch, Phone(tmp_path / "old", features="cmd")),
        pytest.raises(DeviceError, match="needs Android 7 or newer"),
    ):
        AdbDevice("adb", TOOLS)


def test_a_full_phone(phone: Phone) -> None:
    with AdbDevice("adb", TOOLS) as device:
        phone.full = True
        with pytest.raises(DeviceError, match="No space left on device"):
            device.push(TOOLS / "exl-run")
    assert until(lambda: is_empty(phone))


def test_a_tool_that_dies(phone: Phone, tmp_path: Path) -> None:
    (tmp_path / "exl-run").write_text("#!/bin/sh\nkill -SEGV $$\n")
    with AdbDevice("adb", tmp_path) as device, pytest.raises(DeviceError, match="killed by signal 11"):
        device.run("exl-run", [])
    assert until(lambda: is_empty(phone))


KEPT = """
import sys, time
from pathlib import Path
from edgexl.device.adb import AdbDevice
device = AdbDevice("adb", Path(sys.argv[1]))
device.push(Path(sys.argv[1]) / "exl-run")
print("ready", flush=True)
time.sleep(600)
"""


def test_nothing_is_left_behind_where_this_end_is_killed(phone: Phone) -> None:
    process = subprocess.Popen([sys.executable, "-c", KEPT, str(TOOLS)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert not is_empty(phone)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert until(lambda: is_empty(phone))
