"""What a bundle costs where it runs: measured there, or foretold for a target that is not at hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.errors import BadInput, DeviceError
from edgexl.bundle.parameters import ENGINE_NATIVE
from edgexl.bundle.read import Bundle, read_bundle
from edgexl.cost.find import find_model
from edgexl.cost.predict import UNMEASURED, predict_bundle
from edgexl.device.device import Device
from edgexl.device.local import this_machine
from edgexl.target import Target, load_target

# Each text is answered so often.
_PASSES = 12


@dataclass(frozen=True)
class Costs:
    """Peak resident `memory_bytes` of exl-bench; in ms the medians of the `stages` and of a query (`ms`), and what
    opening the bundle takes."""

    memory_bytes: int
    stages: Mapping[str, float]
    ms: float
    load_ms: float


@dataclass(frozen=True)
class Meter:
    """`tell` gives the costs of a bundle's file; `said`: whose they are; `predicted`: times are foretold, and bundles
    for ONNX Runtime refused."""

    tell: Callable[[Path], Costs]
    said: str
    predicted: bool = False


def choose_meter(target: Target, device: Device | None = None) -> Meter:
    """What measures on the device where there is one, or here where the target is this machine; else what foretells.
    Raises `BadInput` for a device without times."""
    here = device or (this_machine() if is_host(target) else None)
    if here is None:
        return predict_for(target)
    facts = here.facts()
    if not facts.timed:
        raise BadInput(f"{facts.name} is emulated and has no times; leave out --device, and they are foretold.")
    return measure_on(here)


def is_host(target: Target) -> bool:
    """Whether a target is this machine."""
    return target.name == "host" and target.isa == load_target(Path("host")).isa


def measure_on(device: Device) -> Meter:
    """Times on a device, over the bundle's goldens, each answered several times: the median over texts of the least
    time of each stage, and of the lower quartile of the whole query, which is the usual time of a quiet machine even
    where this one is busy for most of the while."""

    def measure(path: Path) -> Costs:
        bundle = read_bundle(path, verify=False)
        count = len(bundle.goldens.items)
        told = run_bench(device, path, bundle, _PASSES * count)
        passes = {name: np.array(times).reshape(_PASSES, count) for name, times in told["samples"].items()}
        total = passes.pop("total")
        stages = {name: float(np.median(times.min(0))) for name, times in passes.items()}
        ms = float(np.median(np.quantile(total, 0.25, axis=0)))
        return Costs(int(told["peak_resident_bytes"]), stages, ms, float(told["load_ms"]))

    facts = device.facts()
    return Meter(measure, f"{facts.name} ({facts.cpu})")


def predict_for(target: Target) -> Meter:
    """Times that the cost model foretells. Memory is what exl-bench takes here: the same pages of the same file."""
    here = this_machine()

    def predict(path: Path) -> Costs:
        bundle = read_bundle(path, verify=False)
        found = predict_bundle(bundle, target)
        told = run_bench(here, path, bundle, len(bundle.goldens.items))
        stages = {name: each.middle for name, each in found.stages.items()}
        return Costs(int(told["peak_resident_bytes"]), stages, found.total.middle, found.load.middle)

    model = find_model(target)
    worth = f"foretold, fitted on {model.model.device}" if model.measured else UNMEASURED
    return Meter(predict, f"{target.name} ({worth}), memory as on this machine", predicted=True)


def run_bench(device: Device, path: Path, bundle: Bundle, runs: int) -> dict[str, Any]:
    """What exl-bench reports of so many answers, one thread, on the fastest core. Raises `DeviceError`."""
    arguments = [device.push(path), "--runs", str(runs), "--samples", "--core", "auto"]
    done = device.run("exl-bench", arguments)
    if done.exit_code:
        engine = "" if bundle.parameters.engine == ENGINE_NATIVE else " (it needs ONNX Runtime there)"
        raise DeviceError(f"exl-bench cannot answer from the bundle{engine}: {done.stderr.strip()}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report
