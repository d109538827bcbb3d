"""What a teacher is asked during a distillation: vectors of texts, lists of labels, decisions over shortlists.

A query that serves as an alias must not answer for itself, in the teacher's search no more than in the student's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgexl.data import Query
from edgexl.distill.compute import Ints, TokenTable, bf16
from edgexl.distill.rows import RowTable
from edgexl.distill.screening import Lists, unit
from edgexl.distill.search import RowSearch
from edgexl.distill.teachers import Teacher, TwoStageTeacher
from edgexl.distill.teachers.vectors import leading_directions
from edgexl.progress import Progress
from edgexl.student.labels import LabelSet
from edgexl.student.text import encode_texts, label_tokens

# Labels that a list keeps of a teacher's final distribution; what lies beyond is a few thousandths.
LIST_LENGTH = 32
SHORTLIST = 128
DECIDE_BATCH = 1024


@dataclass(frozen=True)
class Vectors:
    """The teacher's unit vectors in fp16, shortened to the student's width: of queries [n,d] and of rows [rows,d]."""

    queries: Tensor
    rows: Tensor


class Lessons:
    """A teacher asked about a corpus; `rows` are those of the student's index."""

    def __init__(
        self, teacher: Teacher, labels: LabelSet, rows: RowTable, device: torch.device, progress: Progress
    ) -> None:
        self.teacher, self.labels, self.rows, self.device, self.progress = teacher, labels, rows, device, progress
        self._row_vectors: Tensor | None = None
        self._label_tokens: Tensor | None = None

    def row_vectors(self) -> Tensor | None:
        """The teacher's own vectors [rows,w] of all rows, None where it has none."""
        if self._row_vectors is None:
            found = self.teacher.vectors(self.rows.texts, self.progress)
            self._row_vectors = None if found is None else found.to(self.device)
        return self._row_vectors

    def shortened(self, queries: Sequence[Query], dims: int) -> Vectors | None:
        """The teacher's vectors by their `dims` leading principal directions, None where it has none."""
        rows = self.row_vectors()
        if rows is None:
            return None
        asked = self.teacher.vectors([query.text for query in queries], self.progress)
        assert asked is not None
        if rows.shape[1] <= dims:
            pad = dims - rows.shape[1]
            return Vectors(*(torch.nn.functional.pad(part.to(self.device), (0, pad)) for part in (asked, rows)))
        directions = leading_directions(rows[: self.rows.labels : max(1, self.rows.labels // 50_000)], dims)
        return Vectors(*(_shorten(part.to(self.device), directions) for part in (asked, rows)))

    def shortlists(self, queries: Sequence[Query], depth: int) -> Tensor:
        """The teacher's own shortlists [n,depth] int32; where it knows fewer labels, its last is repeated."""
        rows = self.row_vectors()
        texts = [query.text for query in queries]
        if rows is None:
            labels = self.teacher.screen(texts, depth, self.progress)[0]
            known = np.maximum.accumulate(np.where(labels >= 0, np.arange(depth), 0), axis=1)
            return torch.from_numpy(np.maximum(np.take_along_axis(labels, known, 1), 0)).to(torch.int32)
        asked = self.teacher.vectors(texts, self.progress)
        assert asked is not None
        search = RowSearch(self.rows, rows.float())
        banned = self.rows.rows_of_queries(queries)
        return search.shortlists(
            asked.to(self.device).float(), depth, banned, self.progress, "the teacher's lists"
        ).labels

    def decide(self, queries: Sequence[Query], shortlists: Ints) -> Tensor:
        """The teacher's logits [n,N] over shortlists, on the CPU."""
        texts = [query.text for query in queries]
        rows = self.row_vectors()
        aliased = isinstance(self.teacher, TwoStageTeacher) and len(self.rows) > self.rows.labels and rows is not None
        found = []
        search = RowSearch(self.rows, rows.float()) if aliased and rows is not None else None
        for start in range(0, len(texts), DECIDE_BATCH):
            part = slice(start, start + DECIDE_BATCH)
            if search is not None:
                banned = self.rows.rows_of_queries(queries[part])
                found.append(self._decide_with_aliases(texts[part], shortlists[part], search, banned))
            else:
                found.append(self.teacher.decide(texts[part], shortlists[part]))
            self.progress("ask the teacher to decide", min(start + DECIDE_BATCH, len(texts)), len(texts))
        return torch.cat(found)

    @torch.inference_mode()
    def _decide_with_aliases(self, texts: Sequence[str], shortlists: Ints, search: RowSearch, banned: Ints) -> Tensor:
        """The reasoner's logits of a two-stage teacher, with no query's own alias in its screening scores."""
        teacher = self.teacher
        assert isinstance(teacher, TwoStageTeacher)
        assert teacher.tokenizer is not None
        tokens = TokenTable.of(encode_texts(teacher.tokenizer, texts, teacher.shapes.max_tokens), self.device)
        if self._label_tokens is None:
            pieces = label_tokens(teacher.tokenizer, self.labels.texts, teacher.shapes.label_tokens)
            self._label_tokens = torch.from_numpy(pieces).to(self.device)
        found = []
        for start in range(0, len(texts), 128):
            rows = np.arange(start, min(start + 128, len(texts)))
            ids, mask = tokens.batch(rows)
            labels = torch.from_numpy(shortlists[rows]).to(self.device)
            with bf16(self.device):
                vector, states = teacher.screener(ids, mask)
            vector = vector.float()
            own, alias = search.scores(vector, labels, banned[rows])
            supply = {
                "input_ids": ids, "attention_mask": mask, "token_states": states.float(), "query_vector": vector,
                "label_vectors": search.vectors[labels], "screening_scores": torch.stack([own, alias], -1),
                "label_tokens": self._label_tokens[labels],
            }  # fmt: skip
            names: tuple[str, ...] = teacher.reasoner.input_names  # type: ignore[assignment]
            with bf16(self.device):
                found.append(teacher.reasoner(**{name: supply[name] for name in names}).float().cpu())
        return torch.cat(found)

    def final_lists(self, queries: Sequence[Query]) -> Lists:
        """The head of the teacher's final distribution for each query: all that standard distillation hears of it."""
        labels = self.shortlists(queries, SHORTLIST).numpy().astype(np.int64)
        shares = self.decide(queries, labels).softmax(-1)
        best = shares.topk(min(LIST_LENGTH, shares.shape[1]), dim=1)
        return Lists(np.take_along_axis(labels, best.indices.numpy(), 1), best.values.numpy())

    def screening_lists(self, queries: Sequence[Query]) -> Lists:
        """Phase one of a teacher without vectors: the labels it took into view, with shares by its scores."""
        labels, scores = self.teacher.screen([query.text for query in queries], LIST_LENGTH, self.progress)
        finite = np.where(np.isfinite(scores), scores, -1e9)
        shares = np.exp(finite - finite.max(1, keepdims=True)) * (labels >= 0)
        return Lists(labels, (shares / np.maximum(shares.sum(1, keepdims=True), 1e-9)).astype(np.float32))


def _shorten(vectors: Tensor, directions: Tensor) -> Tensor:
    """Unit vectors [n,d] in fp16 of [n,w] along d directions, in parts."""
    parts = [vectors[start : start + 65_536] for start in range(0, len(vectors), 65_536)]
    return torch.cat([unit(part.float() @ directions.T).half() for part in parts])
