"""Standard distillation, the rival: both stages imitate the teacher's final distribution, and hear of nothing else.

Stage one: cross entropy with that distribution over a pool, into which each query brings labels drawn from it; a label
tower gives rows their vectors as in mechanistic distillation, and draws the screener's own near them. Stage
two: KL to it over the teacher's own shortlists, whose label vectors are met as they are in all dimensions, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from edgexl.base.arrays import Ints
from edgexl.data import Query
from edgexl.distill.corpus.divide import join
from edgexl.distill.methods.method import Method
from edgexl.distill.recipe import ReasoningTable, ScreeningTable
from edgexl.distill.stages.reasoning import LabelTables, Shortlists, opinion, train_logits
from edgexl.distill.stages.screening import (
    Batches,
    HardRows,
    Lists,
    ScreeningData,
    encode_pool,
)
from edgexl.distill.stages.training import Losses, divergence
from edgexl.distill.teachers.teaching import Lessons
from edgexl.student.reasoner import ListwiseReasoner


def hear(data: ScreeningData, lessons: Lessons | None, queries: Sequence[Query]) -> ScreeningData:
    """The head of the teacher's final distribution, in place of its vectors."""
    assert lessons is not None
    return replace(data, query_teacher=None, row_teacher=None, lists=lessons.final_lists(queries))


def screening_losses(
    screener: nn.Module, data: ScreeningData, table: ScreeningTable, hard: HardRows, seed: int
) -> Callable[[int], Losses]:
    """The loss of a step: cross entropy between the teacher's final distribution and the student's over a pool."""
    assert data.lists is not None
    device, lists = data.queries.flat.device, data.lists
    batches = Batches(data.queries.lengths, table.batch, seed)
    drawn_rows = table.batch * (1 + table.hard_labels)

    # how often a label is expected in the pool, as in the mechanistic loss: the same care for both
    share = np.zeros(len(data.rows))
    np.add.at(share, np.maximum(lists.labels, 0).ravel(), np.where(lists.labels >= 0, lists.probabilities, 0).ravel())
    expected = torch.from_numpy(np.log(drawn_rows * share / len(lists.labels) + table.random_labels / len(data.rows)))
    expected = expected.to(device, torch.float32)

    def losses(step: int) -> Losses:
        batch = batches.at(step)
        rng = np.random.default_rng((seed, step, 1))
        drawn = _draw(lists, batch, 1 + table.hard_labels, rng)
        candidates = np.concatenate([drawn.ravel(), rng.integers(0, data.rows.labels, table.random_labels)])
        candidates = np.unique(candidates[candidates >= 0])
        pool = encode_pool(screener, data, batch, candidates, table.token_dropout)
        listed = lists.labels[batch]
        ours, theirs = join(listed.ravel(), candidates)
        wanted = np.zeros((len(batch), len(candidates)), np.float32)
        wanted[ours // listed.shape[1], theirs] = lists.probabilities[batch].ravel()[ours]
        wanted /= np.maximum(wanted.sum(1, keepdims=True), 1e-9)
        target = torch.from_numpy(wanted).to(device)
        scores = (pool.queries @ pool.rows.T) / table.temperature - expected[torch.from_numpy(candidates).to(device)]
        task = -(target * scores.log_softmax(-1)).sum(-1).mean()
        if pool.live is None:
            return {"loss": task}
        return {"loss": task + table.live_weight * pool.live, "task": task, "live": pool.live}

    return losses


def _draw(lists: Lists, batch: Ints, count: int, rng: np.random.Generator) -> Ints:
    """[batch, count] labels drawn by their probability."""
    shares = np.cumsum(lists.probabilities[batch], 1)
    points = rng.random((len(batch), count, 1)) * shares[:, None, -1:]
    places = (points > shares[:, None, :]).sum(-1)  # a point is less than 1 of the last share
    return np.take_along_axis(lists.labels[batch], places, 1)


def reasoning_losses(
    screener: nn.Module, reasoner: ListwiseReasoner, data: Shortlists, tables: LabelTables, table: ReasoningTable,
    shortlist: int, seed: int,
) -> Callable[[int], Losses]:  # fmt: skip
    """The loss of a step: imitation of the teacher's final distribution over its own shortlists, and nothing else."""
    teacher = data.teacher
    assert teacher is not None
    batches = Batches(data.tokens.lengths, table.batch, seed)

    def losses(step: int) -> Losses:
        rows = batches.at(step)
        chosen = torch.from_numpy(rows).to(data.labels.device)
        columns = torch.arange(min(shortlist, data.labels.shape[1]), device=chosen.device).expand(len(rows), -1)
        logits = train_logits(screener, reasoner, data, tables, rows, columns, 0, table)
        wanted = opinion(teacher[chosen].gather(1, columns), table.teacher_temperature)
        return {"loss": divergence(wanted, logits.log_softmax(-1))}

    return losses


STANDARD = Method(
    name="standard",
    needs_teacher=True,
    knows_gold_labels=False,
    hear=hear,
    screening_losses=screening_losses,
    mines=False,
    teachers_shortlists=True,
    compresses=False,
    reasoning_losses=reasoning_losses,
)
