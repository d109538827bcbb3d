"""How far probabilities can be relied on, by queries whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

BINS = 10


@dataclass(frozen=True)
class Bin:
    """First labels whose probabilities lie from `low` to `high`: how many, their mean probability, and the share of
    them that is right."""

    low: float
    high: float
    count: int
    mean: float
    right: float


def bin_probabilities(probabilities: Sequence[float], right: Sequence[bool]) -> list[Bin]:
    """Ten bins of equal width, but those that nothing lies in."""
    p, hits = np.array(probabilities, np.float64), np.array(right, np.float64)
    which = np.minimum((BINS * p).astype(np.int64), BINS - 1)
    found = []
    for number in range(BINS):
        there = which == number
        if count := int(there.sum()):
            means = float(p[there].mean()), float(hits[there].mean())
            found.append(Bin(number / BINS, (number + 1) / BINS, count, *means))
    return found


def expected_calibration_error(probabilities: Sequence[float], right: Sequence[bool]) -> float | None:
    """How far probabilities lie from what came true, on average: over ten bins of equal width, the gap between the mean
    of the first labels' probabilities and the share of them that is right, weighted by the queries in it. None without
    queries."""
    if not probabilities:
        return None
    gaps = (each.count * abs(each.mean - each.right) for each in bin_probabilities(probabilities, right))
    return math.fsum(gaps) / len(probabilities)


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = NormalDist().inv_cdf(0.975), successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return (centre - half) / scale, (centre + half) / scale
