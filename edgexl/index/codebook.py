"""Code books of the coarse codes: 16 entries for each of M subspaces.

Sign codes and product quantization are one thing to the scan. `sign` is the code book with two levels a dimension
(the means of what lies below and above the dimension's mean): one bit a dimension. `pq` starts there and lets
k-means move the entries.

Measured on MeSH at 16 bytes a row, and not taken (share of the float top 10 in the scan's first 128 and 1,024 rows; as
it is, .954 and .999): OPQ instead of principal dimensions, spread at random: .954, .999; the queries' covariance as the
metric of k-means and codes: .952, .998 within subspaces, .870, .991 over all; codes that err across a row rather than
along it (ScaNN's loss): .962, 1.000 for ten times the time to encode; a correction factor a row as in RaBitQ: .967,
.999 for two bytes more and a product a row. Rescoring more rows gains as much and costs less.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput

Coarse = Literal["auto", "sign", "pq"]
ENTRIES = 16
_SAMPLE_ROWS = 16384  # 1,024 for each entry: four times as many lower the error by less than 0.1 %
_ITERATIONS = 20


def train_codebook(vectors_rot: Floats, coarse: Coarse, code_bytes: int, seed: int) -> Floats:
    """Code book f32 [M, 16, D / M] with M = 2 x code_bytes; vectors_rot: [rows, D], rotated.

    The seed draws the sample of rows. `auto` is `pq` here: only choice.py has something to choose by. Raises BadInput
    when D does not divide into M subspaces, or when it leaves a subspace more than the 4 dimensions that sign codes
    have bits for.
    """
    rows, dims = vectors_rot.shape
    subspaces = 2 * code_bytes
    if code_bytes < 1 or subspaces > 256 or dims % subspaces != 0:
        raise BadInput(
            f"{code_bytes} bytes a row are {subspaces} subspaces, and {dims} dimensions do not divide into them. "
            "Choose code_bytes so that 2 x code_bytes divides the dimensions, at most 128."
        )
    if coarse not in get_args(Coarse):
        raise BadInput(f'no coarse code is called "{coarse}"; there are sign and pq, and auto, which measures.')
    subspace_dims = dims // subspaces
    if coarse == "sign" and subspace_dims > 4:
        raise BadInput(
            f"sign codes need a bit a dimension: {dims} dimensions take {dims // 8} bytes a row, not {code_bytes}. "
            'Raise code_bytes, or choose coarse = "pq".'
        )
    sample = vectors_rot
    if rows > _SAMPLE_ROWS:
        chosen = np.random.default_rng(seed).choice(rows, _SAMPLE_ROWS, replace=False)
        sample = vectors_rot[np.sort(chosen)]
    levels = _two_levels(sample)
    split = np.ascontiguousarray(sample.reshape(len(sample), subspaces, subspace_dims).transpose(1, 0, 2))
    codebook = np.empty((subspaces, ENTRIES, subspace_dims), np.float32)
    bits = np.arange(ENTRIES)[:, None] >> np.arange(min(subspace_dims, 4)) & 1
    for m in range(subspaces):
        low, high = levels[:, m * subspace_dims : (m + 1) * subspace_dims]
        entries = np.broadcast_to((low + high) / 2, (ENTRIES, subspace_dims)).copy()
        entries[:, : bits.shape[1]] = np.where(bits, high[: bits.shape[1]], low[: bits.shape[1]])
        codebook[m] = entries if coarse == "sign" else _k_means(split[m], entries.astype(np.float32))
    return codebook


def _two_levels(sample: Floats) -> npt.NDArray[np.float64]:
    """[2, D]: per dimension the mean of the values below its mean and of those above."""
    values = sample.astype(np.float64)
    mean = values.mean(axis=0)
    above = values > mean
    counts = above.sum(axis=0)
    high = np.where(above, values, 0.0).sum(axis=0) / np.maximum(counts, 1)
    low = np.where(above, 0.0, values).sum(axis=0) / np.maximum(len(values) - counts, 1)
    return np.stack([low, np.where(counts > 0, high, low)])


def _k_means(points: Floats, entries: Floats) -> Floats:
    """Lloyd's iterations; an entry that loses all its points stays where it is."""
    for _ in range(_ITERATIONS):
        members = np.eye(ENTRIES, dtype=np.float32)[nearest_entry(points, entries)]
        counts = members.sum(axis=0)[:, None]
        moved = np.where(counts > 0, members.T @ points / np.maximum(counts, 1), entries).astype(np.float32)
        if np.array_equal(moved, entries):
            break
        entries = moved
    return entries


def nearest_entry(points: Floats, entries: Floats) -> npt.NDArray[np.uint8]:
    """For each of `points` [n, d] the index of the nearest of `entries` [16, d]; ties go to the lower index.

    Sums go dimension by dimension, each product rounded, as the runtime's do: a label that a device adds gets the same
    codes. Entry by entry over all points, which vectorises: several times faster than argmax along rows of 16.
    """
    squares = np.zeros(ENTRIES, np.float32)
    closeness, term = np.zeros((2, ENTRIES, len(points)), np.float32)
    for j in range(points.shape[1]):
        closeness += np.multiply.outer(entries[:, j], points[:, j], out=term)
        squares += entries[:, j] * entries[:, j]
    closeness -= np.float32(0.5) * squares[:, None]
    best, nearest = closeness[0].copy(), np.zeros(len(points), np.uint8)
    for entry in range(1, ENTRIES):
        nearer = (closeness[entry] > best).view(np.uint8)
        np.maximum(best, closeness[entry], out=best)
        np.maximum(nearest, nearer * np.uint8(entry), out=nearest)
    return nearest
