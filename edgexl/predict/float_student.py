"""Prediction by the float student in PyTorch: exact search over float label vectors, then the reasoner.

It is what a compiled bundle is compared with, in accuracy (`rank`, in batches) and in time (`predict`, one text).
The stages are the runtime's; only the index is missing: every row is scored with its full vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.index.best_of_rows import BEST_ROW, weigh
from edgexl.index.exact_search import ExactSearch
from edgexl.index.rows import Rows
from edgexl.index.tower_vectors import encode_by_tower
from edgexl.student.arguments import as_count, as_texts
from edgexl.student.contract import call_reasoner
from edgexl.student.encode import encode_tokens
from edgexl.student.student import Student
from edgexl.student.text import encode_texts, pad

# Queries scored at once: 64 x 150,000 scores are 38 MB.
SEARCH_BATCH = 64
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Encoded:
    """A batch of texts after the screener: ids and mask [B,T], query vectors [B,d], token states [B,T,h]."""

    input_ids: Tensor
    attention_mask: Tensor
    query_vector: Tensor
    token_states: Tensor


@dataclass(frozen=True)
class Screened:
    """A batch of shortlists: labels [B,N] best first, their evidence [B,N,5] and their screening scores [B,N]."""

    labels: Tensor
    evidence: Tensor
    screening: Tensor

    @property
    def scores(self) -> Tensor:
        """The graphs' screening_scores [B,N,2]: own text, best alias."""
        return self.evidence[..., :2]

    @classmethod
    def of(cls, labels: Tensor, scores: Tensor) -> Screened:
        """Shortlists of labels that have an own text and an alias, of which screening_scores [B,N,2] are known."""
        undescribed = torch.full_like(scores[..., :1], -torch.inf)
        every = torch.cat([scores, undescribed], -1).numpy()
        return cls(labels, *map(torch.from_numpy, weigh(every, every.max(-1), BEST_ROW)))

    def take(self, columns: slice | Ints) -> Screened:
        """Some columns [n] of each shortlist."""
        return Screened(self.labels[:, columns], self.evidence[:, columns], self.screening[:, columns])


class StudentPredictor:
    """The float student, ready to answer: its labels' vectors and tokens are computed once.

    `label_vectors` [rows,d] on the CPU saves encoding the rows of the label set (`Rows.of`, descriptions joined) where
    they are at hand. The
    modules run, and stay, on `device`; exact search is numpy's.
    """

    def __init__(
        self,
        student: Student,
        label_vectors: Tensor | None = None,
        progress: StageProgress = no_stage_progress,
        device: torch.device = CPU,
    ) -> None:
        self.student, self.device = student, device
        self.screener, self.reasoner = student.screener.to(device), student.reasoner.to(device)
        labels, shapes = student.labels, student.shapes
        about = (labels, student.tokenizer, shapes.max_tokens, True)
        self.rows = Rows.of(*about, descriptions="joined", prompt=student.prompts.label)
        if label_vectors is None:
            label_vectors = torch.from_numpy(self.rows.vectors(self._encode_texts(progress)))
        self.row_vectors = label_vectors
        self.search = ExactSearch(
            label_vectors.numpy(), self.rows.labels, self.rows.alias_labels, shapes.shortlist, self.rows.descriptions
        )

    def _encode_texts(self, progress: StageProgress) -> Floats:
        """[texts,d] of the rows' texts, by the student's label tower, or by its screener where it has none."""
        student, rows = self.student, self.rows
        if student.label_tower is not None:
            texts = rows.texts(student.labels, student.tokenizer, student.shapes.max_tokens)
            return encode_by_tower(student.label_tower, texts, progress=progress)
        return encode_tokens(self.screener, rows.tokens, progress=progress, device=self.device).numpy()

    @cached_property
    def tokens(self) -> Tensor:
        """[labels,S] word pieces of the label texts."""
        return torch.from_numpy(self.rows.label_pieces(self.student.shapes.label_tokens))

    @torch.inference_mode()
    def encode(self, texts: Sequence[str]) -> Encoded:
        """Run the screener on a batch of texts."""
        student = self.student
        rows = encode_texts(student.tokenizer, texts, student.shapes.max_tokens, student.prompts.query)
        ids, mask = (torch.from_numpy(part).to(self.device) for part in pad(rows))
        vector, states = self.screener(ids, mask)
        return Encoded(ids, mask, vector, states)

    @torch.inference_mode()
    def screen(self, query_vectors: Tensor, depth: int) -> Screened:
        """The `depth` best labels for each query vector [B,d]; ties go to the lower label."""
        return Screened(*map(torch.from_numpy, self.search.search_batch(query_vectors.cpu().numpy(), depth)))

    @torch.inference_mode()
    def reason(self, encoded: Encoded, screened: Screened) -> Tensor:
        """Logits [B,N] of the shortlists, on the CPU."""
        about_labels = {
            "label_vectors": self.row_vectors[screened.labels],
            "screening_scores": screened.scores,
            "evidence": screened.evidence,
            "screening": screened.screening,
            "label_tokens": self.tokens[screened.labels],
        }
        supply = {name: value.to(self.device) for name, value in about_labels.items()} | {
            "input_ids": encoded.input_ids,
            "attention_mask": encoded.attention_mask,
            "token_states": encoded.token_states,
            "query_vector": encoded.query_vector,
        }
        return call_reasoner(self.reasoner, supply).cpu()

    def predict(self, text: str, k: int = 5) -> list[tuple[int, float]]:
        """The `k` best labels for one text, with their logits. Raises `BadInput` for what is no text or number."""
        k = as_count("k", k)
        encoded = self.encode(as_texts([text]))
        screened = self.screen(encoded.query_vector, self.student.shapes.shortlist)
        logits = self.reason(encoded, screened)[0]
        order = logits.argsort(descending=True, stable=True)[:k]
        return list(zip(screened.labels[0][order].tolist(), logits[order].tolist(), strict=True))

    def rank(self, texts: Sequence[str], depth: int | None = None, progress: StageProgress = no_stage_progress) -> Ints:
        """Labels [len(texts), depth], best first: the shortlist in the reasoner's order, then the rest of screening's.

        `depth` is the shortlist's length unless told.
        """
        return self.rank_by_stage(texts, depth, progress)[1]

    def rank_by_stage(
        self, texts: Sequence[str], depth: int | None = None, progress: StageProgress = no_stage_progress
    ) -> tuple[Ints, Ints]:
        """(screening's ranking, the reasoner's ranking), each as `rank` gives them."""
        texts = as_texts(texts)
        shortlist = min(self.student.shapes.shortlist, len(self.student.labels))
        depth = min(depth or shortlist, len(self.student.labels))
        by_screener = np.empty((len(texts), depth), dtype=np.int64)
        by_reasoner = np.empty_like(by_screener)
        # like lengths together, for padding's sake
        order = np.argsort([len(text) for text in texts], kind="stable")
        for start in range(0, len(order), SEARCH_BATCH):
            batch = order[start : start + SEARCH_BATCH]
            encoded = self.encode([texts[index] for index in batch])
            screened = self.screen(encoded.query_vector, max(depth, shortlist))
            short = screened.take(slice(shortlist))
            best = self.reason(encoded, short).argsort(dim=1, descending=True, stable=True)
            reasoned = torch.cat([short.labels.gather(1, best), screened.labels[:, shortlist:]], dim=1)
            by_screener[batch] = screened.labels[:, :depth].numpy()
            by_reasoner[batch] = reasoned[:, :depth].numpy()
            progress(start + len(batch), len(order))
        return by_screener, by_reasoner
