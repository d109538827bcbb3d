"""Mechanistic distillation: each stage has an objective of its own, by the data and the teacher's phase of its name.

Stage one, for queries q with one gold row r+ each (a label's text, or another alias of it) and a pool C of candidate
rows (the batch's gold rows, mined near misses, random rows):

    -log softmax over C of (q.r / temperature - log Q(r)),   other gold rows of q masked out
    + teacher_weight x mean (1 - cosine to the teacher's vector), of queries and of candidates
    + ranking_weight x KL(softmax over C of the teacher's scores || that of the student's)

Q(r) is the number of times row r is expected in the pool; taking its logarithm off undoes the favour that sampling
shows to rare rows. The teacher's vectors are shortened to the student's width by principal directions. A teacher
without vectors (traces) gives lists instead: labels that it took into view, and how far it held with each.

With a label tower r is the tower's vector, which stays as it is; the second term is for queries alone, which are to
meet the tower's own vectors of them, and live_weight x mean (1 - cosine to the tower's vectors) draws the screener's
own vectors of half of the candidates near.

Stage two, for a query with shortlist S and gold labels G in it, logits z, and a further logit of 0 that stands for
"none of these":

    -mean over G of log softmax(z, 0),   or that of "none of these" where G has been taken out of the shortlist
    + teacher_weight x KL(softmax of the teacher's decision over S || softmax(z))

Inside the first term a wrong label counts 1 + near_miss_weight x N x the teacher's probability of it: what confuses the
teacher is what there is to learn. Queries whose shortlist misses all gold labels teach nothing and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.data import Query
from edgexl.distill.methods.method import Method
from edgexl.distill.recipe import ReasoningTable, ScreeningTable
from edgexl.distill.stages.reasoning import LabelTables, Shortlists, opinion, train_logits
from edgexl.distill.stages.screening import (
    NEGATIVE,
    Batches,
    GoldRows,
    HardRows,
    Lists,
    ScreeningData,
    encode_pool,
    gold_mask,
)
from edgexl.distill.stages.training import Losses, divergence
from edgexl.distill.teachers.teaching import Lessons
from edgexl.student.reasoner import ListwiseReasoner
from edgexl.student.tokens import bf16

LIST_LABELS = 4


def hear(data: ScreeningData, lessons: Lessons | None, queries: Sequence[Query]) -> ScreeningData:
    """The lists of a teacher that has no vectors."""
    if lessons is None or data.query_teacher is not None:
        return data
    return replace(data, lists=lessons.screening_lists(queries))


def screening_losses(
    screener: nn.Module, data: ScreeningData, table: ScreeningTable, hard: HardRows, seed: int
) -> Callable[[int], Losses]:
    """The losses of a step: "loss", "task" and, as far as the teacher has an opinion, "distance" and "ranking"."""
    device = data.queries.flat.device
    gold = GoldRows(data)
    expected = gold.log_expected(table.batch, table.random_labels, data.rows).to(device)
    batches = Batches(data.queries.lengths, table.batch, seed)

    def losses(step: int) -> Losses:
        batch = batches.at(step)
        rng = np.random.default_rng((seed, step, 1))
        positives = gold.draw(batch, rng)
        listed, taught = _draw_listed(data.lists, batch, rng)
        pool = [positives, _draw_hard(hard, batch, table.hard_labels, rng), listed]
        pool.append(rng.integers(0, len(data.rows), table.random_labels))
        candidates = np.concatenate(pool)
        pool_vectors = encode_pool(screener, data, batch, candidates, table.token_dropout)
        queries, labels = pool_vectors.queries, pool_vectors.rows
        asked, chosen = torch.from_numpy(batch).to(device), torch.from_numpy(candidates).to(device)
        cosines = queries @ labels.T
        scores = cosines / table.temperature
        mask = gold_mask(data, batch, candidates).to(device)
        diagonal = torch.arange(len(batch), device=device)
        judged = scores - expected[chosen]
        positive = judged[diagonal, diagonal].clone()
        judged = judged.masked_fill(mask, NEGATIVE)
        judged[diagonal, diagonal] = positive
        found: Losses = {"task": nn.functional.cross_entropy(judged, diagonal)}
        total = found["task"]
        if pool_vectors.live is not None:
            assert data.tower is not None
            found["distance"] = 1.0 - (queries * data.tower.queries[asked].float()).sum(-1).mean()
            found["live"] = pool_vectors.live
            total = total + table.teacher_weight * found["distance"] + table.live_weight * found["live"]
        if data.query_teacher is not None and data.row_teacher is not None:
            theirs, rows = data.query_teacher[asked].float(), data.row_teacher[chosen].float()
            if data.tower is None:
                found["distance"] = 1.0 - 0.5 * ((queries * theirs).sum(-1).mean() + (labels * rows).sum(-1).mean())
                total = total + table.teacher_weight * found["distance"]
            if table.ranking_weight:
                with bf16(device):
                    opinion = theirs @ rows.T
                wanted = (opinion.float() / table.ranking_temperature).softmax(-1)
                own = (cosines / table.ranking_temperature).log_softmax(-1)
                found["ranking"] = divergence(wanted, own)
                total = total + table.ranking_weight * found["ranking"]
        elif taught is not None and table.ranking_weight:
            found["ranking"] = _list_loss(scores, len(positives) + len(pool[1]), taught.to(device))
            total = total + table.ranking_weight * found["ranking"]
        return {"loss": total, **found}

    return losses


def _draw_hard(hard: HardRows, batch: Ints, count: int, rng: np.random.Generator) -> Ints:
    """`count` mined rows for each query that has some."""
    if hard.rows is None or not count:
        return np.zeros(0, np.int64)
    columns = rng.integers(0, hard.rows.shape[1], (len(batch), count))
    drawn = np.take_along_axis(hard.rows[batch], columns, 1).ravel()
    return np.unique(drawn[drawn >= 0])


def _draw_listed(lists: Lists | None, batch: Ints, rng: np.random.Generator) -> tuple[Ints, Tensor | None]:
    """Some of the labels on each query's list, flat, and the teacher's shares of them [batch, LIST_LABELS]."""
    if lists is None:
        return np.zeros(0, np.int64), None
    columns = rng.integers(0, lists.labels.shape[1], (len(batch), LIST_LABELS))
    labels = np.take_along_axis(lists.labels[batch], columns, 1)
    shares = np.where(labels >= 0, np.take_along_axis(lists.probabilities[batch], columns, 1), 0.0)
    return np.maximum(labels, 0).ravel(), torch.from_numpy(shares.astype(np.float32))


def _list_loss(scores: Tensor, start: int, shares: Tensor) -> Tensor:
    """KL between the teacher's shares of each query's listed labels and the student's; 0 for queries without a list."""
    count = shares.shape[1]
    columns = start + torch.arange(shares.numel(), device=scores.device).view(len(shares), count)
    own = scores.gather(1, columns).masked_fill(shares <= 0, NEGATIVE).log_softmax(-1)
    wanted = shares / shares.sum(1, keepdim=True).clamp_min(1e-9)
    return divergence(wanted, own)


