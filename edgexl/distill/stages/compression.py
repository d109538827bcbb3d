"""Label vectors as the index will hand them to the reasoner: a few bits a dimension, one scale a row.

The levels are symmetric without a zero, `scale * (code - (2^bits - 1) / 2)`; dimensions that a code leaves out are 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Shares of the row's largest magnitude to put the outermost level at; the best is taken row by row.
REACHES = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def compress(vectors: Tensor, bits: int, leading_dims: int) -> Tensor:
    """[n,d] fp32 -> what is left of them [n,d] fp32 after coding the first `leading_dims` dimensions."""
    kept = vectors[:, :leading_dims]
    middle = (2**bits - 1) / 2
    largest = kept.abs().amax(1, keepdim=True)
    best = torch.zeros_like(kept)
    least = torch.full_like(largest, torch.inf)
    for reach in REACHES:
        scale = (largest * (reach / middle)).to(torch.float16).to(torch.float32).clamp_min(1e-7)
        restored = ((kept / scale + middle).round().clamp(0, 2 * middle) - middle) * scale
        error = (restored - kept).square().sum(1, keepdim=True)
        best = torch.where(error < least, restored, best)
        least = torch.minimum(error, least)
    return torch.nn.functional.pad(best, (0, vectors.shape[1] - leading_dims))
