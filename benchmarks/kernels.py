"""The runtime's index and string functions, called one by one, by benchmarks and tests (scan.h, rescore.h, codes.h,
strings.h, fold.h)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Bytes, Floats
from edgexl.runtime import kernels
from edgexl.runtime.kernels import Found, Rows, address_of
from edgexl.runtime.private_library import PrivateLibrary


class Strings:
    """An open string section; keeps its bytes alive."""

    def __init__(self, library: PrivateLibrary, section: Bytes, count: int) -> None:
        """Raises `ValueError` where the section is not one of `count` strings."""
        self._library, self._section, longest = library, section, ctypes.c_uint32()
        self._close = library.function("private_strings_close", None)
        opener = library.function("private_strings_open", ctypes.c_void_p)
        opened = opener(address_of(section), ctypes.c_size_t(len(section)), count, ctypes.byref(longest))
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


class Kernels(kernels.Kernels):
    """The scan, and all else that a private library shows. Arrays must be contiguous."""

    def __init__(self, path: Path | None = None) -> None:
        super().__init__(path)
        self._scan_batch = self._library.function("private_scan_batch", None)

    def batch_memory(self, tables: Bytes, rows: int, keep: int) -> BatchMemory:
        """What `scan_batch` works in, for queries with `tables` [queries, M, 16]; may be used again and again."""
        queries, most, scratch = len(tables), min(keep, rows), self.scratch(len(tables), tables.shape[1], rows, keep)
        return BatchMemory(tables, scratch, np.empty((queries, most), np.uint32), np.empty((queries, most), np.uint16))

    def code_points(self, text: bytes, folds: bool) -> list[int]:
        """A text's code points as texts are compared by: in normal form D, and where it `folds` in small letters."""
        points = (ctypes.c_uint32 * (8 * len(text) + 1))()  # no character decomposes into more
        fold = self._library.function("private_fold", ctypes.c_size_t)
        count = fold(text, ctypes.c_size_t(len(text)), folds, points, ctypes.c_size_t(len(points)))
        return points[:count]

    def scan_batch(self, isa: str, codes: Bytes, rows: int, memory: BatchMemory, keep: int) -> BatchMemory:
        """The best rows of each query of `memory`, which then holds them, in one pass over the codes."""
        self._scan_batch(*self._batch_arguments(isa, codes, rows, memory, keep))
        return memory

    def _batch_arguments(self, isa: str, codes: Bytes, rows: int, memory: BatchMemory, keep: int) -> tuple[object, ...]:
        queries, subspaces, _ = memory.tables.shape
        arrays = (address_of(memory.tables), address_of(memory.scratch), ctypes.c_size_t(memory.scratch.shape[1]))
        found = (address_of(memory.rows), address_of(memory.scores))
        return (self.isas[isa], address_of(codes), rows, subspaces, keep, queries, *arrays, *found)

    def timed_scan(
        self, isa: str, codes: Bytes, rows: int, queries: Floats, codebook: Floats, memory: BatchMemory, keep: int
    ) -> Callable[[], None]:
        """Tables and scan of `queries` [Q, D] as one call, its arguments made beforehand: numpy's and ctypes' own time
        would count as much as the tables'."""
        subspaces, _, subspace_dims = codebook.shape
        make, scan = self._tables, self._scan_batch
        tables = [
            (address_of(query), address_of(codebook), subspaces, subspace_dims, address_of(out))
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
        of_parts = (address_of(starts), address_of(counts), address_of(all_rows), address_of(all_scores))
        merge = self._library.function("private_scan_merge")
        count = merge(len(starts), *of_parts, keep, address_of(best), address_of(scores))
        return best[:count], scores[:count]

    def quantize_query(
        self, query: Floats, fine_dims: int, gain_dims: int = 0, gain: float = 1.0
    ) -> tuple[npt.NDArray[np.int16], float]:
        """Q [fine_dims] and its unit; the first `gain_dims` multiplied by `gain`."""
        quantized = np.empty(fine_dims, np.int16)
        quantize = self._library.function("exl__quantize_query", ctypes.c_float)
        return quantized, quantize(address_of(query), fine_dims, gain_dims, ctypes.c_float(gain), address_of(quantized))

    def rescore(
        self, isa: str, fine: Bytes, rows: Rows, fine_bits: int, quantized: npt.NDArray[np.int16], unit: float
    ) -> Floats:
        """Fine scores of the rows; fine: the section's bytes."""
        scores = np.empty(len(rows), np.float32)
        arguments = (
            self.isas[isa],
            address_of(fine),
            address_of(rows),
            len(rows),
            len(quantized),
            fine_bits,
            address_of(quantized),
        )
        self._library.function("exl__rescore_rows", None)(*arguments, ctypes.c_float(unit), address_of(scores))
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
            decompress(address_of(row), fine_dims, fine_bits, gain_dims, ctypes.c_float(gain), dims, address_of(out))
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
        encode_coarse(address_of(vector), address_of(codebook), subspaces, subspace_dims, address_of(coarse))
        sizes = (fine_dims, fine_bits, leading_dims, ctypes.c_float(gain))
        encode_fine(address_of(vector), *sizes, address_of(scratch), address_of(fine))
        return coarse.tobytes(), fine.tobytes()

    def open_strings(self, section: bytes, count: int) -> Strings | None:
        """The section of `count` strings; None where it is malformed."""
        try:
            return Strings(self._library, np.frombuffer(section, np.uint8), count)
        except ValueError:
            return None
