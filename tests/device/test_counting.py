"""An emulated device counts instructions: they repeat, add up, and grow with what is done."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from edgexl.device.emulated import why_not
from edgexl.device.open_device import open_device
from edgexl.use.profile import profile
from tests.command_line import Edgexl, Tiny
from tests.runtime.tiny_bundle import build

REASON = why_not("cortex-a72")
pytestmark = pytest.mark.skipif(bool(REASON) and not os.environ.get("EDGEXL_REQUIRE_EMULATION"), reason=REASON or "-")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(native=True, labels=300).write(tmp_path_factory.mktemp("count") / "b.exl")


def count(bundle: Path, text: str, target: str, folder: Path) -> dict[str, Any]:
    (folder / "q.txt").write_text(text)
    with open_device(f"emulated:{target}") as device:
        return profile(bundle, folder / "q.txt", runs=2, device=device, operations=True)


@pytest.mark.slow
def test_instructions_repeat_and_add_up(bundle: Path, tmp_path: Path) -> None:
    first, again = (count(bundle, "the red river", "raspberry-pi-4", tmp_path) for _ in range(2))
    assert not first["timed"]
    assert not [key for key in first if "_ms" in key or key in ("memory", "busy", "faults")]
    whole = first["total"]["p50_instructions"]
    assert whole > 100_000
    assert again["total"]["p50_instructions"] == pytest.approx(whole, rel=1e-3)
    stages = {stage: counts["p50_instructions"] for stage, counts in first["stages"].items()}
    assert sum(stages.values()) == pytest.approx(whole, rel=0.01)
    of_graphs = sum(each["p50_instructions"] for each in first["operations"])
    assert 0.5 * (stages["encode"] + stages["reason"]) < of_graphs < stages["encode"] + stages["reason"]


@pytest.mark.slow
def test_a_longer_text_and_a_plainer_processor_take_more(tiny: Tiny, tmp_path: Path) -> None:
    long = count(tiny.bundle, "ba be bi bo bu bar bel bin", "raspberry-pi-4", tmp_path)
    short = count(tiny.bundle, "ba", "raspberry-pi-4", tmp_path)
    dot = count(tiny.bundle, "ba", "raspberry-pi-5", tmp_path)  # has products of four bytes at a time
    encode = [each["stages"]["encode"]["p50_instructions"] for each in (long, short, dot)]
    assert encode[0] > 1.3 * encode[1]
    products = [
        sum(each["p50_instructions"] for each in report["operations"] if each["kind"] == "linear_int8")
        for report in (short, dot)
    ]
    assert 0 < products[1] < 0.9 * products[0]


def test_the_command_tells_instructions_and_no_times(edgexl: Edgexl, bundle: Path, tmp_path: Path) -> None:
    done = edgexl("profile", bundle, "--device", "emulated:raspberry-pi-4", "--runs", "2", "--operations")
    assert "thousands of instructions" in done.out
    assert "k instructions" in done.out
    assert "_ms" not in done.out
    edgexl("profile", bundle, "--device", "emulated:raspberry-pi-4", "--report", tmp_path / "r.html").refuses(
        2, "has no times"
    )
