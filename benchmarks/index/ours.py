"""edgexl's index as a contender: built as the compiler builds it, searched by the runtime's kernels."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.index.workload import Workload
from benchmarks.kernels import Kernels
from edgexl.base.arrays import Bytes, Floats, Ints
from edgexl.index import CoarseCode, Gain, coarse_code, encode_coarse, encode_fine, fine_stride_bytes, fit_codes

SHORTLIST = 128
OVERFETCH = {16: 4096, 24: 2048}  # of other sizes 1024, as in the shipped recipes
FINE_BITS = 4


@dataclass
class Ours:
    """An index over `rows` of the workload, whose rotation is [D, D]."""

    kernels: Kernels
    code: CoarseCode
    tried: list[CoarseCode]
    rotation: Floats
    codebook: Floats
    coarse: Bytes
    fine: Bytes
    gain: Gain
    rows: int
    fine_dims: int
    fine_bits: int
    overfetch: int
    build_seconds: float

    @classmethod
    def build(
        cls,
        kernels: Kernels,
        workload: Workload,
        rows: int,
        code_bytes: int,
        fine_dims: int,
        fine_bits: int = FINE_BITS,
    ) -> Ours:
        """Over the workload's first `rows` rows; fine codes keep `fine_dims` dimensions."""
        began = time.perf_counter()
        vectors = workload.vectors[:rows]
        code, tried = coarse_code(
            vectors,
            workload.held_out,
            workload.held_out_gold,
            "pca",
            "auto",
            None,
            code_bytes,
            fine_dims,
            SHORTLIST,
            seed=1,
        )
        fitted = fit_codes(vectors, code, "pca", code_bytes, fine_dims, seed=1)
        coarse = page_aligned(np.frombuffer(encode_coarse(fitted.turned, fitted.codebook), np.uint8))
        fine = np.frombuffer(encode_fine(fitted.turned, fine_dims, fine_bits, fitted.gain), np.uint8)
        seconds = time.perf_counter() - began
        overfetch = OVERFETCH.get(code_bytes, 1024)
        assert fitted.rotation is not None
        return cls(
            kernels,
            code,
            tried,
            fitted.rotation,
            fitted.codebook,
            coarse,
            fine,
            fitted.gain,
            rows,
            fine_dims,
            fine_bits,
            overfetch,
            seconds,
        )

    @property
    def resident_bytes(self) -> float:
        """Bytes a row that every query reads: the coarse codes."""
        return len(self.coarse) / self.rows

    @property
    def disk_bytes(self) -> float:
        """Bytes a row of the file."""
        return (len(self.coarse) + len(self.fine)) / self.rows

    def candidates(self, turned: Floats) -> npt.NDArray[np.uint32]:
        """The scan's rows, best first, for a query in the index's space."""
        tables = self.kernels.scan_tables(turned, self.codebook)
        return self.kernels.scan(self.kernels.best_isa, self.coarse, self.rows, tables, self.overfetch)[0]

    def scores(self, turned: Floats, rows: npt.NDArray[np.uint32]) -> Floats:
        """Fine scores of rows."""
        quantized, unit = self.kernels.quantize_query(turned, self.fine_dims, self.gain.dims, self.gain.factor)
        return self.kernels.rescore(self.kernels.best_isa, self.fine, rows, self.fine_bits, quantized, unit)

    def turn(self, query: Floats) -> Floats:
        """A query of the student's space in the index's; on a device the screener's graph does it."""
        return np.ascontiguousarray(query @ self.rotation)

    def search(self, turned: Floats, keep: int) -> Ints:
        """The first rows after rescoring."""
        rows = self.candidates(turned)
        scores = self.scores(turned, rows)
        best = np.argpartition(-scores, min(keep, len(scores) - 1))[:keep]
        return rows[best[np.argsort(-scores[best], kind="stable")]].astype(np.int64)

    def shortlist(self, turned: Floats, workload: Workload, keep: int = SHORTLIST) -> Ints:
        """The first labels: a label's score is the best of its candidate rows."""
        rows = self.candidates(turned).astype(np.int64)
        scores = self.scores(turned, rows.astype(np.uint32))
        is_alias = rows >= workload.labels
        of = workload.alias_labels.take(rows[is_alias] - workload.labels)
        labels = np.concatenate([rows[~is_alias], of.values.astype(np.int64)])
        label_scores = np.concatenate([scores[~is_alias], np.repeat(scores[is_alias], of.lengths)])
        order = np.argsort(-label_scores, kind="stable")
        _, first = np.unique(labels[order], return_index=True)
        return labels[order][np.sort(first)[:keep]]

    def save(self, path: Path) -> None:
        """Both codes in one file, as in a bundle."""
        with open(path, "wb") as stream:
            self.coarse.tofile(stream)
            self.fine.tofile(stream)

    @property
    def fine_bytes(self) -> int:
        """Bytes a row of the fine codes."""
        return fine_stride_bytes(self.fine_dims, self.fine_bits)


def page_aligned(codes: Bytes) -> Bytes:
    """As in a mapped bundle. (numpy aligns to 16 bytes: every load of 64 would then touch two cache lines.)"""
    room = np.empty(len(codes) + 16384, np.uint8)
    begin = -room.ctypes.data % 16384
    room[begin : begin + len(codes)] = codes
    return room[begin : begin + len(codes)]
