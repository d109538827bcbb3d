"""Phase one of teachers that encode: exact search over the vectors of their labels.

Every row is scored, and memory does not grow with queries x labels.

A label has a row for its text and one for each alias; its score is the best of its rows, as on the device.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import Progress, no_progress
from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers.vectors import Encoder, TextVectors

# 256 queries x 32,768 labels are 34 MB of scores.
_QUERIES, _LABELS = 256, 32_768
# Numbers gathered at once where pairs are scored: 64 MB of fp32.
_GATHERED = 1 << 24


def row_texts(labels: LabelSet) -> list[str]:
    """The texts of all rows: labels first, then aliases in the order of their labels."""
    return [*labels.texts, *(alias for aliases in labels.aliases for alias in aliases)]


class EncoderPhase:
    """Phase one of a `Teacher` (see `protocol`) by an encoder: cosines to the rows of `labels`, on `device`."""

    def __init__(self, encoder: Encoder, labels: LabelSet, device: torch.device) -> None:
        self.labels = labels
        self.device = device
        self._vectors = TextVectors(encoder)
        self._label_rows: LabelRows | None = None

    def vectors(self, texts: Sequence[str], progress: Progress = no_progress) -> Tensor | None:
        """The encoder's vectors [n,w] in fp16."""
        return self._vectors(texts, progress)

    def screen(self, texts: Sequence[str], depth: int, progress: Progress = no_progress) -> tuple[Ints, Floats]:
        """Exact search over the rows of all labels; scores are cosines."""
        queries = self._vectors(texts, progress)
        return self.rows(progress).search(queries, depth, progress)

    def score(self, texts: Sequence[str], candidates: Ints) -> Tensor:
        """The best cosine over each candidate's rows."""
        return self.rows().pairs(self._vectors(texts), candidates).amax(-1)

    def rows(self, progress: Progress = no_progress) -> LabelRows:
        """The rows' vectors, encoded at the first call."""
        if self._label_rows is None:
            vectors = self._vectors(row_texts(self.labels), progress)
            self._label_rows = LabelRows(self.labels, vectors, self.device)
        return self._label_rows


class LabelRows:
    """Vectors of `row_texts(labels)`, [rows,w] in fp16, on the device that searches them."""

    def __init__(self, labels: LabelSet, vectors: Tensor, device: torch.device) -> None:
        counts = torch.tensor([len(aliases) for aliases in labels.aliases])
        assert len(vectors) == len(labels) + int(counts.sum())
        self.device = device
        self.own = vectors[: len(labels)].to(device)
        self.aliases = vectors[len(labels) :].to(device)
        self.alias_labels = torch.repeat_interleave(counts).to(device)
        # aliases of label i: starts[i] to starts[i + 1]
        self.starts = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
        self._starts = self.starts.to(device)

    def __len__(self) -> int:
        return len(self.own)

    @torch.inference_mode()
    def search(self, queries: Tensor, depth: int, progress: Progress = no_progress) -> tuple[Ints, Floats]:
        """The `depth` best labels for query vectors [n,w], best first, ties to the lower label, and their scores.

        Both are [n,depth]; where there are fewer labels, the rest is -1 and minus infinity.
        """
        labels = np.full((len(queries), depth), -1, dtype=np.int64)
        scores = np.full((len(queries), depth), -np.inf, dtype=np.float32)
        found = min(depth, len(self))
        for start in range(0, len(queries), _QUERIES):
            batch = slice(start, start + _QUERIES)
            best, which = self._search_batch(queries[batch].to(self.device, torch.float32), found)
            labels[batch, :found], scores[batch, :found] = which.cpu().numpy(), best.cpu().numpy()
            progress("search the labels", min(start + _QUERIES, len(queries)), len(queries))
        return labels, scores

    def _search_batch(self, queries: Tensor, depth: int) -> tuple[Tensor, Tensor]:
        best = torch.empty(len(queries), 0, device=self.device)
        which = torch.empty(len(queries), 0, dtype=torch.int64, device=self.device)
        for start in range(0, len(self), _LABELS):
            stop = min(start + _LABELS, len(self))
            scores = queries @ self.own[start:stop].float().T
            aliases = slice(int(self.starts[start]), int(self.starts[stop]))
            if aliases.start < aliases.stop:
                of_aliases = queries @ self.aliases[aliases].float().T
                place = (self.alias_labels[aliases] - start).expand_as(of_aliases)
                scores.scatter_reduce_(1, place, of_aliases, "amax")
            top = scores.topk(min(depth, stop - start), dim=1)
            best = torch.cat([best, top.values], dim=1)
            which = torch.cat([which, top.indices + start], dim=1)
            if best.shape[1] > depth:
                kept = best.topk(depth, dim=1).indices
                best, which = best.gather(1, kept), which.gather(1, kept)
        which, order = which.sort(dim=1)
        best, order = best.gather(1, order).sort(dim=1, descending=True, stable=True)
        return best, which.gather(1, order)

    @torch.inference_mode()
    def pairs(self, queries: Tensor, candidates: Ints) -> Tensor:
        """Scores [n,C,2] in fp32 of candidates [n,C] for query vectors [n,w]: own text's, then the best alias's.

        A label without aliases has its own score in both; a pad has minus infinity in both.
        """
        wanted = torch.from_numpy(np.ascontiguousarray(candidates))
        out = torch.empty(*wanted.shape, 2)
        step = max(1, _GATHERED // max(1, wanted.shape[1] * self.own.shape[1]))
        for start in range(0, len(wanted), step):
            batch = slice(start, start + step)
            labels = wanted[batch].to(self.device)
            query = queries[batch].to(self.device, torch.float32)
            at = labels.clamp_min(0)
            own = (self.own[at].float() @ query.unsqueeze(-1)).squeeze(-1)
            both = torch.stack([own, self._alias_scores(query, at, own)], dim=-1)
            out[batch] = both.masked_fill((labels < 0).unsqueeze(-1), -torch.inf).cpu()
        return out

    def _alias_scores(self, queries: Tensor, labels: Tensor, own: Tensor) -> Tensor:
        """[B,C]: the best alias of each label, its own score where it has none."""
        first = self._starts[labels].flatten()
        counts = self._starts[labels + 1].flatten() - first
        pair = torch.repeat_interleave(counts)
        if not len(pair):
            return own
        before = counts.cumsum(0) - counts
        rows = first[pair] + torch.arange(len(pair), device=self.device) - before[pair]
        best = torch.full_like(own, -torch.inf).flatten()
        step = max(1, _GATHERED // self.own.shape[1])
        for start in range(0, len(pair), step):
            part = slice(start, start + step)
            vectors = self.aliases[rows[part]].float()
            scores = (vectors * queries[pair[part] // labels.shape[1]]).sum(-1)
            best.scatter_reduce_(0, pair[part], scores, "amax")
        return torch.where(counts.view_as(own) > 0, best.view_as(own), own)
