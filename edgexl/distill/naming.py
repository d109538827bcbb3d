"""Queries that all but name a label: its own text, as one writes who does not know it exactly.

Training queries may describe what they never name; a reverse dictionary's do. From those alone a student learns that
a word which query and label share speaks against the label, and fails on queries and labels of any other kind. These
queries cost no data: each label's text is right for itself. What the teacher makes of them does not count, since it
has learned the same.
"""

from __future__ import annotations

import numpy as np

from edgexl.data import Query
from edgexl.student.labels import LabelSet

SEED = 20_26
LETTERS = "abcdefghijklmnopqrstuvwxyz"
# How often a text of several words loses one, and how often its words change places; how often a letter is wrong.
DROPPED, TURNED, MISSPELT = 0.3, 0.4, 0.5
# Words shorter than this are spelt right.
SPELT_RIGHT = 4


def naming_queries(labels: LabelSet, count: int) -> tuple[Query, ...]:
    """At most `count` queries, each nearly the text of its one right label and of no other; always the same ones."""
    rng = np.random.default_rng(SEED)
    known = {text.lower() for text in labels.texts}
    queries = []
    for label in rng.permutation(len(labels))[:count]:
        text = labels.texts[label]
        nearly = disturb(text, rng)
        if nearly.lower() in known and nearly.lower() != text.lower():
            nearly = text  # it names another label now
        queries.append(Query(f"naming-{label}", nearly, (int(label),)))
    return tuple(queries)


def disturb(text: str, rng: np.random.Generator) -> str:
    """A text with a word left out, its words in another order, or a letter missing, doubled, wrong or out of place:
    none, some or all of these."""
    words = text.split()
    if len(words) > 1 and rng.random() < DROPPED:
        words.pop(int(rng.integers(len(words))))
    if len(words) > 1 and rng.random() < TURNED:
        turn = int(rng.integers(1, len(words)))
        words = [*words[turn:], *words[:turn]]
    long = [place for place, word in enumerate(words) if len(word) >= SPELT_RIGHT]
    if long and rng.random() < MISSPELT:
        place = long[int(rng.integers(len(long)))]
        words[place] = misspell(words[place], rng)
    return " ".join(words) or text


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
