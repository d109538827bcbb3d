"""Phase one of teachers that encode: exact search over the vectors of the rows of their labels.

A label's score is the best of its rows, as on the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import Progress, no_progress
from edgexl.data.label_set import LabelSet
from edgexl.distill.stages.search import SEARCH_BATCH, RowSearch
from edgexl.distill.teachers.vectors import Encoder, TextVectors
from edgexl.index.rows import Rows


class EncoderPhase:
    """Phase one of a `Teacher` (see `protocol`) by an encoder: cosines to the rows of `labels`, on `device`."""

    def __init__(self, encoder: Encoder, labels: LabelSet, device: torch.device) -> None:
        self.labels = labels
        self.device = device
        self._encoder = encoder
        self._vectors = TextVectors(encoder)
        self._search: RowSearch | None = None

    def vectors(self, texts: Sequence[str], progress: Progress = no_progress) -> Tensor | None:
        """The encoder's vectors [n,w] in fp16."""
        return self._vectors(texts, progress)

    def screen(self, texts: Sequence[str], depth: int, progress: Progress = no_progress) -> tuple[Ints, Floats]:
        """Exact search over the rows of all labels; scores are cosines."""
        queries, search = self._queries(texts, progress), self.search(progress)
        labels, scores = np.empty((len(texts), depth), np.int64), np.empty((len(texts), depth), np.float32)
        for start in range(0, len(texts), SEARCH_BATCH):
            part = slice(start, start + SEARCH_BATCH)
            found = search.score_labels(queries[part].to(self.device), min(depth, len(self.labels)))
            labels[part] = found.best(depth)
            scores[part] = found.look_up(labels[part]).max(-1)
            progress("search the labels", min(start + SEARCH_BATCH, len(texts)), len(texts))
        return labels, scores

    def score(self, texts: Sequence[str], candidates: Ints) -> Tensor:
        """The best cosine over each candidate's rows."""
        return self.search().all_scores(self._queries(texts).to(self.device), candidates).amax(-1)

    def _queries(self, texts: Sequence[str], progress: Progress = no_progress) -> Tensor:
        return self._vectors(texts, progress).to(torch.float32)

    def search(self, progress: Progress = no_progress) -> RowSearch:
        """Search over the rows' vectors, which are encoded at the first call."""
        if self._search is None:
            vectors = self._vectors(self._rows.texts(self.labels), progress)
            self._search = RowSearch(self._rows, vectors.to(self.device))
        return self._search

    @cached_property
    def _rows(self) -> Rows:
        return Rows.of(self.labels, self._encoder.tokenizer, self._encoder.max_tokens, aliases=True)
