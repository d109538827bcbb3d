"""Fine codes: 2, 4 or 8 bits a dimension behind an f16 scale a row, as docs/format.md, "Fine codes section", has them.

A row has one scale, and so the same levels for all of its dimensions. Where coarse codes keep the leading dimensions
only, these hold more energy each than those behind; a `Gain` says by how much, so that levels fit both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput
from edgexl.bundle.parameters import LARGEST_GAIN

_CHUNK_ROWS = 1024  # several times that many numbers fit a core's second-level cache
# Of the largest magnitude: how much of a row's range the outer level covers. Clipping few large values makes the
# steps of all others finer.
_CLIPS = {
    2: np.linspace(0.2, 1.0, 17, dtype=np.float32),
    4: np.linspace(0.5, 1.0, 16, dtype=np.float32),
    8: np.ones(1, np.float32),
}


@dataclass(frozen=True)
class Gain:
    """The codes of the leading `dims` dimensions stand for `factor` (an f32) times as much as those behind."""

    dims: int = 0
    factor: float = 1.0

    def times(self, vectors: Floats) -> Floats:
        """A copy of vectors [..., F] with the leading dimensions multiplied, in f32."""
        product = np.array(vectors, np.float32)
        product[..., : self.dims] *= np.float32(self.factor)
        return product


EVEN = Gain()


def leading_gain(vectors_rot: Floats, leading_dims: int, fine_dims: int) -> Gain:
    """The gain with which levels fit the leading dimensions as well as those up to `fine_dims`: the ratio of their root
    mean squares. It makes the squared error what it is where all energy is spread evenly.

    vectors_rot: [rows, D]. `EVEN` where there is nothing to compare.
    """
    if leading_dims >= fine_dims:
        return EVEN
    squares = np.zeros(fine_dims)
    for begin in range(0, len(vectors_rot), _CHUNK_ROWS):
        chunk = vectors_rot[begin : begin + _CHUNK_ROWS, :fine_dims].astype(np.float64)
        squares += (chunk * chunk).sum(axis=0)
    leading, behind = squares[:leading_dims].mean(), squares[leading_dims:].mean()
    if not (leading > 0 and behind > 0):  # also where numbers are not finite, which encode_fine refuses
        return EVEN
    return Gain(leading_dims, float(np.float32(np.clip(np.sqrt(leading / behind), 1 / LARGEST_GAIN, LARGEST_GAIN))))


def fine_stride_bytes(fine_dims: int, fine_bits: int) -> int:
    """Bytes of a row."""
    return 2 + fine_dims * fine_bits // 8


def encode_fine(vectors_rot: Floats, fine_dims: int, fine_bits: int, gain: Gain = EVEN) -> bytes:
    """The section's bytes for the leading `fine_dims` (even) dimensions of vectors_rot [rows, D].

    A row's levels are those of the clip that leaves the smallest angle to the row, and its scale makes the inner
    product of the row with its own code right, so that scores are neither shrunk nor stretched; both judged with the
    gain in.
    Raises BadInput for bits other than 2, 4 and 8, a fine_dims that is too large or does not fill whole bytes, and
    numbers that are not finite.
    """
    rows, dims = vectors_rot.shape
    if fine_bits not in (2, 4, 8):
        raise BadInput(f"fine codes have 2, 4 or 8 bits a dimension, not {fine_bits}.")
    if fine_bits == 2 and fine_dims % 4 != 0:
        raise BadInput(f"fine_dims must be a multiple of 4 for codes of 2 bits, not {fine_dims}.")
    if fine_dims % 2 != 0 or not 2 <= fine_dims <= dims:
        raise BadInput(f"fine_dims must be even and from 2 to the {dims} dimensions, not {fine_dims}.")
    encoded = np.zeros((rows, fine_stride_bytes(fine_dims, fine_bits)), np.uint8)
    for begin in range(0, rows, _CHUNK_ROWS):
        chunk = np.ascontiguousarray(vectors_rot[begin : begin + _CHUNK_ROWS, :fine_dims], dtype=np.float32)
        if not np.isfinite(chunk).all():
            raise BadInput("a label vector holds a number that is not finite. Check the screener on the label texts.")
        values, scale = _best_levels(chunk, fine_bits, gain)
        out = encoded[begin : begin + len(chunk)]
        out[:, :2] = scale.astype("<f2").view(np.uint8).reshape(-1, 2)
        if fine_bits < 8:
            codes = ((values + (1 << fine_bits) - 1) // 2).astype(np.uint8)
            for place in range(8 // fine_bits):
                out[:, 2:] |= codes[:, place :: 8 // fine_bits] << (place * fine_bits)
        else:
            out[:, 2:] = values.astype(np.int8).view(np.uint8)
    return encoded.tobytes()


def _best_levels(chunk: Floats, fine_bits: int, gain: Gain) -> tuple[Floats, Floats]:
    """Integer values [n, F] (odd, -3 to 3 or -15 to 15; or -127 to 127) and the scale [n] of each row."""
    energy = _sums(chunk * chunk)
    weighted = gain.times(chunk)  # its product with the codes is the row's with what they stand for
    weight = gain.times(np.ones(chunk.shape[1], np.float32)) ** 2
    even = Gain(gain.dims, 1 / gain.factor).times(chunk)
    peak = np.abs(even).max(axis=1, keepdims=True)
    peak[peak == 0] = 1
    best_values = np.zeros_like(chunk)
    best_cosine = np.full(len(chunk), -1.0, np.float32)
    best_dot = np.zeros(len(chunk), np.float32)
    half = 1 << (fine_bits - 1)
    for clip in _CLIPS[fine_bits]:
        if fine_bits < 8:
            values = 2 * np.clip(np.floor(even * ((2 * half - 1) / (2 * clip * peak))), -half, half - 1) + 1
        else:
            values = np.clip(np.rint(even * (127 / (clip * peak))), -127, 127)
        dot = _sums(values * weighted)
        cosine = dot / np.sqrt(np.maximum(_sums(values * values * weight), 1e-6))
        better = cosine > best_cosine
        best_values[better], best_dot[better], best_cosine[better] = values[better], dot[better], cosine[better]
    return best_values, np.where(best_dot > 0, energy / np.where(best_dot > 0, best_dot, 1), 0).astype(np.float32)


def _sums(terms: Floats) -> Floats:
    """[n] of [n, F], in f32 and in an order that the runtime follows too: the later half onto the earlier one, again
    and again; the middle one of an odd number stays.
    """
    while (width := terms.shape[1]) > 1:
        half = width // 2
        folded = terms[:, :half] + terms[:, width - half :]
        terms = np.concatenate([folded, terms[:, half : half + 1]], axis=1) if width % 2 else folded
    return terms[:, 0]


def fine_values(fine: bytes | memoryview, fine_dims: int, fine_bits: int) -> tuple[npt.NDArray[np.int32], Floats]:
    """Code values [rows, F] and scales [rows] (0 where not finite) of a section's bytes."""
    encoded = np.frombuffer(fine, np.uint8).reshape(-1, fine_stride_bytes(fine_dims, fine_bits))
    scale = np.ascontiguousarray(encoded[:, :2]).view("<f2")[:, 0].astype(np.float32)
    scale[~np.isfinite(scale)] = 0
    codes = encoded[:, 2:]
    if fine_bits == 8:
        return np.maximum(codes.view(np.int8).astype(np.int32), -127), scale
    values = np.empty((len(codes), fine_dims), np.int32)
    most = (1 << fine_bits) - 1
    for place in range(8 // fine_bits):
        values[:, place :: 8 // fine_bits] = 2 * (codes >> (place * fine_bits) & most).astype(np.int32) - most
    return values, scale


def decode_fine(
    fine: bytes | memoryview, rows: int, fine_dims: int, fine_bits: int, dims: int, gain: Gain = EVEN
) -> Floats:
    """Decompressed vectors [rows, dims], zeros from fine_dims on; the same bits as the C runtime's."""
    stride = fine_stride_bytes(fine_dims, fine_bits)
    vectors = np.zeros((rows, dims), np.float32)
    for begin in range(0, rows, _CHUNK_ROWS):
        end = min(rows, begin + _CHUNK_ROWS)
        values, scale = fine_values(fine[begin * stride : end * stride], fine_dims, fine_bits)
        vectors[begin:end, :fine_dims] = gain.times(scale[:, None] * values.astype(np.float32))
    return vectors
