"""Stage two: training the reasoner to order the shortlists that the finished screener makes.

Loss of a query with shortlist S and right labels R in it, for logits z:

    -mean over R of log softmax(z)  +  teacher_weight x KL(softmax(teacher's cosines / temperature) || softmax(z))

Queries whose shortlist misses all right labels teach nothing and are left out. Label vectors are met compressed, as
the index returns them: all dimensions in even steps, the leading ones in odd steps. The reasoner's word pieces are a
learnt map of the screener's word table, so that a student stores one table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.distill.corpus import Ints, Targets, epoch_batches
from edgexl.distill.recipe import ReasoningTable
from edgexl.distill.training import Checkpoint, learning_rate_at, make_optimiser
from edgexl.progress import Progress
from edgexl.student.encode import length_batches
from edgexl.student.reasoner import ListwiseReasoner
from edgexl.student.screener import TransformerScreener
from edgexl.student.text import pad


class MappedTokens(nn.Module):
    """A table of word pieces during training: the screener's frozen word table [V,w] times a learnt map [w,e]."""

    words: Tensor

    def __init__(self, words: Tensor, token_map: Tensor) -> None:
        super().__init__()
        self.register_buffer("words", words, persistent=False)
        self.map = nn.Parameter(token_map)

    def forward(self, ids: Tensor) -> Tensor:
        """ids [...] -> [...,e]."""
        # fp32: the backward pass sums over thousands of occurrences of a piece, more than bf16 can hold
        with torch.autocast("cpu", enabled=False):
            return nn.functional.embedding(ids, self.words @ self.map)

    def as_embedding(self) -> nn.Embedding:
        """The finished table."""
        table = nn.Embedding(len(self.words), self.map.shape[1])
        with torch.no_grad():
            table.weight.copy_(self.words @ self.map)
        return table


@dataclass(frozen=True)
class Shortlists:
    """n queries after screening, with N labels each.

    Token states of query i are `states[starts[i] : starts[i + 1]]` [T,h]; `labels` [n,N]; `right` [n,N] bool;
    `teacher_scores` [n,N] the teacher's cosines, None where it gives no lessons (held-out queries).
    """

    ids: list[list[int]]
    states: Tensor
    starts: Ints
    query_vectors: Tensor
    labels: Tensor
    right: Tensor
    teacher_scores: Tensor | None

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class LabelTables:
    """Label vectors by recipe of compression, each [labels,d], and label tokens [labels,S]."""

    vectors: tuple[Tensor, ...]
    tokens: Tensor


def screen_queries(
    screener: TransformerScreener,
    ids: list[list[int]],
    targets: Targets,
    label_vectors: Tensor,
    shortlist: int,
    progress: Progress,
) -> Shortlists:
    """Run the screener over queries and take each one's `shortlist` best labels by exact search."""
    starts = np.concatenate([[0], np.cumsum([len(row) for row in ids])])
    states: Tensor | None = None
    vectors = torch.empty(len(ids), label_vectors.shape[1])
    labels = torch.empty(len(ids), min(shortlist, len(label_vectors)), dtype=torch.int64)
    columns = label_vectors.T.contiguous()
    done = 0
    with torch.inference_mode():
        for batch in length_batches([len(row) for row in ids], batch_tokens=4096):
            padded, mask = (torch.from_numpy(part) for part in pad([ids[index] for index in batch]))
            with torch.autocast("cpu", torch.bfloat16):
                vector, state = screener(padded, mask)
            if states is None:
                states = torch.empty(int(starts[-1]), state.shape[-1], dtype=torch.bfloat16)
            for row, index in enumerate(batch):
                states[starts[index] : starts[index + 1]] = state[row, : len(ids[index])]
            vectors[batch] = vector
            labels[batch] = (vector @ columns).topk(labels.shape[1], dim=1).indices
            done += len(batch)
            progress("make shortlists", done, len(ids))
    assert states is not None
    right = torch.zeros(labels.shape, dtype=torch.bool)
    for index in range(len(ids)):
        own = torch.from_numpy(targets.labels[targets.starts[index] : targets.starts[index + 1]])
        right[index] = torch.isin(labels[index], own)
    return Shortlists(ids, states, starts, vectors, labels, right, None)


