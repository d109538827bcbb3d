"""The simulated codes of label vectors."""

from __future__ import annotations

import pytest
import torch

from edgexl.distill.stages.compression import compress


def test_rows_take_at_most_as_many_levels_as_the_bits_allow_and_stay_near() -> None:
    vectors = torch.nn.functional.normalize(torch.randn(50, 64, generator=torch.Generator().manual_seed(0)), dim=1)
    errors = []
    for bits in (2, 4, 8):
        coded = compress(vectors, bits, 64)
        assert max(len(row.unique()) for row in coded) <= 2**bits
        assert not bool((coded == 0).any())
        errors.append(float((coded - vectors).square().sum(1).mean()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[1] < 0.015  # of 1: four bits lose little of a Gaussian
    assert errors[2] < 0.0002


def test_dimensions_beyond_the_leading_ones_are_zero() -> None:
    coded = compress(torch.randn(5, 32), 4, 20)
    assert coded.shape == (5, 32)
    assert bool((coded[:, 20:] == 0).all())
    assert bool((coded[:, :20] != 0).all())


def test_each_row_has_the_best_of_the_reaches() -> None:
    """By plain loops over rows: levels in even steps about zero, the outermost at a share of the largest number."""
    vectors = torch.randn(20, 12, generator=torch.Generator().manual_seed(1))
    vectors[3] *= 1e-9
    coded = compress(vectors, 3, 10).double()
    for row, found in zip(vectors[:, :10].double(), coded[:, :10], strict=True):
        best = torch.inf
        for reach in (0.5, 0.6, 0.7, 0.8, 0.9, 1.0):
            scale = float((row.abs().max().float() * (reach / 3.5)).half().float().clamp_min(1e-7))
            levels = (torch.arange(8) - 3.5).double() * scale
            nearest = levels[(row[:, None] - levels).abs().argmin(1)]
            best = min(best, float((nearest - row).square().sum()))
        assert float((found - row).square().sum()) == pytest.approx(best, rel=1e-4)
