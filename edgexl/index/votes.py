"""What all candidate rows of a label say together, T log sum exp(score / T), by the very steps of the C runtime.

exp and log are written out in double precision: those of numpy differ from machine to machine in their last digit.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Doubles, Floats

Sums = npt.NDArray[np.uint64]

_ONE = 4294967296.0  # a vote of the best row
_LN2 = 0.6931471805599453


def vote(scores: Floats, best: Floats, temperature: float) -> Sums:
    """exp((score - best) / temperature) in 2^-32, for scores f32 that are at most their label's best one."""
    behind = (scores.astype(np.float64) - best.astype(np.float64)) / np.float64(np.float32(temperature))
    return (_exp(behind) * _ONE + 0.5).astype(np.uint64)


def votes(best: Floats, sums: Sums, temperature: float) -> Floats:
    """f32 of labels with these sums of votes, each at least 2^32."""
    logs = _log(sums.astype(np.float64) / _ONE)
    together: Floats = (best.astype(np.float64) + np.float64(np.float32(temperature)) * logs).astype(np.float32)
    return together


def _exp(x: Doubles) -> Doubles:
    """Of numbers that are 0 or less."""
    steps = x * 1.4426950408889634
    small = ~(steps > -33)
    steps, x = np.where(small, 0.0, steps), np.where(small, 0.0, x)
    power = (steps - 0.5).astype(np.int32)
    rest = x - power * _LN2
    total = np.ones_like(rest)
    for n in range(12, 0, -1):
        total = total * rest / n + 1.0
    values: Doubles = np.where(small, 0.0, total * np.ldexp(1.0, power))
    return values


def _log(x: Doubles) -> Doubles:
    """Of numbers that are 1 or more."""
    half, exponent = np.frexp(x)
    fraction, power = half * 2.0, exponent - 1
    large = fraction > 1.4142135623730951
    fraction, power = np.where(large, fraction * 0.5, fraction), power + large
    ratio = (fraction - 1.0) / (fraction + 1.0)
    square = ratio * ratio
    total = np.zeros_like(ratio)
    for n in range(21, 0, -2):
        total = total * square + 1.0 / n
    logs: Doubles = power * _LN2 + 2.0 * ratio * total
    return logs
