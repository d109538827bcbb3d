"""Which of two bundles is the faster one on a device, or on which of two devices: exl-bench answers the same texts
there in turns, a process a turn."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, DeviceError
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.device.device import Device
from edgexl.use.compare_times import BLOCK, TOTAL, Times, judge_times

ROUNDS = 5


def compare_times_on(
    devices: tuple[Device, Device],
    bundles: tuple[Path, Path],
    texts: Sequence[str],
    rounds: int = ROUNDS,
    progress: StageProgress = no_stage_progress,
) -> dict[str, Times]:
    """As `compare_times`: the first bundle on the first device, the second on the second. Each round answers all texts
    by both, the one that begins changing; a text's time is its least. Raises `BadInput` for an emulated device,
    `DeviceError` where one cannot answer."""
    for device in devices:
        if not device.facts().timed:
            raise BadInput(f"{device.facts().name} has no times; `edgexl profile` counts its instructions.")
    with tempfile.TemporaryDirectory() as folder:
        lines = Path(folder) / "texts.txt"
        lines.write_text("".join(f"{' '.join(text.split())}\n" for text in texts), encoding="utf-8")
        calls = [
            [device.push(bundle), "--queries", device.push(lines)]
            for device, bundle in zip(devices, bundles, strict=True)
        ]
        least: list[list[dict[str, float]]] = [[{} for _ in texts], [{} for _ in texts]]
        for round_ in range(rounds):
            for which in (0, 1) if round_ % 2 == 0 else (1, 0):
                samples = _answer(devices[which], calls[which], len(texts))
                for place, known in enumerate(least[which]):
                    for stage, times in samples.items():
                        known[stage] = min(times[place], known.get(stage, times[place]))
            progress(round_ + 1, rounds)
    for known in (text for of_bundle in least for text in of_bundle):
        known[TOTAL] = sum(time for stage, time in known.items() if stage != TOTAL)
    size = min(BLOCK, max(1, len(texts) // 2))
    return judge_times(least, list(range(0, len(texts), size)))


def _answer(device: Device, call: Sequence[str], count: int) -> dict[str, list[float]]:
    """Each stage's time for each text. As many queries warm up, so that the first that is timed is the first text."""
    runs = ["--runs", str(count), "--warmup", str(count), "--core", "auto", "--samples"]
    done = device.run("exl-bench", [*call, *runs])
    if done.exit_code:
        raise DeviceError(f"{device.facts().name}: {done.stderr.strip() or 'exl-bench failed'}")
    report: dict[str, Any] = json.loads(done.stdout)
    samples: dict[str, list[float]] = report["samples"]
    return samples
