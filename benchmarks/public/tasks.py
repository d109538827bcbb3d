"""What is asked: texts whose labels are known, over labels with all their rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.data import open_dataset
from edgexl.data.label_set import LabelSet
from edgexl.data.wordnet import described_words

DEPTH = 100


@dataclass(frozen=True)
class Task:
    """`texts`, and the gold labels of each; `candidates`: the labels that count, all of them where it is None."""

    name: str
    labels: LabelSet
    texts: tuple[str, ...]
    gold: tuple[tuple[int, ...], ...]
    candidates: frozenset[int] | None = None

    def judge(self, ranked: Sequence[Ints]) -> dict[str, float]:
        """The median rank of the best gold label, from 0 as published (infinite where half of them are not among those
        that were ranked), and the shares of texts that have one among the first 1, 10 and 100."""
        ranks = np.full(len(self.texts), np.inf)
        for at, (row, gold) in enumerate(zip(ranked, self.gold, strict=True)):
            counted = [label for label in row.tolist() if self.candidates is None or label in self.candidates]
            hits = [place for place, label in enumerate(counted) if label in gold]
            if hits:
                ranks[at] = hits[0]
        shares = {f"acc@{k}": round(float((ranks < k).mean()), 4) for k in (1, 10, 100)}
        return {"median": float(np.median(ranks)), **shares}


def reverse_dictionary(words: Path, only: Path | None = None, progress: Progress = no_progress) -> Task:
    """WORDS has a word and a description of it a line, with a tab between (a first line that says just this is passed
    over). All of WordNet's words are ranked, or those of a list, a word a line, that WordNet has. Raises `BadInput`
    where a line is none, or no word is one of WordNet's."""
    described = []
    for number, line in enumerate(_lines(words), 1):
        word, tab, text = line.partition("\t")
        if not tab or not text.strip():
            raise BadInput(f"{words}, line {number}: expected a word and its description, with a tab between.")
        if line.strip().lower() != "word\tdescription":
            described.append((word.strip().casefold(), text.strip()))
    counted = None if only is None else {line.strip().casefold() for line in _lines(only)}
    labels = described_words(progress)
    place = {text.casefold(): label for label, text in enumerate(labels.texts)}
    listed = None if counted is None else frozenset(place[word] for word in counted if word in place)
    asked = [
        (text, (place[word],))
        for word, text in described
        if word in place and (listed is None or place[word] in listed)
    ]
    if not asked:
        raise BadInput(f"{words} holds no word that is ranked; nothing can be asked.")
    texts, gold = zip(*asked, strict=True)
    return Task("reverse dictionary", labels, texts, gold, listed)


def entity_linking(directory: Path, with_training: bool = False) -> Task:
    """A directory in the raw layout (`edgexl.data.layout`): labels are a dictionary's entries with their synonyms as
    aliases, test queries are mentions. `with_training`: training mentions are names, too, as published systems had
    them. Raises `BadInput` as `open_dataset` does."""
    dataset = open_dataset(directory)
    labels = dataset.labels
    if with_training:
        names = [dict.fromkeys(aliases) for aliases in labels.aliases]
        for query in dataset.queries("trn"):
            for target in query.targets:
                names[target].setdefault(query.text)
        labels = dataclasses.replace(labels, aliases=tuple(map(tuple, names)))
    asked = [query for query in dataset.queries("tst") if query.targets and query.has_text]
    if not asked:
        raise BadInput(f"{directory} has no test query with targets; nothing can be asked.")
    texts, gold = tuple(query.text for query in asked), tuple(query.targets for query in asked)
    return Task(f"entity linking, {directory.name}", labels, texts, gold)


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path} cannot be read as UTF-8 text: {error}.") from None
    return [line for line in lines if line.strip()]
