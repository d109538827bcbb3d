"""The rows of a student's index (`edgexl.index.rows`) in training, on its device, with their texts for teachers.

Training queries may serve as aliases; a query that is a row itself is never shown that row, neither as its answer nor
in its shortlist: on the device no query is its own alias.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from tokenizers import Tokenizer

from edgexl.base.arrays import Ints
from edgexl.base.ragged import Ragged
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.index.rows import Rows
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable


@dataclass(frozen=True)
class RowTable:
    """`rows` with a text each, and their `tokens` on the training device."""

    rows: Rows
    texts: list[str]
    tokens: TokenTable
    tokenizer: Tokenizer
    max_tokens: int

    @classmethod
    def make(
        cls, labels: LabelSet, tokenizer: Tokenizer, max_tokens: int, device: torch.device, aliases: bool = True
    ) -> RowTable:
        """The rows of a label set and, if wanted, of its aliases."""
        rows = Rows.of(labels, tokenizer, max_tokens, aliases)
        return cls(rows, rows.texts(labels), TokenTable.of(rows.tokens, device), tokenizer, max_tokens)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def labels(self) -> int:
        """How many of the rows are labels' own texts."""
        return self.rows.labels

    @cached_property
    def of(self) -> Ragged:
        """The labels of each row."""
        return self.rows.of_rows

    def sample(self, rows: Ints) -> TokenTable:
        """The tokens of some rows."""
        return TokenTable.of(self.rows.tokens.take(rows), self.tokens.flat.device)

    def rows_of_queries(self, queries: Sequence[Query]) -> Ints:
        """The alias row that is each query's own text, token for token; -1 where there is none."""
        if len(self) == self.labels:
            return np.full(len(queries), -1, np.int64)
        tokens = encode_texts(self.tokenizer, [query.text for query in queries], self.max_tokens)
        return np.array([self._place.get(np.array(ids, np.int32).tobytes(), -1) for ids in tokens], np.int64)

    @cached_property
    def _place(self) -> dict[bytes, int]:
        return {self.rows.tokens[row].tobytes(): row for row in range(self.labels, len(self))}


def with_query_aliases(labels: LabelSet, queries: Sequence[Query]) -> LabelSet:
    """The label set with the text of every query as an alias of each of its gold labels."""
    aliases: list[dict[str, None]] = [dict.fromkeys(texts) for texts in labels.aliases]
    for query in queries:
        for target in query.targets:
            if query.text != labels.texts[target]:
                aliases[target][query.text] = None
    return replace(labels, aliases=tuple(tuple(texts) for texts in aliases))


def without_descriptions(labels: LabelSet, queries: Sequence[Query]) -> LabelSet:
    """The label set without those descriptions that are the text of a query: nothing can be measured on such a one."""
    asked = {query.text for query in queries}
    kept = tuple(tuple(text for text in texts if text not in asked) for texts in labels.descriptions)
    return replace(labels, descriptions=kept)
