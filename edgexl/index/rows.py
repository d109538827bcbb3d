"""The rows of the label index: label texts first, then the aliases and descriptions that say something new.

A description says what a label means without naming it, so the vector of its row is joined: that of the label's text
and that of the description together.

Label sets come with up to millions of aliases (training queries, synonyms), so everything here works on flat arrays.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import tokenizers
from tokenizers import Tokenizer

from edgexl.base.arrays import Bools, Floats, Ints
from edgexl.base.ragged import Ragged
from edgexl.bundle.parameters import LARGEST_SIZES
from edgexl.data.label_set import LabelSet
from edgexl.index.passages import cut_passages
from edgexl.index.row_cache import RowCache
from edgexl.student.text import count_around, encode_pieces, encode_texts, tokens_around

# Texts tokenised, or vectors compared, at once: what is made of them beside the result stays under 100 MB.
CHUNK = 32_768
# Of a label text's own tokens so many are kept, as a student's label_tokens may be.
MOST_LABEL_TOKENS = LARGEST_SIZES["label_tokens"]
# Raise it when `Rows.of` makes other rows of the same labels: remembered ones are then no longer taken.
_FORM = 4

# What becomes of descriptions: "joined" with their label's text, "rows" as they are, like aliases, or "none" of them.
Descriptions = Literal["joined", "rows", "none"]


@dataclass(frozen=True)
class Rows:
    """Rows 0 to `labels` - 1 are the labels' own texts, the next ones aliases, and the last `descriptions` ones
    passages of descriptions.

    `tokens` are the token ids of texts, [CLS] and [SEP] included, and `texts_of` [rows] is each row's text among them.
    List i of `alias_labels` are the labels of row `labels` + i, ascending. `aliases` [i] is the place of the text of
    alias row i among all aliases of the label set, label by label, and `passages` [i] that of description row i among
    all passages; of texts with the same tokens the first is taken. `joined`: a description row is one label's, and its
    vector is joined with that of the label's text.
    """

    labels: int
    tokens: Ragged
    texts_of: Ints
    alias_labels: Ragged
    aliases: Ints
    passages: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    joined: bool = False
    around: tuple[int, int] = (1, 1)
    prompt: str = ""
    pieces: Ragged | None = None

    def __len__(self) -> int:
        return len(self.texts_of)

    @property
    def descriptions(self) -> int:
        """How many of the rows, the last ones, are passages of descriptions."""
        return len(self.passages)

    @classmethod
    def of(
        cls,
        labels: LabelSet,
        tokenizer: Tokenizer | None,
        max_tokens: int,
        aliases: bool,
        descriptions: Descriptions = "none",
        prompt: str = "",
    ) -> Rows:
        """Rows of a label set, read behind a prompt, remembered on disk. An alias with the tokens of its label's own
        text is left out, one with the same tokens for several labels is one row of them all; so are descriptions, where
        they are not joined. Without a tokenizer (a teacher's is its own affair) a text's bytes stand for its tokens."""
        if not any(labels.descriptions):
            descriptions = "none"
        kind = tokenizer.to_str() if tokenizer else ""
        about = [_FORM, tokenizers.__version__, labels.sha256(), kind, max_tokens, aliases, descriptions]
        about += [prompt] if prompt else []
        cache, key = RowCache.of_user(), hashlib.sha256(json.dumps(about).encode()).hexdigest()
        joined = descriptions == "joined"
        if known := cache.get(key, 7):
            tokens, alias_labels = Ragged(*known[:2]), Ragged(*known[3:5])
            around = _around(tokenizer)
            rows = cls(len(labels), tokens, known[2], alias_labels, known[5], known[6], joined, around, prompt)
            return rows._with_pieces(labels, tokenizer)
        rows = cls._merge(labels, tokenizer, max_tokens, aliases, descriptions, prompt)
        cache.put(
            key, rows.tokens.values, rows.tokens.starts, rows.texts_of, rows.alias_labels.values,
            rows.alias_labels.starts, rows.aliases, rows.passages,
        )  # fmt: skip
        return rows._with_pieces(labels, tokenizer)

    def _with_pieces(self, labels: LabelSet, tokenizer: Tokenizer | None) -> Rows:
        """The rows with the label texts' own tokens, where those of the rows begin with a prompt's."""
        if not self.prompt or tokenizer is None:
            return self
        parts = [
            Ragged.of(encode_pieces(tokenizer, labels.texts[begin : begin + CHUNK], MOST_LABEL_TOKENS), np.int32)
            for begin in range(0, len(labels), CHUNK)
        ]
        return replace(self, pieces=Ragged.joined(parts or [Ragged.of((), np.int32)]))

    @classmethod
    def _merge(
        cls,
        labels: LabelSet,
        tokenizer: Tokenizer | None,
        max_tokens: int,
        aliases: bool,
        descriptions: Descriptions,
        prompt: str,
    ) -> Rows:
        own = _tokens(tokenizer, labels.texts, max_tokens, prompt)
        named = _Merged.of(own, labels.aliases if aliases else (), tokenizer, max_tokens, prompt)
        passages = () if descriptions == "none" else _passages(labels.descriptions, tokenizer, max_tokens, prompt)
        described = _Merged.of(own, passages, tokenizer, max_tokens, prompt)
        first = len(own) + len(named.tokens)
        text, of, places = np.arange(first, first + len(described.tokens)), described.labels, described.places
        if descriptions == "joined":  # a row for each pair of a passage and a label
            order = np.argsort(of.values, kind="stable")
            text, places = text[of.owners[order]], places[of.owners[order]]
            of = Ragged(of.values[order], np.arange(len(order) + 1))
        return cls(
            labels=len(labels),
            tokens=Ragged.joined([own, named.tokens, described.tokens]),
            texts_of=np.concatenate([np.arange(first), text]),
            alias_labels=Ragged.joined([named.labels, of]),
            aliases=named.places,
            passages=places,
            joined=descriptions == "joined",
            around=_around(tokenizer),
            prompt=prompt,
        )

    def texts(self, labels: LabelSet, tokenizer: Tokenizer | None = None, max_tokens: int = 0) -> list[str]:
        """The texts that `tokens` are of, for rows that `of` made of these arguments, or some of them; without
        descriptions those of the rows, one by one, and then `labels` are enough."""
        every = [alias for aliases in labels.aliases for alias in aliases]
        found = [*labels.texts, *(every[place] for place in self.aliases)]
        if self.descriptions:
            every = [
                passage for of in _passages(labels.descriptions, tokenizer, max_tokens, self.prompt) for passage in of
            ]
            places = np.empty(len(self.tokens) - len(found), np.int64)
            places[self.texts_of[-self.descriptions :] - len(found)] = self.passages
            found += [every[place] for place in places]
        assert len(found) == len(self.tokens)
        return found

    def row_texts(self, labels: LabelSet, tokenizer: Tokenizer | None = None, max_tokens: int = 0) -> list[str]:
        """The text of each row, of its passage for a description row, as `texts` has them."""
        texts = self.texts(labels, tokenizer, max_tokens)
        return [texts[place] for place in self.texts_of.tolist()] if self.descriptions else texts

    def description_places(self, labels: LabelSet, tokenizer: Tokenizer, max_tokens: int) -> Ints:
        """[descriptions]: which of its label's descriptions each description row is a passage of, the first of them;
        for joined rows that `of` made of these arguments."""
        assert self.joined or not self.descriptions
        first = len(self) - self.descriptions
        own = self.alias_labels.values[self.alias_labels.starts[first - self.labels] :].tolist()
        row_of = {
            (label, self.tokens[text].tobytes()): row
            for row, (label, text) in enumerate(zip(own, self.texts_of[first:].tolist(), strict=True))
        }
        found = np.zeros(self.descriptions, np.int64)
        for place in range(max(map(len, labels.descriptions), default=0) - 1, -1, -1):
            some = [label for label, texts in enumerate(labels.descriptions) if len(texts) > place]
            passages = _passages(
                [[labels.descriptions[label][place]] for label in some], tokenizer, max_tokens, self.prompt
            )
            of = [label for label, parts in zip(some, passages, strict=True) for _ in parts]
            tokens = _tokens(tokenizer, [passage for parts in passages for passage in parts], max_tokens, self.prompt)
            for label, ids in zip(of, tokens, strict=True):
                if (row := row_of.get((label, ids.tobytes()))) is not None:  # else it is the label's own text
                    found[row] = place
        return found

    def vectors(self, encoded: Floats) -> Floats:
        """The rows' vectors [rows, D], of unit length, given those of the texts [texts, D] of `tokens`."""
        if not self.joined:
            return encoded
        vectors = encoded[self.texts_of]
        first = len(self) - self.descriptions
        label = self.alias_labels.values[self.alias_labels.starts[first - self.labels] :]
        for begin in range(0, self.descriptions, CHUNK):
            part = vectors[first + begin : first + begin + CHUNK]
            part += encoded[label[begin : begin + CHUNK]]
            lengths = np.linalg.norm(part, axis=1, keepdims=True)
            part /= np.maximum(lengths, np.float32(1e-12))
        return vectors

    @property
    def described(self) -> Bools:
        """[labels]: which have a description among the rows."""
        found = np.zeros(self.labels, np.bool_)
        if not self.descriptions:
            return found
        first = len(self.alias_labels) - self.descriptions
        found[self.alias_labels.values[self.alias_labels.starts[first] :]] = True
        return found

    @property
    def of_rows(self) -> Ragged:
        """The labels (int64) of each row."""
        own = Ragged(np.arange(self.labels), np.arange(self.labels + 1))
        return Ragged.joined([own, Ragged(self.alias_labels.values.astype(np.int64), self.alias_labels.starts)])

    def label_pieces(self, count: int) -> npt.NDArray[np.int64]:
        """[labels, count] word pieces of the label texts without special tokens, padded with 0: `label_tokens`."""
        if self.pieces is not None:
            return _pad_rows(self.pieces, self.labels, 0, 0, count)
        return _pad_rows(self.tokens, self.labels, *self.around, count)

    def repetitions(self, vectors: Floats, cosine: float) -> Repetitions:
        """Which aliases and descriptions say nothing new, by the rows' `vectors` [rows, D]; near are those of this
        `cosine` or more."""
        near_text = _near_own_text(self, vectors, cosine)
        near_alias = _near_other_alias(self, vectors, cosine, ~near_text)
        return Repetitions(near_text, near_alias)

    def without(self, repeated: Bools) -> tuple[Rows, Ints]:
        """The rows without those aliases and descriptions that are `repeated` (of both), and the places of those that
        stay."""
        kept = np.flatnonzero(~repeated)
        return self._take(np.arange(self.labels), kept, self.alias_labels.take(kept))

    def part(self, labels: Ints) -> tuple[Rows, Ints]:
        """The rows of some labels (ascending), which are numbered anew, and the places of those rows."""
        number = np.full(self.labels, -1, np.int64)
        number[labels] = np.arange(len(labels))
        there = number[self.alias_labels.values] >= 0
        counts = np.bincount(self.alias_labels.owners[there], minlength=len(self.alias_labels))
        kept = np.flatnonzero(counts)
        values = number[self.alias_labels.values[there]].astype(np.uint32)
        return self._take(labels, kept, Ragged(values, np.concatenate([[0], np.cumsum(counts[kept])])))

    def _take(self, labels: Ints, kept: Ints, alias_labels: Ragged) -> tuple[Rows, Ints]:
        """The own rows of `labels` and the others at `kept`, with their labels, and the places of all of them."""
        places = np.concatenate([labels, self.labels + kept])
        texts, texts_of = np.unique(self.texts_of[places], return_inverse=True)
        named = len(self.alias_labels) - self.descriptions
        rows = replace(
            self,
            labels=len(labels),
            tokens=self.tokens.take(texts),
            texts_of=texts_of.astype(np.int64),
            alias_labels=alias_labels,
            aliases=self.aliases[kept[kept < named]],
            passages=self.passages[kept[kept >= named] - named],
            pieces=None if self.pieces is None else self.pieces.take(labels),
        )
        return rows, places


@dataclass(frozen=True)
class Repetitions:
    """For each alias row, whether its vector is nearly that of the own text of every label that it stands for, and
    whether it is nearly that of another alias, which stays, of the very same labels."""

    near_text: Bools
    near_alias: Bools

    @property
    def either(self) -> Bools:
        return self.near_text | self.near_alias


@dataclass(frozen=True)
class _Merged:
    """Different texts that some labels have: their `tokens`, the `labels` of each, ascending, and the place at which
    each first stands among all texts, label by label."""

    tokens: Ragged
    labels: Ragged
    places: Ints

    @classmethod
    def of(
        cls, own: Ragged, texts_of: Sequence[Sequence[str]], tokenizer: Tokenizer | None, max_tokens: int, prompt: str
    ) -> _Merged:
        """Of the texts of each label, but for those with the tokens of its `own` text; in the order in which they first
        come up."""
        if not any(texts_of):
            return cls(Ragged.of((), np.int32), Ragged.of((), np.uint32), np.zeros(0, np.int64))
        count = len(own)
        # one number for each different text, then one for each different list of tokens, the labels' own ones first
        known: dict[str, int] = {}
        text = np.array([known.setdefault(one, len(known)) for texts in texts_of for one in texts], np.int64)
        label = np.repeat(np.arange(count), [len(texts) for texts in texts_of])
        encoded = _tokens(tokenizer, list(known), max_tokens, prompt)
        kinds: dict[bytes, int] = {}
        own_kind = np.array([kinds.setdefault(ids.tobytes(), len(kinds)) for ids in own])
        kind = np.array([kinds.setdefault(ids.tobytes(), len(kinds)) for ids in encoded])[text]
        new = kind != own_kind[label]
        kind, label, text, place = kind[new], label[new], text[new], np.flatnonzero(new)
        _, first, row = np.unique(kind, return_index=True, return_inverse=True)
        rank = np.empty(len(first), np.int64)
        rank[np.argsort(first, kind="stable")] = np.arange(len(first))
        pairs = np.unique(rank[row] * count + label)
        starts = np.searchsorted(pairs // count, np.arange(len(first) + 1)).astype(np.int64)
        first = np.sort(first)
        return cls(encoded.take(text[first]), Ragged((pairs % count).astype(np.uint32), starts), place[first])


def _pad_rows(tokens: Ragged, rows: int, before: int, behind: int, count: int) -> npt.NDArray[np.int64]:
    """[rows, count] first token ids without those around them, padded with 0."""
    place = tokens.starts[:rows, None] + before + np.arange(count)
    inner = place < tokens.starts[1 : rows + 1, None] - behind
    if not len(tokens.values):
        return np.zeros((rows, count), np.int64)
    return np.where(inner, tokens.values[np.where(inner, place, 0)], 0).astype(np.int64)


def _around(tokenizer: Tokenizer | None) -> tuple[int, int]:
    """How many special tokens stand before a text and behind it."""
    if tokenizer is None:
        return 1, 1
    before, behind = tokens_around(tokenizer)
    return len(before), len(behind)


def _passages(
    descriptions: Sequence[Sequence[str]], tokenizer: Tokenizer | None, max_tokens: int, prompt: str
) -> list[list[str]]:
    """The passages of each label's descriptions."""
    if tokenizer is None:
        return [list(texts) for texts in descriptions]
    known = list(dict.fromkeys(text for texts in descriptions for text in texts))
    room = max(1, max_tokens - count_around(tokenizer) - len(encode_pieces(tokenizer, [prompt], max_tokens)[0]))
    cut: dict[str, list[str]] = {}
    for begin in range(0, len(known), CHUNK):
        part = known[begin : begin + CHUNK]
        cut |= zip(part, cut_passages(tokenizer, part, room), strict=True)
    return [[passage for text in texts for passage in cut[text]] for texts in descriptions]


def _tokens(tokenizer: Tokenizer | None, texts: Sequence[str], max_tokens: int, prompt: str) -> Ragged:
    def encode(part: Sequence[str]) -> list[list[int]]:
        return (
            encode_texts(tokenizer, part, max_tokens, prompt) if tokenizer else [list(text.encode()) for text in part]
        )

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
