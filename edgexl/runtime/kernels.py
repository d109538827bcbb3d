"""The runtime's scan, called by itself: the compiler screens with it (scan.h, cells.h)."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Bytes, Floats
from edgexl.bundle.cells import Cells
from edgexl.runtime.private_library import PrivateLibrary

_ISAS = {"scalar": 0, "ssse3": 1, "avx2": 2, "avx512": 3, "avx512vbmi": 4, "neon": 5}

Rows = npt.NDArray[np.uint32]
Found = tuple[Rows, npt.NDArray[np.uint16]]


class Kernels:
    """The functions of a private library, by default the installed one. Arrays must be contiguous; `isas` are those of
    this CPU. Raises `DeviceError` where there is no such library."""

    def __init__(self, path: Path | None = None) -> None:
        self._library = library = PrivateLibrary(path)
        available, best = library.function("exl__isa_available"), library.function("exl__isa_best")
        self.isas = {name: isa for name, isa in _ISAS.items() if available(isa)}
        self.best_isa: str = library.function("exl__isa_name", ctypes.c_char_p)(best()).decode()
        self._tables, self._scan = library.function("exl__scan_tables"), library.function("private_scan")
        self._probe = library.function("private_probe")
        self._scratch_bytes = library.function("exl__scan_scratch_bytes", ctypes.c_size_t)

    def scan_tables(self, query: Floats, codebook: Floats, out: Bytes | None = None) -> Bytes:
        """Tables u8 [M, 16], in `out` where it is given; query: [D], codebook: [M, 16, C / M], C at most D."""
        subspaces, _, subspace_dims = codebook.shape
        tables = np.empty(codebook.shape[:2], np.uint8) if out is None else out
        self._tables(address_of(query), address_of(codebook), subspaces, subspace_dims, address_of(tables))
        return tables

    def scan(self, isa: str, codes: Bytes, rows: int, tables: Bytes, keep: int, ranges: Rows | None = None) -> Found:
        """The best rows and their scores, of some `ranges` [ranges, 2] of the rows alone where they are given; codes:
        the section's bytes."""
        subspaces, scratch = len(tables), self.scratch(1, len(tables), rows, keep)
        best, scores = np.empty(min(keep, rows), np.uint32), np.empty(min(keep, rows), np.uint16)
        out = (keep, address_of(scratch), address_of(best), address_of(scores))
        some = (None, 0) if ranges is None else (address_of(ranges), len(ranges))
        count = self._scan(self.isas[isa], address_of(codes), rows, subspaces, address_of(tables), *some, *out)
        return best[:count], scores[:count]

    def scratch(self, queries: int, subspaces: int, rows: int, keep: int) -> Bytes:
        """What scans work in: [queries, bytes], each of them aligned to 64."""
        wide = -(-self._scratch_bytes(rows, subspaces, keep) // 64) * 64
        room = np.empty(queries * wide + 64, np.uint8)
        return room[-room.ctypes.data % 64 :][: queries * wide].reshape(queries, wide)

    def probe(self, isa: str, cells: Cells, query: Floats) -> Rows:
        """The ranges of places that a query [D] scans: [ranges, 2]."""
        starts, rows = (np.ascontiguousarray(table, np.uint32) for table in (cells.starts, cells.rows))
        centroids, ranges = np.frombuffer(cells.centroids, np.uint8), np.empty((cells.probes, 2), np.uint32)
        sizes = (cells.count, cells.probes, ctypes.c_float(cells.margin), cells.dims)
        tables = (address_of(starts), address_of(rows), address_of(centroids), len(rows))
        return ranges[: self._probe(self.isas[isa], *sizes, *tables, address_of(query), address_of(ranges))]


def address_of(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    """A contiguous array's memory, as C takes it."""
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
