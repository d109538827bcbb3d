"""The runtime's index and string functions, called one by one: the compiler screens with them, tests and benchmarks
call the rest (scan.h, rescore.h, codes.h, cells.h, strings.h, fold.h)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Bytes, Floats
from edgexl.bundle.cells import Cells
from edgexl.runtime.private_library import PrivateLibrary

_ISAS = {"scalar": 0, "ssse3": 1, "avx2": 2, "avx512": 3, "avx512vbmi": 4, "neon": 5}

Rows = npt.NDArray[np.uint32]
Found = tuple[Rows, npt.NDArray[np.uint16]]


class Strings:
    """An open string section; keeps its bytes alive."""

    def __init__(self, library: PrivateLibrary, section: Bytes, count: int) -> None:
        """Raises `ValueError` where the section is not one of `count` strings."""
        self._library, self._section, longest = library, section, ctypes.c_uint32()
        self._close = library.function("private_strings_close", None)
        opener = library.function("private_strings_open", ctypes.c_void_p)
        opened = opener(_at(section), ctypes.c_size_t(len(section)), count, ctypes.byref(longest))
        if not opened:
            raise ValueError("the section is malformed")
        self._strings, self.longest_bytes = ctypes.c_void_p(opened), longest.value

    def get(self, index: int, capacity: int) -> tuple[int, bytes, int]:
        """Status (0 there, 1 malformed, 2 cut to the capacity), the bytes written, the string's length in bytes."""
        out, length = ctypes.create_string_buffer(max(capacity, 1)), ctypes.c_size_t()
        arguments = (self._strings, index, out, ctypes.c_size_t(capacity), ctypes.byref(length))
        status: int = self._library.function("exl__strings_get")(*arguments)
        return status, out.raw[: min(length.value, capacity)], length.value

    def prefix(self, prefix: bytes, capacity: int) -> list[int]:
        """The first `capacity` strings that begin with `prefix`, in either case and either normal form."""
        return self._search("exl__strings_prefix", prefix, capacity)

    def with_bytes(self, prefix: bytes, capacity: int) -> list[int]:
        """The first `capacity` strings that begin with the very bytes of `prefix`."""
        return self._search("exl__strings_with_bytes", prefix, capacity)

    def _search(self, function: str, prefix: bytes, capacity: int) -> list[int]:
        found, count = (ctypes.c_uint32 * capacity)(), ctypes.c_uint32()
        arguments = (prefix, ctypes.c_size_t(len(prefix)), 0, found, capacity, ctypes.byref(count))
        self._library.function(function)(self._strings, *arguments)
        return found[: count.value]

    def __del__(self) -> None:
        if hasattr(self, "_strings"):
            self._close(self._strings)


