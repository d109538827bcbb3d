"""Stage one: training the screener to bring queries and their labels together.

Mechanistic loss of a batch, for queries q with one right row r+ each (a label's text, or another alias of it) and a
pool C of candidate rows (the batch's right rows, mined near misses, random rows):

    -log softmax over C of (q.r / temperature - log Q(r)),   other right rows of q masked out
    + teacher_weight x mean (1 - cosine to the teacher's vector), of queries and of candidates
    + ranking_weight x KL(softmax over C of the teacher's scores || that of the student's)

Q(r) is the number of times row r is expected in the pool; taking its logarithm off undoes the favour that sampling
shows to rare rows. The teacher's vectors are shortened to the student's width by principal directions. A teacher
without vectors (traces) gives lists instead: labels that it took into view, and how far it held with each.

Standard distillation has one term: cross entropy with the teacher's final distribution over the pool, into which
each query brings labels drawn from that distribution.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.ragged import Ragged
from edgexl.distill.corpus.divide import draw_labels, epoch_batches, gold_pairs, join
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.recipe import ScreeningTable
from edgexl.distill.stages.bags import encode_bags
from edgexl.distill.stages.compute import TokenTable, alike, bf16
from edgexl.distill.stages.training import Losses
from edgexl.student.ngrams import NgramScreener
from edgexl.student.screener import TransformerScreener

# Training cuts texts at the length that this share of them keeps: a batch's padding is set by its longest, and a batch
# of the longest queries alone takes several times the memory of all others.
WHOLE_ROWS, WHOLE_QUERIES = 0.998, 0.98
# How often a right row is another alias of the label instead of its text, where there is one.
ALIAS_SHARE = 0.5
NEGATIVE = -1e4


@dataclass(frozen=True)
class Lists:
    """Labels with a teacher's probabilities, a list a query: labels [n,M] (-1 pads) and probabilities [n,M]."""

    labels: Ints
    probabilities: np.ndarray[tuple[int, int], np.dtype[np.float32]]


@dataclass(frozen=True)
class ScreeningData:
    """What stage one trains on.

    `own_rows` [n] is the alias row that is the query's own text, or -1. `query_teacher` [n,d] and `row_teacher`
    [rows,d] are the teacher's unit vectors in fp16, None where it has none. `lists` are its lists. `query_bags` and
    `row_bags` are the rows of an n-gram screener's table that each text sums.
    """

    queries: TokenTable
    targets: Ragged
    rows: RowTable
    own_rows: Ints
    query_teacher: Tensor | None = None
    row_teacher: Tensor | None = None
    lists: Lists | None = None
    query_bags: TokenTable | None = None
    row_bags: TokenTable | None = None

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
    """Rows that the student itself mistook for right, [n,M], -1 where none is known."""

    rows: Ints | None = None


class RightRows:
    """Draws a right row for each query: a label's text, or an alias of its rarest label."""

    def __init__(self, data: ScreeningData) -> None:
        self.targets, self.own_rows = data.targets, data.own_rows
        rows = data.rows
        places, labels = rows.of.pairs(np.arange(rows.labels, len(rows)))
        order = np.argsort(labels, kind="stable")
        self.alias_rows = (places + rows.labels)[order]
        counts = np.bincount(labels, minlength=rows.labels) if len(labels) else np.zeros(rows.labels, np.int64)
        self.starts = np.concatenate([[0], np.cumsum(counts)])
        asking, wanted = self.targets.pairs(np.arange(len(self.targets)))
        # the rarest right label of each query: its record rather than the heading that hundreds share
        ranked = np.lexsort((counts[wanted], asking))
        first = np.concatenate([[True], asking[ranked][1:] != asking[ranked][:-1]])
        self.rarest = wanted[ranked][first]

    def draw(self, queries: Ints, rng: np.random.Generator) -> Ints:
        """One right row a query."""
        rows = draw_labels(self.targets, queries, rng)
        if not len(self.alias_rows):
            return rows
        rarest = self.rarest[queries]
        begins, counts = self.starts[rarest], self.starts[rarest + 1] - self.starts[rarest]
        wants = (rng.random(len(queries)) < ALIAS_SHARE) & (counts > 0)
        drawn = begins + (rng.random(len(queries)) * np.maximum(counts, 1)).astype(np.int64)
        alias = self.alias_rows[np.minimum(drawn, len(self.alias_rows) - 1)]
        # a query must not be shown itself; one with no other alias keeps the label's text
        return np.where(wants & (alias != self.own_rows[queries]), alias, rows)

    def log_expected(self, batch: int, random_rows: int, rows: RowTable) -> Tensor:
        """[rows] log of how often each row is expected in a pool."""
        n = len(self.rarest)
        share = np.zeros(len(rows))
        counts = self.starts[self.rarest + 1] - self.starts[self.rarest]
        stays = np.where(counts > 0, 1.0 - ALIAS_SHARE, 1.0)
        asking, wanted = self.targets.pairs(np.arange(n))
        per_query = self.targets.lengths
        np.add.at(share, wanted, (stays / per_query)[asking])
        if len(self.alias_rows):
            share[rows.labels :] = ALIAS_SHARE
        return torch.from_numpy(np.log(batch * share / n + random_rows / len(rows))).to(torch.float32)


