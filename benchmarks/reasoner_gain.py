"""What reasoning gains over screening, by label set: P@1 of both, and their difference with its standard error.

    python -m benchmarks.reasoner_gain [STUDENT ...] [--sets own icd shop] [--data DIRECTORY ...] [--recipe balanced]
        [--queries 2000] [--blends kept made fitted float]

A student (a shipped one's name or a directory) is compiled over each label set: its own (`own`), ICD-10-CM (`icd`,
`benchmarks.label_sets`), a shop (`shop`, `benchmarks.shop`), and data sets in the raw layout (`--data`), of which the
test queries are judged by and the training queries are held out. Each is compiled with the logits as the reasoner gives
them (`kept`), blended by queries that the compile makes of label texts (`made`), and by held-out queries (`fitted`), as
many as are judged by at most; what the bundle's C runtime answers is judged. `float` compiles nothing: the student in
PyTorch, an exact search, no lexical side. A query is right where its first label is a gold one.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.label_sets import build_icd
from benchmarks.shop import build_shop
from edgexl.compiler.measure.blending import standard_error
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import CalibrateRecipe, GateRecipe, Recipe, load_recipe
from edgexl.data import Query, open_dataset
from edgexl.data.label_set import LabelSet
from edgexl.predict.float_student import StudentPredictor
from edgexl.runtime.binding import open_bundle
from edgexl.student.contract import screening_weight
from edgexl.student.student import Student, load_student

BLENDS = ("kept", "made", "fitted", "float")


@dataclass(frozen=True)
class Task:
    """A label set with queries to judge by, and others that may be held out."""

    name: str
    labels: LabelSet
    judged: tuple[Query, ...]
    held_out: tuple[Query, ...]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", nargs="*", default=["wordnet"])
    parser.add_argument("--sets", nargs="*", choices=("own", "icd", "shop"), default=["own", "icd", "shop"])
    parser.add_argument("--data", nargs="*", type=Path, default=[])
    parser.add_argument("--recipe", default="balanced")
    parser.add_argument("--queries", type=int, default=2000)
    parser.add_argument("--blends", nargs="*", choices=BLENDS, default=BLENDS[:3])
    parser.add_argument("--json", action="store_true", help="print a JSON line each")
    options = parser.parse_args()
    recipe = dataclasses.replace(
        load_recipe(options.recipe), gates=GateRecipe(queries=options.queries, reasoner_gain=-100)
    )
    if not options.json:
        print(f"{'student':16}{'labels':18}{'blend':8}{'screening':>10}{'whole':>8}{'gain':>8}{'error':>7}  logits")
    for source in options.students:
        student = load_student(source)
        for task in list_tasks(student, options.sets, options.data, options.queries):
            for blend in options.blends:
                found = judge(student, task, recipe, blend)
                if found is not None:
                    tell({"student": Path(source).name, **found}, options.json)


def list_tasks(student: Student, sets: list[str], data: list[Path], count: int) -> Iterator[Task]:
    """The tasks, one at a time."""
    if "own" in sets:
        yield Task("own", student.labels, student.evaluation[:count], student.calibration)
    if "icd" in sets:
        labels, queries = build_icd()
        yield Task("icd", labels, tuple(queries[:count]), tuple(queries[count : 2 * count]))
    if "shop" in sets:
        labels, asked = build_shop(count=2 * count)
        yield Task("shop", labels, asked[:count], asked[count:])
    for directory in data:
        dataset = open_dataset(directory)
        judged, held_out = (
            tuple(
                itertools.islice((query for query in dataset.queries(split) if query.targets and query.has_text), count)
            )
            for split in ("tst", "trn")
        )
        texts = {query.text for query in judged}
        yield Task(directory.name, dataset.labels, judged, tuple(q for q in held_out if q.text not in texts))


def judge(student: Student, task: Task, recipe: Recipe, blend: str) -> dict[str, Any] | None:
    """P@1 before and after reasoning; None where nothing was held out to fit a blend on."""
    held_out = task.held_out if blend == "fitted" else ()
    if blend == "fitted" and not held_out:
        return None
    if blend == "kept":
        recipe = dataclasses.replace(recipe, reasoner=dataclasses.replace(recipe.reasoner, blend="none"))
    if not held_out:
        recipe = dataclasses.replace(recipe, calibrate=CalibrateRecipe("none"))
    over = student.with_labels(task.labels, calibration=held_out, evaluation=task.judged)
    firsts, facts = answer_float(over) if blend == "float" else answer_compiled(over, recipe)
    hits = np.array([
        [float(label in query.targets) for label in two] for query, two in zip(task.judged, firsts, strict=True)
    ])  # fmt: skip
    gain = hits[:, 1] - hits[:, 0]
    return {
        "labels": task.name, "blend": blend, "queries": len(hits),
        "screening": round(100 * hits[:, 0].mean(), 2), "whole": round(100 * hits[:, 1].mean(), 2),
        "gain": round(100 * gain.mean(), 2), "error": round(100 * standard_error(gain), 2), **facts,
    }  # fmt: skip


def answer_compiled(student: Student, recipe: Recipe) -> tuple[list[tuple[int, int]], dict[str, Any]]:
    """(screening's first label and the whole's, for each evaluation query; how the logits were blended)."""
    with tempfile.TemporaryDirectory() as folder:
        compile(student, recipe, "host", Path(folder) / "b.exl")
        with open_bundle(Path(folder) / "b.exl") as bundle:
            answers = [bundle.predict(query.text, k=1) for query in student.evaluation]
            facts = bundle.manifest["blend"]
    firsts = [(int(answer.shortlist_labels[0]), int(answer.ranked[0])) for answer in answers]
    weights = {"reasoner_weight": 1.0, "screening_weight": screening_weight(student.reasoner)}
    return firsts, {"kind": facts["kind"], **{name: facts.get(name, weight) for name, weight in weights.items()}}


def answer_float(student: Student) -> tuple[list[tuple[int, int]], dict[str, Any]]:
    """The same of the float student."""
    ranked = StudentPredictor(student).rank_by_stage([query.text for query in student.evaluation], 1)
    firsts = [(int(screened[0]), int(reasoned[0])) for screened, reasoned in zip(*ranked, strict=True)]
    weight = screening_weight(student.reasoner)
    return firsts, {"kind": "as it is", "reasoner_weight": 1.0, "screening_weight": weight}


def tell(found: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(found), flush=True)
        return
    figures = f"{found['screening']:10.2f}{found['whole']:8.2f}{found['gain']:+8.2f}{found['error']:7.2f}"
    weights = f"{found['reasoner_weight']:g} x reasoner + {found['screening_weight']:.3g} x screening"
    print(
        f"{found['student']:16}{found['labels']:18}{found['blend']:8}{figures}  {found['kind']}: {weights}", flush=True
    )


if __name__ == "__main__":
    main()
