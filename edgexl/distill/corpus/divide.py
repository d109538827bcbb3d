"""The queries of a distillation, divided by hash: screening, reasoning, calibration, development, evaluation.

The reasoner's queries are kept from the screener, because shortlists of queries that the screener was trained on look
better than the device's ever will. Calibration and development queries are kept from both, and from them (as from
the test split) goes whatever holds one of its own labels word for word, unless the split says otherwise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.ragged import Ragged
from edgexl.data import Dataset, Query
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import ABOUT_FILE, spell_queries
from edgexl.distill.recipe import SplitTable


@dataclass(frozen=True)
class Corpus:
    """All queries by their use, the label set that their targets index, and what the data set says of its source."""

    labels: LabelSet
    about: str
    screening: tuple[Query, ...]
    reasoning: tuple[Query, ...]
    calibration: tuple[Query, ...]
    development: tuple[Query, ...]
    evaluation: tuple[Query, ...]

    def queries_sha256(self) -> str:
        """Of all queries by their use, with their gold labels."""
        digest = hashlib.sha256()
        for split in (self.screening, self.reasoning, self.calibration, self.development, self.evaluation):
            digest.update(spell_queries(split).encode())
        return digest.hexdigest()


def read_corpus(dataset: Dataset, split: SplitTable) -> Corpus:
    """Divide a data set; queries without a text or a gold label teach and measure nothing, and are passed over. Raises
    `BadInput` where it has too few queries for the split."""
    usable = (query for query in dataset.queries("tst") if query.targets and query.has_text)
    evaluation = tuple(islice(usable, split.evaluation))
    about = dataset.directory / ABOUT_FILE
    said = about.read_text(encoding="utf-8", errors="replace") if about.is_file() else ""
    return divide_queries(dataset.labels, dataset.queries("trn"), split, evaluation, said)


def divide_queries(
    labels: LabelSet,
    queries: Iterable[Query],
    split: SplitTable,
    evaluation: tuple[Query, ...] | None = None,
    about: str = "",
) -> Corpus:
    """Divide training queries over a label set. Those to evaluate on are kept from them, too, where none are given.
    Raises `BadInput` for too few queries."""
    ordered = sorted((query for query in queries if query.targets and query.has_text), key=_digest)
    fitted = split.calibration + split.development
    wanted = fitted + (split.evaluation if evaluation is None else 0)
    held: list[Query] = []
    rest: list[Query] = []
    for query in ordered:
        if len(held) < wanted and (split.judge_named or not names_its_label(query, labels)):
            held.append(query)
        else:
            rest.append(query)
    cut = round(len(rest) * split.reasoning_share)
    if len(held) < wanted or cut < 1 or cut >= len(rest):
        keys = "calibration and development" if evaluation is not None else "calibration, development and evaluation"
        raise BadInput(
            f"{len(ordered):,} training queries are too few for [split], which keeps {wanted:,} of them from training; "
            f"set {keys} to {max(1, len(ordered) // 10)} each."
        )
    return Corpus(
        labels=labels,
        about=about,
        screening=tuple(rest[cut:]),
        reasoning=tuple(rest[:cut]),
        calibration=tuple(held[: split.calibration]),
        development=tuple(held[split.calibration : fitted]),
        evaluation=tuple(held[fitted:]) if evaluation is None else evaluation,
    )


def _digest(query: Query) -> bytes:
    # Salted, so that this division is independent of the one between training and test.
    return hashlib.sha1(b"edgexl distill\0" + query.text.lower().encode()).digest()


def names_its_label(query: Query, labels: LabelSet) -> bool:
    """Does the query hold the text of one of its own labels, word for word?"""
    text = query.text.lower()
    return any(labels.texts[target].lower() in text for target in query.targets)


def gold_labels(queries: Sequence[Query]) -> Ragged:
    """The gold labels (int64) of each query."""
    return Ragged.of([query.targets for query in queries], np.int64)


def draw_labels(gold: Ragged, queries: Ints, rng: np.random.Generator) -> Ints:
    """One gold label for each of `queries`, at random."""
    counts = gold.lengths[queries]
    drawn: Ints = gold.values[gold.starts[queries] + (rng.random(len(queries)) * counts).astype(np.int64)]
    return drawn


def join(left: Ints, right: Ints) -> tuple[Ints, Ints]:
    """All pairs (i, j) with left[i] == right[j]."""
    order = np.argsort(right, kind="stable")
    ranked = right[order]
    begins, ends = np.searchsorted(ranked, left, "left"), np.searchsorted(ranked, left, "right")
    counts = ends - begins
    ours = np.repeat(np.arange(len(left)), counts)
    within = np.arange(len(ours)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ours, order[np.repeat(begins, counts) + within]


def gold_pairs(gold: Ragged, queries: Ints, labels_of: Ragged, rows: Ints) -> tuple[Ints, Ints]:
    """Pairs (place in `queries`, place in `rows`) of a query and a row that stands for one of its gold labels."""
    query, wanted = gold.pairs(queries)
    row, labels = labels_of.pairs(rows)
    ours, theirs = join(wanted, labels)
    return query[ours], row[theirs]


def epoch_batches(lengths: Ints, batch: int, seed: int, epoch: int) -> list[Ints]:
    """Full batches of row numbers for one epoch, of like length each: a pure function of its arguments.

    Rows are shuffled, then sorted by length within pools of 16 batches, which takes most of the padding away and
    leaves most of the chance in. The rows that fill no batch are left out of this epoch.
    """
    rng = np.random.default_rng((seed, epoch))
    order = rng.permutation(len(lengths))
    batches: list[Ints] = []
    for start in range(0, len(order), 16 * batch):
        pool = order[start : start + 16 * batch]
        pool = pool[np.argsort(lengths[pool], kind="stable")]
        batches.extend(pool[at : at + batch] for at in range(0, len(pool) - batch + 1, batch))
    return [batches[index] for index in rng.permutation(len(batches))]
