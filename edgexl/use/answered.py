"""What a bundle answers to queries whose labels are known: by screening, and after reasoning."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgexl.base.arrays import Bools, Doubles, Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.bundle.calibration import Calibration
from edgexl.data import Query
from edgexl.runtime.binding import BundleHandle


@dataclass(frozen=True)
class Answered:
    """Of each query, a row: label numbers in the order of screening and after reasoning, -1 behind the shortlist's end,
    which of the latter the bundle's threshold accepts [queries, width], and the first label's probability [queries],
    NaN where there is none."""

    screened: Ints
    ranked: Ints
    accepted: Bools
    probabilities: Doubles

    def is_right(self, queries: Sequence[Query]) -> Bools:
        """Whether the first label after reasoning is a gold one [queries]."""
        return np.array(
            [first in query.targets for first, query in zip(self.ranked[:, 0].tolist(), queries, strict=True)], np.bool_
        )


def answer_queries(
    handle: BundleHandle,
    calibration: Calibration,
    queries: Sequence[Query],
    width: int,
    skip: Collection[int] = (),
    file: Path = Path(),
    progress: StageProgress = no_stage_progress,
) -> Answered:
    """Answer all `queries` but the rows to `skip`. `width`: at least so many ranks. Raises `BadInput` for a query that
    has no answer, and names it by the `file` that it is from."""
    width = max(handle.info.shortlist, width)
    screened = np.full((len(queries), width), -1, dtype=np.int64)
    ranked, accepted = screened.copy(), np.zeros(screened.shape, dtype=np.bool_)
    probabilities = np.full(len(queries), np.nan)
    for row, query in enumerate(queries):
        progress(row, len(queries))
        if row in skip:
            continue
        try:
            found = handle.predict(query.text, k=handle.info.shortlist, threshold=-1.0)
        except BadInput as error:
            raise BadInput(f"{query.name(file)}: {error}") from None
        there = len(found.shortlist_labels)
        screened[row, :there], ranked[row, :there] = found.shortlist_labels, found.ranked
        accepted[row, : len(found.labels)] = True
        if there:
            probabilities[row] = calibration.probabilities(found.shortlist_logits).max()
    progress(len(queries), len(queries))
    return Answered(screened, ranked, accepted, probabilities)


def find_empty(handle: BundleHandle, queries: Sequence[Query]) -> list[int]:
    """The rows of the queries without a token of their own."""
    return [row for row, query in enumerate(queries) if not handle.has_tokens(query.text)]
