"""Screening as training sees it: exact search over the rows' vectors, by matrix products on the training device.

Rows become labels as in the runtime (`edgexl.index.best_of_rows`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import Progress
from edgexl.base.ragged import Ragged
from edgexl.index.best_of_rows import LabelScores, best_aliases, rows_of_labels
from edgexl.index.rows import CHUNK, Rows
from edgexl.student.screeners import kind_of
from edgexl.student.tokens import TokenTable, knows_bf16

# 128 queries x 700,000 rows of fp32 scores are 360 MB.
SEARCH_BATCH = 128
# Rows looked at for a shortlist: aliases of one label share them.
ROWS_A_SHORTLIST = 8
# Rows whose best score is looked at first.
_BLOCK = 32
# Numbers of vectors gathered at once: 16 MB, which allocators keep for the next call.
GATHERED = 4_194_304


def encode_table(
    screener: nn.Module, tokens: TokenTable, name: str, progress: Progress, cut: int = 128, half: bool = True
) -> Tensor:
    """Query vectors [n,d] fp32 of all texts of a table of tokens; `half`: by products in bf16."""
    return kind_of(screener).encode_all(screener, tokens, partial(progress, name), cut, half)


def top(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`scores.topk(count, dim=1)` of many scores [n,rows], some times as fast: the best lie in those blocks whose own
    best scores are the best of all blocks'. Of equal scores any may be taken, as there."""
    rows = scores.shape[1]
    blocks = rows // _BLOCK
    if count * _BLOCK * 2 > rows:
        return scores.topk(count, dim=1)
    of_blocks = scores[:, : blocks * _BLOCK].view(len(scores), blocks, _BLOCK).amax(-1)
    if rows % _BLOCK:
        of_blocks = torch.cat([of_blocks, scores[:, blocks * _BLOCK :].amax(-1, keepdim=True)], 1)
    chosen = of_blocks.topk(count, dim=1, sorted=False).indices
    places = (chosen.unsqueeze(-1) * _BLOCK + torch.arange(_BLOCK, device=scores.device)).view(len(scores), -1)
    behind = places >= rows
    found = scores.gather(1, places.clamp(max=rows - 1)).masked_fill_(behind, -torch.inf)
    values, at = found.topk(count, dim=1)
    return values, places.gather(1, at).clamp_(max=rows - 1)


@dataclass(frozen=True)
class Found:
    """Shortlists: `labels` [n,N] best first, `aliases` [n,N] fp16 best alias score (own score where none was near);
    None where the label set has no aliases."""

    labels: Tensor
    aliases: Tensor | None


