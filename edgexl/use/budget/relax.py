"""Which limit to relax, by how much, and what that gives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgexl.use.budget.forecast import Candidate
from edgexl.use.budget.limits import COSTS, Limits, say

# Less of P@1, in points, is no reason to spend more.
_WORTH = 0.2


@dataclass(frozen=True)
class Relaxation:
    """With the limit `name` at `value` instead, the best `candidate` is allowed that costs no more."""

    name: str
    value: float
    candidate: Candidate

    def sentence(self) -> str:
        found = self.candidate.figures
        if self.name == "recall":
            return (
                f"--min-recall {self.value:.1f} would allow P@1 {_percent(found.p_at_1)} ({self.candidate.point.name})"
            )
        option, name = f"{COSTS[self.name]} {_as_option(self.name, self.value)}", self.candidate.point.name
        return f"{option} would allow P@1 {_percent(found.p_at_1)} ({say(self.name, self.value)}: {name})"

    def as_json(self) -> dict[str, Any]:
        return {
            "limit": self.name,
            "value": self.value,
            "P@1": self.candidate.figures.p_at_1,
            "point": self.candidate.point.name,
        }


def relax(candidates: Sequence[Candidate], limits: Limits, taken: Candidate | None) -> list[Relaxation]:
    """For each limit the least that must change for a better answer than `taken`, or for any where nothing fits. All
    limits else stay as they are."""
    least = -1.0 if taken is None else taken.quality + _WORTH
    found = []
    for name in (*COSTS, "recall"):
        if getattr(limits, name) is None:
            continue
        others = replace(limits, **{name: None})
        allowed = [
            each
            for each in candidates
            if others.are_met(each.figures) and not limits.are_met(each.figures) and each.quality >= least
        ]
        if not allowed:
            continue
        if name == "recall":
            best = max(allowed, key=lambda each: each.figures.recall or 0.0)
            found.append(Relaxation(name, (best.figures.recall or 0.0) - 0.05, best))
            continue
        nearest = min(allowed, key=lambda each: getattr(each.figures, name))
        # what a little more than the least gives, where that is far better
        value = getattr(nearest.figures, name)
        near = [each for each in allowed if getattr(each.figures, name) <= 1.05 * value]
        best = max(near, key=lambda each: each.quality)
        found.append(Relaxation(name, getattr(best.figures, name), best))
    return found


def relax_all(candidates: Sequence[Candidate], limits: Limits) -> tuple[float, Candidate]:
    """The least factor by which all limited costs together must grow for a candidate to fit, and that candidate (its
    recall may be too low)."""

    def factor(candidate: Candidate) -> float:
        asked = [name for name in COSTS if getattr(limits, name) is not None]
        return max((getattr(candidate.figures, name) / getattr(limits, name) for name in asked), default=1.0)

    found = [each for each in candidates if limits.recall is None or (each.figures.recall or 0.0) >= limits.recall]
    best = min(found or candidates, key=factor)
    return factor(best), best


def _as_option(name: str, value: float) -> str:
    """A value that the option takes, rounded up."""
    if name == "ms":
        return f"{value * 1.01:.3g}"
    unit, name = (1e6, "MB") if value >= 1e7 else (1e3, "kB")
    return f"{math.ceil(value / unit * 10) / 10:.1f}{name}" if unit == 1e6 else f"{math.ceil(value / unit)}{name}"


def _percent(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"
