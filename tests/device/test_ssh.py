"""A device by SSH: a real sshd on loopback, the OpenSSH client, and nothing left behind."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from edgexl import __version__
from edgexl.base.errors import BadInput, DeviceError
from edgexl.device import ssh
from edgexl.device.local import this_machine
from edgexl.device.remote import SILENCE_S
from edgexl.device.ssh import Address, SshDevice
from tests.device.sshd import Server, serve, why_no_server
from tests.runtime.tiny_bundle import build

pytestmark = pytest.mark.skipif(bool(why_no_server()), reason=why_no_server() or "there is a server")
TOOLS = Path(this_machine().tools)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def connected(server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    """The client finds keys and hosts in the server's folder: OpenSSH reads the configuration that it is given."""
    monkeypatch.setattr(ssh, "CLIENT", server.client)
    return server


def until(done: Callable[[], bool], seconds: float = 40) -> bool:
    deadline = time.monotonic() + seconds
    while not done() and time.monotonic() < deadline:
        time.sleep(0.1)
    return done()


def is_empty(server: Server) -> bool:
    return not list(server.scratch.iterdir())


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ssh://pi@10.0.0.7", Address("10.0.0.7", "pi")),
        ("ssh://pi@till:2222", Address("till", "pi", 2222)),
        ("ssh://till/", Address("till")),
        ("ssh://root@[fe80::1]:22", Address("fe80::1", "root", 22)),
    ],
)
def test_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address
    assert str(address) == text.rstrip("/")


