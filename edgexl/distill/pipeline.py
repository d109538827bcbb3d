"""The whole distillation on one page.

    recipe -> data, divided by hash -> teacher -> screener (stage one) -> rotate -> shortlists of compressed label
    vectors -> reasoner (stage two) -> the student, saved, reloaded and judged on queries that nothing has seen

Mechanistic distillation gives each stage its own objective against the data and the teacher's phase of the same name,
and trains the second on what the first really hands on. Standard distillation, the rival, trains the same modules for
the same steps on the teacher's final distribution alone. A killed run continues from the checkpoints in `OUT.work`,
which a finished run removes.
"""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.errors import BadInput
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress, no_progress
from edgexl.base.sealed import SEAL_FILE, is_sealed_directory, seal_directory
from edgexl.base.shipped import available_students, shipped_files
from edgexl.data.metrics import evaluate
from edgexl.distill.corpus.divide import gold_labels
from edgexl.distill.judge import judge_splits
from edgexl.distill.keep_better import (
    START,
    TRAINED,
    describe_figures,
    judge_screener,
    keeps_reasoner,
    keeps_training,
    measure,
)
from edgexl.distill.processes import divide_batch, join_processes, own_seed, rank, wait_for_all, work_of
from edgexl.distill.recipe import DistillRecipe, read_recipe
from edgexl.distill.report import write_report
from edgexl.distill.stages import reasoning, screening
from edgexl.distill.stages.compute import choose_device, release_memory
from edgexl.distill.stages.label_sets import Made, make_evidence_lists
from edgexl.distill.stages.mining import with_mining
from edgexl.distill.stages.search import RowSearch, encode_table
from edgexl.distill.stages.shortlists import (
    GLANCE_QUERIES,
    code_rows,
    make_development_shortlists,
    make_training_shortlists,
    row_vectors,
)
from edgexl.distill.stages.start import inherits, start_screener, token_product
from edgexl.distill.stages.start_reasoner import give_prior, shape_reasoner, start_reasoner
from edgexl.distill.stages.training import Schedule, train_stage
from edgexl.distill.teachers.tower import turn
from edgexl.distill.workbench import Workbench, prepare
from edgexl.student.contract import Shapes
from edgexl.student.importer import PACKAGED_MODELS
from edgexl.student.label_tower import LabelTower
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.screeners import kind_of
from edgexl.student.student import Student, load_student, refuse_foreign_directory
from edgexl.student.weights import round_trip

# Rows that a stage finds development queries' answers among, on its way.
GLANCE_ROWS = 20_000


def distill(
    recipe: DistillRecipe | str | os.PathLike[str],
    out_dir: str | os.PathLike[str],
    progress: Progress = no_progress,
    log: Callable[[str], None] = print,
    device: str = "auto",
) -> Student:
    """Train the student that a recipe (or the file of one) describes and write it to `out_dir`, with its held-out
    metrics by stage.

    `progress` is told (what, done, total), `log` one line now and then (losses, metrics). `device` is auto (the GPU
    where there is one), cpu or cuda. The same recipe on the same machine gives the same student (a GPU's sums come in
    any order, and its students differ by chance). Beside the student lies training.html with the curves. Returns the
    student as reloaded. Raises `BadInput` for a recipe, a data set or a teacher that cannot be used.
    """
    started, cpu_started = time.monotonic(), time.process_time()
    out = Path(out_dir)
    refuse_foreign_directory(out)  # now, not after twenty minutes of training
    recipe = recipe if isinstance(recipe, DistillRecipe) else read_recipe(Path(recipe))
    join_processes(choose_device(device))
    if rank():  # one process speaks for all
        progress, log = no_progress, _say_nothing
    find_teacher = partial(locate_teacher, progress=progress, log=log, device=device)
    bench = prepare(recipe, work_of(out), find_teacher, progress, log, device)
    screened = distil_screener(bench)
    release_memory()
    reasoned = distil_reasoner(bench, screened)
    release_memory()
    if not rank():
        clock = _finish(bench, screened, reasoned, out, started)
        processor = time.process_time() - cpu_started
        log(f"{out} is written; {clock:.0f} s by the clock, {processor:.0f} s of processor time")
    shutil.rmtree(bench.work, ignore_errors=True)
    wait_for_all()
    return load_student(out)


def _say_nothing(_line: str) -> None:
    """The log of the processes that do not speak."""


