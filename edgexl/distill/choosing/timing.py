"""How long a step of each stage takes here: a few are made and thrown away."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress
from edgexl.distill.choosing.choose import Chosen, Timing, choose_steps
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.pipeline import locate_teacher
from edgexl.distill.processes import count_processes
from edgexl.distill.stages import reasoning, screening
from edgexl.distill.stages.evidence import Evidence
from edgexl.distill.stages.search import encode_table
from edgexl.distill.stages.start import start_screener
from edgexl.distill.stages.start_reasoner import start_reasoner
from edgexl.distill.stages.training import Losses, make_optimiser
from edgexl.distill.workbench import Workbench, prepare
from edgexl.student.screeners import kind_of

_STEPS = 3
# Labels that are encoded to see how long all take.
_SAMPLE = 512
# What making a shortlist with its evidence and the searches at the end take, seconds a query and a label.
_SHORTLIST, _BASELINE = 0.004, 0.001


def time_recipe(chosen: Chosen, work: Path, minutes: float, queries: int, progress: Progress, device: str) -> Chosen:
    """The recipe with its steps, by timing some. Raises `BadInput` for several processes, each of which would find
    others."""
    if count_processes() > 1:
        raise BadInput(
            "Several processes train by a whole recipe, with its steps; have one process choose it first, or write "
            "steps into [screening] and [reasoning]."
        )
    began = time.monotonic()
    quiet: Callable[[str], None] = lambda line: None  # noqa: E731
    find_teacher = partial(locate_teacher, progress=progress, log=quiet, device=device)
    bench = prepare(chosen.recipe, work, find_teacher, progress, quiet, device)
    timing = time_steps(bench, progress)
    timing = dataclasses.replace(timing, rest=timing.rest + time.monotonic() - began)
    torch.manual_seed(chosen.recipe.seed)
    return choose_steps(chosen, timing, minutes, queries)


def time_steps(bench: Workbench, progress: Progress) -> Timing:
    """Seconds of a step of each stage, and of what is no training."""
    progress("time a few steps", 0, 3)
    recipe, rows = bench.recipe, bench.rows
    torch.manual_seed(0)
    screener = start_screener(bench.start, recipe.student, bench.tokenizer, bench.old_ids, bench.counts)
    screener.to(bench.device)
    sample = np.arange(0, len(rows), max(1, len(rows) // _SAMPLE))
    began = time.perf_counter()
    vectors = encode_table(screener.eval(), rows.sample(sample), "time a few steps", lambda *told: None)
    encoding = (time.perf_counter() - began) / len(sample) * len(rows)
    progress("time a few steps", 1, 3)
    reasons = _time(_reasoning(bench, screener, vectors, sample))
    progress("time a few steps", 2, 3)
    screens = _time(_screening(bench, screener))
    progress("time a few steps", 3, 3)
    shortlists = len(bench.corpus.reasoning) + recipe.reasoning.naming_queries + recipe.reasoning.familiar_queries
    searched = _SHORTLIST * (shortlists + 6 * recipe.split.development) + _BASELINE * rows.labels
    # by the start and by the trained screener, and a third for the looks on the way
    return Timing(screens, reasons, 3 * encoding + searched)


def _time(step: Callable[[], None]) -> float:
    """The middle one of a few steps, behind one that warms up."""
    step()
    seconds = []
    for _ in range(_STEPS):
        began = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - began)
    return sorted(seconds)[len(seconds) // 2]


def _screening(bench: Workbench, screener: torch.nn.Module) -> Callable[[], None]:
    table = bench.recipe.screening
    data = screening.ScreeningData(
        queries=bench.tokens(bench.learned),
        targets=gold_labels(bench.learned),
        rows=bench.learned_rows,
        own_texts=bench.learned_rows.texts_of_queries(bench.learned),
        row_inputs=kind_of(screener).tabulate(screener, bench.learned_rows.tokens),
    )
    kind_of(screener).freeze(screener, table.frozen_layers)
    losses = bench.method.screening_losses(screener, data, table, screening.HardRows(), 0)
    return _stepper(screener.train(), losses)


def _reasoning(bench: Workbench, screener: torch.nn.Module, vectors: torch.Tensor, sample: Ints) -> Callable[[], None]:
    """Over made-up shortlists: only their sizes count."""
    recipe = bench.recipe
    queries = (bench.corpus.reasoning + bench.corpus.screening)[: 4 * recipe.reasoning.batch]
    length = min(recipe.student.shortlist + reasoning.RESERVE, len(bench.corpus.labels))
    labels = torch.randint(0, len(sample), (len(queries), length), dtype=torch.int32)
    gold = torch.zeros(labels.shape, dtype=torch.bool)
    gold[:, 0] = True
    nothing = torch.zeros(labels.shape, dtype=torch.float16)
    evidence = Evidence(nothing, nothing, nothing, nothing, torch.zeros(len(queries), 2))
    query_vectors = vectors[: len(queries)]
    while len(query_vectors) < len(queries):
        query_vectors = torch.cat([query_vectors, vectors])[: len(queries)]
    lists = reasoning.Shortlists(bench.tokens(queries), query_vectors, labels, None, gold, None, evidence)
    pieces = torch.from_numpy(
        bench.rows.rows.label_pieces(recipe.student.label_tokens)[np.minimum(sample, bench.rows.labels - 1)]
    )
    tables = reasoning.LabelTables((vectors, vectors), pieces.to(bench.device))
    reasoner, _ = start_reasoner(bench, screener)
    losses = bench.method.reasoning_losses(
        screener, reasoner, lists.to(bench.device), tables, recipe.reasoning, recipe.student.shortlist, 0
    )
    return _stepper(reasoner.train(), losses)


def _stepper(module: torch.nn.Module, losses: Callable[[int], Losses]) -> Callable[[], None]:
    optimiser = make_optimiser(module, 1e-9, 0.0)
    number = iter(range(1 << 30))

    def step() -> None:
        loss = losses(next(number))["loss"]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    return step
