"""Mechanistic against standard distillation: three sizes, two data sets, seeds; trained equally long, then compiled.

    python -m benchmarks.distillation --data wordnet --size micro --method standard --seed 0   one cell
    python -m benchmarks.distillation --all                 every cell that has no result yet; stop and go on at will
    python -m benchmarks.distillation --across              students without a result on the other data set's labels
    python -m benchmarks.distillation --table [--plot FILE.svg]

A cell trains a student, compiles it with `balanced` for this machine, and asks the bundle through the C runtime on the
2,000 fixed test queries. Results are lines of results/cells.json; students and bundles stay in the user's cache.
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
from benchmarks.distillation.cells import DATA_SETS, METHODS, SIZES, Cell, all_cells
from benchmarks.distillation.tables import markdown, plot
from edgexl.base.fetch import cache_directory
from edgexl.compiler.recipe import GateRecipe, load_recipe
from edgexl.distill.pipeline import distill
from edgexl.report import write_text
from edgexl.use.evaluate import evaluate

RESULTS = Path(__file__).parent / "results" / "cells.json"
# Queries whose right labels are taken away, to see whether a bundle says so.
ABSENCE_QUERIES = 500


def main() -> None:
    """Run cells, or show what is known."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", choices=DATA_SETS)
    parser.add_argument("--size", choices=SIZES)
    parser.add_argument("--method", choices=METHODS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--all", action="store_true", help="every cell without a result")
    parser.add_argument("--across", action="store_true", help="trained students on the other data set's labels")
    parser.add_argument("--table", action="store_true", help="print the results as Markdown")
    parser.add_argument("--plot", type=Path, help="draw the results")
    arguments = parser.parse_args()
    if arguments.all:
        for cell in all_cells():
            if not any(known["cell"] == cell.name for known in read_results()):
                record(run(cell, arguments.device))
    elif arguments.data and arguments.size and arguments.method:
        cell = Cell(arguments.data, arguments.size, arguments.method, arguments.seed)
        found = run(cell, arguments.device)
        record(found)
        print(json.dumps(found, indent=1))
    elif arguments.across:
        known = {(row["cell"], row.get("weights", "")) for row in read_results()}
        for found in across(work_directory(), known, arguments.device):
            record(found)
    elif not arguments.table and not arguments.plot:
        parser.error("name a cell by --data, --size and --method, or give --all, --across, --table or --plot")
    if arguments.table:
        print(markdown(read_results()))
    if arguments.plot:
        write_text(arguments.plot, plot(read_results()))


def run(cell: Cell, device: str) -> dict[str, Any]:
    """Train, compile and measure one cell. A student that is there already is not trained again."""
    student, bundle = work_directory() / cell.name, work_directory() / f"{cell.name}.exl"
    began, processor = time.monotonic(), time.process_time()
    if not (student / "training.html").is_file():
        distill(cell.recipe(), student, log=lambda line: print(f"{cell.name}: {line}", flush=True), device=device)
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
        "cell": cell.name, **dataclasses.asdict(cell),
        "bundle": judged["bundle"], "screening": judged["screening"], "float": loaded.metrics["evaluation"],
        "development": loaded.metrics["development"]["reasoned"],
        "absence": absence.measure(str(bundle), str(student), ABSENCE_QUERIES),
        "bytes": {"weights": weights, "bundle": report.bytes},
        "minutes": {name: round(value, 2) for name, value in minutes.items()},
    }  # fmt: skip


def work_directory() -> Path:
    """Where students and bundles are kept: up to 100 MB a cell."""
    directory = cache_directory() / "distillation"
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def read_results() -> list[dict[str, Any]]:
    """The recorded cells."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else []


def record(found: dict[str, Any]) -> None:
    """Put a cell's result in the place of its older one."""
    rows = [row for row in read_results() if row["cell"] != found["cell"]] + [found]
    RESULTS.parent.mkdir(exist_ok=True)
    write_text(RESULTS, json.dumps(sorted(rows, key=lambda row: row["cell"]), indent=1) + "\n")


if __name__ == "__main__":
    main()
