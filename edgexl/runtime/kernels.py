"""The runtime's private index and string functions, called one by one: for tests and benchmarks.

libedgexl exports none of them. `build_kernels` compiles their sources into a library of their own with the release's
flags; `Kernels` is its numpy face (scan.h, rescore.h, strings.h).
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Bytes, Floats
from edgexl.base.errors import DeviceError
from edgexl.bundle.cells import Cells

SOURCES = (
    "cells",
    "codes",
    "cpu",
    "rank",
    "scan",
    "scan_x86",
    "scan_neon",
    "rescore",
    "rescore_x86",
    "rescore_neon",
    "fold",
    "strings",
)
_FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
_ISAS = {"scalar": 0, "ssse3": 1, "avx2": 2, "avx512": 3, "avx512vbmi": 4, "neon": 5}


class _ScanQuery(ctypes.Structure):
    """exl__scan_query."""

    _fields_ = (
        ("tables", ctypes.c_void_p),
        ("scratch", ctypes.c_void_p),
        ("out_rows", ctypes.c_void_p),
        ("out_scores", ctypes.c_void_p),
        ("count", ctypes.c_uint32),
    )


class _CellsView(ctypes.Structure):
    """exl__cells."""

    _fields_ = (
        ("count", ctypes.c_uint32),
        ("probes", ctypes.c_uint32),
        ("margin", ctypes.c_float),
        ("dims", ctypes.c_uint32),
        ("starts", ctypes.c_void_p),
        ("rows", ctypes.c_void_p),
        ("centroids", ctypes.c_void_p),
    )


class _CellsScratch(ctypes.Structure):
    """exl__cells_scratch."""

    _fields_ = tuple((name, ctypes.c_void_p) for name in ("query", "scores", "ranked", "probed", "ranges"))


class _StringsView(ctypes.Structure):
    """exl__strings."""

    _fields_ = (
        ("count", ctypes.c_uint32),
        ("longest_bytes", ctypes.c_uint32),
        ("symbol_count", ctypes.c_uint32),
        ("symbol_bytes", ctypes.c_void_p),
        ("symbols", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("data", ctypes.c_void_p),
        ("data_bytes", ctypes.c_size_t),
    )


class Strings:
    """An open string section; keeps its bytes alive."""

    def __init__(self, library: ctypes.CDLL, section: Bytes, view: _StringsView) -> None:
        self._library, self._section, self._view = library, section, view
        self.longest_bytes: int = view.longest_bytes

    def get(self, index: int, capacity: int) -> tuple[int, bytes, int]:
        """Status (0 there, 1 malformed, 2 cut to the capacity), the bytes written, the string's length in bytes."""
        out, length = ctypes.create_string_buffer(max(capacity, 1)), ctypes.c_size_t()
        arguments = (ctypes.byref(self._view), index, out, ctypes.c_size_t(capacity), ctypes.byref(length))
        status: int = self._library.exl__strings_get(*arguments)
        return status, out.raw[: min(length.value, capacity)], length.value

    def prefix(self, prefix: bytes, capacity: int) -> list[int]:
        """The first `capacity` strings that begin with `prefix`, in either case and either normal form."""
        return self._search("exl__strings_prefix", prefix, capacity)

    def with_bytes(self, prefix: bytes, capacity: int) -> list[int]:
        """The first `capacity` strings that begin with the very bytes of `prefix`."""
        return self._search("exl__strings_with_bytes", prefix, capacity)

    def _search(self, function: str, prefix: bytes, capacity: int) -> list[int]:
        found, count = (ctypes.c_uint32 * capacity)(), ctypes.c_uint32()
        view, length = ctypes.byref(self._view), ctypes.c_size_t(len(prefix))
        getattr(self._library, function)(view, prefix, length, 0, found, capacity, ctypes.byref(count))
        return found[: count.value]


