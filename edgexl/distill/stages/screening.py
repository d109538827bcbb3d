"""What stage one trains on: queries, and pools of rows that a batch of them is scored against.

The losses are the methods' (`edgexl.distill.methods`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.progress import Progress, no_progress
from edgexl.base.ragged import Ragged
from edgexl.distill.corpus.divide import draw_labels, epoch_batches, gold_pairs, join
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.stages.search import encode_table
from edgexl.student.screeners import Texts, kind_of
from edgexl.student.tokens import TokenTable

# Training cuts texts at the length that this share of them keeps: a batch's padding is set by its longest, and a batch
# of the longest queries alone takes several times the memory of all others.
WHOLE_ROWS, WHOLE_QUERIES = 0.998, 0.98
# How often a gold row is another alias of the label instead of its text, where there is one.
ALIAS_SHARE = 0.5
# Of the rows in a pool every so many are encoded by the screener, too, where a label tower gives them their vectors.
LIVE_STEP = 2
NEGATIVE = -1e4


@dataclass(frozen=True)
class Lists:
    """Labels with a teacher's probabilities, a list a query: labels [n,M] (-1 pads) and probabilities [n,M]."""

    labels: Ints
    probabilities: np.ndarray[tuple[int, int], np.dtype[np.float32]]


@dataclass(frozen=True)
class TowerVectors:
    """A label tower's unit vectors in fp16, of queries [n,d] and of rows [rows,d]."""

    queries: Tensor
    rows: Tensor


@dataclass(frozen=True)
class ScreeningData:
    """What stage one trains on.

    `own_texts` [n] is the text of an alias or a description that is the query's own, or -1. `query_teacher` [n,d] and
    `row_teacher` [rows,d] are the teacher's unit vectors in fp16, None where it has none. `lists` are its lists.
    `tower` gives rows their vectors, where the student has a label tower. `query_inputs` and `row_inputs` are what the
    screener reads of texts, where that is not their tokens.
    """

    queries: TokenTable
    targets: Ragged
    rows: RowTable
    own_texts: Ints
    query_teacher: Tensor | None = None
    row_teacher: Tensor | None = None
    lists: Lists | None = None
    tower: TowerVectors | None = None
    query_inputs: TokenTable | None = None
    row_inputs: TokenTable | None = None

    @cached_property
    def cut_tokens(self) -> int:
        """Where training cuts the texts of rows."""
        return int(np.quantile(self.rows.tokens.lengths, WHOLE_ROWS))

    @cached_property
    def cut_query_tokens(self) -> int:
        """Where training cuts queries."""
        return int(np.quantile(self.queries.lengths, WHOLE_QUERIES))


@dataclass
class HardRows:
    """Rows that the student itself mistook for gold ones, [n,M], -1 where none is known."""

    rows: Ints | None = None


class GoldRows:
    """Draws a gold row for each query: a label's text, or an alias of its rarest label."""

    def __init__(self, data: ScreeningData) -> None:
        self.targets, self.own_texts = data.targets, data.own_texts
        self.texts_of = data.rows.rows.texts_of
        rows = data.rows
        places, labels = rows.of.pairs(np.arange(rows.labels, len(rows)))
        order = np.argsort(labels, kind="stable")
        self.alias_rows = (places + rows.labels)[order]
        counts = np.bincount(labels, minlength=rows.labels) if len(labels) else np.zeros(rows.labels, np.int64)
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        query, wanted = self.targets.pairs(np.arange(len(self.targets)))
        # the rarest gold label of each query: its record rather than the heading that hundreds share
        ranked = np.lexsort((counts[wanted], query))
        first = np.concatenate([[True], query[ranked][1:] != query[ranked][:-1]])
        self.rarest = wanted[ranked][first]

    def draw(self, queries: Ints, rng: np.random.Generator) -> Ints:
        """One gold row a query."""
        rows = draw_labels(self.targets, queries, rng)
        if not len(self.alias_rows):
            return rows
        rarest = self.rarest[queries]
        begins, counts = self.starts[rarest], self.starts[rarest + 1] - self.starts[rarest]
        wants = (rng.random(len(queries)) < ALIAS_SHARE) & (counts > 0)
        drawn = begins + (rng.random(len(queries)) * np.maximum(counts, 1)).astype(np.int64)
        alias = self.alias_rows[np.minimum(drawn, len(self.alias_rows) - 1)]
        # a query must not be shown itself; one with no other alias keeps the label's text
        return np.where(wants & (self.texts_of[alias] != self.own_texts[queries]), alias, rows)

    def log_expected(self, batch: int, random_rows: int, rows: RowTable) -> Tensor:
        """[rows] log of how often each row is expected in a pool."""
        n = len(self.rarest)
        share = np.zeros(len(rows))
        counts = self.starts[self.rarest + 1] - self.starts[self.rarest]
        stays = np.where(counts > 0, 1.0 - ALIAS_SHARE, 1.0)
        query, wanted = self.targets.pairs(np.arange(n))
        per_query = self.targets.lengths
        np.add.at(share, wanted, (stays / per_query)[query])
        if len(self.alias_rows):
            share[rows.labels :] = ALIAS_SHARE
        if rows.rows.descriptions:  # not one a query, as aliases are mostly: its label's queries share them
            asked = np.bincount(self.rarest, minlength=rows.labels) / np.maximum(np.diff(self.starts), 1)
            is_described = self.alias_rows >= len(rows) - rows.rows.descriptions
            each = ALIAS_SHARE * np.repeat(asked, np.diff(self.starts))
            share[self.alias_rows[is_described]] = each[is_described]
        return torch.from_numpy(np.log(batch * share / n + random_rows / len(rows))).to(torch.float32)


