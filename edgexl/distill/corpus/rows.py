"""The rows of a student's index (`edgexl.index.rows`) in training, on its device, with their texts for teachers.

Training queries may serve as aliases; a query that is a row itself is never shown that row, neither as its answer nor
in its shortlist: on the device no query is its own alias.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgexl.base.arrays import Ints
from edgexl.base.ragged import Ragged
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.index.rows import CHUNK, Descriptions, Rows
from edgexl.student.text import encode_texts
from edgexl.student.tokens import TokenTable


@dataclass(frozen=True)
class RowTable:
    """`rows`, with the `texts` that their vectors are made of and the `tokens` of these on the training device; without
    descriptions that is a text a row."""

    rows: Rows
    texts: list[str]
    tokens: TokenTable
    tokenizer: Tokenizer
    max_tokens: int

    @classmethod
    def make(
        cls, labels: LabelSet, tokenizer: Tokenizer, max_tokens: int, device: torch.device, aliases: bool = True,
        descriptions: Descriptions = "none",
    ) -> RowTable:  # fmt: skip
        """The rows of a label set and, if wanted, of its aliases and descriptions."""
        rows = Rows.of(labels, tokenizer, max_tokens, aliases, descriptions)
        texts = rows.texts(labels, tokenizer, max_tokens)
        return cls(rows, texts, TokenTable.of(rows.tokens, device), tokenizer, max_tokens)

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

    def sample(self, texts: Ints) -> TokenTable:
        """The tokens of some texts, or of some rows where each has a text of its own."""
        return TokenTable.of(self.rows.tokens.take(texts), self.tokens.flat.device)

    def parts(self, rows: Ints) -> Parts:
        """What the vectors of some rows are made of."""
        own = self.rows.texts_of[rows]
        is_joined = rows >= len(self) - self.rows.descriptions
        if not self.rows.joined or not is_joined.any():
            return Parts(own)
        of = self.rows.alias_labels
        label = np.where(is_joined, of.values[of.starts[np.maximum(rows - self.labels, 0)]].astype(np.int64), own)
        texts, places = np.unique(np.concatenate([own, label]), return_inverse=True)
        return Parts(texts, places.reshape(2, -1))

    def join(self, encoded: Tensor) -> Tensor:
        """The vectors [rows,d] of all rows, of unit length where they are joined, given those of all texts."""
        found = torch.empty(len(self), encoded.shape[1], dtype=encoded.dtype, device=encoded.device)
        for begin in range(0, len(self), CHUNK):
            parts = self.parts(np.arange(begin, min(begin + CHUNK, len(self))))
            found[begin : begin + CHUNK] = parts.join(encoded[torch.from_numpy(parts.texts).to(encoded.device)])
        return found

    def texts_of_queries(self, queries: Sequence[Query]) -> Ints:
        """The text of an alias or a description that is each query's own, token for token; -1 where there is none."""
        if len(self) == self.labels:
            return np.full(len(queries), -1, np.int64)
        tokens = encode_texts(self.tokenizer, [query.text for query in queries], self.max_tokens)
        return np.array([self._place.get(np.array(ids, np.int32).tobytes(), -1) for ids in tokens], np.int64)

    def rows_of_queries(self, queries: Sequence[Query]) -> Ints:
        """The alias row that is each query's own text, token for token; -1 where there is none."""
        assert not self.rows.descriptions
        return self.texts_of_queries(queries)

    @cached_property
    def _place(self) -> dict[bytes, int]:
        return {self.rows.tokens[text].tobytes(): text for text in range(self.labels, len(self.texts))}


@dataclass(frozen=True)
class Parts:
    """Of some rows the `texts` whose vectors theirs are made of. `places` [2,n] among these: each row's own text and,
    where the row is joined, its label's, else again its own; None where the texts are the rows' own, one by one."""

    texts: Ints
    places: Ints | None = None

    def join(self, encoded: Tensor) -> Tensor:
        """The rows' vectors [n,d] of those of the texts, of unit length each."""
        if self.places is None:
            return encoded
        own, label = (encoded[torch.from_numpy(places).to(encoded.device)] for places in self.places)
        return torch.nn.functional.normalize(own.float() + label.float(), dim=-1).to(encoded.dtype)


def with_query_aliases(labels: LabelSet, queries: Sequence[Query]) -> LabelSet:
    """The label set with the text of every query as an alias of its gold labels; where queries of one text differ, of
    those that it was meant for most often, or more than half as often."""
    meant: dict[str, Counter[int]] = {}
    for query in queries:
        meant.setdefault(query.text, Counter()).update(query.targets)
    aliases: list[dict[str, None]] = [dict.fromkeys(texts) for texts in labels.aliases]
    for text, counts in meant.items():
        most = max(counts.values(), default=0)
        for target, count in counts.items():
            if text != labels.texts[target] and 2 * count > most:
                aliases[target][text] = None
    return replace(labels, aliases=tuple(tuple(texts) for texts in aliases))


def without_descriptions(labels: LabelSet, queries: Sequence[Query]) -> LabelSet:
    """The label set without those descriptions that are the text of a query: nothing can be measured on such a one."""
    asked = {query.text for query in queries}
    kept = tuple(tuple(text for text in texts if text not in asked) for texts in labels.descriptions)
    return replace(labels, descriptions=kept)
