"""Codes of 7 bits: sums that fit 16 bits, as docs/format.md, "Packed matrices", has them, at little loss."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.compiler.graphs.seven_bits import cut, follows_rule, round_columns


def sums_of(codes: np.ndarray) -> tuple[int, int]:
    """The largest sum of a sign and the largest of magnitudes, element by element."""
    signs, magnitudes = [0], [0]
    depth, columns = codes.shape
    for column in range(columns):
        for first in range(0, depth, 8):
            for rows in ((0, 1, 4, 5), (2, 3, 6, 7)):
                part = [int(codes[first + row, column]) for row in rows if first + row < depth]
                signs += [sum(code for code in part if code > 0), -sum(code for code in part if code < 0)]
        for first in range(0, depth, 16):
            for row in range(4):
                part = [int(codes[place, column]) for place in range(first + row, min(first + 16, depth), 4)]
                magnitudes.append(sum(map(abs, part)))
    return max(signs), max(magnitudes)


@pytest.mark.parametrize("depth", [1, 7, 16, 37])
def test_codes_are_cut_to_the_rule_and_no_further(depth: int) -> None:
    codes = np.random.default_rng(depth).integers(-127, 128, (depth, 9)).astype(np.int8)
    found = cut(codes)
    assert sums_of(found)[0] <= 128
    assert sums_of(found)[1] <= 255
    assert follows_rule(found)
    assert follows_rule(codes) == (sums_of(codes)[0] <= 128 and sums_of(codes)[1] <= 255)
    assert (np.abs(found.astype(int)) <= np.abs(codes.astype(int))).all()
    assert (found.astype(int) * codes >= 0).all()
    if depth >= 16:
        assert sums_of(found) == (128, 255)


def test_a_sum_that_fits_is_kept() -> None:
    codes = np.zeros((16, 1), np.int8)
    codes[[0, 1, 4, 5], 0] = 100, 28, -100, -28
    assert follows_rule(codes)
    codes[1] += 1
    assert not follows_rule(codes)
    assert cut(codes)[[0, 1], 0].tolist() == [99, 29]


def test_columns_are_near_their_matrix() -> None:
    draw = np.random.default_rng(1)
    matrix = (draw.standard_normal((384, 40)) * draw.random(40)).astype(np.float32)
    matrix[:, 3] = 0
    codes, scales = round_columns(matrix)
    assert follows_rule(codes)
    assert scales.shape == (40,)
    lost = np.linalg.norm(codes * scales - matrix) / np.linalg.norm(matrix)
    plain = np.abs(matrix).max(0) / 63 + np.float32(1e-12)
    assert lost < 0.0145
    assert lost < np.linalg.norm(np.rint(matrix / plain) * plain - matrix) / np.linalg.norm(matrix)
    spiky = matrix.copy()
    spiky[5] *= 40  # one large code beside small ones needs no cut
    codes, _ = round_columns(spiky)
    assert np.median(np.abs(codes).max(0)) > 90
