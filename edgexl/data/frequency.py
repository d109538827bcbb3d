"""How often each label is gold in training: what propensities and the head / torso / tail report need."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from edgexl.data.layout import Dataset, Query
from edgexl.data.metrics import TrainFrequency


def count_targets(queries: Iterable[Query], label_count: int) -> TrainFrequency:
    """Count, for each of `label_count` labels, the queries that it is gold for; the queries may be a stream."""
    counts = np.zeros(label_count, dtype=np.int64)
    total = 0
    for query in queries:
        counts[list(set(query.targets))] += 1
        total += 1
    return TrainFrequency(counts, total)


def train_frequency(dataset: Dataset) -> TrainFrequency:
    """The counts of a data set's training split."""
    return count_targets(dataset.queries("trn"), len(dataset.labels))
