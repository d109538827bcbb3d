"""From files to a student: read, choose a recipe, show it, distil by it.

All that can be refused is refused before a model is opened, all at once. A killed run goes on with the same command, by
the recipe that it made: it lies in OUT.work, as it will beside the student.
"""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.distill.choosing.check import FEWEST_QUERIES, MINUTES, Checked, check_device
from edgexl.distill.choosing.choose import Chosen, Facts, choose_recipe
from edgexl.distill.choosing.complete import complete_recipe, is_complete
from edgexl.distill.choosing.few import make_of_few
from edgexl.distill.choosing.timing import time_recipe
from edgexl.distill.choosing.unfinished import RECIPE_FILE, Asked, begin_run
from edgexl.distill.choosing.write import read_reasons, write_recipe
from edgexl.distill.corpus.open import Material
from edgexl.distill.pipeline import distill
from edgexl.distill.processes import work_of
from edgexl.distill.recipe import FilesTable, read_recipe
from edgexl.distill.stages.start import open_start
from edgexl.student.foreign import refuse_foreign_directory
from edgexl.student.student import Student


def distil_files(
    checked: Checked,
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
    device: str = "auto",
    show: Callable[[Path], None] | None = None,
) -> Student:
    """Make the student. `log` is told a line now and then, `show` the path of the recipe once it is made."""
    if checked.is_few:
        student = _make_of_few(checked, progress, log)
        shutil.rmtree(checked.work, ignore_errors=True)
        return student
    path = checked.work / RECIPE_FILE
    if not path.is_file():
        write_recipe(choose(checked, progress, log, device), path)
    if show is not None:
        show(path)
    return _distil(path, checked.out, progress, log, device)


def distil_recipe(
    path: Path,
    out: Path,
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
    device: str = "auto",
    fresh: bool = False,
    minutes: float | None = None,
) -> Student:
    """Make the student of a recipe's file; what that leaves out is chosen, with as many steps as there are `minutes`
    for (30 unless told). Raises `BadInput` at once where another run, or one of other data, is unfinished in OUT.work.
    """
    refuse_foreign_directory(out)
    check_device(device)
    table, work = toml.parse(path), work_of(out)
    if is_complete(table):
        if minutes is not None:
            raise BadInput(f"--minutes is for a file of labels, and for recipes without steps; {path} says its own.")
        read_recipe(path)  # what is wrong with it is said before anything is written
        begin_run(work, Asked.of_recipe(path, table), fresh)
        return _distil(path, out, progress, log, device)
    begin_run(work, Asked.of_recipe(path, table), fresh)
    whole = work / RECIPE_FILE
    if not whole.is_file():
        write_recipe(complete_recipe(path, work, minutes or MINUTES, progress, log, device), whole)
        log(f"what the recipe leaves out was chosen: {whole}")
    return _distil(whole, out, progress, log, device)


def _distil(path: Path, out: Path, progress: Progress, log: Callable[[str], None], device: str) -> Student:
    """By the recipe at `path`, which then lies beside the student, too, where it was made, or is over one's own
    files."""
    recipe, reasons = read_recipe(path), read_reasons(path)
    student = distill(recipe, out, progress, log, device)
    if isinstance(recipe.data, FilesTable) or reasons:
        write_recipe(Chosen(recipe, reasons), out / RECIPE_FILE)
    return student


def _make_of_few(checked: Checked, progress: Progress, log: Callable[[str], None]) -> Student:
    count = len(checked.read.queries)
    log(
        f"{count:,} queries are too few to distill a student from ({FEWEST_QUERIES} would do): the encoder is imported "
        "as it is, or adapted to these labels where held-out queries say that this is better"
    )
    student, done = make_of_few(checked.read, progress, log)
    student = dataclasses.replace(student, provenance=student.provenance | {"made_of_few": {"queries": count, **done}})
    student.save(checked.out)
    return student


def choose(
    checked: Checked, progress: Progress = no_progress, log: Callable[[str], None] = print, device: str = "auto"
) -> Chosen:
    """The recipe for the files, with as many steps as there is time for, timed on this machine."""
    read, sources = checked.read, checked.read.sources
    assert sources.queries is not None
    columns = sources.columns
    data = FilesTable(
        str(sources.labels), str(sources.queries), columns.id, columns.text, columns.aliases, columns.descriptions,
        sources.language, sources.query_text, sources.query_labels,
    )  # fmt: skip
    progress("load the encoder", 0, 1)
    start = open_start(sources.encoder)
    progress("load the encoder", 1, 1)
    repeat = read.query_table.repeat if read.query_table else 0
    facts = Facts.of(Material(read.labels, read.queries, repeat), start.tokenizer)
    for sentence in facts.sentences():
        log(sentence)
    chosen = choose_recipe(data, facts, start, sources.encoder)
    return time_recipe(chosen, checked.work, checked.minutes, facts.queries, progress, device)


def describe(student: Student) -> dict[str, Any]:
    """What the table at the end shows: metrics by system, on the evaluation queries."""
    found = student.metrics.get("evaluation", {})
    systems = {**found.get("baselines", {}), "screening": found.get("screening"), "student": found.get("reasoned")}
    return {name: values for name, values in systems.items() if values}
