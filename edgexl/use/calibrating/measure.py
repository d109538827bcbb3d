"""Measures the calibration bundles on a device: stages and operations at several lengths of text, as samples for a
cost model."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from edgexl.base.errors import DeviceError
from edgexl.base.files import read_input, write_text
from edgexl.base.progress import Progress, no_progress
from edgexl.base.strict_json import parse_object
from edgexl.bundle.read import read_bundle
from edgexl.cost.model import TOTAL, Sample
from edgexl.cost.operations import measure_plan
from edgexl.cost.stages import LOAD, STAGES, Anatomy, measure_stages, read_anatomy, total_features
from edgexl.device.device import Device
from edgexl.use.calibrating.bundles import lengths_of, make_text

# Of a timed device: runs of each bundle and length, and how often all are taken in turn; the least median counts, for
# what else runs on a device makes it slower only. The neighbours of a virtual machine do so for seconds on end: many
# short turns meet quiet moments. Instructions repeat to a thousandth.
_RUNS, _WARMUP, _TURNS = 12, 3, 12
# Medians of an undisturbed pinned process lie so far above its least times.
_MEDIAN_ABOVE_LEAST = 1.03
_COUNTED_RUNS, _COUNTED_WARMUP = 1, 1
# An emulator takes seconds for what a device does in milliseconds: of an exact count fewer lengths are enough.
_COUNTED_EVERY = 2
_PER_MS = 1_000_000
_TIMEOUT_S = 600.0


def measure(device: Device, bundles: Mapping[str, Path], kept: Path, progress: Progress = no_progress) -> list[Sample]:
    """The samples of all `bundles` (name -> file): ms of a timed device, instructions of an emulated one. What was
    measured stays in the folder `kept`, where an interrupted run goes on.

    Raises `DeviceError` where the device or its tools fail.
    """
    timed = device.facts().timed
    kept.mkdir(parents=True, exist_ok=True)
    anatomies = {name: read_anatomy(read_bundle(path)) for name, path in bundles.items()}
    jobs = [
        (turn, name, tokens)
        for turn in range(_TURNS if timed else 1)
        for name, anatomy in anatomies.items()
        for tokens in lengths_of(anatomy.parameters.max_tokens)[:: 1 if timed else _COUNTED_EVERY]
    ]
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for done, (turn, name, tokens) in enumerate(jobs):
        progress("measure", done, len(jobs))
        place = kept / f"{name}-{tokens}-{turn}.json"
        if not place.is_file():
            write_text(place, json.dumps(_bench(device, bundles[name], tokens, timed)))
        found.setdefault((name, tokens), []).append(parse_object(read_input(place)))
    progress("measure", len(jobs), len(jobs))
    scale = 1.0 if timed else _PER_MS
    return [
        sample
        for (name, tokens), reports in found.items()
        for sample in read_samples(name, anatomies[name], tokens, reports, scale)
    ]


def _bench(device: Device, bundle: Path, tokens: int, timed: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        text = Path(folder) / "text.txt"
        text.write_text(make_text(tokens) + "\n", encoding="utf-8")
        runs, warmup = (_RUNS, _WARMUP) if timed else (_COUNTED_RUNS, _COUNTED_WARMUP)
        arguments = [device.push(bundle), "--queries", device.push(text), "--operations"]
        arguments += ["--runs", str(runs), "--warmup", str(warmup), *(["--core", "auto"] if timed else [])]
        done = device.run("exl-bench", arguments, timeout_s=_TIMEOUT_S)
    if done.exit_code:
        raise DeviceError(done.stderr.strip() or f"exl-bench ended with {done.exit_code}.")
    return parse_object(done.stdout.encode())


def read_samples(
    name: str, anatomy: Anatomy, tokens: int, reports: list[dict[str, Any]], scale: float = 1.0
) -> list[Sample]:
    """What exl-bench tells of a bundle with --operations, at one length of text, as samples; the least median of
    several reports. `scale`: units in what it calls a millisecond. Raises `KeyError` where a report lacks a part."""
    stages = measure_stages(anatomy, tokens)
    samples = [
        Sample(name, stage, stages[stage], scale * _quiet([report["stages"][stage] for report in reports]))
        for stage in STAGES
        if stages[stage]
    ]
    total = scale * _quiet([report["total"] for report in reports])
    samples.append(Sample(name, TOTAL, total_features(stages), total))
    if scale == 1.0:  # an emulator's is a time
        samples.append(Sample(name, LOAD, stages[LOAD], min(report["load_ms"] for report in reports)))
    known = {
        "screener": measure_plan(anatomy.screener, tokens, anatomy.parameters.shortlist, anatomy.streamed_bytes),
        "reasoner": measure_plan(anatomy.reasoner, tokens, anatomy.parameters.shortlist, anatomy.streamed_bytes)
        if anatomy.reasoner
        else [],
    }
    for places in zip(*(report["operations"] for report in reports), strict=True):
        kind, features = known[places[0]["graph"]][places[0]["number"]]
        samples.append(Sample(name, kind, features, scale * _quiet(places), is_operation=True))
    return samples


def _quiet(times: Sequence[dict[str, Any]]) -> float:
    """The median of a quiet moment, out of several turns: the least time of all, or the least median where it is nearer
    than what medians lie above it on a machine that is not disturbed."""
    least, middle = (min(float(each[name]) for each in times) for name in ("min_ms", "p50_ms"))
    return min(middle, _MEDIAN_ABOVE_LEAST * least)
