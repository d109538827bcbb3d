"""The corpus that a recipe's `data` names: a data set, or files of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.data import Query, open_data
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.labels import read_labels
from edgexl.data.tables.queries import LabelNames, read_query_table
from edgexl.data.tables.roles import Wanted
from edgexl.distill.corpus.divide import Corpus, divide_queries, read_corpus
from edgexl.distill.recipe import FilesTable, SplitTable


@dataclass(frozen=True)
class Material:
    """All that a recipe's `data` holds: the labels, and the queries that may train; so many others `repeat` the texts
    of these."""

    labels: LabelSet
    queries: tuple[Query, ...]
    repeat: int = 0


def open_corpus(data: str | FilesTable, split: SplitTable, progress: Progress = no_progress) -> Corpus:
    """The queries divided. Raises `BadInput` where there are none, or too few."""
    if not isinstance(data, FilesTable):
        return read_corpus(open_data(data, progress), split)
    found = open_material(data)
    return divide_queries(found.labels, found.queries, split)


def open_material(data: str | FilesTable, progress: Progress = no_progress) -> Material:
    """The labels and the training queries, not divided. Raises `BadInput` where files are wrong, with the line."""
    if not isinstance(data, FilesTable):
        dataset = open_data(data, progress)
        return Material(dataset.labels, tuple(dataset.queries("trn")))
    wanted = Wanted(data.id, data.text, data.aliases, data.descriptions)
    labels = read_labels(data.labels, wanted, data.language).label_set()
    names = LabelNames.of(labels.ids, labels.texts)
    table = read_query_table(data.queries, names, data.query_text, data.query_labels)
    queries = table.all()
    if not queries:
        raise BadInput(f"{Path(data.queries)} holds no query; a student is distilled from past queries.")
    return Material(labels, queries, table.repeat)
