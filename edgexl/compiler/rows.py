"""The rows of the label index: label texts first, then the aliases that say something new."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from edgexl.student.labels import LabelSet
from edgexl.student.text import encode_texts

# An alias this close (cosine) to its label's own row cannot change the order of a search that rounds to 4 bits.
SAME_COSINE = 0.99


@dataclass(frozen=True)
class Rows:
    """Token ids of each row, [CLS] and [SEP] included: rows 0 to `labels` - 1 are the labels' own texts, the rest
    aliases.

    `alias_labels[i]` are the labels of row `labels + i`, ascending.
    """

    labels: int
    tokens: tuple[tuple[int, ...], ...]
    alias_labels: tuple[tuple[int, ...], ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of(cls, labels: LabelSet, tokenizer: Tokenizer, max_tokens: int, aliases: bool) -> Rows:
        """Rows of a label set. An alias with the tokens of its label's own text is left out, one with the same tokens
        for several labels is one row of them all."""
        own = [tuple(ids) for ids in encode_texts(tokenizer, labels.texts, max_tokens)]
        if not aliases or not any(labels.aliases):
            return cls(len(labels), tuple(own))
        pairs = [(label, alias) for label, texts in enumerate(labels.aliases) for alias in texts]
        found: dict[tuple[int, ...], dict[int, None]] = {}
        encoded = encode_texts(tokenizer, [alias for _, alias in pairs], max_tokens)
        for (label, _), ids in zip(pairs, encoded, strict=True):
            if tuple(ids) != own[label]:
                found.setdefault(tuple(ids), {})[label] = None
        return cls(len(labels), (*own, *found), tuple(tuple(sorted(of)) for of in found.values()))

    def label_pieces(self, count: int) -> npt.NDArray[np.int64]:
        """[labels, count] word pieces of the label texts without special tokens, padded with 0: `label_tokens`."""
        pieces = np.zeros((self.labels, count), np.int64)
        for row, ids in zip(pieces, self.tokens, strict=False):
            inner = ids[1:-1][:count]
            row[: len(inner)] = inner
        return pieces

    def without_repetition(self, vectors: npt.NDArray[np.float32]) -> tuple[Rows, npt.NDArray[np.float32]]:
        """Rows and vectors [rows, D] without the aliases whose vector is nearly their labels' own."""
        kept = [
            row
            for row, labels in enumerate(self.alias_labels, self.labels)
            if float((vectors[list(labels)] @ vectors[row]).min()) < SAME_COSINE
        ]
        order = [*range(self.labels), *kept]
        rows = Rows(
            self.labels,
            tuple(self.tokens[row] for row in order),
            tuple(self.alias_labels[row - self.labels] for row in kept),
        )
        return rows, vectors[order] if kept or self.alias_labels else vectors
