"""Screening for the compiler's own measurements: the runtime's scan, or numpy where its private library is missing.

The ledger, the calibration and the goldens take thousands of queries. Over 354,068 rows a search by numpy takes 200 ms
of a core, one by the kernels less than 1 ms, and both find the same rows to the bit.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache, partial

import numpy as np

from edgexl.base.arrays import Floats, Ints
from edgexl.base.errors import DeviceError
from edgexl.bundle.lexical import Lexical
from edgexl.index import LabelIndex
from edgexl.index.best_of_rows import RowWords
from edgexl.index.lexical_scores import LexicalScores
from edgexl.runtime.kernels import Kernels
from edgexl.runtime.lexical import LexicalIndex


@dataclass(frozen=True, kw_only=True)
class KernelSearch(LabelIndex):
    """A label index that is scanned by the runtime's best kernel of this machine."""

    kernels: Kernels
    indexes: threading.local = field(default_factory=threading.local)

    def match(self, text: str) -> RowWords | None:
        """What the runtime's lexical side says of a text; until this thread's next."""
        if self.lexical is None:
            return None
        if not hasattr(self.indexes, "match"):
            self.indexes.match = match_words(self.lexical, self.lexical_candidates)
        found: RowWords = self.indexes.match(text)
        return found

    def candidates(self, query: Floats) -> Ints:
        """The rows that the scan finds for a query vector [D], best first."""
        query = np.ascontiguousarray(query, np.float32)
        tables = self.kernels.scan_tables(query, np.ascontiguousarray(self.codebook, np.float32))
        codes = np.frombuffer(self.coarse, np.uint8)
        isa = self.kernels.best_isa
        ranges = None if self.cells is None else self.kernels.probe(isa, self.cells, query)
        rows, _ = self.kernels.scan(isa, codes, self.rows, tables, self.overfetch, ranges)
        if self.cells is not None:
            rows = self.cells.rows[rows]
        return rows.astype(np.int64)


def match_words(lexical: Lexical, most: int) -> Callable[[str], RowWords]:
    """What the lexical side says of a text, with its `most` best rows: by the runtime, and then until the next text, or
    by numpy where its private library is missing."""
    try:
        index = LexicalIndex(lexical.pack(), lexical.rows, most)
    except DeviceError:
        return partial(LexicalScores, lexical)
    return lambda text: _Words(index, index.query(text)[0].astype(np.int64))


@dataclass(frozen=True)
class _Words:
    """The last query of a thread's lexical index."""

    index: LexicalIndex
    ranked: Ints

    def score(self, rows: Ints) -> Floats:
        return self.index.scores(rows.astype(np.uint32))

    def features(self, dense: float) -> Floats:
        return self.index.features(dense)


def fastest(index: LabelIndex) -> LabelIndex:
    """The index by the runtime's kernels, or as it is where their library is missing."""
    kernels = _kernels()
    if kernels is None:
        return index
    return KernelSearch(**{each.name: getattr(index, each.name) for each in fields(LabelIndex)}, kernels=kernels)


@cache
def _kernels() -> Kernels | None:
    try:
        return Kernels()
    except DeviceError:
        return None
