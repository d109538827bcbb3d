"""The rows of a student's index in training: label texts first, then aliases, each with the labels it stands for.

The same text for several labels is one row. Training queries may serve as aliases; a query that is a row itself is
never shown that row, neither as its answer nor in its shortlist: on the device no query is its own alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from tokenizers import Tokenizer

from edgexl.base.arrays import Ints
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.distill.corpus.divide import Targets
from edgexl.distill.stages.compute import TokenTable
from edgexl.student.text import encode_texts


@dataclass(frozen=True)
class RowTable:
    """`texts` of all rows, `labels` of them being label texts; `of` says which labels each row stands for."""

    texts: tuple[str, ...]
    labels: int
    of: Targets
    tokens: TokenTable

    @classmethod
    def make(
        cls, labels: LabelSet, tokenizer: Tokenizer, max_tokens: int, device: torch.device, aliases: bool = True
    ) -> RowTable:
        """Rows of a label set and, if wanted, of its aliases."""
        found: dict[str, dict[int, None]] = {}
        if aliases:
            for label, texts in enumerate(labels.aliases):
                for text in texts:
                    found.setdefault(text, {})[label] = None
        texts = (*labels.texts, *found)
        standing = [np.arange(len(labels))] + [np.array(sorted(of)) for of in found.values()]
        counts = np.array([1] * len(labels) + [len(of) for of in found.values()], np.int64)
        of = Targets(np.concatenate(standing).astype(np.int64), np.concatenate([[0], np.cumsum(counts)]))
        return cls(texts, len(labels), of, TokenTable.of(encode_texts(tokenizer, texts, max_tokens), device))

    def __len__(self) -> int:
        return len(self.texts)

    def rows_of_queries(self, queries: Sequence[Query]) -> Ints:
        """The alias row that is each query's own text; -1 where there is none."""
        return np.array([self._place.get(query.text, -1) for query in queries], np.int64)

    @cached_property
    def _place(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.texts[self.labels :], self.labels)}


def with_query_aliases(labels: LabelSet, queries: Sequence[Query]) -> LabelSet:
    """The label set with the text of every query as an alias of each label that is right for it."""
    aliases: list[dict[str, None]] = [dict.fromkeys(texts) for texts in labels.aliases]
    for query in queries:
        for target in query.targets:
            if query.text != labels.texts[target]:
                aliases[target][query.text] = None
    return LabelSet(labels.ids, labels.texts, tuple(tuple(texts) for texts in aliases))
