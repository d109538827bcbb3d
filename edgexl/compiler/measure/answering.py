"""What a bundle reaches on held-out queries: as the C runtime answers them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.compiler.measure.ledger import Accuracy
from edgexl.compiler.measure.yardstick import measure_accuracy, pad_rows
from edgexl.data import Query
from edgexl.runtime.binding import BundleHandle

_BATCH = 50
_NONE: Ints = np.empty(0, np.int64)


def measure_bundle(
    handle: BundleHandle, queries: Sequence[Query], threads: int, progress: StageProgress = no_stage_progress
) -> Accuracy:
    """What the bundle reaches on the queries, one a thread at a time; all None when there are none."""
    if not queries:
        progress(1, 1)
        return Accuracy()
    found: list[tuple[Ints, Ints]] = []
    for begin in range(0, len(queries), _BATCH):
        texts = [query.text for query in queries[begin : begin + _BATCH]]
        try:
            found += _rank(handle, texts, threads)
        except BadInput:  # one of them has no token: it alone goes without an answer
            for text in texts:
                try:
                    found += _rank(handle, [text], 1)
                except BadInput:
                    found.append((_NONE, _NONE))
        progress(len(found), len(queries))
    ranked, screened = zip(*found, strict=True)
    return measure_accuracy(pad_rows(ranked, -1), queries, pad_rows(screened, -1))


def _rank(handle: BundleHandle, texts: Sequence[str], threads: int) -> list[tuple[Ints, Ints]]:
    """Of each text the shortlist's labels, best first, and in the order of screening."""
    answers = handle.predict_batch(list(texts), k=1, threads=threads)
    return [(each.ranked, each.shortlist_labels.astype(np.int64)) for each in answers]
