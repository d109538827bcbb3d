"""Screening for the compiler's own measurements: the runtime's scan, or numpy where its private library is missing.

The ledger, the calibration and the goldens take thousands of queries. Over 354,068 rows a search by numpy takes 200 ms
of a core, one by the kernels less than 1 ms, and both find the same rows to the bit.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats, Ints
from edgexl.base.errors import DeviceError
from edgexl.index import LabelIndex, Shortlist
from edgexl.runtime.kernels import Kernels


@dataclass(frozen=True)
class KernelSearch:
    """A label index scanned by the runtime's best kernel of this machine, all else as `index` does it."""

    index: LabelIndex
    kernels: Kernels

    @property
    def shortlist(self) -> int:
        """How many labels a shortlist has at most."""
        return self.index.shortlist

    def search(self, query: Floats) -> Shortlist:
        """The shortlist of a query vector [D]."""
        return self.index.shortlist_of(query, self.candidates(query))

    def candidates(self, query: Floats) -> Ints:
        """The rows that the scan finds for a query vector [D], best first."""
        index = self.index
        query = np.ascontiguousarray(query, np.float32)
        tables = self.kernels.scan_tables(query, np.ascontiguousarray(index.codebook, np.float32))
        codes = np.frombuffer(index.coarse, np.uint8)
        isa, cells = self.kernels.best_isa, index.cells
        ranges = None if cells is None else self.kernels.probe(isa, cells, query)
        rows, _ = self.kernels.scan(isa, codes, index.rows, tables, index.overfetch, ranges)
        if cells is not None:
            rows = cells.rows[rows]
        return rows.astype(np.int64)

    def search_all(self, queries: Floats, pool: ThreadPoolExecutor) -> Iterable[Shortlist]:
        """The shortlists of query vectors [n, D], on the pool's threads."""
        return pool.map(self.search, queries)

    def with_shortlist(self, shortlist: int) -> KernelSearch:
        """The same for shortlists of another length."""
        return replace(self, index=self.index.with_shortlist(shortlist))

    def decompress(self, labels: Ints) -> npt.NDArray[np.float32]:
        """label_vectors [n, D] of the given labels."""
        return self.index.decompress(labels)


def fastest(index: LabelIndex) -> LabelIndex | KernelSearch:
    """The index by the runtime's kernels, or as it is where their library is missing."""
    kernels = _kernels()
    return index if kernels is None else KernelSearch(index, kernels)


@cache
def _kernels() -> Kernels | None:
    try:
        return Kernels()
    except DeviceError:
        return None
