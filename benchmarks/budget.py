"""How good a search to a budget is, beside the shipped recipes and beside trying everything.

    python -m benchmarks.budget STUDENT [--limits "max_size=26MB max_ms=8" ...] [--grid 200] [--json]

For each of the limits: the bundle that `edgexl compile` makes to them, measured, and the best shipped recipe that keeps
them. With `--grid`, so many points of the same space, evenly drawn, are made and answered one by one; the best of those
that keep the limits (their times as foretold, for two hundred measurements would take an hour) stands beside what the
search took with a tenth of them. What was measured stays in the user's cache.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from edgexl.compiler.measure.costs import Costs, Meter
from edgexl.compiler.recipe import load_recipe
from edgexl.student.student import Student, load_student
from edgexl.target import Target, load_target
from edgexl.use.budget.figures import Figures
from edgexl.use.budget.forecast import Candidate
from edgexl.use.budget.limits import Limits, read_bytes
from edgexl.use.budget.search import BudgetReport, compile_to_budget
from edgexl.use.budget.space import make_space
from edgexl.use.budget.store import Store
from edgexl.use.budget.workshop import Fitted, Workshop

# What an engineer may ask of a dictionary of 117,000 labels: small files, little memory, quick answers, and all of it.
LIMITS = ("max_size=24MB", "max_memory=33MB", "max_ms=4", "max_size=30MB max_ms=4", "max_ms=20 max_memory=60MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", nargs="?", default="wordnet")
    parser.add_argument("--limits", nargs="+", default=LIMITS)
    parser.add_argument("--grid", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    student, target = load_student(options.student), load_target(Path("host"))
    found = []
    for each in options.limits:
        found.append(search(student, target, read_limits(each)))
        print(json.dumps(judge(found[-1], [])), file=sys.stderr, flush=True)
    tried = try_grid(student, target, found[-1], options.grid) if options.grid else []
    rows = [judge(report, tried) for report in found]
    if options.json:
        print(json.dumps(rows))
        return
    print(f"{'limits':32} {'P@1':>6} {'ms':>6} {'MB':>6} {'memory':>7}  {'shipped':>16}  {'grid':>6}  seconds")
    for row in rows:
        shipped = "-" if row["shipped"] is None else f"{row['shipped']['name']} {row['shipped']['P@1']:.2f}"
        grid = "-" if row["grid"] is None else f"{row['grid']['P@1']:.2f}"
        print(
            f"{row['limits']:32} {row['P@1']:6.2f} {row['ms']:6.2f} {row['size_bytes'] / 1e6:6.1f} "
            f"{row['memory_bytes'] / 1e6:7.1f}  {shipped:>16}  {grid:>6}  {row['seconds']:.0f} "
            f"({row['measured']} measured, {row['known']} known)"
        )


def read_limits(text: str) -> Limits:
    """Limits by the names of the command's options."""
    given = dict(each.split("=") for each in text.split())
    return Limits(
        float(given["max_ms"]) if "max_ms" in given else None,
        read_bytes(given["max_memory"], "max_memory") if "max_memory" in given else None,
        read_bytes(given["max_size"], "max_size") if "max_size" in given else None,
        float(given["min_recall"]) if "min_recall" in given else None,
    )


def search(student: Student, target: Target, limits: Limits) -> BudgetReport:
    """What the search finds."""
    with tempfile.TemporaryDirectory() as folder:
        return compile_to_budget(
            student, load_recipe(Path("balanced")), target, Path(folder) / "b.exl", limits, progress=tell
        )


def tell(name: str, done: int, total: int) -> None:
    """A line for each option."""
    if name in ("options measured", "points made", "grid"):
        print(f"{time.strftime('%H:%M:%S')} {name} {done} of {total}", file=sys.stderr, flush=True)


def try_grid(student: Student, target: Target, report: BudgetReport, count: int) -> list[Candidate]:
    """So many points, answered one by one; times as the report foretells them."""
    base = load_recipe(Path("balanced"))
    foretold = {each.point: each.figures for each in report.candidates}
    space = make_space(student, base, target)
    points = [point for point in space.points() if point in foretold and not any(map(is_hopeless, point.changes))]
    drawn = sorted(random.Random(0).sample(range(len(points)), min(count, len(points))))
    store = Store.of_user(student, target, "grid")
    untimed = Meter(lambda _path: Costs(0, {}, 0.0, 0.0), "not timed")
    known = Fitted.of_json(Store.of_user(student, target, report.measured_on).get_fact("fitted"))
    workshop = Workshop(student, space.base, target, dataclasses.replace(untimed, predicted=True), fitted=known)
    found = []
    for done, place in enumerate(drawn):
        tell("grid", done, len(drawn))
        point, recipe = points[place], space.recipe(points[place])
        figures = store.get(recipe) or workshop.measure(recipe)
        store.put(recipe, figures)
        own = foretold[point]
        timed = dataclasses.replace(figures, memory_bytes=own.memory_bytes, stages=own.stages, ms=own.ms)
        found.append(Candidate(point, timed, True))
    workshop.close()
    return found


def is_hopeless(option: Any) -> bool:
    """What would only fill the grid: a screener that lost a layer answers next to nothing."""
    return bool(option.part == "screener" and any(key == "layers" for _, key, _ in option.settings))


def judge(report: BudgetReport, tried: list[Candidate]) -> dict[str, Any]:
    """The row of one budget."""
    taken: Figures | None = None if report.taken is None else report.taken.figures
    if taken is None:
        raise SystemExit(report.advice())
    shipped = {name: each for name, each in report.shipped.items() if report.limits.are_met(each.figures)}
    best = max(shipped.items(), key=lambda pair: pair[1].figures.p_at_1 or 0.0, default=None)
    grid = max(
        (each for each in tried if report.limits.are_met(each.figures)),
        key=lambda each: each.figures.p_at_1 or 0.0,
        default=None,
    )
    return {
        "limits": report.limits.sentence(),
        "P@1": taken.p_at_1,
        "ms": taken.ms,
        "memory_bytes": taken.memory_bytes,
        "size_bytes": taken.size_bytes,
        "point": "" if report.taken is None else report.taken.point.name,
        "shipped": None if best is None else {"name": best[0], "P@1": best[1].figures.p_at_1},
        "grid": None if grid is None else {"P@1": grid.figures.p_at_1, "point": grid.point.name, "of": len(tried)},
        "seconds": report.seconds,
        "measured": report.measurements[0],
        "known": report.measurements[1],
    }


if __name__ == "__main__":
    main()
