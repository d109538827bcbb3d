"""Fits a target's cost model to a device: to one that is reached, on which the calibration bundles are measured, or to
what a kit brought back of one that is not."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import time
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory, sha256_file
from edgexl.base.files import read_input, write_text
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.plan import Plan
from edgexl.bundle.read import read_bundle
from edgexl.cost.find import find_model, user_path
from edgexl.cost.model import CostModel, fit, save_model
from edgexl.cost.stages import Anatomy, read_anatomy
from edgexl.device.device import Device
from edgexl.target import Target, find_target, load_target
from edgexl.use.calibrating.bundles import make_bundles
from edgexl.use.calibrating.measure import measure, read_samples

# Measurements that wait for an interrupted run to go on are not taken up after a day: the device may be another.
_KEPT_S = 86400.0
_COSTS = re.compile(r"^costs\s*=.*$", re.M)
_NAME = re.compile(r"^name\s*=.*$", re.M)


def calibrate_device(source: str, device: Device, progress: Progress = no_progress) -> tuple[CostModel, Path]:
    """Measure the calibration bundles on `device`, and write the model of the target `source`, a name or a file;
    returns it and where it lies. An interrupted run goes on where it stopped, for a day.

    Raises `BadInput` for no target, `DeviceError` where the device fails.
    """
    target = load_target(source)
    base = _base(target)
    facts = device.facts()
    about = json.dumps([facts.name, facts.cpu, facts.architecture, facts.timed, source])
    kept = cache_directory() / "calibration" / "measured" / hashlib.sha256(about.encode()).hexdigest()[:16]
    if kept.is_dir() and time.time() - kept.stat().st_mtime > _KEPT_S:
        _empty(kept)
    samples = measure(device, make_bundles(progress), kept, progress)
    unit = "ms" if facts.timed else "instructions"
    model = fit(samples, _about(unit, facts.cpu), base)
    path = save_to_target(model, source)
    _empty(kept)
    return model, path


def calibrate_kit(
    source: str, profile: dict[str, Any], bundle: Path, bundle_sha256: str, cpu: str
) -> tuple[CostModel, Path]:
    """Fit the target's model to the `profile` that a kit brought back of `bundle`, and write it. Of one bundle: the
    model that the target had before is scaled rather than replaced.

    Raises `BadInput` where the bundle is not the kit's, or the profile lacks operations.
    """
    target = load_target(source)
    if sha256_file(bundle) != bundle_sha256:
        raise BadInput(f"{bundle} is not the bundle that the kit measured; give that one.")
    anatomy = read_anatomy(read_bundle(bundle))
    try:
        tokens = _count_tokens(anatomy, profile["operations"])
        samples = read_samples(bundle.stem, anatomy, tokens, [profile])
    except (KeyError, TypeError, IndexError, ValueError) as error:
        raise BadInput(f"The kit's result lacks a part of a profile ({error}); run the kit again.") from None
    model = fit(samples, _about("ms", cpu), _base(target))
    return model, save_to_target(model, source)


def save_to_target(model: CostModel, source: str) -> Path:
    """Write a target's model: beside a target's file, which then names it, or for a shipped target into the user's
    cache. Returns its path."""
    target = load_target(source)
    path = find_target(source)
    if str(source) != str(path):  # the name of a shipped one
        place = user_path(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        save_model(model, place)
        return place
    place = Path(target.costs) if target.costs.endswith(".json") else path.with_suffix(".costs.json")
    save_model(model, place)
    if not target.costs.endswith(".json"):
        text = read_input(path).decode("utf-8-sig")
        line = f"costs = {json.dumps(place.name)}"
        head = text[: match.start()] if (match := re.search(r"^\[", text, re.M)) else text
        named = _COSTS.sub(line, head, count=1) if target.costs else _NAME.sub(rf"\g<0>\n{line}", head, count=1)
        write_text(path, named + text[len(head) :])
    return place


def _base(target: Target) -> CostModel:
    return find_model(target).model


def _about(unit: str, device: str) -> dict[str, Any]:
    return {"unit": unit, "device": device, "fitted": datetime.date.today().isoformat()}


def _count_tokens(anatomy: Anatomy, operations: list[dict[str, Any]]) -> int:
    """How many tokens the texts of a profile had on average, by the products that grow with them."""
    for each in operations:
        sizes = _plan_of(anatomy, each["graph"]).operations[each["number"]].sizes
        rows, rest = sizes[0], [size.coefficient for size in sizes[1:3]]
        if each["kind"].startswith("linear") and (rows.coefficient, rows.t, rows.n) == (1, 1, 0):
            macs = float(each["macs"])
            return max(1, int(macs / (rest[0] * rest[1]) + 0.5))
    raise ValueError("no operation grows with the text")


def _plan_of(anatomy: Anatomy, graph: str) -> Plan:
    plan = anatomy.screener if graph == "screener" else anatomy.reasoner
    if plan is None:
        raise ValueError(f"a graph {graph}, which the bundle has not")
    return plan


def _empty(folder: Path) -> None:
    for file in folder.glob("*.json"):
        file.unlink(missing_ok=True)
