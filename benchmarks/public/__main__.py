"""Public benchmarks, each from files that you bring, with published rows and rivals in one table.

    python -m benchmarks.public dictionary WORDS.tsv [--only LIST] [--bundle B | --student S] [--rivals tfidf bm25]
    python -m benchmarks.public linking DIRECTORY [--with-training] [--bundle B | --student S] [--rivals all] [--json]

`dictionary`: WORDS.tsv has a word and a description of it a line, with a tab between; all 147,478 words of WordNet are
ranked by their names and glosses, or, with --only, those of a list. `linking`: DIRECTORY is a data set in the raw
layout, mentions over a dictionary's entries. A bundle holds those labels by their ids, as `--student` compiles one of
them by the recipe `--recipe`. Ranks count from 0, as published.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.distillation.rivals import Stopped
from benchmarks.public.published import DICTIONARY, LINKING, Published
from benchmarks.public.systems import RIVALS, ask_bundle
from benchmarks.public.tasks import Task, entity_linking, reverse_dictionary
from edgexl.base.errors import EdgexlError
from edgexl.compiler.pipeline import compile
from edgexl.compiler.recipe import CalibrateRecipe, load_recipe
from edgexl.student.student import Student

FIGURES = ("median", "acc@1", "acc@10", "acc@100")


def main() -> None:
    """Ask all systems, and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    tasks = parser.add_subparsers(dest="task", required=True)
    dictionary, linking = tasks.add_parser("dictionary"), tasks.add_parser("linking")
    dictionary.add_argument("words", type=Path)
    dictionary.add_argument("--only", type=Path, help="rank the words of this list alone")
    linking.add_argument("directory", type=Path)
    linking.add_argument("--with-training", action="store_true", help="training mentions are names, too")
    for each in (dictionary, linking):
        each.add_argument("--bundle", type=Path, action="append", default=[])
        each.add_argument("--student", help="compile this student over the labels")
        each.add_argument("--recipe", default="balanced")
        each.add_argument("--rivals", nargs="*", choices=[*RIVALS, "all"], default=[])
        each.add_argument("--json", action="store_true")
    options = parser.parse_args()
    try:
        report = run(options)
    except EdgexlError as error:
        raise SystemExit(str(error)) from None
    print(json.dumps(_finite(report), indent=1, allow_nan=False) if options.json else as_table(report))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """The figures of all systems, and the published rows of the task."""
    if options.task == "dictionary":
        task = reverse_dictionary(options.words, options.only)
        published: tuple[Published, ...] = DICTIONARY
    else:
        task = entity_linking(options.directory, options.with_training)
        published = LINKING.get(options.directory.name, ())
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        bundles = list(options.bundle)
        if options.student:
            bundles.append(compile_over(options.student, options.recipe, task, Path(folder)))
        for path in bundles:
            answers = ask_bundle(path, task)
            rows.append({"system": path.stem, "bytes": answers.file_bytes, **task.judge(answers.whole)})
            rows.append({"system": f"{path.stem}, screening alone", **task.judge(answers.screening)})
    for name in RIVALS if "all" in options.rivals else options.rivals:
        title, answer = RIVALS[name]
        print(f"{title} ...", file=sys.stderr, flush=True)
        try:
            rows.append({"system": title, **task.judge(answer(task))})
        except Stopped as stopped:
            rows.append({"system": title, "stopped": str(stopped)})
    return {
        "task": task.name,
        "labels": len(task.labels),
        "ranked": len(task.labels) if task.candidates is None else len(task.candidates),
        "queries": len(task.texts),
        "systems": rows,
        "published": [dataclasses.asdict(each) for each in published],
    }


def compile_over(student: str, recipe: str, task: Task, folder: Path) -> Path:
    """The student's bundle over the task's labels: nothing of the task's queries is seen."""
    path = folder / f"{Path(student).name}.exl"
    made = dataclasses.replace(load_recipe(Path(recipe)), calibrate=CalibrateRecipe("none"))
    gates = dataclasses.replace(made.gates, p_at_1_kept=0.0, r_at_100_kept=0.0)
    compile(Student.from_encoder(student, task.labels), dataclasses.replace(made, gates=gates), "host", path)
    return path


def _finite(report: dict[str, Any]) -> dict[str, Any]:
    """The report as JSON has it: a median that is beyond all that was ranked is null."""
    rows = [row | {"median": None} if row.get("median") == math.inf else row for row in report["systems"]]
    return report | {"systems": rows}


def as_table(report: dict[str, Any]) -> str:
    """For a terminal."""
    lines = [
        f"{report['task']}: {report['queries']:,} queries, {report['ranked']:,} of {report['labels']:,} labels ranked"
    ]
    lines.append(f"{'':44}" + "".join(f"{name:>9}" for name in FIGURES))
    lines += [f"{row['system'][:43]:44}{row.get('stopped') or _cells(row)}" for row in report["systems"]]
    lines += [f"{row['system'][:43]:44}{_cells(row['figures'])}  published" for row in report["published"]]
    notes = dict.fromkeys(f"  {row['source']}: {row['conditions']}" for row in report["published"])
    lines += notes
    return "\n".join(lines)


def _cells(figures: dict[str, Any]) -> str:
    def cell(name: str) -> str:
        if name not in figures:
            return f"{'-':>9}"
        return f"{figures[name]:9g}" if name == "median" else f"{figures[name]:9.3f}"

    return "".join(map(cell, FIGURES))


if __name__ == "__main__":
    main()
