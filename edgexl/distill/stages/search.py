"""Screening as training sees it: exact search over the rows' vectors, by matrix products on the training device.

Rows become labels as in the runtime: a label's score is the best of its rows, its own text and its aliases apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgexl.base.arrays import Ints
from edgexl.base.progress import Progress
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.stages.bags import bag_table, encode_bags
from edgexl.distill.stages.compute import TokenTable, alike, bf16
from edgexl.student.ngrams import NgramScreener

# 128 queries x 700,000 rows of fp32 scores are 360 MB.
SEARCH_BATCH = 128
# Rows looked at for a shortlist: aliases of one label share them.
ROWS_A_SHORTLIST = 8
# Numbers of vectors gathered at once: 16 MB, which allocators keep for the next call.
GATHERED = 4_194_304


def encode_table(
    screener: nn.Module, tokens: TokenTable, name: str, progress: Progress, cut: int = 128, half: bool = True
) -> Tensor:
    """Query vectors [n,d] fp32 of all texts of a table, in batches of like length; `half`: by products in bf16."""
    if isinstance(screener, NgramScreener):
        return _encode_bags(screener, tokens, name, progress)
    out: Tensor | None = None
    done = 0
    with torch.inference_mode(), bf16(tokens.flat.device, half):
        most = min(cut, int(tokens.lengths.max(initial=1)))
        for batch, width in alike(tokens.lengths, most, tokens.flat.device):
            vectors = screener(*tokens.batch(batch, width))[0].to(torch.float32)
            if out is None:
                out = torch.empty(len(tokens), vectors.shape[1], device=vectors.device)
            out[torch.from_numpy(batch).to(out.device)] = vectors
            done += len(batch)
            progress(name, done, len(tokens))
    assert out is not None
    return out


@torch.inference_mode()
def _encode_bags(screener: NgramScreener, tokens: TokenTable, name: str, progress: Progress) -> Tensor:
    bags = bag_table(screener, tokens)
    parts = []
    for start in range(0, len(tokens), 8192):
        chosen = np.arange(start, min(start + 8192, len(tokens)))
        parts.append(encode_bags(screener, bags, chosen))
        progress(name, int(chosen[-1]) + 1, len(tokens))
    return torch.cat(parts)


@dataclass(frozen=True)
class Found:
    """Shortlists: `labels` [n,N] best first, `aliases` [n,N] fp16 best alias score (own score where none was near);
    None where the label set has no aliases."""

    labels: Tensor
    aliases: Tensor | None


class RowSearch:
    """Search over row vectors [rows,d]; `banned` rows of a query are left out of its search.

    `rough` finds candidates by products in bf16, five times as fast on CPUs that know it, and scores those exactly: a
    row at the very end of the candidates may then be another one. Vectors may then be fp16; scores are fp32.
    """

    def __init__(self, rows: RowTable, vectors: Tensor, rough: bool = False) -> None:
        self.rows = rows
        self.vectors = vectors
        self.rough = vectors.to(torch.bfloat16) if rough else None
        device = vectors.device
        self.has_aliases = len(rows) > rows.labels
        counts = np.diff(rows.of.starts)
        self.counts = torch.from_numpy(counts).to(device)
        self.starts = torch.from_numpy(rows.of.starts[:-1].copy()).to(device)
        self.flat = torch.from_numpy(rows.of.labels).to(device)
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
            found, best = self._search(part, shortlist, banned[start : start + SEARCH_BATCH])
            labels.append(found.to(torch.int32).cpu())
            if best is not None:
                aliases.append(best.to(torch.float16).cpu())
            progress(name, start + len(part), len(queries))
        return Found(torch.cat(labels), torch.cat(aliases) if aliases else None)

    @torch.inference_mode()
    def best_rows(self, queries: Tensor, depth: int, banned: Ints) -> tuple[Tensor, Tensor]:
        """(scores, rows) [n,depth] of the best rows, best first."""
        scores = self._score(queries)
        own = torch.from_numpy(np.ascontiguousarray(banned)).to(scores.device)
        held = torch.nonzero(own >= 0).squeeze(1)
        scores[held, own[held]] = -torch.inf
        values, rows = scores.topk(min(depth, scores.shape[1]), dim=1)
        if self.rough is None:
            return values, rows
        exact = self.exact(queries, rows)
        exact = exact.masked_fill(values.isinf(), -torch.inf)  # banned ones stay so
        exact, order = exact.sort(dim=1, descending=True)
        return exact, rows.gather(1, order)

    def exact(self, queries: Tensor, rows: Tensor) -> Tensor:
        """Scores [n,k] of given rows [n,k], a few queries at a time: fresh memory for all of their vectors takes longer
        than the products."""
        few = max(1, GATHERED // (rows.shape[1] * self.vectors.shape[1]))
        pairs = zip(torch.split(queries, few), torch.split(rows, few), strict=True)
        return torch.cat([torch.einsum("nd,nkd->nk", asked, self.vectors[chosen].float()) for asked, chosen in pairs])

    def _score(self, queries: Tensor) -> Tensor:
        """Scores [n,rows] in a buffer that the next call overwrites: at hundreds of megabytes, fresh memory for each
        batch takes longer than the product."""
        rows = self.vectors if self.rough is None else self.rough
        if self._buffer is None or len(self._buffer) < len(queries):
            self._buffer = torch.empty(len(queries), len(rows), dtype=rows.dtype, device=rows.device)
        return torch.mm(queries.to(rows.dtype), rows.T, out=self._buffer[: len(queries)])

    @torch.inference_mode()
    def scores(self, queries: Tensor, labels: Tensor, banned: Ints) -> tuple[Tensor, Tensor]:
        """(own score, best alias score), each [n,N], of given labels; aliases far from the query are not looked for."""
        own = self.exact(queries, labels)
        if not self.has_aliases:
            return own, own
        scores, rows = self.best_rows(queries, labels.shape[1] * ROWS_A_SHORTLIST, banned)
        places, found = self._expand(rows)
        return own, self._alias_scores(own, labels, rows, places, found, scores.gather(1, places))

    def _search(self, queries: Tensor, shortlist: int, banned: Ints) -> tuple[Tensor, Tensor | None]:
        if not self.has_aliases:
            return self.best_rows(queries, shortlist, banned)[1], None
        scores, rows = self.best_rows(queries, shortlist * ROWS_A_SHORTLIST, banned)
        places, labels = self._expand(rows)
        pair_scores = scores.gather(1, places)
        missing = labels < 0
        pair_scores = pair_scores.masked_fill(missing, -torch.inf)
        # by label, best first within each: the first of a run is the label's best
        by_score = pair_scores.argsort(dim=1, descending=True, stable=True)
        ordered = labels.gather(1, by_score)
        by_label = ordered.argsort(dim=1, stable=True)
        ordered = ordered.gather(1, by_label)
        order = by_score.gather(1, by_label)
        repeated = torch.zeros_like(ordered, dtype=torch.bool)
        repeated[:, 1:] = ordered[:, 1:] == ordered[:, :-1]
        best = pair_scores.gather(1, order).masked_fill(repeated, -torch.inf)
        top = best.topk(min(shortlist, best.shape[1]), dim=1)
        chosen, place = ordered.gather(1, top.indices).clamp_min(0).sort(dim=1)
        # labels that share their best row tie: the lower one comes first, as on the device
        by_score = top.values.gather(1, place).argsort(dim=1, descending=True, stable=True)
        chosen = chosen.gather(1, by_score)
        return chosen, self._alias_scores(self.exact(queries, chosen), chosen, rows, places, labels, pair_scores)

    def _expand(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """The labels of rows [n,R] as pairs: (place of the row in 0..R-1, label or -1), each [n,P]."""
        counts = self.counts[rows]
        widest = int(counts.sum(1).max())
        ends = counts.cumsum(1)
        slot = torch.arange(widest, device=rows.device).expand(len(rows), widest).contiguous()
        places = torch.searchsorted(ends, slot, right=True).clamp_max(rows.shape[1] - 1)
        within = slot - (ends - counts).gather(1, places)
        labels = self.flat[(self.starts[rows].gather(1, places) + within).clamp_max(len(self.flat) - 1)]
        return places, labels.masked_fill(slot >= ends[:, -1:], -1)

    def _alias_scores(
        self, own: Tensor, chosen: Tensor, rows: Tensor, places: Tensor, labels: Tensor, pair_scores: Tensor
    ) -> Tensor:
        """[n,N] the best score among alias rows found for each chosen label; its `own` [n,N] where there are none."""
        is_alias = rows.gather(1, places) >= self.rows.labels
        aliases = torch.where(is_alias & (labels >= 0), labels, self.rows.labels)  # others go to the end
        by_score = pair_scores.argsort(dim=1, descending=True, stable=True)
        ordered = aliases.gather(1, by_score)
        by_label = ordered.argsort(dim=1, stable=True)
        ordered = ordered.gather(1, by_label)
        best = pair_scores.gather(1, by_score).gather(1, by_label)
        place = torch.searchsorted(ordered.contiguous(), chosen.contiguous()).clamp_max(ordered.shape[1] - 1)
        score = best.gather(1, place)
        found = (ordered.gather(1, place) == chosen) & score.isfinite()  # a banned row's is not
        return torch.where(found, score, own)
