"""What both stages of finishing share: their settings, the float self, and vectors of the index's rows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.progress import Progress, no_progress
from edgexl.compiler.recipe import Recipe
from edgexl.data import Query
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.finishing.table import FinishingTable
from edgexl.distill.stages.search import encode_table
from edgexl.distill.stages.simulate import simulate
from edgexl.distill.stages.training import (
    Checkpoint,
    Curves,
    Losses,
    Observer,
    Schedule,
    load_tensors,
    save_tensors,
    train_stage,
)
from edgexl.index import CoarseCode, coarse_code
from edgexl.index.choice import SAMPLE_QUERIES
from edgexl.index.tower_vectors import encode_by_tower
from edgexl.student.student import Student
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable
from edgexl.target import Int8


@dataclass(frozen=True)
class Setup:
    """What both stages need. `original` is the student's float self, on the device; `rows` those of its index."""

    original: Student
    recipe: Recipe
    table: FinishingTable
    int8: Int8
    seed: int
    device: torch.device
    work: Path
    rows: RowTable
    curves: Curves
    progress: Progress
    log: Callable[[str], None]

    @property
    def rows_are_fixed(self) -> bool:
        """Whether the compiler will encode labels by the student's label tower, which no finishing changes."""
        return self.original.label_tower is not None and self.recipe.index.labels_from == "float"

    def tokens(self, queries: Sequence[Query]) -> TokenTable:
        """Token ids of queries."""
        texts = [query.text for query in queries]
        student = self.original
        rows = encode_texts(student.tokenizer, texts, student.shapes.max_tokens, student.prompts.query)
        return TokenTable.of(rows, self.device)

    def identity(self, stage: str, queries: Sequence[Query]) -> dict[str, str]:
        """A hash of all that a stage depends on, as files say it; the stage "rows" depends on the student alone."""
        table = {k: v for k, v in asdict(self.table).items() if stage != "screener" or not k.startswith("reasoning")}
        recipe = {k: v for k, v in asdict(self.recipe).items() if k in ("screener", "reasoner", "index", "shortlist")}
        settings = [] if stage == "rows" else [recipe, table, asdict(self.int8), self.seed]
        digest = hashlib.sha256(json.dumps([stage, *settings]).encode())
        digest.update(self.original.labels.sha256().encode())
        digest.update("\0".join(query.text for query in queries).encode())
        for module in (self.original.screener, self.original.reasoner):
            for name, value in module.state_dict().items():
                digest.update(name.encode() + value.cpu().numpy().tobytes())
        return {"identity": digest.hexdigest()}

    def train(self, stage: str, module: nn.Module, losses: Callable[[int], Losses], queries: Sequence[Query]) -> None:
        """Train a stage by its part of the table."""
        table = self.table
        steps, rate = (
            (table.screening_steps, table.screening_rate)
            if stage == "screener"
            else (table.reasoning_steps, table.reasoning_rate)
        )
        checkpoint = Checkpoint(self.work / f"{stage}.safetensors", self.identity(stage, queries)["identity"])
        observer = Observer(self.progress, self.log, self.curves)
        train_stage(
            f"finishing {stage}", module, losses, Schedule(steps, rate, 0.1, 0.0), self.seed, checkpoint, observer
        )


def float_rows(setup: Setup) -> Tensor:
    """Vectors [rows,d] fp16 of the float self, by its label tower where it has one; remembered, so that a resumed run
    does not encode again."""
    if tower := setup.original.label_tower:
        by_tower = encode_by_tower(tower, setup.rows.texts, None, partial(setup.progress, "encode labels by the tower"))
        return torch.from_numpy(by_tower).to(setup.device, torch.float16)
    path, about = setup.work / "rows.safetensors", setup.identity("rows", ())
    kept = load_tensors(path, about)
    if kept is None:
        encoded = encode_table(
            setup.original.screener, setup.rows.tokens, "encode labels by the float self", setup.progress
        )
        kept = {"vectors": encoded.to(torch.float16)}
        save_tensors(path, kept, about)
    return kept["vectors"].to(setup.device)


def choose_code(setup: Setup) -> CoarseCode:
    """The coarse code that the compiler would choose for the float self: finishing moves vectors too little to have it
    choose another, and the sizes of what is trained must not change on the way."""
    index, original = setup.recipe.index, setup.original
    held_out = original.calibration[:SAMPLE_QUERIES] if index.coarse == "auto" else ()
    queries = np.empty((0, original.shapes.query_dims), np.float32)
    if held_out:
        queries = (
            encode_table(original.screener, setup.tokens(held_out), "fit codes", no_progress).float().cpu().numpy()
        )
    code, _ = coarse_code(
        float_rows(setup).float().cpu().numpy(),
        queries,
        [np.array(query.targets, np.int64) for query in held_out],
        index.rotation,
        index.coarse,
        index.coarse_dims,
        index.code_bytes,
        index.fine_dims or original.shapes.query_dims,
        setup.recipe.shortlist.n or original.shapes.shortlist,
        index.seed,
    )
    return code


def encode_rows(setup: Setup, screener: nn.Module, sample: Ints | None = None) -> Tensor:
    """Vectors of (a sample of) the index's rows, as the compiler will encode them."""
    if setup.rows_are_fixed:
        rows = float_rows(setup).float()
        return rows if sample is None else rows[torch.from_numpy(sample).to(setup.device)]
    tokens = setup.rows.tokens
    if sample is not None:
        tokens = setup.rows.sample(sample)
    screener.eval()
    name = "encode labels by the finished screener" if sample is None else "fit codes"
    rounded = setup.recipe.index.labels_from == "quantized"
    progress = setup.progress if sample is None else no_progress
    with simulate(screener, setup.recipe.screener, setup.int8) if rounded else nullcontext():
        found = encode_table(screener, tokens, name, progress, half=not rounded).clone()
    screener.train()
    return found


def cross_entropy(own: Tensor, gold: Tensor) -> Tensor:
    """Mean over queries with a gold one of the mean of log probabilities `own` [B,N] over the gold ones."""
    count = gold.sum(-1)
    return -(own.masked_fill(~gold, 0.0).sum(-1) / count.clamp_min(1)).sum() / (count > 0).sum().clamp_min(1)
