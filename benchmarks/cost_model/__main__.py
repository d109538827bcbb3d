"""How well stages, total and load are foretold from a bundle alone, for bundles that nothing was fitted on.

    python -m benchmarks.cost_model [--devices local emulated:raspberry-pi-4 ...] [--ship FOLDER] [--json]

The calibration bundles (`edgexl.use.calibrating.bundles`: random weights, thirteen shapes) answer texts of 3 to 80
tokens on each device, this machine or emulated boards; the latter are counted in instructions. A model of all bundles
but one foretells that one: errors are relative, and an interval covers where the measured cost lies within the errors
of the other bundles. What was measured stays in the user's cache. `--ship` writes the models that edgexl ships.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.fetch import cache_directory
from edgexl.cost.find import X86
from edgexl.cost.model import Sample, fit, hold_out, save_model, spread
from edgexl.device.open_device import open_device
from edgexl.use.calibrating.bundles import make_bundles
from edgexl.use.calibrating.measure import measure

DEVICES = ("local", "emulated:raspberry-pi-zero-2", "emulated:raspberry-pi-4", "emulated:raspberry-pi-5")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", nargs="+", default=DEVICES)
    parser.add_argument("--ship", type=Path, metavar="FOLDER")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    bundles = make_bundles()
    report = {}
    for name in options.devices:
        with open_device(name) as device:
            facts = device.facts()
            place = "".join(letter if letter.isalnum() else "-" for letter in name)
            samples = measure(device, bundles, cache_directory() / "calibration" / "benchmark" / place)
        report[name] = judge(samples) | {"cpu": facts.cpu, "unit": "ms" if facts.timed else "instructions"}
        if options.ship is not None:
            about = {"unit": report[name]["unit"], "device": facts.cpu, "fitted": datetime.date.today().isoformat()}
            options.ship.mkdir(parents=True, exist_ok=True)
            save_model(fit(samples, about), options.ship / f"{X86 if facts.timed else facts.cpu}.json")
    if options.json:
        print(json.dumps(report))
        return
    for name, found in report.items():
        print(f"{name} ({found['cpu']}), {found['unit']}")
        for stage, row in found["stages"].items():
            print(
                f"  {stage:10} {row['share']:6.1%} of all; error: median {row['median']:6.1%}, 90th percentile "
                f"{row['p90']:6.1%}; intervals cover {row['covered']:4.0%}"
            )


def judge(samples: Sequence[Sample]) -> dict[str, Any]:
    """Errors of each stage, of the total and of load, on each bundle by a model of the others."""
    errors = hold_out(samples)
    sums = {of: sum(sample.measured for sample in samples if sample.of == of) for of in errors}
    stages = {}
    for stage, values in errors.items():
        off = np.array([abs(math.expm1(-value)) for _, value in values])
        stages[stage] = {
            "share": sums[stage] / sums["total"],
            "median": float(np.median(off)),
            "p90": float(np.quantile(off, 0.9)),
            "covered": covered(values),
        }
    return {"stages": stages, "samples": len(samples)}


def covered(values: Sequence[tuple[str, float]]) -> float:
    """The share of costs that lie within the interval that the other bundles' errors make."""
    bundles = sorted({bundle for bundle, _ in values})
    if len(bundles) < 2:
        return math.nan
    inside = []
    for held_out in bundles:
        others = [abs(off) for bundle, off in values if bundle != held_out]
        most = math.log1p(spread(others, len(bundles) - 1))
        inside += [abs(off) <= most for bundle, off in values if bundle == held_out]
    return float(np.mean(inside))


if __name__ == "__main__":
    main()
