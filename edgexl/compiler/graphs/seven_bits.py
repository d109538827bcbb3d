"""Weights of 7 bits: codes whose products with bytes a processor without dot products adds up two steps at a time.

Such a processor adds the products of some neighbours in 16 bits, which codes of 8 bits overflow. These do not, whatever
the activations are: docs/format.md, "Packed matrices", has the rule. Most columns keep larger codes than 63, which 7
bits alone would leave them, for the rule limits sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from edgexl.base.arrays import Array

# 128 x 255, a byte's largest, is below 2^15; so is 255 x 128, a signed byte's.
MOST_OF_A_SIGN, MOST_MAGNITUDE = 128, 255
# A column's largest code is one of these: with small ones more is rounded off, with large ones more is cut off.
TOPS = (127, 103, 85, 72, 62, 54, 47)
# Which axes of codes in a shape, without its first and last axis, make a group.
_OF_A_SIGN, _MAGNITUDES = ((2, 2, 2), (1, 3)), ((4, 4), (1,))


def round_columns(matrix: Array) -> tuple[Array, Array]:
    """Codes i8 [K, N] that follow the rule and scales f32 [N], so that codes x scales are near `matrix` f32 [K, N]."""
    peaks = np.maximum(np.abs(matrix).max(0), 1e-12).astype(np.float32)
    least = np.full(matrix.shape[1], np.inf, np.float32)
    codes, scales = np.zeros(matrix.shape, np.int8), np.zeros(matrix.shape[1], np.float32)
    for top in TOPS:
        scale = peaks / np.float32(top)
        tried = cut(np.rint(matrix / scale).astype(np.int8))
        lost = np.square(tried * scale - matrix).sum(0)
        better = lost < least
        least[better], scales[better] = lost[better], scale[better]
        codes[:, better] = tried[:, better]
    return codes, scales


def follows_rule(codes: Array) -> bool:
    """Whether codes i8 [K, N] are of 7 bits in this sense."""
    return np.array_equal(cut(codes), codes)


def cut(codes: Array) -> Array:
    """Codes i8 [K, N], those of groups that break the rule brought nearer to 0 by what they exceed it."""
    depth = len(codes)
    wide = np.pad(codes, ((0, -depth % 16), (0, 0))).astype(np.int16)
    for sign in (1, -1):
        _lower(wide, *_OF_A_SIGN, sign, MOST_OF_A_SIGN)
    _lower(wide, *_MAGNITUDES, 0, MOST_MAGNITUDE)
    return wide[:depth].astype(np.int8)


def _lower(codes: Array, shape: tuple[int, ...], axes: tuple[int, ...], sign: int, most: int) -> None:
    """Lower magnitudes of one sign, or (0) of both, in each group until they add up to no more than `most`."""
    blocks = codes.reshape(-1, *shape, codes.shape[1])
    sizes = np.abs(blocks) if sign == 0 else np.maximum(blocks if sign > 0 else -blocks, 0)
    found = np.nonzero(sizes.sum(axes, np.int16) > most)
    if not len(found[0]):
        return
    place: list[Any] = list(found)
    for axis in axes:
        place.insert(axis, slice(None))
    places = tuple(place)
    group = blocks[places]
    parts = sizes[places].reshape(len(group), -1)
    blocks[places] = group - np.sign(group) * (parts - _project(parts, most)).reshape(group.shape)


def _project(parts: Array, most: int) -> Array:
    """The nearest rows to `parts` [n, parts], none below 0, that add up to `most`: all lowered alike, the largest first
    where that does not divide."""
    parts = parts.copy()
    while (excess := parts.sum(1) - most).max() > 0:
        each = np.maximum(excess // np.count_nonzero(parts, 1), 0)
        largest = parts.argmax(1)
        parts = np.maximum(parts - each[:, None], 0)
        last = (excess > 0) & (each == 0)
        parts[last, largest[last]] -= 1
    return parts