class Batches:
    """Batches of like length, by step: a pure function of (seed, step)."""

    def __init__(self, lengths: Ints, batch: int, seed: int) -> None:
        self.lengths, self.seed = lengths, seed
        self.batch = min(batch, len(lengths))
        self.epoch = -1
        self.known: list[Ints] = []
        self.per_epoch = max(1, len(epoch_batches(lengths, self.batch, seed, 0)))

    def at(self, step: int) -> Ints:
        """The rows of a step's batch."""
        epoch = step // self.per_epoch
        if epoch != self.epoch:
            self.epoch, self.known = epoch, epoch_batches(self.lengths, self.batch, self.seed, epoch)
        return self.known[step % self.per_epoch]


@dataclass(frozen=True)
class Pool:
    """Vectors of queries [B,d] and of candidate rows [C,d]; `live`, where a label tower gives the latter, is how far
    the screener's own vectors of some of them are from the tower's: the mean of 1 - cosine."""

    queries: Tensor
    rows: Tensor
    live: Tensor | None = None


def encode_pool(
    screener: nn.Module, data: ScreeningData, batch: Ints, candidates: Ints, token_dropout: float = 0.0
) -> Pool:
    """The vectors of a batch's queries, of whose tokens a share is hidden, and of candidate rows."""
    encoded = candidates if data.tower is None else candidates[::LIVE_STEP]
    parts = data.rows.parts(encoded)
    queries, texts = kind_of(screener).encode(
        screener,
        [
            Texts(data.query_inputs or data.queries, batch, data.cut_query_tokens, token_dropout),
            Texts(data.row_inputs or data.rows.tokens, parts.texts, data.cut_tokens),
        ],
    )
    rows = parts.join(texts)
    if data.tower is None:
        return Pool(queries, rows)
    theirs = data.tower.rows[torch.from_numpy(candidates).to(rows.device)].float()
    return Pool(queries, theirs, 1.0 - (rows * theirs[::LIVE_STEP]).sum(-1).mean())


def sample_vectors(
    screener: nn.Module, data: ScreeningData, sample: Ints, name: str, progress: Progress = no_progress
) -> Tensor:
    """Vectors [n,d] of some rows as an index has them: by the label tower, or by the screener where there is none."""
    if data.tower is not None:
        return data.tower.rows[torch.from_numpy(sample).to(data.tower.rows.device)].float()
    parts = data.rows.parts(sample)
    return parts.join(encode_table(screener, data.rows.sample(parts.texts), name, progress))


def gold_mask(data: ScreeningData, batch: Ints, candidates: Ints) -> Tensor:
    """[batch, candidates] bool: is the row a gold one of the query, or the query itself?"""
    mask = torch.zeros(len(batch), len(candidates), dtype=torch.bool)
    ours, theirs = gold_pairs(data.targets, batch, data.rows.of, candidates)
    mask[torch.from_numpy(ours), torch.from_numpy(theirs)] = True
    ours, theirs = join(data.own_texts[batch], data.rows.rows.texts_of[candidates])
    mask[torch.from_numpy(ours), torch.from_numpy(theirs)] = True
    return mask


def unit(vectors: Tensor) -> Tensor:
    """Rows of length 1, in fp32."""
    return nn.functional.normalize(vectors.to(torch.float32), dim=-1)


def rotate_output(screener: nn.Module, label_vectors: Tensor) -> Tensor:
    """Turn the query space so that its leading dimensions carry most of the labels' variance.

    The rotation [d,d] (returned; rows are the new axes) is folded into the last products and changes no inner product,
    but codes that keep only leading dimensions lose least by it.
    """
    _, directions = torch.linalg.eigh(label_vectors.T @ label_vectors)
    rotation: Tensor = directions.flip(1).T.contiguous()
    with torch.no_grad():
        for part in kind_of(screener).last_products(screener):
            part.weight.copy_(rotation @ part.weight)
            if part.bias is not None:
                part.bias.copy_(rotation @ part.bias)
    return rotation


def wrong_rows(data: ScreeningData, batch: Ints, best: Ints) -> Ints:
    """The rows [n,M] without gold ones of their query, and the query itself: wrong ones first, -1 behind them."""
    flat = best.ravel()
    places, labels = data.rows.of.pairs(flat)
    owners, wanted = data.targets.pairs(batch)
    count = data.rows.labels
    gold = np.isin(places // best.shape[1] * count + labels, owners * count + wanted)
    wrong = np.ones(len(flat), np.bool_)
    wrong[places[gold]] = False
    own = data.rows.rows.texts_of[best] == data.own_texts[batch][:, None]
    kept = np.where(wrong.reshape(best.shape) & ~own, best, -1)
    order = np.argsort(kept < 0, axis=1, kind="stable")
    return np.take_along_axis(kept, order, 1)
