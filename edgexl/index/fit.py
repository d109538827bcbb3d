"""What an index learns from its rows' vectors: the rotation, the code book and the gain of its fine codes."""

from __future__ import annotations

from dataclasses import dataclass

from edgexl.base.arrays import Floats
from edgexl.index.choice import CoarseCode
from edgexl.index.codebook import train_codebook
from edgexl.index.fine import EVEN, Gain, leading_gain
from edgexl.index.rotation import Rotation, train_rotation


@dataclass(frozen=True)
class Fitted:
    """`rotation` [D, D] (None where there is none), the vectors `turned` by it [rows, D], `codebook` [M, 16, C / M] and
    the `gain` of the leading C dimensions' fine codes."""

    rotation: Floats | None
    turned: Floats
    codebook: Floats
    gain: Gain


def fit_codes(
    vectors: Floats, code: CoarseCode, rotation: Rotation, code_bytes: int, fine_dims: int, seed: int
) -> Fitted:
    """Fit all of it to vectors [rows, D]. Raises `BadInput` for sizes that do not fit.

    Only a pca rotation spreads energy apart over what the coarse codes keep and the rest, so that only there a gain has
    something to make good.
    """
    turn = None if rotation == "none" else train_rotation(vectors, rotation, seed, (code.dims, fine_dims))
    turned = vectors if turn is None else vectors @ turn
    codebook = train_codebook(turned[:, : code.dims], code.coarse, code_bytes, seed)
    gain = leading_gain(turned, code.dims, fine_dims) if rotation == "pca" else EVEN
    return Fitted(turn, turned, codebook, gain)
