"""Two bundles compared on a device that a real sshd stands for, and one bundle on two devices."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.device.emulated import why_not
from edgexl.device.local import this_machine
from edgexl.device.open_device import open_device
from edgexl.use.compare import compare
from tests.command_line import Edgexl
from tests.device.sshd import Server
from tests.runtime.tiny_bundle import build


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One that screens alone, and the same with its reasoner, which takes longer."""
    folder = tmp_path_factory.mktemp("compared")
    short = build(native=True, labels=300, reasons=False).write(folder / "a.exl")
    return short, build(native=True, labels=300).write(folder / "b.exl")


def test_the_slower_bundle_is_found_on_a_device(bundles: tuple[Path, Path], server: Server) -> None:
    with open_device(server.address) as device:
        found = compare(*bundles, devices=(device, device))
    assert found.devices == (server.address, server.address)
    assert found.times["total"].verdict == "slower"
    assert found.times["total"].ratio.value > 1.2
    assert set(found.times) >= {"encode", "scan", "total"}
    assert found.as_json()["devices"] == [server.address, server.address]


def test_one_bundle_on_two_devices(bundles: tuple[Path, Path], server: Server) -> None:
    with open_device(server.address) as device:
        found = compare(bundles[1], bundles[1], devices=(this_machine(), device))
    assert found.identical
    assert found.devices == ("host", server.address)
    assert 0.5 < found.times["total"].ratio.value < 2  # the same machine, but for what else it does


def test_the_command_takes_one_device_or_two(bundles: tuple[Path, Path], edgexl: Edgexl) -> None:
    done = edgexl("compare", *bundles, "--device", "local", "--device", "local")
    assert "slower" in done.out
    edgexl("compare", *bundles, *(["--device", "local"] * 3)).refuses(2, "once for both")
    edgexl("compare", *bundles, "--device", "nowhere").refuses(2, "nowhere")


@pytest.mark.slow  # compiles the emulated device's tools
@pytest.mark.skipif(bool(why_not("cortex-a72")), reason=why_not("cortex-a72") or "it is there")
def test_an_emulated_device_has_no_times_to_compare(bundles: tuple[Path, Path]) -> None:
    with open_device("emulated:raspberry-pi-4") as device, pytest.raises(BadInput, match="has no times"):
        compare(*bundles, devices=(device, device))
