"""Stage one: training the screener to bring queries and their labels together.

Loss of a batch, for queries q with one right label l+ each and candidates C (the batch's right labels and random ones):

    -log softmax over C of (q.l / temperature - log Q(l)),   other right labels of q masked out
    + teacher_weight x mean (1 - cosine to the teacher's vector), of queries and of candidates

Q(l) is the number of times label l is expected among the candidates; taking its logarithm off undoes the favour
that sampling shows to rare labels. The teacher's vectors are shortened to the student's width by principal directions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.distill.corpus import Ints, Targets, epoch_batches
from edgexl.distill.recipe import ScreeningTable
from edgexl.distill.training import Checkpoint, learning_rate_at, make_optimiser
from edgexl.progress import Progress
from edgexl.student.screener import TransformerScreener
from edgexl.student.text import pad

# Training cuts label texts here: it touches one in a thousand, and the batch's padding is set by its longest.
LABEL_CUT_TOKENS = 16


@dataclass(frozen=True)
class ScreeningData:
    """What stage one trains on: token ids of queries and labels, right labels, the teacher's vectors [n,d] of both."""

    query_ids: Sequence[Sequence[int]]
    label_ids: Sequence[Sequence[int]]
    targets: Targets
    query_teacher: Tensor
    label_teacher: Tensor


def train_screener(
    screener: TransformerScreener,
    data: ScreeningData,
    table: ScreeningTable,
    seed: int,
    checkpoint: Checkpoint,
    progress: Progress,
    log: Callable[[str], None],
) -> None:
    """Train `screener` in place for `table.steps` steps, from the checkpoint where there is one."""
    optimiser = make_optimiser(screener, table.learning_rate, table.weight_decay)
    first = checkpoint.restore(screener, optimiser)
    expected = log_expected_count(data.targets, len(data.label_ids), table)
    lengths = np.array([len(row) for row in data.query_ids])
    batches: list[Ints] = []
    per_epoch = max(1, len(epoch_batches(lengths, table.batch, seed, 0)))
    recent: list[tuple[float, float]] = []
    screener.train()
    for step in range(first, table.steps):
        if not batches or step % per_epoch == 0:
            batches = epoch_batches(lengths, table.batch, seed, step // per_epoch)
        rate = learning_rate_at(step, table.steps, table.learning_rate, table.warmup)
        for group in optimiser.param_groups:
            group["lr"] = rate
        task, distance = screening_loss(screener, data, batches[step % per_epoch], expected, table, (seed, step))
        optimiser.zero_grad(set_to_none=True)
        (task + table.teacher_weight * distance).backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(screener.parameters(), 1.0, foreach=True)
        optimiser.step()
        recent.append((float(task.detach()), float(distance.detach())))
        progress("train the screener", step + 1, table.steps)
        checkpoint.save(screener, optimiser, step + 1, now=step + 1 == table.steps)
        if (step + 1) % 50 == 0 or step + 1 == table.steps:
            mean = np.mean(recent[-50:], axis=0)
            log(f"screening step {step + 1}/{table.steps}: loss {mean[0]:.3f}, distance to teacher {mean[1]:.4f}")
    screener.eval()


def log_expected_count(targets: Targets, label_count: int, table: ScreeningTable) -> Tensor:
    """[labels] log of how often each label is expected among a batch's candidates."""
    counts = np.diff(targets.starts)
    # a query draws one of its labels, each as likely
    share = np.bincount(targets.labels, np.repeat(1.0 / counts, counts), minlength=label_count) / len(counts)
    return torch.from_numpy(np.log(table.batch * share + table.random_labels / label_count)).to(torch.float32)


def screening_loss(
    screener: TransformerScreener,
    data: ScreeningData,
    rows: Ints,
    expected: Tensor,
    table: ScreeningTable,
    seed: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """(softmax loss, mean distance to the teacher) of one batch of query `rows`."""
    rng = np.random.default_rng(seed)
    right = data.targets.draw(rows, rng)
    candidates = np.concatenate([right, rng.integers(0, len(data.label_ids), table.random_labels)])
    known = data.targets.mask(rows, candidates)
    known[np.arange(len(rows)), np.arange(len(rows))] = False
    with torch.autocast("cpu", torch.bfloat16):
        query_rows = [data.query_ids[row] for row in rows]
        label_rows = [data.label_ids[label][:LABEL_CUT_TOKENS] for label in candidates]
        queries, labels = encode_together(screener, query_rows, label_rows)
    scores = queries @ labels.T / table.temperature - expected[candidates]
    scores = scores.masked_fill(torch.from_numpy(known), -1e4)
    task = nn.functional.cross_entropy(scores, torch.arange(len(rows)))
    distance = 1.0 - 0.5 * (
        (queries * unit(data.query_teacher[rows])).sum(-1).mean()
        + (labels * unit(data.label_teacher[candidates])).sum(-1).mean()
    )
    return task, distance


def encode_together(
    screener: TransformerScreener, queries: list[Sequence[int]], labels: list[Sequence[int]]
) -> tuple[Tensor, Tensor]:
    """Vectors of queries and of labels, with one look-up in the word table (its backward pass is the dear part).

    Labels are run in two halves by length, since a few long ones would pad them all.
    """
    order = sorted(range(len(labels)), key=lambda index: len(labels[index]))
    middle = len(order) * 3 // 4
    parts = [queries, [labels[index] for index in order[:middle]], [labels[index] for index in order[middle:]]]
    padded = [tuple(torch.from_numpy(side) for side in pad(part)) for part in parts if part]
    words = screener.word(torch.cat([ids.flatten() for ids, _ in padded]))
    vectors, start = [], 0
    for ids, mask in padded:
        looked_up = words[start : start + ids.numel()].view(*ids.shape, -1)
        start += ids.numel()
        vectors.append(screener.encode_words(looked_up, mask)[0])
    sorted_labels = torch.cat(vectors[1:])
    inverse = torch.empty(len(order), dtype=torch.int64)
    inverse[torch.tensor(order)] = torch.arange(len(order))
    return vectors[0], sorted_labels[inverse]


def unit(vectors: Tensor) -> Tensor:
    """Rows of length 1, in fp32."""
    return nn.functional.normalize(vectors.to(torch.float32), dim=-1)


def rotate_output(screener: TransformerScreener, label_vectors: Tensor) -> Tensor:
    """Turn the query space so that its leading dimensions carry most of the labels' variance.

    The rotation [d,d] (returned; rows are the new axes) is folded into the projection and changes no inner product,
    but codes that keep only leading dimensions lose least by it.
    """
    _, directions = torch.linalg.eigh(label_vectors.T @ label_vectors)
    rotation: Tensor = directions.flip(1).T.contiguous()
    projection = screener.projection
    assert isinstance(projection, nn.Linear)
    with torch.no_grad():
        projection.weight.copy_(rotation @ projection.weight)
        projection.bias.copy_(rotation @ projection.bias)
    return rotation
