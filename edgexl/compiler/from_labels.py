"""From labels, perhaps queries, and an encoder to a bundle, in one call.

Held-out queries, the recipe and the student in between have defaults, and the manifest tells them.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgexl.base.files import check_output
from edgexl.base.progress import Progress, no_progress
from edgexl.base.shipped import find_student
from edgexl.compiler.encoding.open_workers import check_workers
from edgexl.compiler.recipe import CalibrateRecipe, Recipe, load_recipe
from edgexl.data import Query, read_queries
from edgexl.data.held_out import HeldOut, carry_over, hold_out
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.objects import LabelSource, QuerySource, as_label_set
from edgexl.student.importing.sources import check_source
from edgexl.student.reading import AS_IT_IS, EncoderReading
from edgexl.target import Target, load_target

if TYPE_CHECKING:
    from edgexl.compiler.pipeline import CompileReport
    from edgexl.student.student import Student

RECIPE, TARGET = "labels", "host"


def compile_labels(
    labels: LabelSource,
    encoder: str | os.PathLike[str],
    out: str | os.PathLike[str],
    queries: QuerySource = (),
    recipe: Recipe | str | os.PathLike[str] | None = None,
    target: Target | str | os.PathLike[str] = TARGET,
    progress: Progress | None = None,
    workers: str = "local",
    reading: EncoderReading = AS_IT_IS,
) -> CompileReport:
    """Compile labels into a bundle without training, as `edgexl compile LABELS --encoder MODEL --queries FILE` does.

    Labels, queries, the encoder and its `reading` are what `Student.from_encoder` takes. Queries are divided into those
    that probabilities are fitted on and those that the compile is measured on; where they are fewer than 20, it is
    measured on queries made of the labels, which `facts["held_out"]` of the report says; or, without any, on those that
    a student holds out whose labels these are, edited. The recipe is `labels` by default.

    >>> compile_labels({"7544": "umbrella", "7702": "mousetrap", "7310": "candle"}, "wordnet", "till.exl")
    CompileReport('till.exl': ... MB, P@1 ..., R@100 ..., ... gates passed, ... s)

    Raises `BadInput` before anything is loaded where something does not fit, `GateFailed` as `compile` does.
    """
    from edgexl.student.arguments import as_queries

    check_output(out)
    check_workers(workers)
    check_source(encoder)
    chosen = recipe if isinstance(recipe, Recipe) else load_recipe(Path(recipe or RECIPE))
    device = target if isinstance(target, Target) else load_target(Path(target))
    label_set = as_label_set(labels)
    held_out = held_out_for(encoder, label_set, as_queries("given", queries, label_set))
    chosen = recipe_for(chosen, held_out)
    return compile_held_out(
        label_set, encoder, held_out, chosen, device, out, progress or no_progress, workers, recipe is None, reading
    )


def held_out_for(encoder: str | os.PathLike[str], labels: LabelSet, queries: Sequence[Query]) -> HeldOut:
    """What is held out: of the queries that were given or, where there are none, a student's own, if its labels are
    still there."""
    if not queries and (student := find_student(os.fspath(encoder))) is not None:
        known = LabelSet.load(student / "labels.json.gz").ids
        fitted, judged = (
            tuple(read_queries(student / f"{name}.json.gz", len(known))) for name in ("calibration", "evaluation")
        )
        if (carried := carry_over(known, fitted, judged, labels)) is not None:
            return carried
    return hold_out(labels, tuple(queries))


def recipe_for(recipe: Recipe, held_out: HeldOut) -> Recipe:
    """The recipe, without calibration where there is nothing to fit probabilities on."""
    return recipe if held_out.calibration else dataclasses.replace(recipe, calibrate=CalibrateRecipe("none"))


def compile_held_out(
    labels: LabelSet,
    encoder: str | os.PathLike[str],
    held_out: HeldOut,
    recipe: Recipe,
    target: Target,
    out: str | os.PathLike[str],
    progress: Progress,
    workers: str,
    fit_codes: bool,
    reading: EncoderReading = AS_IT_IS,
) -> CompileReport:
    """Compile what was checked, as `make_student` has it. Raises `GateFailed` as `compile` does."""
    from edgexl.compiler.pipeline import compile

    student, recipe = make_student(labels, encoder, held_out, recipe, progress, fit_codes, reading)
    facts = {"held_out": held_out.about}
    return compile(student, recipe, target, out, progress=progress, workers=workers, facts=facts)


def make_student(
    labels: LabelSet,
    encoder: str | os.PathLike[str],
    held_out: HeldOut,
    recipe: Recipe,
    progress: Progress,
    fit_codes: bool,
    reading: EncoderReading = AS_IT_IS,
) -> tuple[Student, Recipe]:
    """The student in between, and the recipe for it: `fit_codes` shortens its codes for an encoder of few dimensions.
    Raises `BadInput` where the encoder cannot be had or does not fit."""
    from edgexl.student.student import Student

    progress("load the encoder", 0, 1)
    student = Student.from_encoder(encoder, labels, held_out.calibration, held_out.evaluation, reading)
    progress("load the encoder", 1, 1)
    if fit_codes:
        # two subspaces a byte, of two dimensions at least
        code_bytes = max(1, min(recipe.index.code_bytes, student.shapes.query_dims // 4))
        recipe = dataclasses.replace(recipe, index=dataclasses.replace(recipe.index, code_bytes=code_bytes))
    return student, recipe