@pytest.mark.parametrize(
    "text", ["till", "ssh://", "ssh://a b", "ssh://-oProxyCommand=x", "ssh://a:0", "ssh://a:99999"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(BadInput, match="write ssh://user@host"):
        Address.parse(text)


def test_a_bundle_answers_there_as_here(connected: Server, tmp_path: Path) -> None:
    bundle = build(native=True).write(tmp_path / "it's a tiny bundle.exl")
    here = this_machine()
    with SshDevice(connected.address, TOOLS) as device:
        facts = device.facts()
        assert (facts.name, facts.timed) == (connected.address, True)
        assert facts.architecture == os.uname().machine
        assert device.about.page_bytes == os.sysconf("SC_PAGE_SIZE")
        assert device.about.disk_bytes > 1 << 20
        path = device.push(bundle)
        assert Path(path).read_bytes() == bundle.read_bytes()
        asked = ["-k", "2", "--", "old king", 'it\'s "red" $HOME `x`']
        there = device.run("exl-run", [path, *asked])
        assert there.exit_code == 0
        strip = [line.split('"ms"')[0] for line in there.stdout.splitlines()]
        assert strip == [
            line.split('"ms"')[0] for line in here.run("exl-run", [str(bundle), *asked]).stdout.splitlines()
        ]
        assert device.run("exl-run", [path], stdin="häuser\nred river\n").stdout.count("\n") == 2
        assert device.run("exl-run", ["nothing.exl"]).exit_code == 2
        before = sorted(connected.scratch.rglob("*"))
        assert device.push(bundle) == path
        assert sorted(connected.scratch.rglob("*")) == before
    assert until(lambda: is_empty(connected))


def test_a_device_of_the_clients_own_configuration(connected: Server) -> None:
    with SshDevice("ssh://device", TOOLS) as device:
        assert device.run("exl-run", ["--version"]).stdout.strip() == __version__
    assert until(lambda: is_empty(connected))


def test_what_cannot_be_reached_is_one_sentence(connected: Server, tmp_path: Path) -> None:
    with pytest.raises(DeviceError, match=r"ssh://127.0.0.1:1 cannot be reached: .*refused"):
        SshDevice("ssh://127.0.0.1:1", TOOLS)
    with pytest.raises(DeviceError, match=r"cannot be reached: .*Permission denied"):
        SshDevice(connected.address.replace("ssh://", "ssh://nobody-here@"), TOOLS)
    with SshDevice(connected.address, tmp_path) as device, pytest.raises(DeviceError, match="edgexl runtime build"):
        device.run("exl-run", [])
    assert until(lambda: is_empty(connected))


def test_too_little_disk_or_memory_is_said_before_anything_is_copied(connected: Server, tmp_path: Path) -> None:
    bundle = build(native=True).write(tmp_path / "tiny.exl")
    with SshDevice(connected.address, TOOLS) as device:
        before, about = sorted(connected.scratch.rglob("*")), device.about
        device.about = dataclasses.replace(about, memory_bytes=3_000_000)
        with pytest.raises(DeviceError, match=r"3,000,000 bytes of memory free, and answering from .* smaller bundle"):
            device.push(bundle)
        # a file needs its own size and a little more
        device.about = dataclasses.replace(about, disk_bytes=(1 << 20) + bundle.stat().st_size - 1)
        with pytest.raises(DeviceError, match=r"bytes free in its temporary folder, .* set TMPDIR"):
            device.push(bundle)
        assert sorted(connected.scratch.rglob("*")) == before
        # where a device does not tell, it is tried; a tool is no bundle
        device.about = dataclasses.replace(about, memory_bytes=0, disk_bytes=0)
        device.push(bundle)
        device.about = dataclasses.replace(about, memory_bytes=1)
        device.push(TOOLS / "exl-run")
    assert until(lambda: is_empty(connected))


def test_a_tool_that_dies_or_does_not_end(connected: Server, tmp_path: Path) -> None:
    (tmp_path / "exl-run").write_text("#!/bin/sh\nkill -SEGV $$\n")
    (tmp_path / "exl-bench").write_text("#!/bin/sh\nexec sleep 30\n")
    with SshDevice(connected.address, tmp_path) as device:
        with pytest.raises(DeviceError, match="killed by signal 11"):
            device.run("exl-run", [])
        with pytest.raises(DeviceError, match=r"did not answer within 0\.5 s"):
            device.run("exl-bench", [], timeout_s=0.5)
    assert until(lambda: is_empty(connected))


KEPT = """
import sys, threading, time
from pathlib import Path
from edgexl.device import ssh
ssh.CLIENT = ("ssh", "-F", sys.argv[1])
device = ssh.SshDevice(sys.argv[2], Path(sys.argv[3]))
bundle = device.push(Path(sys.argv[4]))
arguments = [bundle, "--seconds", "600"]
threading.Thread(target=device.run, args=("exl-bench", arguments), daemon=True).start()
print("ready", flush=True)
time.sleep(600)
"""


def running_there(server: Server) -> list[str]:
    """The programs that run out of a scratch folder."""
    found = []
    for place in Path("/proc").glob("[0-9]*/exe"):
        with contextlib.suppress(OSError):
            found += [str(place)] if str(place.readlink()).startswith(str(server.scratch)) else []
    return found


def start_kept(server: Server, bundle: Path) -> subprocess.Popen[bytes]:
    """A process of this end that has the device busy for ten minutes."""
    config = str(server.folder / "home" / ".ssh" / "config")
    words = [sys.executable, "-c", KEPT, config, server.address, str(TOOLS), str(bundle)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert until(lambda: bool(running_there(server)))
    assert any(path.name.endswith("exl-bench") for path in server.scratch.rglob("*"))
    return process


@pytest.mark.parametrize("who", ["this end", "the session there", "both"])
def test_nothing_is_left_behind_where_one_is_killed(connected: Server, who: str, tmp_path: Path) -> None:
    process = start_kept(connected, build(native=True).write(tmp_path / "tiny.exl"))
    if who in ("the session there", "both"):
        for pid in connected.sessions():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    if who in ("this end", "both"):
        process.kill()
    assert until(lambda: is_empty(connected))
    assert until(lambda: not running_there(connected))
    process.kill()
    process.wait()


def test_a_line_that_is_cut_leaves_nothing(connected: Server, tmp_path: Path) -> None:
    """The client is stopped, and so are its beats: as if the network were gone, for nothing is closed."""
    process = start_kept(connected, build(native=True).write(tmp_path / "tiny.exl"))
    process.send_signal(signal.SIGSTOP)
    try:
        assert not is_empty(connected)
        assert until(lambda: is_empty(connected), SILENCE_S + 20)
        assert until(lambda: not running_there(connected))
    finally:
        process.kill()
        process.wait()


def test_a_tool_that_takes_too_long_ends_with_the_device(connected: Server, tmp_path: Path) -> None:
    bundle = build(native=True).write(tmp_path / "tiny.exl")
    with SshDevice(connected.address, TOOLS) as device, pytest.raises(DeviceError, match="did not answer within"):
        device.run("exl-bench", [device.push(bundle), "--seconds", "600"], timeout_s=2)
    assert until(lambda: not running_there(connected))
    assert is_empty(connected)