class RowSearch:
    """Search over the vectors [rows,d] of `rows`; `banned` rows of a query are left out of its search.

    `rough` finds candidates by products in bf16, five times as fast on CPUs that know it, and scores those exactly: a
    row at the very end of the candidates may then be another one. Vectors may be fp16; scores are fp32.
    """

    def __init__(self, rows: Rows, vectors: Tensor, rough: bool = False) -> None:
        self.rows = rows
        self.vectors = vectors
        self.rough = vectors.to(torch.bfloat16) if rough and knows_bf16(vectors.device) else None
        self.has_aliases = len(rows) > rows.labels
        self._buffer: Tensor | None = None

    def shortlists(
        self, queries: Tensor, shortlist: int, banned: Ints, progress: Progress, name: str = "make shortlists"
    ) -> Found:
        """The `shortlist` best labels of each query vector [n,d]."""
        labels: list[Tensor] = []
        aliases: list[Tensor] = []
        shortlist = min(shortlist, self.rows.labels)
        for start in range(0, len(queries), SEARCH_BATCH):
            part = queries[start : start + SEARCH_BATCH]
            found = self.score_labels(part, shortlist, banned[start : start + SEARCH_BATCH])
            best = found.best(shortlist)
            labels.append(torch.from_numpy(best.astype(np.int32)))
            if self.has_aliases:
                aliases.append(self._near_aliases(part, best, found)[1].to("cpu", torch.float16))
            progress(name, start + len(part), len(queries))
        return Found(torch.cat(labels), torch.cat(aliases) if aliases else None)

    def score_labels(self, queries: Tensor, depth: int, banned: Ints | None = None) -> LabelScores:
        """What the best rows say of the labels: of so many rows that each query [n,d] gets `depth` labels, or all."""
        tried = depth * (ROWS_A_SHORTLIST if self.has_aliases else 1)
        banned = np.full(len(queries), -1, np.int64) if banned is None else banned
        while True:
            scores, rows = (part.cpu().numpy() for part in self.best_rows(queries, tried, banned))
            query, place = np.nonzero(np.isfinite(scores))  # a banned row's is not
            found = LabelScores.of(
                len(queries), query, rows[query, place], scores[query, place], self.rows.labels, self.rows.alias_labels
            )
            if tried >= len(self.rows) or found.counts.min() >= depth:
                return found
            tried *= 4

    @torch.inference_mode()
    def best_rows(self, queries: Tensor, depth: int, banned: Ints) -> tuple[Tensor, Tensor]:
        """(scores, rows) [n,depth] of the best rows, best first."""
        scores = self._score(queries)
        own = torch.from_numpy(np.ascontiguousarray(banned)).to(scores.device)
        held = torch.nonzero(own >= 0).squeeze(1)
        scores[held, own[held]] = -torch.inf
        values, rows = top(scores, min(depth, scores.shape[1]))
        if self.rough is None:
            return values, rows
        exact = self.exact(queries, rows)
        exact = exact.masked_fill(values.isinf(), -torch.inf)  # banned ones stay so
        exact, order = exact.sort(dim=1, descending=True)
        return exact, rows.gather(1, order)

    @torch.inference_mode()
    def exact(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Scores [n,k] of given rows [n,k], a few queries at a time: fresh memory for all of their vectors takes longer
        than the products."""
        few = max(1, GATHERED // (rows.shape[1] * self.vectors.shape[1]))
        pairs = zip(torch.split(queries, few), torch.split(rows, few), strict=True)
        return torch.cat([torch.einsum("nd,nkd->nk", query, self.vectors[chosen].float()) for query, chosen in pairs])

    def _score(self, queries: Tensor) -> Tensor:
        """Scores [n,rows] in a buffer that the next call overwrites: at hundreds of megabytes, fresh memory for each
        batch takes longer than the product."""
        rows = self.vectors if self.rough is None else self.rough
        # fp16 products are exact on no device, and slow on CPUs
        kind = torch.float32 if rows.dtype == torch.float16 else rows.dtype
        if self._buffer is None or len(self._buffer) < len(queries):
            self._buffer = torch.empty(len(queries), len(rows), dtype=kind, device=rows.device)
        scores = self._buffer[: len(queries)]
        if kind == rows.dtype:
            return torch.mm(queries.to(kind), rows.T, out=scores)
        for start in range(0, len(rows), CHUNK):
            scores[:, start : start + CHUNK] = queries @ rows[start : start + CHUNK].to(kind).T
        return scores

    def near_scores(self, queries: Tensor, labels: Tensor, banned: Ints) -> tuple[Tensor, Tensor]:
        """(own score, best alias score), each [n,N], of given labels; aliases far from the query are not looked for."""
        if not self.has_aliases:
            own = self.exact(queries, labels)
            return own, own
        found = self.score_labels(queries, labels.shape[1], banned)
        return self._near_aliases(queries, labels.cpu().numpy(), found)

    def _near_aliases(self, queries: Tensor, labels: Ints, found: LabelScores) -> tuple[Tensor, Tensor]:
        own = self.exact(queries, torch.from_numpy(labels).to(queries.device))
        alias = torch.from_numpy(found.look_up(labels)[..., 1]).to(queries.device)
        return own, torch.where(alias.isfinite(), alias, own)

    @torch.inference_mode()
    def all_scores(self, queries: Tensor, labels: Ints) -> Tensor:
        """Scores [n,N,2] of given labels [n,N], -1 pads: the own text's, then the best of all aliases, or again the own
        text's where there are none. A pad has minus infinity in both."""
        own = self.exact(queries, torch.from_numpy(np.maximum(labels, 0)).to(self.vectors.device)).cpu().numpy()

        def score(query: Ints, rows: Ints) -> Floats:
            few = max(1, GATHERED // self.vectors.shape[1])
            pairs = (torch.split(torch.from_numpy(part).to(self.vectors.device), few) for part in (query, rows))
            parts = [(queries[of] * self.vectors[row].float()).sum(-1) for of, row in zip(*pairs, strict=True)]
            return torch.cat(parts).cpu().numpy()

        both = np.stack([own, best_aliases(self._alias_rows, labels, own, score)], -1)
        return torch.from_numpy(np.where(labels[..., None] < 0, np.float32(-np.inf), both))

    @cached_property
    def _alias_rows(self) -> Ragged:
        return rows_of_labels(self.rows.labels, self.rows.alias_labels)
