"""The rotation of the vector space that the codes are made in; the compiler folds it into the screener graph.

Orthogonal, so inner products stay what they are; it only moves them to where codes serve them best. Code levels are
the same for all dimensions of a row, so energy should be spread evenly over those that are kept (`random`); where codes
keep only the leading dimensions, these should hold as much of it as they can (`pca`, which then spreads it).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput

Rotation = Literal["none", "pca", "random"]
_CHUNK_ROWS = 65536


def train_rotation(
    vectors: Floats, kind: Rotation, seed: int, leading_dims: int | Sequence[int] | None = None
) -> Floats:
    """R [D, D], orthogonal, for `vectors @ R`; vectors: [rows, D].

    `random` spreads the energy over all dimensions. `pca` gathers as much of it as it can in the first `leading_dims`
    (all when None, which is `random` but for the seed's luck) and spreads it within them, and the rest within the rest;
    given several numbers (what coarse and fine codes keep), it does so for each of them.
    It is about the origin, not the mean: what is lost with the last dimensions is lost of the inner product.
    """
    dims = vectors.shape[1]
    if kind == "none":
        return np.eye(dims, dtype=np.float32)
    if kind not in ("pca", "random"):
        raise BadInput(f'no rotation is called "{kind}"; there are none, pca and random.')
    rng = np.random.default_rng(seed)
    if kind == "random":
        return _random_rotation(rng, dims).astype(np.float32)
    moment = np.zeros((dims, dims))
    for begin in range(0, len(vectors), _CHUNK_ROWS):
        chunk = vectors[begin : begin + _CHUNK_ROWS].astype(np.float64)
        moment += chunk.T @ chunk
    basis = np.linalg.eigh(moment)[1][:, ::-1]
    # An eigenvector's sign is arbitrary: make its largest part positive.
    basis = basis * np.sign(basis[np.abs(basis).argmax(axis=0), np.arange(dims)])
    spread = [basis[:, part] @ _random_rotation(rng, part.stop - part.start) for part in _parts(dims, leading_dims)]
    return np.ascontiguousarray(np.concatenate(spread, axis=1), dtype=np.float32)


def _parts(dims: int, leading_dims: int | Sequence[int] | None) -> list[slice]:
    """The dimensions between one of the numbers and the next."""
    leading = leading_dims if isinstance(leading_dims, Sequence) else [leading_dims or dims]
    ends = [*sorted({end for end in leading if end < dims}), dims]
    return [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]


def _random_rotation(rng: np.random.Generator, dims: int) -> npt.NDArray[np.float64]:
    basis, upper = np.linalg.qr(rng.standard_normal((dims, dims)))
    return basis * np.sign(np.diag(upper))  # else the decomposition's own signs would bias the rotation