def _finish(bench: Workbench, screened: Screened, reasoned: Reasoned, out: Path, started: float) -> float:
    """Save the student, judge it, and write its report; returns the seconds since it was `started`."""
    student = assemble(bench, screened, reasoned)
    student.save(out)
    # judged as anyone will meet it: after the rounding that storage brings
    metrics = judge(bench, load_student(out), screened, reasoned)
    for split, found in metrics.items():
        for stage in ("screening", "reasoned"):
            bench.log(f"{split}, {stage}: " + ", ".join(f"{k} {v}" for k, v in found[stage].items()))
    clock = time.monotonic() - started
    replace(student, metrics=metrics).save(out)
    write_report(out / "training.html", out.name, bench.recipe, bench.curves.points, metrics, clock)
    return clock


def locate_teacher(name: str, progress: Progress, log: Callable[[str], None], device: str) -> str:
    """What `open_teacher` takes for a recipe's teacher. One that edgexl ships the recipe of, not the weights, is
    trained first, once, into the user's cache."""
    recipes = shipped_files("recipes/distill")
    if Path(name).exists() or name in available_students() or name not in recipes:
        return name
    recipe = read_recipe(recipes[name])
    identity = hashlib.sha256(json.dumps(recipe.as_table(), sort_keys=True).encode()).hexdigest()
    directory = cache_directory() / "students" / f"{name}-{identity[:16]}"
    # one without a seal is by an edgexl before seals
    if not is_sealed_directory(directory) and ((directory / SEAL_FILE).exists() or not _is_finished(directory)):
        log(f"the teacher {name} is trained first, into {directory}")
        shutil.rmtree(directory, ignore_errors=True)  # what is left of a damaged one
        distill(recipe, directory, progress, log, device)
        if not rank():
            seal_directory(directory)
    return str(directory)


def _is_finished(directory: Path) -> bool:
    """Whether a distillation has come to its end in the directory, and what it wrote can be read."""
    try:
        return bool(load_student(directory).metrics)
    except BadInput:
        return False


@dataclass(frozen=True)
class Screened:
    """What stage one made: the `screener` and the label tower, where the recipe names one, with weights as they will be
    stored; `start` is the screener before its training, where that was compared, and `rows` by which name the vectors
    of the rows are remembered."""

    screener: nn.Module
    tower: LabelTower | None
    start: nn.Module | None = None
    rows: str = TRAINED