def teacher_scores(query_vectors: Tensor, label_vectors: Tensor, labels: Tensor) -> Tensor:
    """[n,N] fp16 cosines of the teacher's unit vectors: queries [n,w] against the labels [n,N] of their shortlists."""
    scores = torch.empty(labels.shape, dtype=torch.float16)
    for start in range(0, len(labels), 256):
        rows = slice(start, start + 256)
        near = label_vectors[labels[rows]].to(torch.float32)
        scores[rows] = (near @ query_vectors[rows].to(torch.float32).unsqueeze(-1)).squeeze(-1).to(torch.float16)
    return scores


def reasoner_inputs(data: Shortlists, tables: LabelTables, rows: Ints, variant: int) -> dict[str, Tensor]:
    """The reasoner's inputs for a batch of queries, with label vectors of one recipe of compression."""
    ids, mask = (torch.from_numpy(part) for part in pad([data.ids[row] for row in rows]))
    states = torch.zeros(*ids.shape, data.states.shape[1])
    for place, row in enumerate(rows):
        states[place, : len(data.ids[row])] = data.states[data.starts[row] : data.starts[row + 1]]
    labels = data.labels[rows]
    vectors = tables.vectors[variant][labels].to(torch.float32)
    query = data.query_vectors[rows]
    scores = (vectors @ query.unsqueeze(-1)).expand(-1, -1, 2)
    return {
        "input_ids": ids, "attention_mask": mask, "token_states": states, "query_vector": query,
        "label_vectors": vectors, "screening_scores": scores, "label_tokens": tables.tokens[labels],
    }  # fmt: skip


def hide_tokens(attention_mask: Tensor, share: float) -> Tensor:
    """The mask [B,T] without a random `share` of its tokens; [CLS], the first, always stays."""
    shown = torch.rand(attention_mask.shape) >= share
    shown[:, 0] = True
    return attention_mask * shown


def reasoning_loss(logits: Tensor, right: Tensor, teacher: Tensor, table: ReasoningTable) -> Tensor:
    """The loss of a batch: logits, right (bool) and the teacher's cosines are [B,N]; each row has a right label."""
    log_share = logits.log_softmax(-1)
    hit = right.to(logits.dtype)
    task = -(log_share * hit).sum(-1) / hit.sum(-1)
    wanted = (teacher.to(logits.dtype) / table.teacher_temperature).softmax(-1)
    lesson = (wanted * (wanted.clamp_min(1e-9).log() - log_share)).sum(-1)
    return (task + table.teacher_weight * lesson).mean()


def train_reasoner(
    reasoner: ListwiseReasoner,
    data: Shortlists,
    tables: LabelTables,
    table: ReasoningTable,
    seed: int,
    checkpoint: Checkpoint,
    progress: Progress,
    log: Callable[[str], None],
) -> None:
    """Train `reasoner` in place for `table.steps` steps, from the checkpoint where there is one."""
    assert data.teacher_scores is not None
    useful = np.flatnonzero(data.right.any(-1).numpy())
    lengths = np.array([len(data.ids[row]) for row in useful])
    optimiser = make_optimiser(reasoner, table.learning_rate, table.weight_decay)
    first = checkpoint.restore(reasoner, optimiser)
    per_epoch = max(1, len(epoch_batches(lengths, table.batch, seed, 0)))
    log(f"{len(useful)} of {len(data)} shortlists hold a right label; {per_epoch} steps go over all of them")
    batches: list[Ints] = []
    recent: list[float] = []
    reasoner.train()
    for step in range(first, table.steps):
        if not batches or step % per_epoch == 0:
            batches = epoch_batches(lengths, table.batch, seed, step // per_epoch)
        torch.manual_seed(seed * 1_000_003 + step)  # all that is left to chance, the same after a restart
        for group in optimiser.param_groups:
            group["lr"] = learning_rate_at(step, table.steps, table.learning_rate, table.warmup)
        rows = useful[batches[step % per_epoch]]
        inputs = reasoner_inputs(data, tables, rows, step % len(tables.vectors))
        inputs["attention_mask"] = hide_tokens(inputs["attention_mask"], table.token_dropout)
        with torch.autocast("cpu", torch.bfloat16):
            logits = reasoner(**inputs)
        loss = reasoning_loss(logits, data.right[rows], data.teacher_scores[rows], table)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(reasoner.parameters(), 1.0, foreach=True)
        optimiser.step()
        recent.append(float(loss.detach()))
        progress("train the reasoner", step + 1, table.steps)
        checkpoint.save(reasoner, optimiser, step + 1, now=step + 1 == table.steps)
        if (step + 1) % 100 == 0 or step + 1 == table.steps:
            log(f"reasoning step {step + 1}/{table.steps}: loss {np.mean(recent[-100:]):.3f}")
    reasoner.eval()
