"""Queries that all but name a label: its own text, as one writes who does not know it exactly.

Training queries may describe what they never name; a reverse dictionary's do. From those alone a student learns that
a word which query and label share speaks against the label, and fails on queries and labels of any other kind. These
queries cost no data: each label's text is right for itself. The teacher does not decide about them, since it
has learned the same.
"""

from __future__ import annotations

import numpy as np

from edgexl.data.damage import Damage
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import Query

LETTERS = "abcdefghijklmnopqrstuvwxyz"
# How often a text of several words loses one, how often its words change places (half of the time as catalogues turn
# them: "state, free"), how often two are joined or a compound is parted, and how often a letter is wrong.
DROPPED, TURNED, JOINED, MISSPELT = 0.3, 0.5, 0.2, 0.4
# Words shorter than this are spelt right.
SPELT_RIGHT = 4


def naming_queries(labels: LabelSet, count: int, seed: int, damage: Damage | None = None) -> tuple[Query, ...]:
    """At most `count` queries, each nearly the text of its one gold label and of no other; one a label.

    A label's chance grows with its number of words: one word can only be misspelt. Where `damage` says how people
    write, there are `count` queries, as many of each label but for one, and may be those of another label, too.
    """
    rng = np.random.default_rng(seed)
    if damage is not None:
        rounds = [rng.permutation(len(labels)) for _ in range(-(-count // len(labels)))]
        drawn = np.concatenate([np.zeros(0, np.int64), *rounds])[:count].tolist()
        texts = [(labels.texts[label], *labels.aliases[label]) for label in drawn]
        named = [own[int(rng.integers(len(own)))] for own in texts]
        return tuple(
            Query(f"naming-{place}", damage.apply(text, rng), (label,))
            for place, (label, text) in enumerate(zip(drawn, named, strict=True))
        )
    known = {text.lower() for text in labels.texts}
    words = np.array([1 + text.count(" ") for text in labels.texts])
    chosen = np.argsort(-(rng.random(len(words)) ** (1.0 / words)))[:count]
    queries = []
    for label in chosen.tolist():
        text = labels.texts[label]
        nearly = disturb(text, rng)
        if nearly.lower() in known and nearly.lower() != text.lower():
            nearly = text  # it names another label now
        queries.append(Query(f"naming-{label}", nearly, (label,)))
    return tuple(queries)


def disturb(text: str, rng: np.random.Generator) -> str:
    """A text with a word left out, its words in another order, two of them joined or a compound parted, or a letter
    missing, doubled, wrong or out of place: none, some or all of these."""
    words = text.split()
    if len(words) > 1 and rng.random() < DROPPED:
        words.pop(int(rng.integers(len(words))))
    if len(words) > 1 and rng.random() < TURNED:
        turn = int(rng.integers(1, len(words)))
        comma = "," if rng.random() < 0.5 else ""
        words = [*words[turn:-1], words[-1] + comma, *words[:turn]]
    long = [place for place, word in enumerate(words) if len(word) >= SPELT_RIGHT]
    if long and rng.random() < MISSPELT:
        place = long[int(rng.integers(len(long)))]
        words[place] = misspell(words[place], rng)
    if rng.random() < JOINED:
        words = rejoin(words, rng)
    return " ".join(words).strip(",") or text


def rejoin(words: list[str], rng: np.random.Generator) -> list[str]:
    """Words with a compound parted at its hyphen where there is one; else with two of them made one, by a hyphen or
    nothing."""
    parts = [part for word in words for part in word.split("-")]
    if all(parts) and len(parts) > len(words):
        return parts
    if len(words) < 2:
        return words
    at = int(rng.integers(1, len(words)))
    joint = "-" if rng.random() < 0.5 else ""
    return [*words[: at - 1], words[at - 1].rstrip(",") + joint + words[at], *words[at + 1 :]]


def misspell(word: str, rng: np.random.Generator) -> str:
    """A word with one letter behind its first missing, doubled, another, or changing places with the next; or a word's
    end gone or an s behind it, as one writes one for many."""
    at = int(rng.integers(1, len(word)))
    letter = LETTERS[int(rng.integers(len(LETTERS)))]
    match int(rng.integers(5)):
        case 0:
            return word[:at] + word[at + 1 :]
        case 1:
            return word[:at] + word[at] + word[at:]
        case 2:
            return word[:at] + letter + word[at + 1 :]
        case 3:
            return word[: at - 1] + word[at] + word[at - 1] + word[at + 1 :]
        case _:
            return word.removesuffix("s") if word.endswith("s") else word + "s"
