"""Packing: weights in the order in which the kernels read them (docs/format.md, "Packed matrices").

One order serves VNNI, AVX2 and NEON: panels of 16 columns, in each of them 4 rows of one column side by side.
"""

from __future__ import annotations

import numpy as np

from edgexl.base.arrays import Array
from edgexl.bundle.plan import BLOCK, PANEL
from edgexl.compiler.lowering.recognise import Weights

# Rows are filled up with zeros to this many, so that a kernel may load 16 activations at once.
DEPTH = 16


def _pad(matrix: Array, rows: int) -> Array:
    """[K, N] with zeros up to multiples of `rows` and `PANEL`."""
    depth, columns = matrix.shape
    return np.pad(matrix, ((0, -depth % rows), (0, -columns % PANEL)))


def pack_float(weights: Weights) -> Array:
    """f32 [N / 16][K][16], scales multiplied in."""
    matrix = _pad(weights.codes * weights.scales, 1)
    depth, columns = matrix.shape
    return np.ascontiguousarray(matrix.reshape(depth, columns // PANEL, PANEL).swapaxes(0, 1), np.float32)


def pack_int8(weights: Weights) -> Array:
    """i8 [N / 16][K / 4][16][4]."""
    matrix = _pad(weights.codes, DEPTH)
    depth, columns = matrix.shape
    panels = matrix.reshape(depth // 4, 4, columns // PANEL, PANEL)
    return np.ascontiguousarray(panels.transpose(2, 0, 3, 1), np.int8)


def pack_blocks(weights: Weights) -> Array:
    """As `pack_int8`; 4 bits: byte i of a block's 256 holds byte i of its 512 in the low, byte 256 + i in the high
    nibble, 8 added to each."""
    panels = pack_int8(weights)
    if weights.kind == "blocks8":
        return panels
    halves = panels.reshape(-1, 2, PANEL * BLOCK // 2).view(np.uint8) + np.uint8(8)
    return np.ascontiguousarray((halves[:, 0] | halves[:, 1] << 4).view(np.int8))


def columns_table(weights: Weights) -> Array:
    """i32 [3 or more][N padded]: bias (the bits of an f32), then for int8 the scales (bits) and the sums of the codes,
    for blocks of 32 rows a pair of such rows each."""
    columns = weights.codes.shape[1]
    wide = columns + -columns % PANEL
    bias = np.zeros(wide, np.float32)
    if weights.bias is not None:
        bias[:columns] = weights.bias
    lines: list[Array] = [bias.view(np.int32)]
    if weights.kind != "f32":
        scales = weights.scales.reshape(columns, -1).T.astype(np.float32)
        blocks = weights.codes.reshape(len(scales), -1, columns).astype(np.int32)
        for scale, codes in zip(scales, blocks, strict=True):
            line = np.zeros((2, wide), np.int32)
            line[0, :columns] = scale.view(np.int32)
            line[1, :columns] = codes.sum(0)
            lines += list(line)
    return np.stack(lines)
