"""Mechanistic against standard distillation: three sizes, two data sets, seeds; trained equally long, then compiled.

    python -m benchmarks.distillation --data wordnet --size micro --method standard --seed 0   one run
    python -m benchmarks.distillation --all                 every run that has no result yet; stop and go on at will
    python -m benchmarks.distillation --across              students without a result on the other data set's labels
    python -m benchmarks.distillation --table [--plot FILE.svg]

A run trains a student, compiles it with `balanced` for this machine, and queries the bundle through the C runtime with
the 2,000 fixed test queries. Results are lines of results/runs.json; students and bundles stay in the user's cache.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import edgexl
from benchmarks.distillation import absence
from benchmarks.distillation.across import across
from benchmarks.distillation.runs import DATA_SETS, METHODS, SIZES, Run, all_runs
from benchmarks.distillation.tables import markdown, plot
from edgexl.base.fetch import cache_directory
from edgexl.compiler.recipe import GateRecipe, load_recipe
from edgexl.distill.pipeline import distill
from edgexl.report import write_text
from edgexl.use.evaluate import evaluate

RESULTS = Path(__file__).parent / "results" / "runs.json"
# Queries whose gold labels are taken away, to see whether a bundle says so.
ABSENCE_QUERIES = 500


def main() -> None:
    """Carry out runs, or show what is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA_SETS)
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--method", choices=METHODS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--all", action="store_true", help="every run without a result")
    parser.add_argument("--across", action="store_true", help="trained students on the other data set's labels")
    parser.add_argument("--table", action="store_true", help="print the results as Markdown")
    parser.add_argument("--plot", type=Path, help="draw the results")
    arguments = parser.parse_args()
    if arguments.all:
        for run in all_runs():
            if not any(known["run"] == run.name for known in read_results()):
                record(carry_out(run, arguments.device))
    elif arguments.data and arguments.size and arguments.method:
        run = Run(arguments.data, arguments.size, arguments.method, arguments.seed)
        found = carry_out(run, arguments.device)
        record(found)
        print(json.dumps(found, indent=1))
    elif arguments.across:
        known = {(row["run"], row.get("weights", "")) for row in read_results()}
        for found in across(work_directory(), known, arguments.device):
            record(found)
    elif not arguments.table and not arguments.plot:
        parser.error("name a run by --data, --size and --method, or give --all, --across, --table or --plot")
    if arguments.table:
        print(markdown(read_results()))
    if arguments.plot:
        write_text(arguments.plot, plot(read_results()))


def carry_out(run: Run, device: str) -> dict[str, Any]:
    """Train, compile and measure one run. A student that is there already is not trained again."""
    student, bundle = work_directory() / run.name, work_directory() / f"{run.name}.exl"
    began, processor = time.monotonic(), time.process_time()
    if not (student / "training.html").is_file():
        distill(run.recipe(), student, log=lambda line: print(f"{run.name}: {line}", flush=True), device=device)
        minutes = {"wall": (time.monotonic() - began) / 60, "processor": (time.process_time() - processor) / 60}
        (student / "minutes.json").write_text(json.dumps(minutes))
    minutes = json.loads((student / "minutes.json").read_text())
    loaded = edgexl.load_student(student)
    # a gate would stop the comparison where a method's student is compressed badly; the figure says it instead
    recipe = dataclasses.replace(load_recipe("balanced"), gates=GateRecipe())
    report = edgexl.compile(loaded, recipe, "host", bundle)
    judged = evaluate(bundle, student / "evaluation.json.gz")
    weights = (student / "model.safetensors").stat().st_size
    return {
        "run": run.name, **dataclasses.asdict(run),
        "bundle": judged["bundle"], "screening": judged["screening"], "float": loaded.metrics["evaluation"],
        "development": loaded.metrics["development"]["reasoned"],
        "absence": absence.measure(str(bundle), str(student), ABSENCE_QUERIES),
        "bytes": {"weights": weights, "bundle": report.bytes},
        "minutes": {name: round(value, 2) for name, value in minutes.items()},
    }  # fmt: skip


def work_directory() -> Path:
    """Where students and bundles are kept: up to 100 MB a run."""
    directory = cache_directory() / "distillation"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def read_results() -> list[dict[str, Any]]:
    """The recorded runs."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []


def record(found: dict[str, Any]) -> None:
    """Put a run's result in the place of its older one."""
    rows = [row for row in read_results() if row["run"] != found["run"]] + [found]
    RESULTS.parent.mkdir(exist_ok=True)
    write_text(RESULTS, json.dumps(sorted(rows, key=lambda row: row["run"]), indent=1) + "\n")


if __name__ == "__main__":
    main()
