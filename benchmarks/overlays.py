"""Are the labels of an overlay found as well as compiled ones, and those of the bundle under it as well as before?

    python -m benchmarks.overlays [STUDENT] [--data wordnet] [--own 1000] [--others 5000] [--recipe balanced]
                                  [--target host] [--keep DIR] [--json]

So many labels of the student's, the first by their ids' hash that a test query of the data set asks for, are left out
of one compile and in another (the same recipe; rotation and code books are trained on what each has). An overlay of
them is put over the first bundle. Both answer the test queries that ask for one of these labels, and so many others. A
gold label counts when it is among the first 100; the errors are standard errors of what is lost. `--keep` names a
directory for the two bundles and the overlay, which a second run takes from there.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.live_labels import DEPTH, hits, without_queries
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import GateRecipe, Recipe, load_recipe
from edgexl.data import Query, open_data
from edgexl.data.label_set import LabelSet
from edgexl.runtime.binding import open_bundle
from edgexl.student.student import Student, load_student
from edgexl.use.overlay import make_overlay

# what this project wants: points of R@100 that an overlay may lose to one compile of all, either way
WANTED = 0.3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", nargs="?", default="wordnet")
    parser.add_argument("--data", default="wordnet")
    parser.add_argument("--own", type=int, default=1000)
    parser.add_argument("--others", type=int, default=5000)
    parser.add_argument("--recipe", default="balanced")
    parser.add_argument("--target", default="host")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    student = load_student(options.student)
    data = open_data(options.data)
    if data.labels.ids != student.labels.ids:
        student = student.with_labels(data.labels, calibration=list(data.queries("trn")))
    test = list(data.queries("tst"))
    own = choose_own(student.labels, test, options.own)
    recipe = dataclasses.replace(load_recipe(options.recipe), gates=GateRecipe())
    with tempfile.TemporaryDirectory() as scratch:
        directory = options.keep or Path(scratch)
        seconds = make(student, own, recipe, options.target, directory)
        queries = choose_queries(test, own, options.others)
        report = compare(directory, student.labels, own, queries) | seconds
    if options.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        print(f"{name:32}{value:,.2f}" if isinstance(value, float) else f"{name:32}{value:,}")
    print(f"(wanted: both R@{DEPTH} of the overlay within {WANTED} of those of one bundle)")


def choose_own(labels: LabelSet, queries: Sequence[Query], count: int) -> list[bool]:
    """Which labels are the overlay's."""
    asked = {target for query in queries for target in query.targets}
    ranked = sorted(asked, key=lambda label: hashlib.sha1(labels.ids[label].encode()).digest())[:count]
    chosen = set(ranked)
    return [label in chosen for label in range(len(labels.ids))]


def choose_queries(queries: Sequence[Query], own: Sequence[bool], others: int) -> list[Query]:
    """All that ask for one of the overlay's labels, and the first by hash of those that do not."""
    for_own = [query for query in queries if any(own[target] for target in query.targets)]
    rest = [query for query in queries if not any(own[target] for target in query.targets)]
    return for_own + sorted(rest, key=lambda query: hashlib.sha1(query.uid.encode()).digest())[:others]


def make(student: Student, own: Sequence[bool], recipe: Recipe, target: str, directory: Path) -> dict[str, float]:
    """The bundle over both, the one without the own labels and the overlay of these, where they are not there yet."""
    directory.mkdir(parents=True, exist_ok=True)
    for name, kept in (("both.exl", [True] * len(own)), ("base.exl", [not one for one in own])):
        if not (directory / name).exists():
            compile(without_queries(student, kept), recipe, target, directory / name)
    labels, places = student.labels, [place for place, one in enumerate(own) if one]
    chosen = LabelSet(
        tuple(labels.ids[place] for place in places),
        tuple(labels.texts[place] for place in places),
        tuple(labels.aliases[place] if recipe.index.aliases else () for place in places),
    )
    began = time.perf_counter()
    (directory / "own.exlo").write_bytes(make_overlay(directory / "base.exl", chosen).pack())
    return {"overlay_seconds": time.perf_counter() - began}


def compare(directory: Path, labels: LabelSet, own: Sequence[bool], queries: Sequence[Query]) -> dict[str, Any]:
    """R@100 of both label sets by the bundle over both, and by the bundle with the overlay over it."""
    overlay = directory / "own.exlo"
    with (
        open_bundle(directory / "both.exl", compiled_only=True) as both,
        open_bundle(directory / "base.exl", compiled_only=True, overlays=[overlay]) as stacked,
    ):
        found = {name: hits(handle, queries, labels) for name, handle in (("both", both), ("overlay", stacked))}
    of_own = np.array([own[target] for query in queries for target in query.targets])
    report: dict[str, Any] = {"labels": len(labels.ids), "own": sum(own), "queries": len(queries)}
    report |= {"gold_own": int(of_own.sum()), "gold_others": int((~of_own).sum())}
    for stage, place in (("screening_", 0), ("", 1)):
        for kind, which in (("own", of_own), ("others", ~of_own)):
            scores = {name: 100 * float(hit[place][which].mean()) for name, hit in found.items()}
            report |= {f"{stage}R@{DEPTH}_{kind}_{name}": score for name, score in scores.items()}
            report[f"{stage}R@{DEPTH}_{kind}_lost"] = scores["both"] - scores["overlay"]
            apart = hit_differences(found, place, which)
            report[f"{stage}R@{DEPTH}_{kind}_lost_error"] = 100 * float(apart.std() / np.sqrt(len(apart)))
    return report | {"overlay_bytes": overlay.stat().st_size}


def hit_differences(found: dict[str, tuple[Any, Any]], place: int, which: Any) -> Any:
    """Of each gold label: 1 where the bundle over both alone finds it, -1 where the overlay does, else 0."""
    both, overlay = (found[name][place][which].astype(np.int64) for name in ("both", "overlay"))
    return both - overlay


if __name__ == "__main__":
    main()
