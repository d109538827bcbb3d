"""The queries that a teacher is measured on, and their gold labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from edgexl.base.arrays import Bools
from edgexl.base.errors import BadInput
from edgexl.data import Dataset, Query
from edgexl.distill.corpus.divide import read_corpus
from edgexl.distill.recipe import SplitTable
from edgexl.distill.teachers import Ints, Teacher, TraceTeacher


@dataclass(frozen=True)
class Sample:
    """n texts and their gold labels, `gold` [n,G], padded with -1; `split` says where they come from."""

    texts: tuple[str, ...]
    gold: Ints
    split: str

    @classmethod
    def of(cls, queries: Sequence[Query], split: str) -> Sample:
        """The sample of `queries`, which all have a gold label."""
        most = max(len(query.targets) for query in queries)
        gold = np.full((len(queries), most), -1, dtype=np.int64)
        for row, query in zip(gold, queries, strict=True):
            unique = list(dict.fromkeys(query.targets))
            row[: len(unique)] = unique
        return cls(tuple(query.text for query in queries), gold, split)

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def sizes(self) -> Ints:
        """[n]: how many labels are right."""
        return np.asarray((self.gold >= 0).sum(1), dtype=np.int64)

    def is_gold(self, labels: Ints) -> Bools:
        """Which of `labels` [n,C] are gold for their query; pads are not."""
        return among(labels, self.gold)


def among(labels: Ints, wanted: Ints) -> Bools:
    """[n,C]: which of `labels` [n,C] are in their row of `wanted` [n,G]; pads (-1) never are."""
    found = np.zeros(labels.shape, dtype=np.bool_)
    for column in wanted.T:  # one column at a time: [n,C,G] at once would be large
        found |= labels == column[:, None]
    return found & (labels >= 0)


def draw_sample(dataset: Dataset, teacher: Teacher, count: int, seed: int) -> Sample:
    """At most `count` queries, drawn by `seed`.

    Of traces, queries that the file has a trace of, from both splits. Of any other teacher, the development queries of
    a distillation with the standard [split]: neither a teacher that edgexl trained nor the test has met them, so that
    what a recipe takes from the profile is not learnt from the test. A data set too small for that division gives its
    test queries. Raises `BadInput` where there is none.
    """
    if isinstance(teacher, TraceTeacher):
        queries, split = list(_read_traced(dataset, teacher)), "traced"
        if not queries:
            raise BadInput(
                f"No query of {dataset.directory} has a trace; name the data set that the traces were collected for."
            )
    else:
        queries, split = _read_held_out(dataset)
        if not queries:
            raise BadInput(f"{dataset.directory} has no query with a gold label to measure on; add test queries.")
    chosen = np.random.default_rng(seed).permutation(len(queries))[:count]
    return Sample.of([queries[place] for place in np.sort(chosen)], split)


def _read_traced(dataset: Dataset, teacher: TraceTeacher) -> Iterator[Query]:
    met: set[str] = set()
    for split in ("tst", "trn"):
        for query in dataset.queries(split):
            if query.targets and query.text in teacher.traces and query.text not in met:
                met.add(query.text)
                yield query


def _read_held_out(dataset: Dataset) -> tuple[list[Query], str]:
    split = SplitTable()
    training = sum(1 for query in dataset.queries("trn") if query.targets)
    if training < 4 * (split.calibration + split.development):
        return [query for query in dataset.queries("tst") if query.targets and query.has_text], "test"
    return list(read_corpus(dataset, split).development), "development"