def mechanistic_losses(
    screener: nn.Module, data: ScreeningData, table: ScreeningTable, hard: HardRows, seed: int
) -> Callable[[int], Losses]:
    """The losses of a step: "loss", "task" and, as far as the teacher has an opinion, "distance" and "ranking"."""
    device = data.queries.flat.device
    right = RightRows(data)
    expected = right.log_expected(table.batch, table.random_labels, data.rows).to(device)
    batches = Batches(data.queries.lengths, table.batch, seed)

    def losses(step: int) -> Losses:
        asked = batches.at(step)
        rng = np.random.default_rng((seed, step, 1))
        positives = right.draw(asked, rng)
        listed, taught = _listed(data.lists, asked, rng)
        pool = [positives, _hard(hard, asked, table.hard_labels, rng), listed]
        pool.append(rng.integers(0, len(data.rows), table.random_labels))
        candidates = np.concatenate(pool)
        queries, labels = encode_pool(screener, data, asked, candidates, table.token_dropout)
        chosen = torch.from_numpy(candidates).to(device)
        cosines = queries @ labels.T
        scores = cosines / table.temperature
        mask = _right_mask(data, asked, candidates).to(device)
        diagonal = torch.arange(len(asked), device=device)
        judged = scores - expected[chosen]
        positive = judged[diagonal, diagonal].clone()
        judged = judged.masked_fill(mask, NEGATIVE)
        judged[diagonal, diagonal] = positive
        found: Losses = {"task": nn.functional.cross_entropy(judged, diagonal)}
        total = found["task"]
        if data.query_teacher is not None and data.row_teacher is not None:
            theirs = data.query_teacher[torch.from_numpy(asked).to(device)].float()
            rows = data.row_teacher[chosen].float()
            found["distance"] = 1.0 - 0.5 * ((queries * theirs).sum(-1).mean() + (labels * rows).sum(-1).mean())
            total = total + table.teacher_weight * found["distance"]
            if table.ranking_weight:
                with bf16(device):
                    opinion = theirs @ rows.T
                wanted = (opinion.float() / table.ranking_temperature).softmax(-1)
                own = (cosines / table.ranking_temperature).log_softmax(-1)
                found["ranking"] = (wanted * (wanted.clamp_min(1e-9).log() - own)).sum(-1).mean()
                total = total + table.ranking_weight * found["ranking"]
        elif taught is not None and table.ranking_weight:
            found["ranking"] = _list_loss(scores, len(positives) + len(pool[1]), taught.to(device))
            total = total + table.ranking_weight * found["ranking"]
        return {"loss": total, **found}

    return losses


