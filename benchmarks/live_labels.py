"""Are labels that a device adds found as well as compiled ones, and what does adding them take?

    python -m benchmarks.live_labels [STUDENT] [--data DIR] [--recipe balanced] [--target host] [--keep DIR] [--json]

A tenth of the student's labels, drawn by their ids' hash, is left out of one compile and in another (the same recipe;
rotation and code books are trained on what each has). The first bundle's runtime then adds them. Both answer the same
queries: the student's held-out ones, or the test split of a data set, over whose labels the student is put where they
are others. A gold label counts when it is among the first 100. The lexical side, which the recipe decides about, is
told of. Then 1,000 labels are added in one call to a label file of their own, five times, on one core: the
fastest and the slowest. `--keep` names a directory for the two bundles, which a second run takes from there.
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

from edgexl.bundle.label_file import label_file_of
from edgexl.bundle.read import read_bundle
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import GateRecipe, Recipe, load_recipe
from edgexl.data import Query, open_dataset
from edgexl.data.label_set import LabelSet
from edgexl.runtime.binding import BundleHandle, NewLabel, open_bundle
from edgexl.student.student import Student, load_student

# what this project wants: points of R@100, seconds
WANTED = {"R@100_lost": 0.5, "seconds_1000": 5.0}
DEPTH = 100
CALIBRATION_QUERIES = 400  # of no consequence for what is found; a full calibration would take most of the time
REPEATS = 5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", nargs="?", default="wordnet")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--recipe", default="balanced")
    parser.add_argument("--target", default="host")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    student = load_student(options.student)
    queries = list(student.evaluation)
    if options.data:
        data = open_dataset(options.data)
        queries = list(data.queries("tst"))
        if data.labels.ids != student.labels.ids:
            student = student.with_labels(data.labels, calibration=list(data.queries("trn")))
    recipe = dataclasses.replace(load_recipe(options.recipe), gates=GateRecipe())
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(student, queries, recipe, options.target, options.keep or Path(scratch))
    if options.json:
        print(json.dumps(report))
        return
    for name, value in report.items():
        wanted = f"   (wanted: at most {WANTED[name]})" if name in WANTED else ""
        print(f"{name:28}{value:,.2f}{wanted}" if isinstance(value, float) else f"{name:28}{value:,}{wanted}")


def measure(student: Student, queries: Sequence[Query], recipe: Recipe, target: str, directory: Path) -> dict[str, Any]:
    """Compile both bundles into `directory` where they are not there yet, add the labels, and compare."""
    labels = student.labels
    held = [hashlib.sha1(uid.encode()).digest()[0] * 10 < 256 for uid in labels.ids]
    whole, most = directory / "whole.exl", directory / "most.exl"
    for path, kept in ((whole, [True] * len(held)), (most, [not one for one in held])):
        if not path.exists():
            compile(without_queries(student, kept), recipe, target, path)
    label_file_of(most).unlink(missing_ok=True)
    lexical = {path: read_bundle(path).parameters.lexical_candidates > 0 for path in (whole, most)}
    new = [
        NewLabel(uid, text, aliases if recipe.index.aliases else ())
        for uid, text, aliases, one in zip(labels.ids, labels.texts, labels.aliases, held, strict=True)
        if one
    ]
    with open_bundle(whole) as compiled, open_bundle(most) as live:
        began = time.perf_counter()
        live.add_labels(new)
        seconds = time.perf_counter() - began
        found = {name: hits(handle, queries, labels) for name, handle in (("compiled", compiled), ("live", live))}
    of_added = np.array([held[target] for query in queries for target in query.targets])
    report: dict[str, Any] = {"labels": len(labels), "added": len(new), "queries": len(queries)}
    report |= {"lexical_compiled": lexical[whole], "lexical_live": lexical[most]}
    report["positives_added"] = int(of_added.sum())
    for stage, place in (("screening", 0), ("", 1)):
        key = f"{stage}_R@{DEPTH}".removeprefix("_")
        for name, hit in found.items():
            report[f"{key}_{name}"] = 100 * float(hit[place][of_added].mean())
            report[f"{key}_{name}_others"] = 100 * float(hit[place][~of_added].mean())
    report[f"R@{DEPTH}_lost"] = report[f"R@{DEPTH}_compiled"] - report[f"R@{DEPTH}_live"]
    report["seconds_all"] = seconds
    report["file_bytes"] = label_file_of(most).stat().st_size
    report["seconds_1000"], report["seconds_1000_slowest"] = append_seconds(most, new[:1000], directory)
    return report


def without_queries(student: Student, kept: Sequence[bool]) -> Student:
    """The student over the labels that are `kept`, with no queries to report on and a few to calibrate with."""
    place = np.cumsum(kept) - 1
    chosen = [index for index, one in enumerate(kept) if one]
    labels = student.labels
    calibration = [
        dataclasses.replace(query, targets=tuple(int(place[target]) for target in query.targets if kept[target]))
        for query in student.calibration[:CALIBRATION_QUERIES]
    ]
    kept_labels = LabelSet(
        tuple(labels.ids[at] for at in chosen),
        tuple(labels.texts[at] for at in chosen),
        tuple(labels.aliases[at] for at in chosen),
    )
    return student.with_labels(kept_labels, calibration=[query for query in calibration if query.targets])


def hits(handle: BundleHandle, queries: Sequence[Query], labels: LabelSet) -> tuple[Any, Any]:
    """Whether each gold label of each query is among the first 100: of screening, and of the answer."""
    number = {labels_id: index for index, labels_id in enumerate(labels.ids)}
    place = np.array([number[handle.label_id(index)] for index in range(handle.labels_info().end)])
    screened: list[Any] = []
    reasoned: list[Any] = []
    for query in queries:
        prediction = handle.predict(query.text, k=1)
        for ranked, into in ((prediction.shortlist_labels, screened), (prediction.ranked, reasoned)):
            into.append(np.isin(query.targets, place[ranked[:DEPTH]]))
    return np.concatenate(screened), np.concatenate(reasoned)


def append_seconds(bundle: Path, labels: Sequence[NewLabel], directory: Path) -> tuple[float, float]:
    """The least and the most of several runs, each with a label file of its own. The engine has one thread."""
    taken = []
    for _ in range(REPEATS):
        path = directory / "timed.labels"
        path.unlink(missing_ok=True)
        with open_bundle(bundle, labels_path=path) as handle:
            began = time.perf_counter()
            handle.add_labels(labels)
            taken.append(time.perf_counter() - began)
        path.unlink()
    return min(taken), max(taken)


if __name__ == "__main__":
    main()
