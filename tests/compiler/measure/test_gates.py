"""Gates that know what chance does to a sample of queries."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.base.errors import GateFailed
from edgexl.compiler.measure.gates import Verdict, accuracy_gates, judge, kept_margin
from edgexl.compiler.measure.ledger import Accuracy, LedgerRow, largest_loss
from edgexl.compiler.recipe import GateRecipe


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


def test_the_margin_by_hand() -> None:
    before, after = np.array([1.0, 1.0, 0.0, 1.0]), np.array([1.0, 0.0, 0.0, 1.0])
    # after - .9 x before: .1, -.9, 0, .1; its standard deviation over n - 1 is .4856, its error half of that
    gaps = np.array([0.1, -0.9, 0.0, 0.1])
    error = np.sqrt(((gaps - gaps.mean()) ** 2).sum() / 3) / 2
    assert kept_margin(before, after, 90.0, 0.95) == pytest.approx(100 * 1.6448536 * error / 0.75)
    assert kept_margin(before, after, 90.0, 0.5) == 0.0
    assert kept_margin(before[:2], after[:2], 90.0, 0.95) > 0


def test_both_sides_of_a_threshold() -> None:
    assert Verdict("kept", 98.0, 98.0, "", "").passed
    assert not Verdict("kept", 97.999, 98.0, "", "").passed
    assert Verdict("bytes", 100, 100, "", "", at_most=True).passed
    assert not Verdict("bytes", 101, 100, "", "", at_most=True).passed
    assert not Verdict("bytes", 102, 100, "", "", at_most=True, margin=1.5).passed
    with pytest.raises(
        GateFailed, match=r"bytes failed: 101 is above the most that passes, 100\. The stage to blame is"
    ):
        judge((Verdict("bytes", 101, 100, "pack", "drop some", at_most=True),))
    said = Verdict("kept", 97.0, 98.0, "quantize", "keep more", margin=0.25).as_json()
    assert said == {"name": "kept", "value": 97.0, "margin": 0.25, "threshold": 98.0, "passed": False}


def row(name: str, p_at_1: float | None, r_at_100: float | None, hits: int = 0) -> LedgerRow:
    shares = {field: (np.arange(100) < hits).astype(np.float64) for field in ("p_at_1", "r_at_100")}
    return LedgerRow(name, 1.23456, 77, Accuracy(p_at_1, r_at_100, 12.5, shares))


LEDGER = (
    row("export", 50.0, 80.0, 50), row("quantize", 49.0, 70.0, 49), row("encode", 49.0, 70.0, 49),
    row("build_index", 45.0, 68.0, 45), row("calibrate", 45.0, 68.0, 45),
)  # fmt: skip


def test_the_pass_that_lost_most_is_to_blame() -> None:
    assert largest_loss(LEDGER, "p_at_1") == "build_index"
    assert largest_loss(LEDGER, "r_at_100") == "quantize"
    assert largest_loss(LEDGER[:1], "p_at_1") == "export"
    assert LEDGER[0].as_json() == {
        "pass": "export", "seconds": 1.235, "bytes": 77, "P@1": 50.0, "R@100": 80.0, "nDCG@5": 12.5,
        "screening_P@1": None, "screening_R@100": None, "screening_nDCG@5": None,
    }  # fmt: skip
    assert LEDGER[0].as_json(seconds=False)["seconds"] is None


def test_the_last_row_is_judged_by_the_first() -> None:
    told = accuracy_gates(GateRecipe(p_at_1_kept=90.0, r_at_100_kept=85.0, confidence=0.95), LEDGER)
    assert [(v.name, v.value, v.threshold, v.stage) for v in told] == [
        ("p_at_1_kept", 90.0, 90.0, "build_index"),
        ("r_at_100_kept", 85.0, 85.0, "quantize"),
    ]
    shares = [(np.arange(100) < hits).astype(np.float64) for hits in (50, 45)]
    assert [v.margin for v in told] == [round(kept_margin(*shares, threshold, 0.95), 3) for threshold in (90.0, 85.0)]
    assert "more bits or overfetch" in told[0].advice
    assert "keep_fp32" in told[1].advice
    with pytest.raises(GateFailed, match=r"p_at_1_kept failed: 90 is below .* 90\.1"):
        accuracy_gates(GateRecipe(p_at_1_kept=90.1), LEDGER)
    answered = (*LEDGER, row("verify", 30.0, 68.0, 30))
    with pytest.raises(GateFailed, match=r'The stage to blame is verify; .*engine = "ort"'):
        accuracy_gates(GateRecipe(p_at_1_kept=90.0), answered)


def test_a_bundle_without_a_reasoner_is_judged_by_its_screening() -> None:
    def screened(name: str, whole: float, hits: int) -> LedgerRow:
        shares = {"screening_p_at_1": (np.arange(100) < hits).astype(np.float64)}
        shares |= dict.fromkeys(("p_at_1", "r_at_100", "screening_r_at_100"), np.ones(100))
        figures = {"screening_p_at_1": float(hits), "screening_r_at_100": 80.0}
        return LedgerRow(name, 1.0, 1, Accuracy(whole, 80.0, 50.0, shares, **figures))

    ledger = (screened("export", 60.0, 40), screened("blend", 38.0, 38))
    gates = GateRecipe(p_at_1_kept=95.0, confidence=0.5)
    assert [v.value for v in accuracy_gates(gates, ledger, reasons=False)] == [95.0, 100.0]
    with pytest.raises(GateFailed, match="p_at_1_kept failed: 63"):
        accuracy_gates(gates, ledger)


def test_what_was_nothing_before_is_all_kept() -> None:
    nothing = (row("export", 0.0, 0.0), row("build_index", 0.0, 0.0))
    assert [v.value for v in accuracy_gates(GateRecipe(p_at_1_kept=100.0, r_at_100_kept=100.0), nothing)] == [100, 100]
    unknown = (row("export", None, None), row("build_index", None, None))
    assert accuracy_gates(GateRecipe(), unknown) == ()
