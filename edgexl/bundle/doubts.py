"""What a best label is doubted by, beside its logit: text that no label has, and text that is the label's name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgexl.base.arrays import Bools, Ints


@dataclass(frozen=True)
class Doubts:
    """`known` [vocabulary]: whether a label's text has the token. A text of which fewer than the share `least_known` is
    known (0: never) fits no label; one that scores `same_text` or more by a label's own text or alias (0: never) is its
    name. `around`: how many special tokens stand before a text and behind it."""

    known: bytes = b""
    least_known: float = 0.0
    same_text: float = 0.0
    around: tuple[int, int] = (1, 1)

    @classmethod
    def of(cls, known: Bools, least_known: float, same_text: float, around: tuple[int, int] = (1, 1)) -> Doubts:
        """With numbers as a bundle holds them; without `known` where it is not asked."""
        least, same = float(np.float32(least_known)), float(np.float32(same_text))
        return cls(np.packbits(known, bitorder="little").tobytes() if least else b"", least, same, around)

    def is_strange(self, tokens: Sequence[int]) -> bool:
        """Whether so few of a text's token ids, special ones around it left out, are known."""
        inner = _inner(tokens, self.around)
        if not self.least_known or not len(inner):
            return False
        bits = np.frombuffer(self.known, np.uint8)
        count = int((bits[inner >> 3] >> (inner & 7) & 1).sum())
        return bool(np.float32(count) < np.float32(self.least_known) * np.float32(len(inner)))

    def none_fits(self, tokens: Sequence[int], scores: Iterable[float], logit: float, presence: float) -> bool:
        """What the runtime says of a best label with these scores (of its own text, of its best alias) and logit."""
        if self.same_text and max(scores) >= np.float32(self.same_text):
            return False
        return self.is_strange(tokens) or logit < presence


NO_DOUBTS = Doubts()


def mark_tokens(tokens: Ints, vocabulary: int) -> Bools:
    """[vocabulary]: which token ids there are."""
    known = np.zeros(vocabulary, np.bool_)
    known[tokens] = True
    return known


def share_known(known: Bools, tokens: Sequence[int], around: tuple[int, int] = (1, 1)) -> float:
    """The share of a text's token ids, special ones around it left out, that are known; 1 of none."""
    inner = _inner(tokens, around)
    return float(known[inner].mean()) if len(inner) else 1.0


def _inner(tokens: Sequence[int], around: tuple[int, int]) -> Ints:
    return np.asarray(tokens[around[0] : len(tokens) - around[1]], np.int64)
