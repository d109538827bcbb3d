"""Coarse codes: rows to nibbles, interleaved in blocks of 256 rows (docs/format.md, "Coarse codes section")."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats
from edgexl.index.codebook import nearest_entry

BLOCK_ROWS = 256
_CHUNK_ROWS = 64 * BLOCK_ROWS


def encode_coarse(vectors_rot: Floats, codebook: Floats) -> bytes:
    """The section's bytes, [ceil(rows / 256)][M / 2][256]; vectors_rot: [rows, D], codebook: [M, 16, D / M]."""
    rows = len(vectors_rot)
    subspaces, _, subspace_dims = codebook.shape
    blocks = -(-rows // BLOCK_ROWS)
    packed = np.zeros((blocks, subspaces // 2, BLOCK_ROWS), np.uint8)
    for begin in range(0, rows, _CHUNK_ROWS):
        chunk = vectors_rot[begin : begin + _CHUNK_ROWS]
        nibbles = np.zeros((subspaces, -(-len(chunk) // BLOCK_ROWS) * BLOCK_ROWS), np.uint8)
        for m in range(subspaces):
            part = np.ascontiguousarray(chunk[:, m * subspace_dims : (m + 1) * subspace_dims])
            nibbles[m, : len(chunk)] = nearest_entry(part, codebook[m])
        codes = (nibbles[0::2] | nibbles[1::2] << 4).reshape(subspaces // 2, -1, BLOCK_ROWS)
        first = begin // BLOCK_ROWS
        packed[first : first + codes.shape[1]] = codes.transpose(1, 0, 2)
    return packed.tobytes()


def unpack_coarse(codes: bytes | memoryview, rows: int, subspaces: int) -> npt.NDArray[np.uint8]:
    """Code bytes [M / 2, rows]: byte b of every row, one after the other."""
    blocks = np.frombuffer(codes, np.uint8).reshape(-1, subspaces // 2, BLOCK_ROWS)
    return np.ascontiguousarray(blocks.transpose(1, 0, 2).reshape(subspaces // 2, -1)[:, :rows])


def decode_coarse(codes: bytes | memoryview, rows: int, codebook: Floats) -> Floats:
    """What the codes stand for: [rows, D]."""
    subspaces, _, subspace_dims = codebook.shape
    unpacked = unpack_coarse(codes, rows, subspaces)
    vectors = np.empty((rows, subspaces * subspace_dims), np.float32)
    for m in range(subspaces):
        nibble = unpacked[m // 2] >> (4 * (m % 2)) & 15
        vectors[:, m * subspace_dims : (m + 1) * subspace_dims] = codebook[m][nibble]
    return vectors