class BatchMemory:
    """Scratch and answers of scans that share a pass. `tables` [queries, M, 16] are looked up in as they are at each
    scan; `rows`, `scores`: [queries, keep]."""

    def __init__(self, tables: Bytes, keep: int, scratch_bytes: int) -> None:
        stride = -(-scratch_bytes // 64) * 64
        self._scratch = np.empty(len(tables) * stride + 64, np.uint8)
        self.tables = tables
        self.rows, self.scores = np.empty((len(tables), keep), np.uint32), np.empty((len(tables), keep), np.uint16)
        self.queries = (_ScanQuery * len(tables))()
        aligned = self._scratch.ctypes.data + -self._scratch.ctypes.data % 64
        for i, query in enumerate(self.queries):
            query.tables, query.scratch = tables[i].ctypes.data, aligned + i * stride
            query.out_rows, query.out_scores = self.rows[i].ctypes.data, self.scores[i].ctypes.data


class Kernels:
    """The functions of a library that `build_kernels` made. Arrays must be contiguous; `isas` are those of this CPU."""

    def __init__(self, path: Path) -> None:
        self._c = ctypes.CDLL(str(path))
        self._c.exl__quantize_query.restype = ctypes.c_float
        self._c.exl__scan_scratch_bytes.restype = ctypes.c_size_t
        self._c.exl__isa_name.restype = ctypes.c_char_p
        self.isas = {name: isa for name, isa in _ISAS.items() if self._c.exl__isa_available(isa)}
        self.best_isa: str = self._c.exl__isa_name(self._c.exl__isa_best()).decode()

    def code_points(self, text: bytes, folds: bool) -> list[int]:
        """A text's code points as texts are compared by: in normal form D, and where it `folds` in small letters."""
        folder, following = ctypes.create_string_buffer(512), self._c.exl__fold_next  # exl__folder has less than 200
        following.restype = ctypes.c_uint32
        self._c.exl__fold_start(folder, text, ctypes.c_size_t(len(text)), folds)
        return list(iter(lambda: following(folder), 0xFFFFFFFF))

    def scan_tables(self, query: Floats, codebook: Floats, out: Bytes | None = None) -> Bytes:
        """Tables u8 [M, 16], in `out` where it is given; query: [D], codebook: [M, 16, C / M], C at most D."""
        subspaces, _, subspace_dims = codebook.shape
        tables = np.empty(codebook.shape[:2], np.uint8) if out is None else out
        self._c.exl__scan_tables(_at(query), _at(codebook), subspaces, subspace_dims, _at(tables))
        return tables

    def scan(
        self, isa: str, codes: Bytes, rows: int, tables: Bytes, keep: int
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
        """The best rows and their scores; codes: the section's bytes."""
        subspaces, most = len(tables), min(keep, rows)
        scratch = np.empty(self._c.exl__scan_scratch_bytes(rows, subspaces, keep) + 64, np.uint8)
        aligned = ctypes.c_void_p(scratch.ctypes.data + -scratch.ctypes.data % 64)
        best, scores = np.empty(most, np.uint32), np.empty(most, np.uint16)
        arguments = (self.isas[isa], _at(codes), rows, subspaces, _at(tables), keep, aligned)
        count = self._c.exl__scan(*arguments, _at(best), _at(scores))
        return best[:count], scores[:count]

    def probe(self, isa: str, cells: Cells, query: Floats) -> npt.NDArray[np.uint32]:
        """The ranges of places that a query [D] scans: [ranges, 2]."""
        starts, rows = (np.ascontiguousarray(table, np.uint32) for table in (cells.starts, cells.rows))
        centroids = np.frombuffer(cells.centroids, np.uint8)
        view = _CellsView(
            cells.count, cells.probes, cells.margin, cells.dims, starts.ctypes.data, rows.ctypes.data,
            centroids.ctypes.data,
        )  # fmt: skip
        ranges = np.empty((cells.probes, 2), np.uint32)
        sizes = (2 * cells.dims, 4 * cells.count, 16 * cells.count, 4 * cells.probes)
        memory = [np.empty(-(-size // 8), np.uint64) for size in sizes]
        scratch = _CellsScratch(*(piece.ctypes.data for piece in memory), ranges.ctypes.data)
        arguments = (self.isas[isa], ctypes.byref(view), len(rows), _at(query), ctypes.byref(scratch))
        return ranges[: self._c.exl__cells_probe(*arguments)]

    def scan_ranges(
        self, isa: str, codes: Bytes, rows: int, tables: Bytes, ranges: npt.NDArray[np.uint32], keep: int
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
        """`scan`, over some ranges [ranges, 2] of the rows alone."""
        subspaces, most = len(tables), min(keep, rows)
        scratch = np.empty(self._c.exl__scan_scratch_bytes(rows, subspaces, keep) + 64, np.uint8)
        aligned = ctypes.c_void_p(scratch.ctypes.data + -scratch.ctypes.data % 64)
        best, scores = np.empty(most, np.uint32), np.empty(most, np.uint16)
        arguments = (self.isas[isa], _at(codes), rows, None, subspaces, _at(tables), _at(ranges), len(ranges), keep)
        count = self._c.exl__scan_ranges(*arguments, aligned, _at(best), _at(scores))
        return best[:count], scores[:count]

    def batch_memory(self, tables: Bytes, rows: int, keep: int) -> BatchMemory:
        """What `scan_batch` works in, for queries with `tables` [queries, M, 16]; may be used again and again."""
        scratch_bytes = self._c.exl__scan_scratch_bytes(rows, tables.shape[1], keep)
        return BatchMemory(tables, min(keep, rows), scratch_bytes)

    def scan_batch(self, isa: str, codes: Bytes, rows: int, memory: BatchMemory, keep: int) -> BatchMemory:
        """The best rows of each query of `memory`, which then holds them, in one pass over the codes."""
        queries, subspaces, _ = memory.tables.shape
        count = ctypes.c_uint32(queries)
        self._c.exl__scan_batch(self.isas[isa], _at(codes), rows, subspaces, keep, memory.queries, count)
        return memory

    def timed_scan(
        self, isa: str, codes: Bytes, rows: int, queries: Floats, codebook: Floats, memory: BatchMemory, keep: int
    ) -> Callable[[], None]:
        """Tables and scan of `queries` [Q, D] as one call, its arguments made beforehand: numpy's and ctypes' own time
        would count as much as the tables'."""
        subspaces, _, subspace_dims = codebook.shape
        make, scan = self._c.exl__scan_tables, self._c.exl__scan_batch
        sizes = (ctypes.c_uint32(subspaces), ctypes.c_uint32(subspace_dims))
        tables = [
            (_at(query), _at(codebook), *sizes, _at(out)) for query, out in zip(queries, memory.tables, strict=True)
        ]
        arguments = (self.isas[isa], _at(codes), rows, subspaces, keep, memory.queries, ctypes.c_uint32(len(queries)))

        def run() -> None:
            for table in tables:
                make(*table)
            scan(*arguments)

        return run

    def scan_in_parts(
        self, isa: str, codes: Bytes, rows: int, tables: Bytes, keep: int, parts: int
    ) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
        """`scan`, over disjoint ranges of blocks on a thread each, merged. `parts`: at most 64."""
        blocks = -(-rows // 256)
        starts = np.unique(np.linspace(0, blocks, parts + 1).astype(np.uint32)[:-1]) * np.uint32(256)
        ends = np.append(starts[1:], rows)
        block_bytes = len(tables) // 2 * 256

        def one(part: int) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint16]]:
            piece = codes[int(starts[part]) // 256 * block_bytes :]
            return self.scan(isa, piece, int(ends[part] - starts[part]), tables, keep)

        with ThreadPoolExecutor(len(starts)) as pool:
            found = list(pool.map(one, range(len(starts))))
        queries = (_ScanQuery * len(starts))(
            *(_ScanQuery(None, None, r.ctypes.data, s.ctypes.data, len(r)) for r, s in found)
        )
        best, scores = np.empty(min(keep, rows), np.uint32), np.empty(min(keep, rows), np.uint16)
        count = self._c.exl__scan_merge(queries, _at(starts), len(starts), keep, _at(best), _at(scores))
        return best[:count], scores[:count]

    def quantize_query(
        self, query: Floats, fine_dims: int, gain_dims: int = 0, gain: float = 1.0
    ) -> tuple[npt.NDArray[np.int16], float]:
        """Q [fine_dims] and its unit; the first `gain_dims` multiplied by `gain`."""
        quantized = np.empty(fine_dims, np.int16)
        return quantized, self._c.exl__quantize_query(
            _at(query), fine_dims, gain_dims, ctypes.c_float(gain), _at(quantized)
        )

    def rescore(
        self,
        isa: str,
        fine: Bytes,
        rows: npt.NDArray[np.uint32],
        fine_bits: int,
        quantized: npt.NDArray[np.int16],
        unit: float,
    ) -> Floats:
        """Fine scores of the rows; fine: the section's bytes."""
        scores = np.empty(len(rows), np.float32)
        arguments = (self.isas[isa], _at(fine), _at(rows), len(rows), len(quantized), fine_bits, _at(quantized))
        self._c.exl__rescore_rows(*arguments, ctypes.c_float(unit), _at(scores))
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
        for row, out in zip(encoded, vectors, strict=True):
            self._c.exl__decompress_row(_at(row), fine_dims, fine_bits, gain_dims, ctypes.c_float(gain), dims, _at(out))
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
        self._c.exl__encode_coarse(_at(vector), _at(codebook), subspaces, subspace_dims, _at(coarse))
        sizes = (fine_dims, fine_bits, leading_dims, ctypes.c_float(gain))
        self._c.exl__encode_fine(_at(vector), *sizes, _at(scratch), _at(fine))
        return coarse.tobytes(), fine.tobytes()

    def open_strings(self, section: bytes, count: int) -> Strings | None:
        """The section of `count` strings; None where it is malformed."""
        view, data = _StringsView(), np.frombuffer(section, np.uint8)
        refused = self._c.exl__strings_init(ctypes.byref(view), _at(data), ctypes.c_size_t(len(data)), count)
        return None if refused else Strings(self._c, data, view)


def kernel_sources() -> list[Path]:
    """The files that the kernels are compiled from, and the headers beside them."""
    source = Path(__file__).parent / "src"
    return [*(source / f"{name}.c" for name in SOURCES), *sorted(source.glob("*.h"))]


def build_kernels(directory: Path, flags: Sequence[str] = ()) -> Kernels:
    """Compile into `directory` with `flags` besides the release's. Raises DeviceError where gcc does not do it."""
    library = directory / "libkernels.so"
    sources = (str(path) for path in kernel_sources() if path.suffix == ".c")
    command = ["gcc", *_FLAGS, *flags, *sources, "-o", str(library), "-lm"]
    run_compiler(command, "the kernels")
    return Kernels(library)


def run_compiler(command: Sequence[str], what: str) -> None:
    """Run gcc. Raises `DeviceError` where it is missing or cannot compile `what`."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise DeviceError(f"There is no gcc on this machine; install it to build {what}.") from None
    if done.returncode:
        raise DeviceError(f"gcc could not compile {what}: {done.stderr.strip()}")


def _at(array: npt.NDArray[np.generic]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
