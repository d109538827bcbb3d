"""What stage two trains on: the shortlists that the finished screener makes, as the reasoner meets them.

Label vectors are met compressed, as the index returns them: all dimensions in even steps, the leading ones in odd
steps. The reasoner's word pieces are a learnt map of the screener's word table, so that a student stores one table.
The losses are the methods' (`edgexl.distill.methods`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.ragged import Ragged
from edgexl.distill.recipe import ReasoningTable
from edgexl.distill.stages.evidence import Evidence
from edgexl.student.contract import call_reasoner
from edgexl.student.tokens import TokenTable, bf16, hide_tokens

# Labels kept behind the shortlist, to move up where gold ones are taken out.
RESERVE = 8


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
        with torch.autocast(ids.device.type, enabled=False):
            return nn.functional.embedding(ids, self.words @ self.map)

    def as_embedding(self) -> nn.Embedding:
        """The finished table."""
        table = nn.Embedding(len(self.words), self.map.shape[1])
        with torch.no_grad():
            table.weight.copy_(self.words @ self.map)
        return table


@dataclass(frozen=True)
class Shortlists:
    """n queries after screening, with up to N + RESERVE labels each, on the training device.

    `vectors` [n,d] are the query vectors, `labels` [n,M], `aliases` [n,M] the best alias scores (None without aliases),
    `gold` [n,M] bool, `teacher` [n,M] the teacher's logits (None where it gives no lessons, held-out queries).
    `evidence` is there for a reasoner that sees all of it, in the place of `aliases`.
    """

    tokens: TokenTable
    vectors: Tensor
    labels: Tensor
    aliases: Tensor | None
    gold: Tensor
    teacher: Tensor | None = None
    evidence: Evidence | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Shortlists:
        """The same with its tables on `device`."""

        def move(value: Tensor | None) -> Tensor | None:
            return None if value is None else value.to(device)

        return replace(
            self, vectors=self.vectors.to(device), labels=self.labels.to(device), gold=self.gold.to(device),
            aliases=move(self.aliases), teacher=move(self.teacher),
            evidence=self.evidence.to(device) if self.evidence else None,
        )  # fmt: skip


@dataclass(frozen=True)
class LabelTables:
    """Label vectors by way of compression, each [labels,d], and label tokens [labels,S]."""

    vectors: tuple[Tensor, ...]
    tokens: Tensor


def mark_gold(labels: Tensor, targets: Ragged, label_count: int) -> Tensor:
    """[n,M] bool: which labels of the shortlists [n,M] are gold ones."""
    query, wanted = targets.pairs(np.arange(len(labels)))
    keys = np.unique(query * label_count + wanted)
    own = np.arange(len(labels))[:, None] * label_count + labels.cpu().numpy().astype(np.int64)
    places = np.searchsorted(keys, own).clip(max=len(keys) - 1)
    return torch.from_numpy(keys[places] == own)


def only_often(lists: Shortlists, asked: Ints, often: int) -> Shortlists:
    """The shortlists with gold labels for those queries alone of which one, in the list, is asked for `often` times at
    least; `asked` [labels] says how often each is."""
    known = torch.from_numpy(asked >= often).to(lists.labels.device)
    wanted = (lists.gold & known[lists.labels.to(torch.int64)]).any(-1, keepdim=True)
    return replace(lists, gold=lists.gold & wanted)


def reasoner_inputs(
    screener: nn.Module,
    data: Shortlists,
    tables: LabelTables,
    rows: Ints,
    columns: Tensor,
    variant: int,
    half: bool = True,
    evidence_dropout: float = 0.0,
) -> dict[str, Tensor]:
    """What `call_reasoner` takes, for a batch of queries and the labels in some columns [B,N] of their shortlists."""
    ids, mask = data.tokens.batch(rows)
    chosen = torch.from_numpy(np.ascontiguousarray(rows)).to(columns.device)
    with torch.no_grad(), bf16(columns.device, half):
        _, states = screener(ids, mask)
    labels = data.labels[chosen].gather(1, columns).to(torch.int64)
    vectors = tables.vectors[variant][labels].to(torch.float32)
    query = data.vectors[chosen]
    own = (vectors @ query.unsqueeze(-1)).squeeze(-1)
    supply = {
        "input_ids": ids, "attention_mask": mask, "token_states": states.to(torch.float32), "query_vector": query,
        "label_vectors": vectors, "label_tokens": tables.tokens[labels],
    }  # fmt: skip
    if data.evidence is None:
        alias = own if data.aliases is None else data.aliases[chosen].gather(1, columns).to(torch.float32)
        return supply | {"screening_scores": torch.stack([own, alias], -1)}
    known = data.evidence.take(chosen, columns)
    evidence, screening = (known.drop(evidence_dropout) if evidence_dropout else known).weigh(own)
    return supply | {"evidence": evidence, "screening": screening}


def train_logits(
    screener: nn.Module, reasoner: nn.Module, data: Shortlists, tables: LabelTables, rows: Ints, columns: Tensor,
    variant: int, table: ReasoningTable,
) -> Tensor:  # fmt: skip
    """Logits [B,N] with gradients, for a batch of which random shares of the tokens and of the evidence are hidden."""
    inputs = reasoner_inputs(screener, data, tables, rows, columns, variant, evidence_dropout=table.evidence_dropout)
    inputs["attention_mask"] = hide_tokens(inputs["attention_mask"], table.token_dropout)
    with bf16(columns.device):
        return call_reasoner(reasoner, inputs)


def opinion(teacher: Tensor, temperature: float) -> Tensor:
    """The teacher's distribution [B,N] over shortlists; rows of 0 where it has no opinion at all."""
    known = torch.isfinite(teacher)
    shares = (teacher.to(torch.float32) / temperature).masked_fill(~known, -1e9).softmax(-1)
    return shares * known.any(-1, keepdim=True)


@torch.inference_mode()
def decide(
    screener: nn.Module,
    reasoner: nn.Module,
    data: Shortlists,
    tables: LabelTables,
    shortlist: int,
    half: bool = True,
    batch: int = 64,
) -> Tensor:
    """Logits [n,N] of shortlists, with the last way of compression that `tables` hold."""
    found = []
    for start in range(0, len(data), batch):
        rows = np.arange(start, min(start + batch, len(data)))
        columns = torch.arange(min(shortlist, data.labels.shape[1]), device=data.labels.device).expand(len(rows), -1)
        inputs = reasoner_inputs(screener, data, tables, rows, columns, len(tables.vectors) - 1, half)
        with bf16(data.labels.device, half):
            found.append(call_reasoner(reasoner, inputs).to(torch.float32))
    return torch.cat(found)