def distil_screener(bench: Workbench) -> Screened:
    """Stage one, and the rotation after it."""
    recipe, rows = bench.recipe, bench.learned_rows
    table = divide_batch(recipe.screening)
    torch.manual_seed(recipe.seed)
    screener = start_screener(bench.start, recipe.student, bench.tokenizer, bench.old_ids, bench.counts)
    screener.to(bench.device)
    kind = kind_of(screener)
    weighed = recipe.teacher is not None and (table.teacher_weight > 0 or table.ranking_weight > 0)
    heard = weighed or bench.method.needs_teacher
    vectors = bench.lessons.shorten(bench.learned, recipe.student.query_dims, rows) if weighed else None
    tower = bench.tower_lessons.start() if recipe.label_tower else None
    met = bench.tower_lessons.vectors(tower, [query.text for query in bench.learned]) if tower else None
    if met is not None:
        asked = np.arange(0, len(bench.learned), max(1, len(bench.learned) // 20_000))
        texts = bench.tokens(tuple(bench.learned[place] for place in asked))
        kind.aim(screener, texts, met.queries[torch.from_numpy(asked).to(bench.device)])
    elif vectors is not None:
        sample = np.arange(0, rows.labels, max(1, rows.labels // 20_000))
        kind.aim(screener, rows.sample(sample), vectors.rows[torch.from_numpy(sample).to(bench.device)])
    if len(bench.learned) != len(bench.corpus.screening):
        bench.log(f"{len(bench.learned)} queries train the screener, as the recipe has it")
    data = screening.ScreeningData(
        queries=bench.tokens(bench.learned),
        targets=gold_labels(bench.learned),
        rows=rows,
        own_texts=rows.texts_of_queries(bench.learned),
        query_teacher=vectors.queries if vectors else None,
        row_teacher=vectors.rows if vectors else None,
        tower=met,
        row_inputs=kind.tabulate(screener, rows.tokens),
    )
    data = replace(data, query_inputs=kind.tabulate(screener, data.queries))
    del vectors, met
    data = bench.method.hear(data, bench.lessons if heard else None, bench.learned)
    hard = screening.HardRows()
    losses = bench.method.screening_losses(screener, data, table, hard, own_seed(recipe.seed))
    if bench.method.mines and table.hard_labels:
        losses = with_mining(bench, screener, data, hard, losses)
    start = None
    if recipe.keep_better:
        start, _ = settle_screener(bench, copy.deepcopy(screener), data)
        before = judge_screener(bench, start, START)
        bench.log(f"untrained: {describe_figures(before)} of {len(before)} development queries, by vectors and words")
        if not table.steps:
            return Screened(start, None, start, START)
    kind.freeze(screener, table.frozen_layers)
    bench.rest_teacher()
    if table.steps:
        train_stage(
            "screener", screener, losses, Schedule(table.steps, table.learning_rate, table.warmup, table.weight_decay),
            own_seed(recipe.seed), bench.checkpoint("screening"),
            bench.observer(partial(glance_at_screener, bench, screener, data)),
        )  # fmt: skip
    screener, rotation = settle_screener(bench, screener, data)
    if start is not None and not keeps_training(bench, before, judge_screener(bench, screener, TRAINED)):
        return Screened(start, None, start, START)
    return Screened(screener, turn(tower, rotation) if tower else None, start)


def settle_screener(
    bench: Workbench, screener: nn.Module, data: screening.ScreeningData
) -> tuple[nn.Module, torch.Tensor]:
    """(the screener, turned so that its leading dimensions tell most, with weights as they will be stored; the
    rotation). One whose reasoner is gone on with stays as it is turned, for that knows its dimensions by their place.
    """
    if inherits(bench.start, bench.recipe.student, shape_reasoner(bench, screener)):
        screener.load_state_dict(round_trip(screener.state_dict()))
        return screener.to(bench.device).requires_grad_(True).eval(), torch.eye(bench.recipe.student.query_dims)
    # every eighth label settles a 256-wide covariance
    eighth = screening.sample_vectors(screener.eval(), data, np.arange(0, bench.rows.labels, 8), "rotate")
    rotation = screening.rotate_output(screener, eighth)
    screener.load_state_dict(round_trip(screener.state_dict()))
    return screener.to(bench.device).requires_grad_(True).eval(), rotation


def glance_at_screener(bench: Workbench, screener: nn.Module, data: screening.ScreeningData) -> dict[str, float]:
    """How often development queries find a gold label first, and among ten, in a sample of the rows."""
    rows = bench.rows
    queries = bench.corpus.development[:GLANCE_QUERIES]
    wanted = np.unique([target for query in queries for target in query.targets])
    rng = np.random.default_rng(0)
    # of few labels a part: a glance should take a small share of the time
    sample = np.union1d(wanted, rng.permutation(rows.labels)[: min(GLANCE_ROWS, max(1000, rows.labels // 4))])
    vectors = screening.sample_vectors(screener, data, sample, "judge the screener")
    query_vectors = encode_table(screener, bench.tokens(queries), "judge the screener", no_progress)
    best = sample[(query_vectors @ vectors.T).topk(min(10, len(sample)), dim=1).indices.cpu().numpy()]
    found = evaluate(best, [query.targets for query in queries], (1, min(10, len(sample))))
    return {f"held-out {name} of {len(sample)}": found[name] for name in ("P@1", f"R@{min(10, len(sample))}")}


@dataclass(frozen=True)
class Reasoned:
    """What stage two made: the reasoner, the map that makes its word pieces of the screener's word table (None where
    it is screening's own order), and what it was trained on (None where it was not, and nothing is compared)."""

    reasoner: nn.Module
    token_map: Tensor | None
    made: Made | None


def distil_reasoner(bench: Workbench, screened: Screened) -> Reasoned:
    """Stage two."""
    recipe, corpus = bench.recipe, bench.corpus
    screener, tower = screened.screener, screened.tower
    shape, table = recipe.student, divide_batch(recipe.reasoning)
    if not table.steps and not recipe.keep_better:
        return Reasoned(ScreeningReasoner(), None, None)
    if table.evidence:
        made = make_evidence_lists(bench, screener, tower, screened.rows)
    else:
        made = make_lists(bench, screener, tower)
    lists, held_out, tables = made.lists, made.held_out, made.tables
    bench.rest_teacher()
    if not table.steps:
        return Reasoned(ScreeningReasoner(), None, made)
    torch.manual_seed(recipe.seed)
    reasoner, tokens = start_reasoner(bench, screener)
    seed = own_seed(recipe.seed)
    losses = bench.method.reasoning_losses(screener, reasoner, lists, tables, table, shape.shortlist, seed)
    useful = int(lists.gold[:, : shape.shortlist].any(-1).sum())
    bench.log(f"{useful} of {len(lists)} shortlists hold a gold label")

    def glance() -> dict[str, float]:
        logits = reasoning.decide(screener, reasoner, held_out, tables, shape.shortlist)
        order = logits.argsort(dim=1, descending=True, stable=True).cpu()
        ranked = held_out.labels.cpu()[:, : order.shape[1]].gather(1, order).numpy().astype(np.int64)
        hundred = min(100, ranked.shape[1])
        found = evaluate(ranked, [query.targets for query in corpus.development[: len(ranked)]], (1, 5, hundred))
        if recipe.keep_better:
            bench.log(
                f"a guess of the final figures: P@1 {found['P@1']:.1f}, R@{hundred} {found[f'R@{hundred}']:.1f}, of "
                f"{len(ranked)} queries kept from training"
            )
        return {f"held-out {name}": found[name] for name in ("P@1", "nDCG@5")}

    train_stage(
        "reasoner", reasoner, losses, Schedule(table.steps, table.learning_rate, table.warmup, table.weight_decay),
        seed, bench.checkpoint("reasoning"), bench.observer(glance),
    )  # fmt: skip
    if table.often_steps:
        often = reasoning.only_often(lists, bench.asked(), table.often)
        losses = bench.method.reasoning_losses(screener, reasoner, often, tables, table, shape.shortlist, seed)
        train_stage(
            "reasoner, often asked", reasoner, losses,
            Schedule(table.often_steps, table.learning_rate, table.warmup, table.weight_decay),
            seed, bench.checkpoint("often"), bench.observer(glance),
        )  # fmt: skip
    if recipe.keep_better and not keeps_reasoner(bench, screener, reasoner, made):
        return Reasoned(ScreeningReasoner(), None, made)
    give_prior(bench, reasoner)
    reasoner.text.add_module("tokens", tokens.as_embedding())
    return Reasoned(reasoner.eval(), tokens.map.detach(), made)


def judge(bench: Workbench, student: Student, screened: Screened, reasoned: Reasoned) -> dict[str, Any]:
    """The finished student's metrics by split and stage: with words, as a bundle answers, beside searches that need no
    training, where those were compared on the way."""
    if screened.start is None or reasoned.made is None:
        return judge_splits(student, bench.corpus, bench.device, bench.progress)
    reasoner = None if reasoned.token_map is None else student.reasoner.to(bench.device)
    return measure(bench, screened.start, student.screener.to(bench.device), reasoner, reasoned.made)


def make_lists(bench: Workbench, screener: nn.Module, tower: LabelTower | None) -> Made:
    """What a reasoner learns from that sees the scores of label texts and aliases alone."""
    shape, table = bench.recipe.student, bench.recipe.reasoning
    vectors = row_vectors(bench, screener, tower)
    pieces = torch.from_numpy(bench.rows.rows.label_pieces(shape.label_tokens))
    read = code_rows(vectors, table.bits, vectors.shape[1])
    tables = reasoning.LabelTables(label_vectors(bench, vectors, read), pieces.to(bench.device))
    search = RowSearch(bench.rows.rows, read, rough=True)
    del vectors, read
    lists = make_training_shortlists(bench, screener, search)
    return Made(lists, make_development_shortlists(bench, screener, search), tables)


def label_vectors(bench: Workbench, exact: Tensor, read: Tensor) -> tuple[Tensor, Tensor]:
    """The labels' vectors in the two forms that the reasoner meets: all dimensions, and the leading ones, as devices
    read them; a method that knows of no compression takes the former as they are. `exact`, `read`: all rows' [rows,d].
    """
    table, labels = bench.recipe.reasoning, bench.rows.labels
    whole = read if bench.method.compresses else exact
    return whole[:labels].clone(), code_rows(exact, table.bits, table.leading_dims)[:labels].clone()


def assemble(bench: Workbench, screened: Screened, reasoned: Reasoned) -> Student:
    """The finished student, not yet judged."""
    recipe, corpus = bench.recipe, bench.corpus
    screener: Any = screened.screener
    tower, token_map = screened.tower, reasoned.token_map
    origin = recipe.start or recipe.teacher or ""
    shapes = Shapes(
        max_tokens=screener.config.max_tokens,
        query_dims=recipe.student.query_dims,
        state_dims=kind_of(screener).state_dims(screener),
        shortlist=recipe.student.shortlist,
        label_tokens=recipe.student.label_tokens,
        vocabulary=len(bench.old_ids),
    )
    provenance = {
        "recipe": recipe.as_table(),
        "teacher": bench.teacher.provenance if bench.teacher else None,
        "teacher_identity": bench.teacher.identity if bench.teacher else None,
        "label_tower": tower.describe() if tower else None,
        "start_licence": PACKAGED_MODELS[origin].licence if origin in PACKAGED_MODELS else "unknown",
        "data": corpus.about,
        "training_queries": {"screening": len(corpus.screening), "reasoning": len(corpus.reasoning)},
        "torch": torch.__version__,
        "device": bench.device.type,
    }
    return Student.from_modules(
        screener=copy.deepcopy(screener).cpu(),
        reasoner=reasoned.reasoner.cpu(),
        tokenizer=bench.tokenizer,
        labels=corpus.labels,
        shapes=shapes,
        calibration=corpus.calibration,
        evaluation=corpus.evaluation,
        provenance=provenance,
        maps={} if token_map is None else {token_product(screener): token_map.cpu()},
        label_tower=tower,
    )