@dataclass(frozen=True)
class BatchMemory:
    """Scratch and answers of scans that share a pass. `tables` [queries, M, 16] are looked up in as they are at each
    scan; `rows`, `scores`: [queries, keep]; `scratch`: [queries, bytes], aligned to 64."""

    tables: Bytes
    scratch: Bytes
    rows: Rows
    scores: npt.NDArray[np.uint16]


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
        self._scan_batch = library.function("private_scan_batch", None)
        self._scratch_bytes = library.function("exl__scan_scratch_bytes", ctypes.c_size_t)

    def code_points(self, text: bytes, folds: bool) -> list[int]:
        """A text's code points as texts are compared by: in normal form D, and where it `folds` in small letters."""
        points = (ctypes.c_uint32 * (8 * len(text) + 1))()  # no character decomposes into more
        fold = self._library.function("private_fold", ctypes.c_size_t)
        count = fold(text, ctypes.c_size_t(len(text)), folds, points, ctypes.c_size_t(len(points)))
        return points[:count]

    def scan_tables(self, query: Floats, codebook: Floats, out: Bytes | None = None) -> Bytes:
        """Tables u8 [M, 16], in `out` where it is given; query: [D], codebook: [M, 16, C / M], C at most D."""
        subspaces, _, subspace_dims = codebook.shape
        tables = np.empty(codebook.shape[:2], np.uint8) if out is None else out
        self._tables(_at(query), _at(codebook), subspaces, subspace_dims, _at(tables))
        return tables

    def scan(self, isa: str, codes: Bytes, rows: int, tables: Bytes, keep: int, ranges: Rows | None = None) -> Found:
        """The best rows and their scores, of some `ranges` [ranges, 2] of the rows alone where they are given; codes:
        the section's bytes."""
        memory, subspaces = self.batch_memory(tables[None], rows, keep), len(tables)
        best, scores, scratch = memory.rows[0], memory.scores[0], _at(memory.scratch)
        out = (keep, scratch, _at(best), _at(scores))
        some = (None, 0) if ranges is None else (_at(ranges), len(ranges))
        count = self._scan(self.isas[isa], _at(codes), rows, subspaces, _at(tables), *some, *out)
        return best[:count], scores[:count]

    def probe(self, isa: str, cells: Cells, query: Floats) -> Rows:
        """The ranges of places that a query [D] scans: [ranges, 2]."""
        starts, rows = (np.ascontiguousarray(table, np.uint32) for table in (cells.starts, cells.rows))
        centroids, ranges = np.frombuffer(cells.centroids, np.uint8), np.empty((cells.probes, 2), np.uint32)
        sizes = (cells.count, cells.probes, ctypes.c_float(cells.margin), cells.dims)
        tables = (_at(starts), _at(rows), _at(centroids), len(rows))
        return ranges[: self._probe(self.isas[isa], *sizes, *tables, _at(query), _at(ranges))]

    def batch_memory(self, tables: Bytes, rows: int, keep: int) -> BatchMemory:
        """What `scan_batch` works in, for queries with `tables` [queries, M, 16]; may be used again and again."""
        queries, most = len(tables), min(keep, rows)
        wide = -(-self._scratch_bytes(rows, tables.shape[1], keep) // 64) * 64
        room = np.empty(queries * wide + 64, np.uint8)
        scratch = room[-room.ctypes.data % 64 :][: queries * wide].reshape(queries, wide)
        return BatchMemory(tables, scratch, np.empty((queries, most), np.uint32), np.empty((queries, most), np.uint16))

    def scan_batch(self, isa: str, codes: Bytes, rows: int, memory: BatchMemory, keep: int) -> BatchMemory:
        """The best rows of each query of `memory`, which then holds them, in one pass over the codes."""
        self._scan_batch(*self._batch_arguments(isa, codes, rows, memory, keep))
        return memory

    def _batch_arguments(self, isa: str, codes: Bytes, rows: int, memory: BatchMemory, keep: int) -> tuple[object, ...]:
        queries, subspaces, _ = memory.tables.shape
        arrays = (_at(memory.tables), _at(memory.scratch), ctypes.c_size_t(memory.scratch.shape[1]))
        found = (_at(memory.rows), _at(memory.scores))
        return (self.isas[isa], _at(codes), rows, subspaces, keep, queries, *arrays, *found)

    def timed_scan(
        self, isa: str, codes: Bytes, rows: int, queries: Floats, codebook: Floats, memory: BatchMemory, keep: int
    ) -> Callable[[], None]:
        """Tables and scan of `queries` [Q, D] as one call, its arguments made beforehand: numpy's and ctypes' own time
        would count as much as the tables'."""
        subspaces, _, subspace_dims = codebook.shape
        make, scan = self._tables, self._scan_batch
        tables = [
            (_at(query), _at(codebook), subspaces, subspace_dims, _at(out))
            for query, out in zip(queries, memory.tables, strict=True)
        ]
        arguments = self._batch_arguments(isa, codes, rows, memory, keep)

        def run() -> None:
            for table in tables:
                make(*table)
            scan(*arguments)

        return run

    def scan_in_parts(self, isa: str, codes: Bytes, rows: int, tables: Bytes, keep: int, parts: int) -> Found:
        """`scan`, over disjoint ranges of blocks on a thread each, merged. `parts`: at most 64."""
        blocks = -(-rows // 256)
        starts = np.unique(np.linspace(0, blocks, parts + 1).astype(np.uint32)[:-1]) * np.uint32(256)
        ends = np.append(starts[1:], rows)
        block_bytes = len(tables) // 2 * 256

        def one(part: int) -> Found:
            piece = codes[int(starts[part]) // 256 * block_bytes :]
            return self.scan(isa, piece, int(ends[part] - starts[part]), tables, keep)

        with ThreadPoolExecutor(len(starts)) as pool:
            found = list(pool.map(one, range(len(starts))))
        counts = np.array([len(rows) for rows, _ in found], np.uint32)
        all_rows, all_scores = np.zeros((len(starts), keep), np.uint32), np.zeros((len(starts), keep), np.uint16)
        for place, (some, scores) in enumerate(found):
            all_rows[place, : len(some)], all_scores[place, : len(some)] = some, scores
        best, scores = np.empty(min(keep, rows), np.uint32), np.empty(min(keep, rows), np.uint16)
        of_parts = (_at(starts), _at(counts), _at(all_rows), _at(all_scores))
        merge = self._library.function("private_scan_merge")
        count = merge(len(starts), *of_parts, keep, _at(best), _at(scores))
        return best[:count], scores[:count]

    def quantize_query(
        self, query: Floats, fine_dims: int, gain_dims: int = 0, gain: float = 1.0
    ) -> tuple[npt.NDArray[np.int16], float]:
        """Q [fine_dims] and its unit; the first `gain_dims` multiplied by `gain`."""
        quantized = np.empty(fine_dims, np.int16)
        quantize = self._library.function("exl__quantize_query", ctypes.c_float)
        return quantized, quantize(_at(query), fine_dims, gain_dims, ctypes.c_float(gain), _at(quantized))

    def rescore(
        self, isa: str, fine: Bytes, rows: Rows, fine_bits: int, quantized: npt.NDArray[np.int16], unit: float
    ) -> Floats:
        """Fine scores of the rows; fine: the section's bytes."""
        scores = np.empty(len(rows), np.float32)
        arguments = (self.isas[isa], _at(fine), _at(rows), len(rows), len(quantized), fine_bits, _at(quantized))
        self._library.function("exl__rescore_rows", None)(*arguments, ctypes.c_float(unit), _at(scores))
        return scores

    def decompress(
        self,
        fine: Bytes,
        rows: Sequence[int],
        fine_dims: int,
        fine_bits: int,
        dims: int,
        gain_dims: int = 0,
        gain: float = 1.0,
    ) -> Floats:
        """Vectors [len(rows), dims] of the given rows of the section's bytes, the first `gain_dims` multiplied by
        `gain`."""
        vectors = np.empty((len(rows), dims), np.float32)
        encoded = np.ascontiguousarray(fine.reshape(-1, 2 + fine_dims * fine_bits // 8)[list(rows)])
        decompress = self._library.function("exl__decompress_row", None)
        for row, out in zip(encoded, vectors, strict=True):
            decompress(_at(row), fine_dims, fine_bits, gain_dims, ctypes.c_float(gain), dims, _at(out))
        return vectors

    def encode_row(
        self,
        vector: Floats,
        codebook: Floats,
        fine_dims: int,
        fine_bits: int,
        leading_dims: int = 0,
        gain: float = 1.0,
    ) -> tuple[bytes, bytes]:
        """A row's coarse codes [M / 2] and fine codes; vector: [D]."""
        subspaces, _, subspace_dims = codebook.shape
        coarse, fine = np.empty(subspaces // 2, np.uint8), np.empty(2 + fine_dims * fine_bits // 8, np.uint8)
        scratch = np.empty(5 * fine_dims, np.float32)
        encode_coarse, encode_fine = map(self._library.function, ("exl__encode_coarse", "exl__encode_fine"))
        encode_coarse(_at(vector), _at(codebook), subspaces, subspace_dims, _at(coarse))
        sizes = (fine_dims, fine_bits, leading_dims, ctypes.c_float(gain))
        encode_fine(_at(vector), *sizes, _at(scratch), _at(fine))
        return coarse.tobytes(), fine.tobytes()

    def open_strings(self, section: bytes, count: int) -> Strings | None:
        """The section of `count` strings; None where it is malformed."""
        try:
            return Strings(self._library, np.frombuffer(section, np.uint8), count)
        except ValueError:
            return None


def _at(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
