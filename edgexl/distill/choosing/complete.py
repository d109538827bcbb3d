"""A recipe that says only some of what there is to say: the rest is chosen, as for files without a recipe."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress
from edgexl.distill.choosing.check import FEWEST_QUERIES
from edgexl.distill.choosing.choose import Chosen, Facts, choose_recipe
from edgexl.distill.choosing.timing import time_recipe
from edgexl.distill.choosing.write import format_recipe
from edgexl.distill.corpus.open import open_material
from edgexl.distill.pipeline import locate_teacher
from edgexl.distill.recipe import DistillRecipe, FilesTable, build_recipe
from edgexl.distill.stages.start import open_start

# Tables without which a recipe says too little to distil by.
NEEDED = ("student", "screening", "reasoning")


def is_complete(table: dict[str, Any]) -> bool:
    """Whether a recipe's tables say all that has no default."""
    steps = all("steps" in table.get(name, {}) for name in NEEDED[1:] if isinstance(table.get(name, {}), dict))
    return steps and all(name in table for name in NEEDED)


def complete_recipe(
    path: Path,
    work: Path,
    minutes: float,
    progress: Progress,
    log: Callable[[str], None],
    device: str,
) -> Chosen:
    """The recipe at `path` with what it leaves out. Raises `BadInput` where there are too few queries to choose by."""
    table = toml.parse(path)
    if "data" not in table:
        raise BadInput(f"{path}: the key 'data' is missing; add it")
    teacher, own_start = table.get("teacher"), table.get("start")
    if not teacher and not own_start:
        raise BadInput(f"{path}: names no teacher, but there must be a teacher or a start; name one.")
    data: str | FilesTable = toml.convert(table["data"], str | FilesTable, f"{path}: data")
    if isinstance(data, FilesTable):
        data = data.moved(lambda name: str(path.parent / name))
    material = open_material(data, progress)
    source = str(own_start or locate_teacher(str(teacher), progress, log, device))
    start = open_start(source)
    facts = Facts.of(material, start.tokenizer)
    for sentence in facts.sentences():
        log(sentence)
    if facts.queries < FEWEST_QUERIES:
        raise BadInput(
            f"{path}: {facts.queries:,} queries are too few to distill by ({FEWEST_QUERIES} would do); `edgexl distill "
            "LABELS --queries FILE --encoder MODEL` makes a student of so few, too."
        )
    chosen = choose_recipe(data, facts, start, str(own_start or teacher), str(teacher) if teacher else None)
    first = merge(chosen, table, path)
    timed = time_recipe(first, work, minutes, facts.queries, progress, device)
    return merge(timed, table, path)


def merge(chosen: Chosen, table: dict[str, Any], path: Path) -> Chosen:
    """What the recipe at `path` says in `table`, and the chosen recipe where it says nothing."""
    whole = tomllib.loads(format_recipe(chosen, path))
    if "data" in table and not isinstance(table["data"], dict):
        whole["data"] = table["data"]
    reasons = dict(chosen.reasons)
    for name, value in table.items():
        if isinstance(value, dict) and isinstance(whole.get(name), dict):
            whole[name] |= value
            for key in value:
                reasons.pop(f"{name}.{key}", None)
        else:
            whole[name] = value
            reasons.pop(name, None)
    if (whole.get("method") == "standard" or whole.get("label_tower")) and "reasoning" in whole:
        for key in ("evidence", "residual", "letters"):
            whole["reasoning"].pop(key, None)
        whole.pop("keep_better", None)
    recipe: DistillRecipe = build_recipe(whole, path)
    return dataclasses.replace(chosen, recipe=recipe, reasons=reasons)
