"""How far probabilities can be relied on, by queries whose answers are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np


def expected_calibration_error(probabilities: Sequence[float], right: Sequence[bool]) -> float | None:
    """How far probabilities lie from what came true, on average: over ten bins of equal width, the gap between the mean
    of the first labels' probabilities and the share of them that is right, weighted by the queries in it. None without
    queries."""
    if not probabilities:
        return None
    p, hits = np.array(probabilities), np.array(right, np.float64)
    which = np.minimum((10 * p).astype(np.int64), 9)
    gaps = np.bincount(which, p, 10) - np.bincount(which, hits, 10)
    return float(np.abs(gaps).sum() / len(p))


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z, share = NormalDist().inv_cdf(0.975), successes / trials
    centre = share + z * z / (2 * trials)
    half = z * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    scale = 1 + z * z / trials
    return (centre - half) / scale, (centre + half) / scale
