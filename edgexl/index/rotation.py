"""The rotation of the vector space that the codes are made in; the compiler folds it into the screener graph.

Orthogonal, so inner products stay what they are; it only moves them to where codes serve them best: `pca` orders
dimensions by energy, so that fine codes may drop the last ones; `random` spreads the energy evenly, so that every sign
bit and every 4-bit level carries the same.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from edgexl.errors import BadInput

Floats = npt.NDArray[np.float32]
Rotation = Literal["none", "pca", "random"]
_CHUNK_ROWS = 65536


def train_rotation(vectors: Floats, kind: Rotation, seed: int) -> Floats:
    """R [D, D], orthogonal, for `vectors @ R`; vectors: [rows, D]. The seed serves `random` alone.

    `pca` is about the origin, not the mean: what is lost with the last dimensions is lost of the inner product.
    """
    dims = vectors.shape[1]
    if kind == "none":
        return np.eye(dims, dtype=np.float32)
    if kind == "pca":
        moment = np.zeros((dims, dims))
        for begin in range(0, len(vectors), _CHUNK_ROWS):
            chunk = vectors[begin : begin + _CHUNK_ROWS].astype(np.float64)
            moment += chunk.T @ chunk
        basis = np.linalg.eigh(moment)[1][:, ::-1]
    elif kind == "random":
        normal = np.random.default_rng(seed).standard_normal((dims, dims))
        basis, upper = np.linalg.qr(normal)
        basis = basis * np.sign(np.diag(upper))  # else the decomposition's own signs would bias the rotation
    else:
        raise BadInput(f'no rotation is called "{kind}"; there are none, pca and random.')
    if kind == "pca":  # an eigenvector's sign is arbitrary: make its largest part positive, on every machine
        largest = basis[np.abs(basis).argmax(axis=0), np.arange(dims)]
        basis = basis * np.where(largest < 0, -1.0, 1.0)
    return np.ascontiguousarray(basis, dtype=np.float32)
