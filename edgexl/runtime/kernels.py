"""The runtime's private index and string functions, called one by one: for tests and benchmarks.

libedgexl exports none of them. `build_kernels` compiles their sources into a library of their own with the release's
flags; `Kernels` is its numpy face (scan.h, rescore.h, strings.h).
"""

from __future__ import annotations

import ctypes
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgexl.errors import DeviceError

_SOURCES = ("cpu", "scan", "scan_x86", "scan_neon", "rescore", "rescore_x86", "rescore_neon", "strings")
_FLAGS = ("-std=c11", "-O3", "-ffp-contract=off", "-fPIC", "-shared")
_ISAS = {"scalar": 0, "avx2": 1, "avx512": 2, "neon": 3}

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]


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


class Kernels:
    """The functions of a library that `build_kernels` made. Arrays must be contiguous; `isas` are those of this CPU."""

    def __init__(self, path: Path) -> None:
        self._c = ctypes.CDLL(str(path))
        self._c.exl__quantize_query.restype = ctypes.c_float
        self._c.exl__scan_scratch_bytes.restype = ctypes.c_size_t
        self._c.exl__isa_name.restype = ctypes.c_char_p
        self.isas = {name: isa for name, isa in _ISAS.items() if self._c.exl__isa_available(isa)}
        self.best_isa: str = self._c.exl__isa_name(self._c.exl__isa_best()).decode()

    def scan_tables(self, query: Floats, codebook: Floats) -> Bytes:
        """Tables u8 [M, 16]; query: [D], codebook: [M, 16, D / M]."""
        subspaces, _, subspace_dims = codebook.shape
        tables = np.empty(codebook.shape[:2], np.uint8)
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

    def quantize_query(self, query: Floats, fine_dims: int) -> tuple[npt.NDArray[np.int16], float]:
        """Q [fine_dims] and its unit."""
        quantized = np.empty(fine_dims, np.int16)
        return quantized, self._c.exl__quantize_query(_at(query), fine_dims, _at(quantized))

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

    def decompress(self, fine: Bytes, rows: Sequence[int], fine_dims: int, fine_bits: int, dims: int) -> Floats:
        """Vectors [len(rows), dims] of the given rows of the section's bytes."""
        vectors = np.empty((len(rows), dims), np.float32)
        encoded = np.ascontiguousarray(fine.reshape(-1, 2 + fine_dims * fine_bits // 8)[list(rows)])
        for row, out in zip(encoded, vectors, strict=True):
            self._c.exl__decompress_row(_at(row), fine_dims, fine_bits, dims, _at(out))
        return vectors

    def open_strings(self, section: bytes, count: int) -> Strings | None:
        """The section of `count` strings; None where it is malformed."""
        view, data = _StringsView(), np.frombuffer(section, np.uint8)
        refused = self._c.exl__strings_init(ctypes.byref(view), _at(data), ctypes.c_size_t(len(data)), count)
        return None if refused else Strings(self._c, data, view)


def build_kernels(directory: Path, flags: Sequence[str] = ()) -> Kernels:
    """Compile into `directory` with `flags` besides the release's. Raises DeviceError where gcc does not do it."""
    source = Path(__file__).parent / "src"
    library = directory / "libkernels.so"
    command = ["gcc", *_FLAGS, *flags, *(str(source / f"{name}.c") for name in _SOURCES), "-o", str(library)]
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
