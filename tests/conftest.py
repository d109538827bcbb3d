"""The runtime's private index and string functions, compiled into a library of their own, for tests to call."""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

RUNTIME = Path(__file__).parents[1] / "edgexl" / "runtime"
ISAS = {"scalar": 0, "avx2": 1, "avx512": 2, "neon": 3}
_SOURCES = ("cpu", "scan", "scan_x86", "scan_neon", "rescore", "rescore_x86", "rescore_neon", "strings")


class _Strings(ctypes.Structure):
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


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)


class IndexLibrary:
    """scan.h, rescore.h and strings.h with numpy arrays for pointers."""

    def __init__(self, path: Path) -> None:
        self._c = ctypes.CDLL(str(path))
        for name in ("exl__quantize_query", "exl__rescore_row"):
            getattr(self._c, name).restype = ctypes.c_float
        self._c.exl__scan_scratch_bytes.restype = ctypes.c_size_t
        self.isas = {name: isa for name, isa in ISAS.items() if self._c.exl__isa_available(isa)}

    def scan_tables(self, query: np.ndarray, codebook: np.ndarray) -> np.ndarray:
        tables = np.empty(codebook.shape[:2], np.uint8)
        subspaces, _, dims = codebook.shape
        self._c.exl__scan_tables(_pointer(query), _pointer(codebook), subspaces, dims, _pointer(tables))
        return tables

    def scan(self, isa: str, codes: np.ndarray, rows: int, tables: np.ndarray, keep: int):
        subspaces = len(tables)
        scratch = np.empty(self._c.exl__scan_scratch_bytes(rows, subspaces, keep) + 64, np.uint8)
        aligned = ctypes.c_void_p(scratch.ctypes.data + -scratch.ctypes.data % 64)
        best, scores = np.empty(min(keep, rows), np.uint32), np.empty(min(keep, rows), np.uint16)
        arguments = (_pointer(codes), rows, subspaces, _pointer(tables), keep, aligned, _pointer(best))
        count = self._c.exl__scan(self.isas[isa], *arguments, _pointer(scores))
        return best[:count], scores[:count]

    def quantize_query(self, query: np.ndarray, fine_dims: int):
        quantized = np.empty(fine_dims, np.int16)
        return quantized, self._c.exl__quantize_query(_pointer(query), fine_dims, _pointer(quantized))

    def rescore(self, isa: str, fine: np.ndarray, rows: np.ndarray, fine_dims: int, fine_bits: int, quantized, unit):
        rows, scores = rows.astype(np.uint32), np.empty(len(rows), np.float32)
        arguments = (_pointer(fine), _pointer(rows), len(rows), fine_dims, fine_bits, _pointer(quantized))
        self._c.exl__rescore_rows(self.isas[isa], *arguments, ctypes.c_float(unit), _pointer(scores))
        return scores

    def decompress(self, fine: np.ndarray, rows: Sequence[int], fine_dims: int, fine_bits: int, dims: int):
        stride = 2 + fine_dims * fine_bits // 8
        vectors = np.empty((len(rows), dims), np.float32)
        for i, row in enumerate(rows):
            encoded = fine[row * stride : (row + 1) * stride]
            self._c.exl__decompress_row(_pointer(encoded), fine_dims, fine_bits, dims, _pointer(vectors[i]))
        return vectors

    def open_strings(self, section: np.ndarray, count: int) -> _Strings | None:
        """A view of the section, which must outlive it; None where it is malformed."""
        strings = _Strings()
        refused = self._c.exl__strings_init(
            ctypes.byref(strings), _pointer(section), ctypes.c_size_t(len(section)), count
        )
        return None if refused else strings

    def get_string(self, strings: _Strings, index: int, capacity: int) -> tuple[int, bytes, int]:
        """Status, what was written, the length."""
        out, length = ctypes.create_string_buffer(max(capacity, 1)), ctypes.c_size_t()
        arguments = (ctypes.byref(strings), index, out, ctypes.c_size_t(capacity), ctypes.byref(length))
        status = self._c.exl__strings_get(*arguments)
        return status, out.raw[: min(length.value, capacity)], length.value


@pytest.fixture(scope="session")
def index_library(tmp_path_factory: pytest.TempPathFactory) -> IndexLibrary:
    """Compiled as in the release; an operation that C leaves undefined traps."""
    library = tmp_path_factory.mktemp("index") / "libindex.so"
    flags = ["-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared", "-fsanitize=undefined"]
    sources = [str(RUNTIME / "src" / f"{name}.c") for name in _SOURCES]
    subprocess.run(["gcc", *flags, "-fsanitize-undefined-trap-on-error", *sources, "-o", str(library)], check=True)
    return IndexLibrary(library)
