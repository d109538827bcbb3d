"""Whether two measurements differ by more than chance: intervals of paired differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from edgexl.base.arrays import Doubles

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """An estimate, and the limits between which the truth lies with so much confidence."""

    value: float
    low: float
    high: float

    def excludes(self, value: float) -> bool:
        """Whether the truth is most likely another."""
        return not self.low <= value <= self.high


def mean_interval(values: Doubles, confidence: float = CONFIDENCE) -> Interval:
    """The mean of independent values, by Student's t; without limits where there are fewer than two."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf)
    half = student_t(len(values) - 1, confidence) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half)


def student_t(freedom: int, confidence: float) -> float:
    """The two-sided quantile of Student's t: exact for 1 and 2 degrees of freedom, then its expansion about the normal
    one (Abramowitz and Stegun, 26.7.5), within 1 %."""
    if freedom == 1:
        return math.tan(math.pi * confidence / 2)
    if freedom == 2:
        return confidence * math.sqrt(2 / (1 - confidence * confidence))
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / math.pow(freedom, power) for power, term in enumerate(terms, 1))
