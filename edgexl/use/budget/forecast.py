"""What a combination will cost and reach, from what each of its options changed by itself.

Sizes and memory add up. A stage's time changes by the factors of the options of those parts that it depends on: half of
the layers over half of the labels takes a quarter. So does the share of right answers that is kept, of which an
option's own luck with the queries is taken off: of a thousand answers that change, some are gained and some lost by
chance alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edgexl.use.budget.figures import Figures, count_changes
from edgexl.use.budget.limits import COSTS
from edgexl.use.budget.space import STAGES_OF, Option, Point


@dataclass(frozen=True)
class Candidate:
    """A combination of options with its figures: foretold, or `verified` by making it."""

    point: Point
    figures: Figures
    verified: bool = False

    @property
    def quality(self) -> float:
        """What candidates are ordered by: P@1, 0 where nobody measured it."""
        return self.figures.p_at_1 or 0.0


@dataclass(frozen=True)
class Forecast:
    """`base`: the figures of the recipe as it is; `options`: those of the recipe with one option changed."""

    base: Figures
    options: Mapping[Option, Figures]

    def knows(self, point: Point) -> bool:
        """Whether all of a point's options were measured."""
        return all(option in self.options for option in point.changes)

    def foretell(self, point: Point) -> Candidate:
        """A point's figures. Raises `KeyError` for an option that was not measured."""
        changed = [self.options[option] for option in point.changes]
        base = self.base
        stages = {
            name: _product(
                ms, [self.options[each].stages.get(name, ms) for each in point.changes if name in STAGES_OF[each.part]]
            )
            for name, ms in base.stages.items()
        }
        # the median of the whole is not quite the sum of the stages' medians
        share = base.ms / max(sum(base.stages.values()), 1e-9)
        figures = Figures(
            _kept(base.p_at_1, [self._without_luck(each) for each in changed]),
            _kept(base.recall, [each.recall for each in changed]),
            _sum(base.size_bytes, [each.size_bytes for each in changed]),
            _sum(base.memory_bytes, [each.memory_bytes for each in changed]),
            stages,
            share * sum(stages.values()),
        )
        return Candidate(point, figures)

    def _without_luck(self, figures: Figures) -> float | None:
        """P@1 of an option, nearer to the base's the less its difference stands out of chance: James and Stein's
        estimate, with the variance of a paired difference (of n queries that changed, n). What costs less is seldom
        better, too: of a gain, what is within two standard errors is luck."""
        if figures.p_at_1 is None or not self.base.p_at_1:
            return figures.p_at_1
        gained, lost = count_changes(self.base, figures)
        difference = gained - lost
        chance = (gained + lost) * (4 if difference > 0 else 1)
        trust = max(0.0, 1.0 - chance / difference**2) if difference else 0.0
        return self.base.p_at_1 + trust * (figures.p_at_1 - self.base.p_at_1)


def find_pareto(candidates: Iterable[Candidate]) -> list[Candidate]:
    """Those that no other beats: none is as good and costs no more in any way; the cheapest file first. Of equals the
    first."""
    ordered = sorted(candidates, key=lambda each: (-each.quality, *_costs(each)))
    front: list[Candidate] = []
    seen: set[tuple[float, ...]] = set()
    for each in ordered:
        mine = _costs(each)
        if mine in seen or any(_is_no_dearer(_costs(other), mine) for other in front):
            continue
        front.append(each)
        seen.add(mine)
    return sorted(front, key=lambda each: (each.figures.size_bytes, each.figures.ms))


def _costs(candidate: Candidate) -> tuple[float, ...]:
    return tuple(getattr(candidate.figures, name) for name in COSTS)


def _is_no_dearer(these: Sequence[float], those: Sequence[float]) -> bool:
    return all(one <= other for one, other in zip(these, those, strict=True))


def _product(base: float, changed: Sequence[float]) -> float:
    return base * math.prod(each / base for each in changed) if base > 0 else base + sum(changed)


def _kept(base: float | None, changed: Sequence[float | None]) -> float | None:
    if base is None:
        return None
    return _product(base, [base if each is None else each for each in changed]) if base > 0 else 0.0


def _sum(base: int, changed: Sequence[int]) -> int:
    return base + sum(each - base for each in changed)
