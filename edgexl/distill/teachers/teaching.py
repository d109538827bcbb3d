"""What a teacher is queried for during a distillation: vectors of texts, lists of labels, decisions over shortlists.

A query that serves as an alias must not answer for itself, in the teacher's search no more than in the student's.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from edgexl.base.arrays import Ints
from edgexl.base.fetch import cache_directory
from edgexl.base.progress import Progress
from edgexl.data import Query
from edgexl.distill.corpus.rows import RowTable
from edgexl.distill.stages.screening import Lists, unit
from edgexl.distill.stages.search import Found, RowSearch
from edgexl.distill.stages.training import load_tensors, save_tensors
from edgexl.distill.teachers import Teacher, TwoStageTeacher
from edgexl.distill.teachers.vectors import leading_directions

# Labels that a list keeps of a teacher's final distribution; what lies beyond is a few thousandths.
LIST_LENGTH = 32
# Labels that the teacher decides over for it.
SHORTLIST = 64
DECIDE_BATCH = 1024
# Queries that a two-stage teacher reasons over at once.
REASON_BATCH = 128


@dataclass(frozen=True)
class Vectors:
    """The teacher's unit vectors in fp16, shortened to the student's width: of queries [n,d] and of rows [rows,d]."""

    queries: Tensor
    rows: Tensor


class Lessons:
    """A teacher queried about a corpus; `rows` are those of the student's index."""

    def __init__(self, teacher: Teacher, rows: RowTable, device: torch.device, progress: Progress) -> None:
        self.teacher, self.rows, self.device, self.progress = teacher, rows, device, progress
        self._row_vectors: Tensor | None = None
        self._rows_found: RowSearch | None = None

    def forget(self) -> None:
        """Let go of the teacher's row vectors and the search over them; they are made again when they are wanted."""
        self._row_vectors = self._rows_found = None

    def row_vectors(self) -> Tensor | None:
        """The teacher's own vectors [rows,w] of all rows, None where it has none."""
        if self._row_vectors is None:
            found = self.teacher.vectors(self.rows.texts, self.progress)
            self._row_vectors = None if found is None else found.to(self.device)
        return self._row_vectors

    def shorten(self, queries: Sequence[Query], dims: int, table: RowTable) -> Vectors | None:
        """The teacher's vectors by their `dims` leading principal directions, None where it has none; of the rows of a
        `table`, which begins with the same labels."""
        texts = self.row_vectors() if table is self.rows else self.teacher.vectors(table.texts, self.progress)
        if texts is None:
            return None
        query_vectors = self.teacher.vectors([query.text for query in queries], self.progress)
        assert query_vectors is not None
        if texts.shape[1] <= dims:
            pad = (0, dims - texts.shape[1])
            asked, told = (torch.nn.functional.pad(part.to(self.device), pad) for part in (query_vectors, texts))
        else:
            few = texts[: table.labels : max(1, table.labels // 50_000)]
            directions = leading_directions(few.to(self.device), dims)
            asked, told = (_shorten(part.to(self.device), directions) for part in (query_vectors, texts))
        return Vectors(asked, table.join(told) if table.rows.joined else told)

    def decide(self, queries: Sequence[Query], shortlists: Ints) -> Tensor:
        """The teacher's logits [n,N] over shortlists, on the CPU."""
        return self._decide(queries, Found(torch.from_numpy(shortlists), None))

    def _decide(self, queries: Sequence[Query], lists: Found) -> Tensor:
        """`decide`, over lists whose alias scores may be known already."""
        texts = [query.text for query in queries]
        size = REASON_BATCH if self._has_aliases else DECIDE_BATCH
        logits = []
        for start in range(0, len(texts), size):
            part = slice(start, start + size)
            if not self._has_aliases:
                logits.append(self.teacher.decide(texts[part], lists.labels[part].numpy().astype(np.int64)))
            elif lists.aliases is None:
                banned = self.rows.rows_of_queries(queries[part])
                logits.append(self._reason(texts[part], lists.labels[part], banned=banned))
            else:
                logits.append(self._reason(texts[part], lists.labels[part], lists.aliases[part].to(self.device)))
            self.progress("query the teacher", min(start + size, len(texts)), len(texts))
        return torch.cat(logits)

    @cached_property
    def _has_aliases(self) -> bool:
        """Whether the teacher's reasoner hears of aliases: then no query's own may be among them."""
        return isinstance(self.teacher, TwoStageTeacher) and len(self.rows) > self.rows.labels

    @property
    def _search(self) -> RowSearch:
        if self._rows_found is None:
            rows = self.row_vectors()
            assert rows is not None
            self._rows_found = RowSearch(self.rows.rows, rows, rough=True)
        return self._rows_found

    def _find(self, queries: Sequence[Query], depth: int) -> Found:
        """The teacher's own shortlists, with the scores of aliases as far as it has vectors."""
        texts = [query.text for query in queries]
        if self.row_vectors() is None:
            labels = self.teacher.screen(texts, depth, self.progress)[0]
            known = np.maximum.accumulate(np.where(labels >= 0, np.arange(depth), 0), axis=1)
            repeated = np.maximum(np.take_along_axis(labels, known, 1), 0)
            return Found(torch.from_numpy(repeated).to(torch.int32), None)
        query_vectors = self.teacher.vectors(texts, self.progress)
        assert query_vectors is not None
        banned = self.rows.rows_of_queries(queries)
        return self._search.shortlists(
            query_vectors.to(self.device).float(), depth, banned, self.progress, "the teacher's lists"
        )

    def _reason(
        self, texts: Sequence[str], labels: Tensor, alias: Tensor | None = None, banned: Ints | None = None
    ) -> Tensor:
        """Logits [B,N] of a two-stage teacher over labels [B,N], on the CPU, given the best alias scores [B,N] or the
        rows that no score may come from."""
        assert isinstance(self.teacher, TwoStageTeacher)
        encoded = self.teacher.read(texts)
        labels = labels.to(self.device, torch.int64)
        label_vectors = self._search.vectors[labels].float()
        if alias is None:
            assert banned is not None
            own, alias = self._search.near_scores(encoded.query_vector, labels, banned)
        else:
            own = torch.einsum("nd,nkd->nk", encoded.query_vector, label_vectors)
        return self.teacher.reason(encoded, labels, label_vectors, torch.stack([own, alias.float()], -1))

    def answers(self, queries: Sequence[Query], depth: int) -> tuple[Tensor, Tensor]:
        """The teacher's own shortlists [n,depth] int32 and its logits over them in fp16, remembered between runs:
        many students imitate the same answers, and querying takes longer than training the smallest of them."""
        digest = hashlib.sha256(json.dumps([self.teacher.identity, depth]).encode())
        for text in (*self.rows.texts, "", *(query.text for query in queries)):
            digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
        about = {"answers": digest.hexdigest()}
        path = cache_directory() / "teacher" / f"{about['answers'][:32]}.safetensors"
        kept = load_tensors(path, about)
        if kept is None:
            found = self._find(queries, depth)
            logits = self._decide(queries, found)
            kept = {"labels": found.labels.contiguous(), "logits": logits.to(torch.float16)}
            save_tensors(path, kept, about)
        return kept["labels"], kept["logits"]

    def final_lists(self, queries: Sequence[Query]) -> Lists:
        """The head of the teacher's final distribution for each query: all that standard distillation hears of it."""
        labels, logits = self.answers(queries, SHORTLIST)
        shares = logits.float().softmax(-1)
        best = shares.topk(min(LIST_LENGTH, shares.shape[1]), dim=1)
        return Lists(np.take_along_axis(labels.numpy().astype(np.int64), best.indices.numpy(), 1), best.values.numpy())

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
