"""Finishing a student, in memory or from directory to directory."""

from __future__ import annotations

import copy
import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from pathlib import Path

from torch import nn

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.compiler.recipe import Recipe
from edgexl.data import Dataset, Query
from edgexl.distill.corpus.divide import read_corpus
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.finishing.finish_reasoning import finish_reasoner
from edgexl.distill.finishing.finish_screening import finish_screener
from edgexl.distill.finishing.setup import Setup
from edgexl.distill.finishing.table import FinishingTable
from edgexl.distill.judge import judge_splits
from edgexl.distill.recipe import SplitTable
from edgexl.distill.stages.compute import choose_device
from edgexl.distill.stages.simulate import FULL_RANGE
from edgexl.distill.stages.training import Curves
from edgexl.student.student import Student, load_student, refuse_foreign_directory
from edgexl.student.weights import round_trip
from edgexl.target import Int8


def finish(
    student: Student,
    recipe: Recipe,
    screening: Sequence[Query],
    reasoning: Sequence[Query],
    table: FinishingTable | None = None,
    *,
    int8: Int8 = FULL_RANGE,
    seed: int = 0,
    device: str = "auto",
    work: Path | None = None,
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
) -> Student:
    """The student finished for `recipe`, with weights as they will be stored; `student` itself stays as it is.

    `screening` queries train the screener, `reasoning` queries, best those that the screener was not trained on, the
    reasoner; queries of the student's calibration and evaluation are left out of both. `int8` are the facts of the
    target that the recipe will be compiled for. `work` is where checkpoints are kept, to go on from after a kill; the
    caller removes it. Raises `BadInput` for queries or sizes that cannot be used.
    """
    with tempfile.TemporaryDirectory() if work is None else nullcontext(str(work)) as folder:
        setup = _prepare(student, recipe, table or FinishingTable(), int8, seed, device, Path(folder), progress, log)
        screener = copy.deepcopy(setup.original.screener)
        if setup.table.screening_steps and _make_trainable(screener):
            finish_screener(setup, screener, _usable(student, screening, "screening"))
            screener.load_state_dict(round_trip(screener.state_dict()))
        reasoner = copy.deepcopy(setup.original.reasoner)
        if setup.table.reasoning_steps and _make_trainable(reasoner):
            finish_reasoner(setup, screener, reasoner, _usable(student, reasoning, "reasoning"))
    about = {"recipe": asdict(recipe), **asdict(setup.table), "seed": seed}
    return Student.from_modules(
        screener=_thaw(screener),
        reasoner=_thaw(reasoner),
        tokenizer=student.tokenizer,
        labels=student.labels,
        shapes=student.shapes,
        calibration=student.calibration,
        evaluation=student.evaluation,
        provenance={**student.provenance, "finishing": about},
        maps=student.maps,
        label_tower=student.label_tower,
    )


def finish_student(
    source: str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    recipe: Recipe,
    dataset: Dataset,
    table: FinishingTable | None = None,
    *,
    int8: Int8 = FULL_RANGE,
    seed: int = 0,
    device: str = "auto",
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
) -> Student:
    """Finish the student in the directory `source` (or a shipped one's name) with the training queries of `dataset`,
    and write it to `out_dir`. Returns it as reloaded.

    The data set must be the one that the student was trained on: its queries are divided as they were then, and those
    that were held out stay so. A killed run goes on from `out_dir`.work. Raises `BadInput` for a data set of other
    labels, and for what `finish` refuses.
    """
    out = Path(out_dir)
    refuse_foreign_directory(out)
    student = load_student(source)
    corpus = read_corpus(dataset, split_of(student))
    if corpus.labels.ids != student.labels.ids:
        raise BadInput(
            f"{source} has other labels than the data set; give the data set that the student was trained on."
        )
    work = out.with_name(out.name + ".work")
    done = finish(
        student, recipe, corpus.screening, corpus.reasoning, table,
        int8=int8, seed=seed, device=device, work=work, progress=progress, log=log,
    )  # fmt: skip
    done.save(out)
    # what it is uncompiled, after the rounding that storage brings; a compile's ledger tells the rest
    metrics = judge_splits(load_student(out), corpus, choose_device(device), progress)
    replace(done, metrics=metrics).save(out)
    shutil.rmtree(work, ignore_errors=True)
    return load_student(out)


def split_of(student: Student) -> SplitTable:
    """How the student's training queries were divided, as its provenance says; the usual way where it does not."""
    told = student.provenance.get("recipe")
    told = told.get("split") if isinstance(told, dict) else None
    return toml.build(told, SplitTable, "the student's provenance: split") if isinstance(told, dict) else SplitTable()


def _prepare(
    student: Student, recipe: Recipe, table: FinishingTable, int8: Int8, seed: int, device: str, work: Path,
    progress: Progress, log: Callable[[str], None],
) -> Setup:  # fmt: skip
    chosen = choose_device(device)
    original = replace(
        student,
        screener=copy.deepcopy(student.screener).to(chosen).eval().requires_grad_(False),
        reasoner=copy.deepcopy(student.reasoner).to(chosen).eval().requires_grad_(False),
    )
    rows = RowTable.make(
        student.labels, student.tokenizer, student.shapes.max_tokens, chosen, aliases=recipe.index.aliases
    )
    return Setup(
        original, recipe, table, int8, seed, chosen, work, rows, Curves(work / "finishing.jsonl"), progress, log
    )


def _usable(student: Student, queries: Sequence[Query], stage: str) -> tuple[Query, ...]:
    held_out = {query.text for query in (*student.calibration, *student.evaluation)}
    found = tuple(query for query in queries if query.targets and query.text not in held_out)
    if not found:
        raise BadInput(f"There are no {stage} queries to finish the student with; give the data set it was trained on.")
    return found


def _make_trainable(module: nn.Module) -> bool:
    """Let all but the tables of embeddings train, without the noise of dropout. False where there are no products, so
    that no rounding could be met."""
    module.requires_grad_(True)
    for part in module.modules():
        if isinstance(part, nn.Embedding):
            part.requires_grad_(False)
        elif isinstance(part, nn.Dropout):
            part.p = 0.0
    return any(isinstance(part, nn.Linear) for part in module.modules())


def _thaw(module: nn.Module) -> nn.Module:
    return module.requires_grad_(True).cpu().eval()
