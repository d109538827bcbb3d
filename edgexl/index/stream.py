"""The index's sections in pieces, for row counts whose vectors do not fit in memory.

`vectors` are read in slices, so that an array mapped from a file serves as well as one in memory; what is held beside
a slice are the coarse codes, which cells put into another order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.bundle.cells import Cells
from edgexl.index.cells import Vectors
from edgexl.index.coarse import BLOCK_ROWS, encode_coarse, unpack_coarse
from edgexl.index.fine import EVEN, Gain, encode_fine

# A slice of 256 dimensions is 64 MB; whole blocks, so that slices' codes lie one after the other.
SLICE_ROWS = 256 * BLOCK_ROWS


def coarse_pieces(
    vectors: Vectors,
    codebook: Floats,
    cells: Cells | None = None,
    threads: int = 1,
    report: StageProgress = no_stage_progress,
) -> Iterator[bytes]:
    """The coarse codes section of vectors [rows, D] in order, the rows in the order of the cells where there are any;
    codebook: [M, 16, C / M]."""
    if cells is None:
        yield from _slices(vectors, lambda part: encode_coarse(part, codebook), threads, report)
        return
    rows, subspaces = vectors.shape[0], len(codebook)
    codes = np.empty((rows, subspaces // 2), np.uint8)
    done = 0
    for piece in _slices(vectors, lambda part: encode_coarse(part, codebook), threads, report):
        here = min(SLICE_ROWS, rows - done)
        codes[done : done + here] = unpack_coarse(piece, here, subspaces).T
        done += here
    for begin in range(0, rows, SLICE_ROWS):
        yield _blocks(codes[cells.rows[begin : begin + SLICE_ROWS]])


def fine_pieces(
    vectors: Vectors,
    fine_dims: int,
    fine_bits: int,
    gain: Gain = EVEN,
    threads: int = 1,
    report: StageProgress = no_stage_progress,
) -> Iterator[bytes]:
    """The fine codes section of vectors [rows, D], in order. Raises `BadInput` as `encode_fine` does."""
    return _slices(vectors, lambda part: encode_fine(part, fine_dims, fine_bits, gain), threads, report)


def _blocks(codes: npt.NDArray[np.uint8]) -> bytes:
    """Code bytes [n, M / 2] interleaved in blocks of 256 rows, the last one padded with zeros."""
    padded = np.zeros((-(-len(codes) // BLOCK_ROWS) * BLOCK_ROWS, codes.shape[1]), np.uint8)
    padded[: len(codes)] = codes
    return padded.reshape(-1, BLOCK_ROWS, codes.shape[1]).transpose(0, 2, 1).tobytes()


def _slices(
    vectors: Vectors, encode: Callable[[Floats], bytes], threads: int, report: StageProgress
) -> Iterator[bytes]:
    """What `encode` makes of each slice, in order; no more slices are in work than there are threads."""
    rows = vectors.shape[0]
    begins = range(0, rows, SLICE_ROWS)
    with ThreadPoolExecutor(threads) as pool:
        for first in range(0, len(begins), threads):
            group = begins[first : first + threads]
            parts = pool.map(lambda begin: encode(np.asarray(vectors[begin : begin + SLICE_ROWS], np.float32)), group)
            for begin, part in zip(group, parts, strict=True):
                yield part
                report(min(rows, begin + SLICE_ROWS), rows)
