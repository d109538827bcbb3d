"""What all evidence costs: a query of a bundle with a lexical side and descriptions, beside one without either.

    python -m benchmarks.evidence [STUDENT] [--data DIR] [--recipe balanced] [--target host] [--queries 300]
                                  [--rounds 7] [--keep DIR] [--json]

The student is compiled twice, over its own labels or those of a data set: as the recipe says, and with `[index] lexical
= "none", descriptions = "none"`. There are no held-out queries, so that both are kept. Then the C runtime answers the
test queries by both bundles in turns of 20, on one core; a stage's time is the least of a query's rounds, and the total
the sum of the stages. `--keep` names a directory for the two bundles, which a second run takes from there.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_sets import without_queries
from benchmarks.lexical import cpu
from edgexl.bundle.read import read_bundle
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import GateRecipe, Recipe, load_recipe
from edgexl.data import open_dataset
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import Student, load_student

WANTED = 1.25  # what this project wants: the ratio
BLOCK = 20
SIDES = ("all", "none")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", nargs="?", default="wordnet")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipe", default="balanced")
    parser.add_argument("--target", default="host")
    parser.add_argument("--queries", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    student = load_student(options.student)
    texts = [query.text for query in student.evaluation]
    labels = student.labels
    if options.data:
        data = open_dataset(options.data)
        labels, texts = data.labels, [query.text for query in data.queries("tst")]
    student = student.with_labels(labels)
    recipe = dataclasses.replace(without_queries(load_recipe(options.recipe)), gates=GateRecipe())
    with tempfile.TemporaryDirectory() as scratch:
        bundles = compile_both(student, recipe, options.target, options.keep or Path(scratch))
        report = measure(bundles, texts[: options.queries], options.rounds)
    if options.json:
        print(json.dumps(report))
        return
    print(f"{len(labels):,} labels, {report['queries']} queries, one core of {report['cpu']}; ms, medians")
    for stage, times in report["stages"].items():
        print(f"{stage:12}" + "".join(f"{name} {times[name]:8.3f}   " for name in SIDES))
    print(f"ratio of the medians {report['ratio']:.3f}, of the means {report['ratio_of_means']:.3f} (wanted: {WANTED})")


def compile_both(student: Student, recipe: Recipe, target: str, directory: Path) -> list[Path]:
    """The bundles with all evidence and with none, into `directory` where they are not there yet."""
    bare = dataclasses.replace(recipe.index, lexical="none", descriptions="none")
    bundles = [directory / f"{name}.exl" for name in SIDES]
    for path, index in zip(bundles, (recipe.index, bare), strict=True):
        if not path.exists():
            compile(student, dataclasses.replace(recipe, index=index), target, path)
    kept = [read_bundle(path).parameters.lexical_candidates for path in bundles]
    if not kept[0] or kept[1]:
        raise SystemExit("the recipe leaves the lexical side out: there is nothing to compare")
    return bundles


def measure(bundles: Sequence[Path], texts: Sequence[str], rounds: int) -> dict[str, Any]:
    """The least milliseconds of each query's stages, by the runtime's own clock."""
    handles = [open_bundle(path) for path in bundles]
    times: list[list[dict[str, float]]] = [[] for _ in handles]
    for begin in range(0, len(texts), BLOCK):
        block = texts[begin : begin + BLOCK]
        for round in range(rounds):
            for handle, found in zip(handles, times, strict=True):
                for place, text in enumerate(block, begin):
                    ms = handle.predict(text).ms
                    if round == 0:
                        found.append(dict(ms))
                    found[place] = {stage: min(ms[stage], found[place][stage]) for stage in ms}
    for one in (one for found in times for one in found):
        one["total"] = sum(ms for stage, ms in one.items() if stage != "total")
    stages = {
        stage: {name: float(np.median([one[stage] for one in found])) for name, found in zip(SIDES, times, strict=True)}
        for stage in times[0][0]
    }
    means = [float(np.mean([one["total"] for one in found])) for found in times]
    return {
        "queries": len(texts),
        "cpu": cpu(),
        "stages": stages,
        "ratio": stages["total"]["all"] / stages["total"]["none"],
        "ratio_of_means": means[0] / means[1],
    }


if __name__ == "__main__":
    main()
