"""How people write of labels whose names they half know: which words they leave out, and how they misspell others.

It is learned from past queries, word by word beside the texts of their labels, and then done to the texts of all
labels: so a student learns of labels that nobody asked for yet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from edgexl.data.label_set import LabelSet
from edgexl.data.layout import Query

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# Faults of a misspelt word, in the order of `Damage.faults`.
FAULTS = ("left out", "put in", "taken for another", "exchanged with the next")
# A query names its label where so many of its words are words of it, misspelt or not.
NAMED_SHARE = 0.66
# So many queries settle a share to two points.
_MOST = 3000


@dataclass(frozen=True)
class Damage:
    """What becomes of a label's text: a share of its words is `dropped`, one staying; of the shares `misspelt` 0, 1, 2
    ... of the others are misspelt, by a letter that is left out, put in, taken for another or exchanged with the next,
    as often as `faults` says; the words of a share are `turned` into another order."""

    dropped: float = 0.3
    misspelt: tuple[float, ...] = (0.6, 0.4)
    faults: tuple[float, ...] = (0.25, 0.25, 0.25, 0.25)
    turned: float = 0.0

    def __post_init__(self) -> None:
        if not all(0.0 <= share <= 1.0 for share in (self.dropped, self.turned)):
            raise ValueError("dropped and turned must lie in 0 to 1")
        for name, shares, length in (("misspelt", self.misspelt, None), ("faults", self.faults, len(FAULTS))):
            if not shares or min(shares) < 0 or sum(shares) <= 0 or (length and len(shares) != length):
                raise ValueError(f"{name} must be {length or 'some'} numbers of 0 or more, not all 0")

    def apply(self, text: str, rng: np.random.Generator) -> str:
        """A text as someone writes it."""
        every = text.split()
        if not every:
            return text
        words = [word for word in every if rng.random() >= self.dropped] or [every[int(rng.integers(len(every)))]]
        count = int(rng.choice(len(self.misspelt), p=np.array(self.misspelt) / sum(self.misspelt)))
        for place in rng.permutation(len(words))[:count].tolist():
            words[place] = self._misspell(words[place], rng)
        if len(words) > 1 and rng.random() < self.turned:
            words = [words[place] for place in rng.permutation(len(words)).tolist()]
        return " ".join(word for word in words if word) or text

    def _misspell(self, word: str, rng: np.random.Generator) -> str:
        place, letter = int(rng.integers(len(word))), LETTERS[int(rng.integers(len(LETTERS)))]
        before, here, after = word[:place], word[place], word[place + 1 :]
        fault = int(rng.choice(len(FAULTS), p=np.array(self.faults) / sum(self.faults)))
        return (before + after, before + letter + here + after, before + letter + after,
                before + after[:1] + here + after[1:])[fault]  # fmt: skip


@dataclass(frozen=True)
class Learned:
    """What past queries tell: the share of them that name their label (`named`), and the damage in these."""

    named: float
    damage: Damage


def learn_damage(labels: LabelSet, queries: Sequence[Query]) -> Learned:
    """How `queries` differ from the nearest text of their labels."""
    step = max(1, len(queries) // _MOST)
    found = [_compare(labels, query) for query in queries[::step]]
    naming = [each for each in found if each is not None]
    if not naming:
        return Learned(0.0, Damage())
    words, kept = (sum(getattr(each, name) for each in naming) for name in ("words", "kept"))
    counts = Counter(min(len(each.faults), 3) for each in naming)
    faults = Counter(fault for each in naming for fault in each.faults)
    total = sum(faults.values())
    damage = Damage(
        dropped=round(1 - kept / words, 3),
        misspelt=tuple(round(counts[number] / len(naming), 3) for number in range(max(counts) + 1)),
        faults=tuple(round(faults[kind] / total, 3) for kind in range(len(FAULTS))) if total else Damage.faults,
        turned=round(sum(each.turned for each in naming) / len(naming), 3),
    )
    return Learned(len(naming) / len(found), damage)


@dataclass(frozen=True)
class _Comparison:
    """A label's text beside a query: its words, how many of them were kept, the faults, and whether they are turned."""

    words: int
    kept: int
    faults: tuple[int, ...]
    turned: bool


def _compare(labels: LabelSet, query: Query) -> _Comparison | None:
    """The query beside the text of its labels that it keeps most of; None where it names none of them."""
    asked = query.text.lower().split()
    best: _Comparison | None = None
    for target in query.targets:
        for text in (labels.texts[target], *labels.aliases[target]):
            met = _align(text.lower().split(), asked)
            if len(met) < max(1.0, NAMED_SHARE * len(asked)):
                continue
            places, faults = [place for place, _ in met], tuple(fault for _, fault in met if fault is not None)
            found = _Comparison(len(text.split()), len(met), faults, places != sorted(places))
            if best is None or (found.kept, -len(found.faults)) > (best.kept, -len(best.faults)):
                best = found
    return best


def _align(words: Sequence[str], asked: Sequence[str]) -> list[tuple[int, int | None]]:
    """For each asked word that is one of the words: its place there, and its fault (None: there is none)."""
    free = set(range(len(words)))
    met: dict[int, tuple[int, int | None]] = {}
    for number, word in enumerate(asked):
        if (place := next((at for at in sorted(free) if words[at] == word), None)) is not None:
            free.remove(place)
            met[number] = (place, None)
    for number, word in enumerate(asked):
        if number in met:
            continue
        for place in sorted(free):
            if (fault := find_fault(words[place], word)) is not None:
                free.remove(place)
                met[number] = (place, fault)
                break
    return [met[number] for number in sorted(met)]


def find_fault(word: str, written: str) -> int | None:
    """Which of `FAULTS` makes `written` of a word; None where none does."""
    common = next((at for at, (a, b) in enumerate(zip(word, written, strict=False)) if a != b), -1)
    at = min(len(word), len(written)) if common < 0 else common
    rest, other = word[at:], written[at:]
    tries: Iterable[tuple[str, str]] = (
        (rest[1:], other), (rest, other[1:]), (rest[1:], other[1:]), (rest[1:2] + rest[:1] + rest[2:], other),
    )  # fmt: skip
    if word == written or max(len(word), len(written)) < 2:
        return None
    order = (0, 1, 3, 2)  # an exchange is no two letters taken for others
    pairs = list(tries)
    return next((kind for kind in order if pairs[kind][0] == pairs[kind][1] and (kind != 3 or len(rest) > 1)), None)
