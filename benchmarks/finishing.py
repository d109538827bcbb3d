"""What compressing by a recipe costs, and what finishing the student for that recipe takes back.

    python benchmarks/finishing.py                                   # the WordNet student, the recipe tiny
    python benchmarks/finishing.py --student DIR --data mesh --recipe tiny --steps 300 --device cuda --json

Three rows on the student's evaluation queries, each by the compiler's own ledger: the float student, the compiled
one, and the compiled one after finishing. Recovered: (finished - compiled) / (float - compiled), in percent. The last
row is the finished student uncompiled: what finishing gains there is longer training, not compression-awareness.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

from edgexl.base.progress import Progress
from edgexl.cli.output import print_json, print_table, progress_bar
from edgexl.compiler import compile
from edgexl.compiler.measure.ledger import Accuracy
from edgexl.compiler.recipe import Recipe, load_recipe
from edgexl.data import open_data
from edgexl.distill.finishing.finish import finish_student
from edgexl.distill.finishing.table import FinishingTable
from edgexl.target import load_target

MEASURES = {"P@1": "p_at_1", "R@100": "r_at_100", "nDCG@5": "ndcg_at_5"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--student", default="wordnet")
    parser.add_argument("--data", default="wordnet")
    parser.add_argument("--recipe", default="tiny")
    parser.add_argument("--target", default="host")
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    recipe, table = (
        load_recipe(options.recipe),
        FinishingTable(screening_steps=options.steps, reasoning_steps=options.steps),
    )
    with progress_bar(options.json) as progress, tempfile.TemporaryDirectory() as folder:
        plain, compiled = measure(options.student, recipe, options.target, Path(folder), progress)
        finish_student(
            options.student, Path(folder) / "finished", recipe, open_data(options.data, progress), table,
            int8=load_target(options.target).int8, seed=options.seed, device=options.device, progress=progress,
            log=lambda line: None,
        )  # fmt: skip
        uncompiled, finished = measure(Path(folder) / "finished", recipe, options.target, Path(folder), progress)
    rows = {"float": plain, "compiled": compiled, "finished, compiled": finished, "finished, float": uncompiled}
    values = {name: {key: getattr(row, field) for key, field in MEASURES.items()} for name, row in rows.items()}
    recovered = {
        key: round(100 * (values["finished, compiled"][key] - values["compiled"][key]) / lost, 1)
        if (lost := values["float"][key] - values["compiled"][key]) > 0
        else None
        for key in MEASURES
    }
    if options.json:
        print_json(
            {"recipe": recipe.name, "steps": options.steps, "seed": options.seed, **values, "recovered": recovered}
        )
        return
    print_table(("student", *MEASURES), [(name, *row.values()) for name, row in values.items()])
    print(f"\nrecovered, percent of what compression costs: {json.dumps(recovered)}")


def measure(
    student: str | Path, recipe: Recipe, target: str, folder: Path, progress: Progress
) -> tuple[Accuracy, Accuracy]:
    """(float, compiled) accuracy on the evaluation queries, from the ledger."""
    ledger = compile(student, recipe, target, folder / "bundle.exl", progress).ledger
    by_pass = {row.name: row.accuracy for row in ledger}
    return by_pass["export"], by_pass["build_index"]


if __name__ == "__main__":
    main()
