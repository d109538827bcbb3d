"""Combinations out of single options: by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.use.budget.figures import Figures, count_changes, pack_hits
from edgexl.use.budget.forecast import Candidate, Forecast, find_pareto
from edgexl.use.budget.limits import Limits
from edgexl.use.budget.relax import relax, relax_all
from edgexl.use.budget.space import Option, Point

HALF = Option("reasoner", "half", (("reasoner", "layers", 1),))
SHORT = Option("shortlist", "short", (("shortlist", "n", 8),))
PLAIN = (Option("reasoner", ""), Option("shortlist", ""))


def figures(right: list[bool], size: int, **stages: float) -> Figures:
    hits = np.array(right)
    return Figures(100 * hits.mean(), 90.0, size, 2 * size, stages, sum(stages.values()), pack_hits(hits))


def base_of(right: list[bool]) -> Figures:
    return figures(right, 1000, encode=4.0, reason=2.0, match=0.0)


def test_bytes_add_up_and_times_multiply() -> None:
    right = [True] * 50 + [False] * 50
    base = base_of(right)
    # that encode was faster meanwhile has nothing to do with the reasoner
    half = figures(right, 900, encode=2.0, reason=1.0, match=0.0)
    forecast = Forecast(base, {HALF: half, SHORT: figures(right, 950, encode=4.0, reason=0.5)})
    found = forecast.foretell(Point((HALF, SHORT))).figures
    assert (found.size_bytes, found.memory_bytes) == (850, 1700)
    assert found.stages == {"encode": 4.0, "reason": pytest.approx(0.25), "match": 0.0}
    assert found.ms == pytest.approx(4.25)
    assert found.p_at_1 == 50.0
    assert not forecast.knows(Point((Option("fine", "new", (("index", "fine_bits", 2),)),)))


def test_luck_is_taken_off_and_a_loss_is_not() -> None:
    base = base_of([True] * 100 + [False] * 100)
    # as many gained as lost but two: chance
    lucky = figures([True] * 90 + [False] * 10 + [True] * 12 + [False] * 88, 900, encode=4.0)
    worse = figures([True] * 50 + [False] * 150, 900, encode=4.0)
    assert count_changes(base, lucky) == (12, 10)
    assert count_changes(base, worse) == (0, 50)
    forecast = Forecast(base, {HALF: lucky, SHORT: worse})
    assert forecast.foretell(Point((HALF, PLAIN[1]))).figures.p_at_1 == 50.0
    # 50 lost of 50 that changed: 1 - 50 / 50^2 of the loss is believed
    assert forecast.foretell(Point((PLAIN[0], SHORT))).figures.p_at_1 == pytest.approx(50 - 0.98 * 25)


def candidate(name: str, p_at_1: float, ms: float, size: int, memory: int = 1000) -> Candidate:
    option = Option("scan", name, (("index", "overfetch", 1),))
    return Candidate(Point((option,)), Figures(p_at_1, 50.0, size, memory, {}, ms))


def test_the_front_has_what_no_other_beats_in_everything() -> None:
    best, fast, small = candidate("best", 40, 9, 900), candidate("fast", 30, 3, 900), candidate("small", 30, 9, 300)
    beaten, twin = candidate("beaten", 29, 3, 900), candidate("twin", 40, 9, 900)
    assert find_pareto([beaten, best, small, fast, twin]) == [small, fast, best]


def test_what_to_relax_is_the_least_change_of_one_limit() -> None:
    candidates = [candidate("a", 40, 9, 900), candidate("b", 30, 3, 900), candidate("c", 35, 9, 300)]
    none = relax(candidates, Limits(ms=4, size_bytes=400), None)
    assert [(each.name, each.value, each.candidate.point.name) for each in none] == [
        ("ms", 9, "c"),
        ("size_bytes", 900, "b"),
    ]
    assert "--max-ms 9.09 would allow P@1 35.0" in none[0].sentence()
    assert "--max-size 1kB would allow P@1 30.0" in none[1].sentence()
    more = relax(candidates, Limits(ms=4, size_bytes=900), candidates[1])
    assert [(each.name, each.candidate.point.name) for each in more] == [("ms", "a")]
    factor, nearest = relax_all(candidates, Limits(ms=1, size_bytes=300))
    assert (factor, nearest.point.name) == (3.0, "b")
