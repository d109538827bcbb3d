"""Gates that know what chance does to a sample of queries."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.compiler.gates import Verdict, judge, kept_margin
from edgexl.errors import GateFailed


def test_the_margin_fails_as_often_as_its_confidence_says() -> None:
    # a compile that keeps exactly 98 % of P@1 = 20 %: it loses 2.4 % of the queries and gains 2 % that were wrong
    chance, failed = np.random.default_rng(0), {0.5: 0, 0.95: 0}
    for _ in range(2000):
        before = chance.random(2000) < 0.2
        moved = chance.random(2000)
        after = np.where(before, moved >= 0.06, moved < 0.01)
        for confidence in failed:
            margin = kept_margin(before.astype(np.float64), after.astype(np.float64), 98.0, confidence)
            value = 100.0 * after.mean() / before.mean()
            failed[confidence] += not Verdict("kept", value, 98.0, "", "", margin=margin).passed
    assert failed[0.5] / 2000 == pytest.approx(0.5, abs=0.05)
    assert failed[0.95] / 2000 == pytest.approx(0.05, abs=0.02)


def test_the_margin_is_of_pairs() -> None:
    before = (np.arange(2000) % 5 == 0).astype(np.float64)
    same = kept_margin(before, before, 100.0, 0.95)
    other = kept_margin(before, np.roll(before, 1), 100.0, 0.95)
    assert same == 0.0
    # 800 of 2,000 queries differ by 1: 1.645 times sqrt(.4 / 2000), over .2
    assert other == pytest.approx(100 * 1.645 * np.sqrt(0.4 / 2000) / 0.2, rel=1e-3)


@pytest.mark.parametrize("before", [np.zeros(100), np.ones(1), np.zeros(0)])
def test_nothing_to_judge_allows_nothing(before: np.ndarray) -> None:
    assert kept_margin(before, before, 98.0, 0.95) == 0.0


def test_a_failure_beyond_chance_names_what_chance_explains() -> None:
    passed = Verdict("p_at_1_kept", 98.0, 98.5, "quantize", "keep more", margin=0.5)
    assert judge((passed,)) == (passed,)
    failed = Verdict("p_at_1_kept", 97.9, 98.5, "quantize", "keep more", margin=0.5)
    with pytest.raises(GateFailed, match=r"97\.9 is below the least that passes, 98\.5, by more than the 0\.5 that"):
        judge((failed,))
    assert Verdict("bytes", 101, 100, "pack", "drop some", at_most=True, margin=1).passed
