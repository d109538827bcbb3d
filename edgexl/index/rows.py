"""The rows of the label index: label texts first, then the aliases that say something new.

Label sets come with up to millions of aliases (training queries, synonyms), so everything here works on flat arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import Tokenizer

from edgexl.base.arrays import Bools, Floats, Ints
from edgexl.base.ragged import Ragged
from edgexl.data.label_set import LabelSet
from edgexl.index.row_cache import RowCache
from edgexl.student.text import encode_texts

# Texts tokenised, or vectors compared, at once: what is made of them beside the result stays under 100 MB.
CHUNK = 32_768
# Raise it when `Rows.of` makes other rows of the same labels: remembered ones are then no longer taken.
_FORM = 2


@dataclass(frozen=True)
class Rows:
    """Token ids of each row, [CLS] and [SEP] included: rows 0 to `labels` - 1 are the labels' own texts, the rest
    aliases.

    List i of `alias_labels` are the labels of row `labels` + i, ascending, and `aliases` [i] is its text's place among
    all aliases of the label set, label by label; of texts with the same tokens the first is taken.
    """

    labels: int
    tokens: Ragged
    alias_labels: Ragged
    aliases: Ints

    def __len__(self) -> int:
        return len(self.tokens)

    @classmethod
    def of(cls, labels: LabelSet, tokenizer: Tokenizer | None, max_tokens: int, aliases: bool) -> Rows:
        """Rows of a label set, remembered on disk. An alias with the tokens of its label's own text is left out, one
        with the same tokens for several labels is one row of them all. Without a tokenizer (a teacher's is its own
        affair) a text's bytes stand for its tokens."""
        kind = tokenizer.to_str() if tokenizer else ""
        about = [_FORM, tokenizers.__version__, labels.sha256(), kind, max_tokens, aliases]
        cache, key = RowCache.of_user(), hashlib.sha256(json.dumps(about).encode()).hexdigest()
        if known := cache.get(key, 5):
            return cls(len(labels), Ragged(*known[:2]), Ragged(*known[2:4]), known[4])
        rows = cls._merge(labels, tokenizer, max_tokens, aliases)
        cache.put(
            key, rows.tokens.values, rows.tokens.starts, rows.alias_labels.values, rows.alias_labels.starts,
            rows.aliases,
        )  # fmt: skip
        return rows

    @classmethod
    def _merge(cls, labels: LabelSet, tokenizer: Tokenizer | None, max_tokens: int, aliases: bool) -> Rows:
        count = len(labels)
        own = _tokens(tokenizer, labels.texts, max_tokens)
        if not aliases or not any(labels.aliases):
            return cls(count, own, Ragged.of((), np.uint32), np.zeros(0, np.int64))
        # one number for each different text, then one for each different list of tokens, the labels' own ones first
        known: dict[str, int] = {}
        text = np.array([known.setdefault(alias, len(known)) for texts in labels.aliases for alias in texts], np.int64)
        label = np.repeat(np.arange(count), [len(texts) for texts in labels.aliases])
        encoded = _tokens(tokenizer, list(known), max_tokens)
        kinds: dict[bytes, int] = {}
        own_kind = np.array([kinds.setdefault(ids.tobytes(), len(kinds)) for ids in own])
        kind = np.array([kinds.setdefault(ids.tobytes(), len(kinds)) for ids in encoded])[text]
        new = kind != own_kind[label]
        kind, label, text, place = kind[new], label[new], text[new], np.flatnonzero(new)
        # rows in the order in which they first come up
        _, first, row = np.unique(kind, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first, kind="stable")] = np.arange(len(first))
        pairs = np.unique(rank[row] * count + label)
        starts = np.searchsorted(pairs // count, np.arange(len(first) + 1)).astype(np.int64)
        first = np.sort(first)
        tokens = Ragged.joined([own, encoded.take(text[first])])
        return cls(count, tokens, Ragged((pairs % count).astype(np.uint32), starts), place[first])

    def texts(self, labels: LabelSet) -> list[str]:
        """The text of each row; `labels` is the set that these rows are of."""
        every = [alias for aliases in labels.aliases for alias in aliases]
        return [*labels.texts, *(every[place] for place in self.aliases)]

    @property
    def of_rows(self) -> Ragged:
        """The labels (int64) of each row."""
        own = Ragged(np.arange(self.labels), np.arange(self.labels + 1))
        return Ragged.joined([own, Ragged(self.alias_labels.values.astype(np.int64), self.alias_labels.starts)])

    def label_pieces(self, count: int) -> npt.NDArray[np.int64]:
        """[labels, count] word pieces of the label texts without special tokens, padded with 0: `label_tokens`."""
        place = self.tokens.starts[: self.labels, None] + 1 + np.arange(count)
        inner = place < self.tokens.starts[1 : self.labels + 1, None] - 1
        return np.where(inner, self.tokens.values[np.where(inner, place, 0)], 0).astype(np.int64)

    def repetitions(self, vectors: Floats, cosine: float) -> Repetitions:
        """Which aliases say nothing new, by the rows' `vectors` [rows, D]; near are those of this `cosine` or more."""
        near_text = _near_own_text(self, vectors, cosine)
        near_alias = _near_other_alias(self, vectors, cosine, ~near_text)
        return Repetitions(near_text, near_alias)

    def without(self, repeated: Bools) -> tuple[Rows, Ints]:
        """The rows without the aliases that are `repeated` [aliases], and the places of those that stay."""
        kept = np.flatnonzero(~repeated)
        places = np.concatenate([np.arange(self.labels), self.labels + kept])
        aliases = self.alias_labels.take(kept), self.aliases[kept]
        return Rows(self.labels, self.tokens.take(places), *aliases), places


@dataclass(frozen=True)
class Repetitions:
    """For each alias row, whether its vector is nearly that of the own text of every label that it stands for, and
    whether it is nearly that of another alias, which stays, of the very same labels."""

    near_text: Bools
    near_alias: Bools

    @property
    def either(self) -> Bools:
        return self.near_text | self.near_alias


def _tokens(tokenizer: Tokenizer | None, texts: Sequence[str], max_tokens: int) -> Ragged:
    def encode(part: Sequence[str]) -> list[list[int]]:
        return encode_texts(tokenizer, part, max_tokens) if tokenizer else [list(text.encode()) for text in part]

    parts = [Ragged.of(encode(texts[begin : begin + CHUNK]), np.int32) for begin in range(0, len(texts), CHUNK)]
    return Ragged.joined(parts or [Ragged.of((), np.int32)])


def _near_own_text(rows: Rows, vectors: Floats, cosine: float) -> Bools:
    least = np.full(len(rows.alias_labels), np.inf, np.float32)
    alias, label = rows.alias_labels.owners, rows.alias_labels.values
    for begin in range(0, len(alias), CHUNK):
        of, to = alias[begin : begin + CHUNK], label[begin : begin + CHUNK]
        np.minimum.at(least, of, np.einsum("rd,rd->r", vectors[rows.labels + of], vectors[to]))
    return least >= cosine


def _near_other_alias(rows: Rows, vectors: Floats, cosine: float, candidates: Bools) -> Bools:
    """Greedy in row order: an alias goes when one of the same labels that stays is near."""
    repeated = np.zeros(len(candidates), np.bool_)
    groups: dict[bytes, list[int]] = {}
    for alias in np.flatnonzero(candidates).tolist():
        groups.setdefault(rows.alias_labels[alias].tobytes(), []).append(alias)
    for members in groups.values():
        if len(members) > 1:
            places = np.array(members)
            repeated[places] = _repeats(vectors[rows.labels + places], cosine)
    return repeated


def _repeats(vectors: Floats, cosine: float) -> Bools:
    """Which vectors are near an earlier one that is not itself near an earlier one."""
    repeated = np.zeros(len(vectors), np.bool_)
    for begin in range(0, len(vectors), 256):
        block = vectors[begin : begin + 256]
        kept = np.flatnonzero(~repeated[:begin])
        for start in range(0, len(kept), CHUNK):
            near = block @ vectors[kept[start : start + CHUNK]].T >= cosine
            repeated[begin : begin + len(block)] |= near.any(axis=1)
        near = block @ block.T >= cosine
        for place in range(1, len(block)):
            earlier = near[place, :place] & ~repeated[begin : begin + place]
            repeated[begin + place] |= bool(earlier.any())
    return repeated