def standard_losses(
    screener: nn.Module, data: ScreeningData, table: ScreeningTable, seed: int
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
        asked = batches.at(step)
        rng = np.random.default_rng((seed, step, 1))
        drawn = _draw(lists, asked, 1 + table.hard_labels, rng)
        candidates = np.concatenate([drawn.ravel(), rng.integers(0, data.rows.labels, table.random_labels)])
        candidates = np.unique(candidates[candidates >= 0])
        queries, labels = encode_pool(screener, data, asked, candidates, table.token_dropout)
        listed = lists.labels[asked]
        ours, theirs = join(listed.ravel(), candidates)
        wanted = np.zeros((len(asked), len(candidates)), np.float32)
        wanted[ours // listed.shape[1], theirs] = lists.probabilities[asked].ravel()[ours]
        wanted /= np.maximum(wanted.sum(1, keepdims=True), 1e-9)
        target = torch.from_numpy(wanted).to(device)
        scores = (queries @ labels.T) / table.temperature - expected[torch.from_numpy(candidates).to(device)]
        return {"loss": -(target * scores.log_softmax(-1)).sum(-1).mean()}

    return losses


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


def hide_tokens(attention_mask: Tensor, share: float) -> Tensor:
    """The mask [B,T] without a random `share` of its tokens; [CLS], the first, always stays."""
    shown = torch.rand(attention_mask.shape, device=attention_mask.device) >= share
    shown[:, 0] = True
    return attention_mask * shown


def encode_pool(
    screener: nn.Module, data: ScreeningData, asked: Ints, candidates: Ints, token_dropout: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Vectors of queries, of whose tokens a share is hidden, and of candidate rows.

    A transformer runs both in groups of like length, since a few long texts would pad them all, and looks its word
    table up once for all, for that backward pass is the dear part on CPUs.
    """
    device = data.queries.flat.device
    if isinstance(screener, NgramScreener) and data.query_bags is not None and data.row_bags is not None:
        with bf16(device):
            queries = encode_bags(screener, data.query_bags, asked, token_dropout)
            return queries, encode_bags(screener, data.row_bags, candidates)
    parts, places = [], []
    for table, texts, cut, hidden, ahead in (
        (data.queries, asked, data.cut_query_tokens, token_dropout, 0),
        (data.rows.tokens, candidates, data.cut_tokens, 0.0, len(asked)),
    ):
        most = min(cut, int(table.lengths.max()))
        for group, width in alike(table.lengths[texts], most, device):
            ids, mask = table.batch(texts[group], width)
            parts.append((ids, hide_tokens(mask, hidden) if hidden else mask))
            places.append(group + ahead)
    with bf16(device):
        if isinstance(screener, TransformerScreener):
            words = screener.word(torch.cat([ids.flatten() for ids, _ in parts]))
            looked_up = words.split([ids.numel() for ids, _ in parts])
            vectors = [
                screener.encode_words(word.view(*ids.shape, -1), mask)[0]
                for word, (ids, mask) in zip(looked_up, parts, strict=True)
            ]
        else:
            vectors = [screener(ids, mask)[0] for ids, mask in parts]
    back = torch.from_numpy(np.argsort(np.concatenate(places)))
    found = torch.cat(vectors)[back.to(device)]
    return found[: len(asked)], found[len(asked) :]


def _right_mask(data: ScreeningData, asked: Ints, candidates: Ints) -> Tensor:
    """[asked, candidates] bool: is the row right for the query, or the query itself?"""
    mask = torch.zeros(len(asked), len(candidates), dtype=torch.bool)
    ours, theirs = gold_pairs(data.targets, asked, data.rows.of, candidates)
    mask[torch.from_numpy(ours), torch.from_numpy(theirs)] = True
    ours, theirs = join(data.own_rows[asked], candidates)
    mask[torch.from_numpy(ours), torch.from_numpy(theirs)] = True
    return mask


def _hard(hard: HardRows, asked: Ints, count: int, rng: np.random.Generator) -> Ints:
    """`count` mined rows for each query that has some."""
    if hard.rows is None or not count:
        return np.zeros(0, np.int64)
    columns = rng.integers(0, hard.rows.shape[1], (len(asked), count))
    drawn = np.take_along_axis(hard.rows[asked], columns, 1).ravel()
    return np.unique(drawn[drawn >= 0])


def _draw(lists: Lists, asked: Ints, count: int, rng: np.random.Generator) -> Ints:
    """[asked, count] labels drawn by their probability."""
    shares = np.cumsum(lists.probabilities[asked], 1)
    points = rng.random((len(asked), count, 1)) * shares[:, None, -1:]
    places = (points > shares[:, None, :]).sum(-1)  # a point is less than 1 of the last share
    return np.take_along_axis(lists.labels[asked], places, 1)


LIST_LABELS = 4


def _listed(lists: Lists | None, asked: Ints, rng: np.random.Generator) -> tuple[Ints, Tensor | None]:
    """Some of the labels on each query's list, flat, and the teacher's shares of them [asked, LIST_LABELS]."""
    if lists is None:
        return np.zeros(0, np.int64), None
    columns = rng.integers(0, lists.labels.shape[1], (len(asked), LIST_LABELS))
    labels = np.take_along_axis(lists.labels[asked], columns, 1)
    shares = np.where(labels >= 0, np.take_along_axis(lists.probabilities[asked], columns, 1), 0.0)
    return np.maximum(labels, 0).ravel(), torch.from_numpy(shares.astype(np.float32))


def _list_loss(scores: Tensor, start: int, shares: Tensor) -> Tensor:
    """KL between the teacher's shares of each query's listed labels and the student's; 0 for queries without a list."""
    count = shares.shape[1]
    columns = start + torch.arange(shares.numel(), device=scores.device).view(len(shares), count)
    own = scores.gather(1, columns).masked_fill(shares <= 0, NEGATIVE).log_softmax(-1)
    wanted = shares / shares.sum(1, keepdim=True).clamp_min(1e-9)
    return (wanted * (wanted.clamp_min(1e-9).log() - own)).sum(-1).mean()


def freeze(screener: nn.Module, layers: int) -> None:
    """Keep a transformer's word table and its first `layers` as they are; 0 trains all of it."""
    if layers and isinstance(screener, TransformerScreener):
        parts = [
            screener.word,
            screener.word_map,
            screener.position,
            screener.embedding_norm,
            *screener.layers[:layers],
        ]
        for part in parts:
            part.requires_grad_(False)


def unit(vectors: Tensor) -> Tensor:
    """Rows of length 1, in fp32."""
    return nn.functional.normalize(vectors.to(torch.float32), dim=-1)


def rotate_output(screener: TransformerScreener | NgramScreener, label_vectors: Tensor) -> Tensor:
    """Turn the query space so that its leading dimensions carry most of the labels' variance.

    The rotation [d,d] (returned; rows are the new axes) is folded into the last products and changes no inner product,
    but codes that keep only leading dimensions lose least by it.
    """
    _, directions = torch.linalg.eigh(label_vectors.T @ label_vectors)
    rotation: Tensor = directions.flip(1).T.contiguous()
    last = (screener.down, screener.skip) if isinstance(screener, NgramScreener) else (screener.projection,)
    with torch.no_grad():
        for part in last:
            assert isinstance(part, nn.Linear)
            part.weight.copy_(rotation @ part.weight)
            if part.bias is not None:
                part.bias.copy_(rotation @ part.bias)
    return rotation


def wrong_rows(data: ScreeningData, asked: Ints, best: Ints) -> Ints:
    """The rows [n,M] without those that are right for their query, or the query: wrong ones first, -1 behind them."""
    flat = best.ravel()
    places, labels = data.rows.of.pairs(flat)
    owners, wanted = data.targets.pairs(asked)
    count = data.rows.labels
    right = np.isin(places // best.shape[1] * count + labels, owners * count + wanted)
    wrong = np.ones(len(flat), np.bool_)
    wrong[places[right]] = False
    kept = np.where(wrong.reshape(best.shape) & (best != data.own_rows[asked][:, None]), best, -1)
    order = np.argsort(kept < 0, axis=1, kind="stable")
    return np.take_along_axis(kept, order, 1)
