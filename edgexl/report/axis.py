"""Axes: where a value stands on the page, and at which round values the ticks are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Scale = Literal["linear", "log2", "log10"]
_BASE = {"log2": 2.0, "log10": 10.0}


@dataclass(frozen=True)
class Axis:
    """Maps `low`..`high` to `start`..`end` (SVG units); `ticks` lie between them."""

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    scale: Scale = "linear"

    def at(self, value: float) -> float:
        """The place of `value`, in SVG units."""
        low, high, value = (_warp(each, self.scale) for each in (self.low, self.high, value))
        return self.start + (value - low) / (high - low) * (self.end - self.start)


def axis_over(
    values: Iterable[float],
    start: float,
    end: float,
    scale: Scale = "linear",
    limits: tuple[float, float] | None = None,
) -> Axis:
    """An axis that holds all finite `values` (to a billionth of its length), or exactly `limits` where they are given.

    Raises ValueError for a value that a logarithmic axis cannot hold, and for limits that are not in order.
    """
    finite = [value for value in values if math.isfinite(value)]
    low, high = limits or ((min(finite), max(finite)) if finite else (1.0, 2.0))
    if limits is not None and not low < high:
        raise ValueError(f"an axis from {low} to {high} has no length")
    if scale != "linear" and low <= 0:
        raise ValueError(f"a logarithmic axis cannot hold {low}")
    if high - low <= max(1e-9 * max(abs(low), abs(high)), 1e-300):  # rounding alone parts them
        low, high = (low - 0.5, high + 0.5) if scale == "linear" else (low / 2, high * 2)
    if scale == "linear":
        ticks = _round_ticks(low, high, outward=limits is None)
        if limits is None:
            low, high = ticks[0], ticks[-1]
    else:
        ticks = _power_ticks(low, high, _BASE[scale])
    return Axis(low, high, start, end, ticks, scale)


def tick_text(value: float) -> str:
    """A tick's label, short enough for a phone: 0.05, 20, 1,024, 120k, 3M."""
    size = abs(value)
    for unit, sign in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if size >= unit:
            return f"{value / (1000.0 if sign == 'k' else unit):.4g}{sign}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:g}"


def _warp(value: float, scale: Scale) -> float:
    return value if scale == "linear" else math.log(value)


def _round_ticks(low: float, high: float, outward: bool) -> tuple[float, ...]:
    """About five multiples of 1, 2 or 5 times a power of ten; `outward` lets the outer ones enclose low and high."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if rough <= power * factor * 1.0000001)
    # the slack keeps a tick that stands at the end itself
    first = math.floor(low / step + 1e-9) if outward else math.ceil(low / step - 1e-9)
    last = math.ceil(high / step - 1e-9) if outward else math.floor(high / step + 1e-9)
    # rounding takes away what 3 x 0.1 has too much
    digits = max(0, 2 - math.floor(math.log10(step)))
    return tuple(round(place * step, digits) + 0.0 for place in range(first, last + 1))


def _power_ticks(low: float, high: float, base: float) -> tuple[float, ...]:
    """Powers of `base` from low to high, thinned to at most eight."""
    first, last = math.ceil(math.log(low, base) - 1e-9), math.floor(math.log(high, base) + 1e-9)
    every = max(1, math.ceil((last - first + 1) / 8))
    return tuple(base**exponent for exponent in range(first, last + 1, every))