def reasoning_losses(
    screener: nn.Module, reasoner: ListwiseReasoner, data: Shortlists, tables: LabelTables, table: ReasoningTable,
    shortlist: int, seed: int,
) -> Callable[[int], Losses]:  # fmt: skip
    """The losses of a step, over the queries whose shortlist holds a gold label."""
    useful = np.flatnonzero(data.gold[:, :shortlist].any(-1).cpu().numpy())
    batches = Batches(data.tokens.lengths[useful], table.batch, seed)

    def losses(step: int) -> Losses:
        rows = useful[batches.at(step)]
        chosen = torch.from_numpy(rows).to(data.labels.device)
        gold = data.gold[chosen]
        absent = torch.rand(len(rows), device=gold.device) < table.absent_share
        columns = choose_columns(gold, shortlist, absent)
        variant = step % len(tables.vectors)
        logits = train_logits(screener, reasoner, data, tables, rows, columns, variant, table)
        theirs = None if data.teacher is None else data.teacher[chosen].gather(1, columns)
        return decision_loss(logits, gold.gather(1, columns), theirs, table)

    return losses


def choose_columns(gold: Tensor, shortlist: int, absent: Tensor) -> Tensor:
    """[B,N] columns of shortlists [B,M]: the first N, without the gold ones where `absent` [B] says so."""
    removed = gold & absent.unsqueeze(1)
    order = removed.to(torch.int8).argsort(dim=1, stable=True)
    return order[:, : min(shortlist, gold.shape[1])]


def decision_loss(logits: Tensor, gold: Tensor, teacher: Tensor | None, table: ReasoningTable) -> Losses:
    """The losses of a batch: logits, gold labels (bool) and the teacher's logits, where there are some, are [B,N]."""
    count = gold.sum(-1)
    wanted = torch.zeros_like(logits) if teacher is None else opinion(teacher, table.teacher_temperature)
    crowd = 1.0 + table.near_miss_weight * logits.shape[1] * wanted
    weighted = logits + torch.where(gold, torch.zeros_like(logits), crowd.log())
    share = nn.functional.pad(weighted, (0, 1)).log_softmax(-1)
    hit = (share[:, :-1] * gold).sum(-1) / count.clamp_min(1)
    task = -torch.where(count > 0, hit, share[:, -1]).mean()
    if teacher is None:
        return {"loss": task}
    lesson = divergence(wanted, logits.log_softmax(-1))
    return {"loss": task + table.teacher_weight * lesson, "task": task, "imitation": lesson}


MECHANISTIC = Method(
    name="mechanistic",
    needs_teacher=False,
    knows_gold_labels=True,
    hear=hear,
    screening_losses=screening_losses,
    mines=True,
    teachers_shortlists=False,
    compresses=True,
    reasoning_losses=reasoning_losses,
)
