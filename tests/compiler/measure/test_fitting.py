"""Calibration on shortlists whose true probabilities are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.compiler.measure.fitting import (
    _as_float32,
    best_threshold,
    calibrate_by_share,
    fit,
    fit_presence,
    fit_share,
    held_out_loss,
    isotonic,
    platt,
)

SET = bytes(32)


def shortlists(queries: int, shift: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Logits [queries, 8], whether each is right, and its true probability; `shift` moves each query's logits as a
    whole.
    """
    draw = np.random.default_rng(0)
    base = draw.standard_normal((queries, 8)) * 2 - 1.5
    truth = 1 / (1 + np.exp(-base))
    logits = base + shift * draw.standard_normal((queries, 1))
    return logits.astype(np.float32), draw.random((queries, 8)) < truth, truth


@pytest.mark.parametrize("method", ["isotonic", "platt"])
def test_true_probabilities_are_found(method: str) -> None:
    logits, right, truth = shortlists(3000, shift=0)
    fitted = fit(logits, right, int(right.sum()), method, SET)  # type: ignore[arg-type]
    assert fitted.calibration.input == "logit"
    found = np.stack([fitted.calibration.probabilities(row) for row in logits])
    assert np.abs(found - truth).mean() < 0.02


def test_the_input_that_predicts_better_is_taken() -> None:
    draw = np.random.default_rng(1)
    logits = draw.standard_normal((2000, 8)) * 2
    share = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    right = draw.random(logits.shape) < share
    shifted = (logits + 5 * draw.standard_normal((2000, 1))).astype(np.float32)
    fitted = fit(shifted, right, int(right.sum()), "isotonic", SET)
    assert fitted.calibration.input == "log_softmax"
    assert fitted.log_loss["log_softmax"] < fitted.log_loss["logit"]


def test_the_share_with_none_of_these_is_taken_where_logits_say_none() -> None:
    draw = np.random.default_rng(4)
    logits = draw.standard_normal((3000, 8)) * 2 - 1
    weights = np.exp(logits)
    share = weights / (weights.sum(1, keepdims=True) + 1)
    chosen = (draw.random((3000, 1)) < share.cumsum(1)).argmax(1)
    right = np.zeros(logits.shape, np.bool_)
    right[np.arange(3000), chosen] = draw.random(3000) < share.sum(1)
    fitted = fit(logits.astype(np.float32), right, int(right.sum()), "isotonic", SET)
    assert fitted.calibration.input == "log_softmax_or_none"
    probabilities = np.stack([fitted.calibration.probabilities(row) for row in logits])
    assert np.abs(probabilities - share).mean() < 0.02


def test_knots_ascend_and_bins_hold_enough() -> None:
    draw = np.random.default_rng(2)
    x = draw.standard_normal(500)
    right = draw.random(500) < 0.3
    knots, p = isotonic(x, right)
    assert (np.diff(knots) > 0).all()
    assert p[0] == p[1]
    assert (np.diff(p[1:]) > 0).all()
    assert len(knots) <= right.sum() // 20 + 1
    # what is pooled keeps its share of right answers
    assert p[0] < 0.5
    assert isotonic(x[:30], np.arange(30) == 3)[0].shape == (2,)


def test_a_last_digit_of_a_logit_is_not_seen_in_a_probability() -> None:
    """A reasoner that is nearly always sure: its best labels' shares lie within millionths of 1."""
    draw = np.random.default_rng(4)
    x = -np.exp(-draw.uniform(0, 16, 4000))
    right = draw.random(4000) < 0.3 - 0.04 * np.log(-x)
    knots, p = isotonic(x, right)
    assert len(knots) > 4
    assert (np.diff(p) / np.diff(knots)).max() * 1e-5 < 0.01


def test_wrong_answers_far_below_the_right_ones_do_not_lift_what_lies_between() -> None:
    """A reasoner that is sure: nine of ten right answers lead by far, and most wrong ones lie far behind."""
    draw = np.random.default_rng(0)
    logits = -draw.exponential(6, (400, 128)).cumsum(1) * 0.3 - draw.normal(8, 3, (400, 1))
    logits[:, 0] = 0
    right = np.zeros(logits.shape, np.bool_)
    right[np.arange(400), (draw.random(400) >= 0.9).astype(int)] = True
    logits[~right[:, 0], 1] = -draw.random(int((~right[:, 0]).sum()))
    fitted = fit(logits.astype(np.float32), right, 400, "isotonic", SET)
    first = np.array([fitted.calibration.probabilities(row)[0] for row in logits.astype(np.float32)])
    assert first.mean() == pytest.approx(0.9, abs=0.07)
    assert fitted.log_loss[fitted.calibration.input] < 0.02


def test_platt_never_descends() -> None:
    x = np.linspace(-1, 1, 100)
    _, p = platt(x, x < 0)
    assert (np.diff(p) >= 0).all()
    assert p[0] == pytest.approx(0.5, abs=0.01)


def test_the_threshold_is_the_best_one() -> None:
    draw = np.random.default_rng(3)
    p = np.round(draw.random(400), 2)  # with ties
    right = draw.random(400) < p
    positives = int(right.sum()) + 30
    threshold, f1 = best_threshold(p, right, positives)

    def f1_at(least: float) -> float:
        taken = p >= least
        return 200 * float((taken & right).sum()) / (taken.sum() + positives)

    assert f1 == pytest.approx(f1_at(threshold))
    assert f1 == pytest.approx(max(f1_at(least) for least in np.unique(p)))


def test_nothing_to_learn_from_is_said() -> None:
    logits = np.zeros((5, 4), np.float32)
    with pytest.raises(BadInput, match="only wrong labels"):
        fit(logits, np.zeros((5, 4), bool), 5, "isotonic", SET)
    with pytest.raises(BadInput, match="only gold labels"):
        fit(logits, np.ones((5, 4), bool), 20, "platt", SET)


def test_uncalibrated_is_the_softmax() -> None:
    logits = np.array([3.0, 1.0, 0.0, -2.0], np.float32)
    share = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(calibrate_by_share(SET).probabilities(logits), share, atol=0.002)


def below(value: float) -> float:
    """The share of the normal distribution below a value."""
    return 0.5 * (1 + math.erf(value / math.sqrt(2)))


def test_presence_lies_above_the_wanted_share_of_absent_shortlists() -> None:
    draw = np.random.default_rng(5)
    absent, present = draw.normal(0, 1, 1000).astype(np.float32), draw.normal(2, 1, 1000).astype(np.float32)
    fitted, doubted, _ = fit_presence(calibrate_by_share(SET), absent, present, 0.8)
    # 1.645 standard errors of a share of 0.8 among 1000 are 2.1 points
    assert 0.82 <= (absent < np.float32(fitted.presence)).mean() < 0.824
    assert doubted == (present < np.float32(fitted.presence)).mean() == pytest.approx(below(0.92 - 2), abs=0.03)
    assert calibrate_by_share(SET).presence == -np.inf


def test_the_wanted_share_holds_for_shortlists_that_the_fit_has_not_seen() -> None:
    draw = np.random.default_rng(6)
    some = np.zeros(1, np.float32)
    shares = [
        below(fit_presence(calibrate_by_share(SET), draw.normal(0, 1, 300).astype(np.float32), some, 0.8)[0].presence)
        for _ in range(400)
    ]
    assert np.mean([share >= 0.8 for share in shares]) > 0.92
    assert np.mean(shares) < 0.85


def test_no_more_good_answers_are_doubted_than_may_be() -> None:
    """Where both kinds of shortlists look alike, less is noticed."""
    draw = np.random.default_rng(8)
    absent, present = draw.normal(0, 1, (2, 1000)).astype(np.float32)
    plain = calibrate_by_share(SET)
    fitted, doubted, noticed = fit_presence(plain, absent, present, 0.8, 0.25)
    assert 0.24 < doubted <= 0.25
    assert noticed == pytest.approx(0.25, abs=0.04)
    assert noticed == (absent < np.float32(fitted.presence)).mean()
    assert fit_presence(plain, absent, present + 5, 0.8, 0.25)[0] == fit_presence(plain, absent, present + 5, 0.8)[0]


def test_presence_is_above_equal_logits() -> None:
    some = np.full(10, 1.5, np.float32)
    fitted, _, _ = fit_presence(calibrate_by_share(SET), some, some, 0.8)
    assert np.float32(1.5) < np.float32(fitted.presence) < 1.51


def test_isotonic_by_hand() -> None:
    """Bins end behind each twentieth right answer, the last takes the rest; neighbours that descend become one."""
    draw = np.random.default_rng(8)
    x = draw.standard_normal(900)
    right = draw.random(900) < np.clip(0.4 + 0.15 * x + 0.1 * np.sin(4 * x), 0, 1)  # level in places
    ordered = sorted(zip(x.tolist(), right.tolist(), strict=True))
    bins: list[list[tuple[float, bool]]] = [[]]
    for pair in ordered:
        bins[-1].append(pair)
        if sum(hit for _, hit in bins[-1]) == 20:
            bins.append([])
    if sum(hit for _, hit in bins[-1]) < 20:  # the rest goes to the last whole bin
        rest = bins.pop()
        bins[-1] += rest
    pooled: list[list[tuple[float, bool]]] = []
    for one in bins:
        pooled.append(one)
        while len(pooled) > 1 and share(pooled[-2]) >= share(pooled[-1]):
            last = pooled.pop()
            pooled[-1] = pooled[-1] + last
    assert 3 < len(pooled) < len(bins)  # or this shows nothing
    knots, p = isotonic(x, right)
    lowest = pooled[0][-1][0]
    wanted = [np.mean([value for value, _ in one]) for one in pooled]
    np.testing.assert_allclose(knots, [wanted[0], lowest, *wanted[1:]])
    np.testing.assert_allclose(p, [share(pooled[0]), *(share(one) for one in pooled)])


def share(pairs: list[tuple[float, bool]]) -> float:
    return sum(hit for _, hit in pairs) / len(pairs)


def test_one_bin_is_a_level_line() -> None:
    knots, p = isotonic(np.array([3.0, 1.0, 2.0, 6.0]), np.array([True, False, False, False]))
    assert knots.tolist() == [2.0, 4.0]
    assert p.tolist() == [0.25, 0.25]


def test_platt_is_the_most_likely_curve() -> None:
    from scipy.optimize import minimize

    draw = np.random.default_rng(9)
    x = draw.standard_normal(400) * 3 + 1
    right = draw.random(400) < 1 / (1 + np.exp(-(0.8 * x - 1.5)))
    hits = int(right.sum())
    # Platt's targets: as if one more of each kind had been seen
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (400 - hits + 2))

    def loss(weights: np.ndarray) -> float:
        z = weights[0] * x + weights[1]
        return float((np.logaddexp(0, z) - target * z).sum())

    slope, offset = minimize(loss, np.zeros(2), tol=1e-12).x
    knots, p = platt(x, right)
    assert (len(knots), knots[0], knots[-1]) == (256, x.min(), x.max())
    np.testing.assert_allclose(np.diff(knots), (x.max() - x.min()) / 255)
    np.testing.assert_allclose(p, 1 / (1 + np.exp(-(slope * knots + offset))), atol=1e-5)


def test_platt_of_one_value() -> None:
    knots, p = platt(np.full(10, 2.0), np.arange(10) < 4)
    assert knots[0] == 2.0
    assert knots[-1] == pytest.approx(2.001)
    # 4 of 10, each kind drawn towards a half by one more
    np.testing.assert_allclose(p, (4 * 5 / 6 + 6 / 8) / 10, atol=1e-6)
    _, p = platt(np.full(10, 2.0), np.arange(10) < 5)
    assert set(p.tolist()) == {0.5}  # where it begins


def test_the_held_out_loss_is_of_queries_that_were_not_given() -> None:
    draw = np.random.default_rng(10)
    x = draw.standard_normal((23, 4))
    x[draw.random((23, 4)) < 0.2] = -np.inf  # shorter shortlists
    right = (draw.random((23, 4)) < 0.4) & np.isfinite(x)

    def shares_by_sign(values: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([-5.0, 5.0]), np.array([0.0, 2 * hits.mean()])

    total = 0.0
    for fold in range(5):
        rest = [query for query in range(23) if query % 5 != fold]
        level = np.mean([right[q, n] for q in rest for n in range(4) if np.isfinite(x[q, n])])
        for query in range(fold, 23, 5):
            for value, hit in zip(x[query], right[query], strict=True):
                if np.isfinite(value):
                    p = float(np.clip(2 * level * (np.clip(value, -5, 5) + 5) / 10, 1e-5, 1 - 1e-5))
                    total -= np.log(p if hit else 1 - p)
    assert held_out_loss(shares_by_sign, x, right) == pytest.approx(total / np.isfinite(x).sum())


def test_a_certain_answer_that_is_wrong_costs_a_finite_loss() -> None:
    def certain(values: np.ndarray, hits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.array([-1.0, 1.0]), np.array([0.0, 1.0])

    x, right = np.tile([1.0, -1.0], (10, 1)), np.tile([False, True], (10, 1))
    assert held_out_loss(certain, x, right) == pytest.approx(-np.log(1e-5), rel=1e-6)
    assert held_out_loss(certain, x, ~right) == pytest.approx(1e-5, rel=1e-2)


def test_knots_stay_apart_in_single_precision() -> None:
    x, p = _as_float32([1.0, 1.0 + 1e-9, 2.0, 3.0], [0.1, 0.3, 0.2, 1.0 + 1e-7])
    assert x.tolist() == [1.0, 2.0, 3.0]
    np.testing.assert_allclose(p, [0.1, 0.2, 1.0])
    assert p.max() <= 1
    x, p = _as_float32([1.0, 2.0, 3.0], [0.5, 0.4, 0.6])
    np.testing.assert_allclose(p, [0.5, 0.5, 0.6])
    x, p = _as_float32([4.0, 4.0], [0.25, 0.75])
    assert (x.tolist(), p.tolist()) == ([4.0, 5.0], [0.25, 0.25])


def test_sets_of_equals_stand_or_fall_together() -> None:
    threshold, f1 = best_threshold(np.array([0.9, 0.5, 0.5, 0.2]), np.array([True, False, True, False]), 2)
    assert (threshold, f1) == (pytest.approx(0.35), pytest.approx(100 * 2 * 2 / (3 + 2)))
    threshold, f1 = best_threshold(np.array([0.9, 0.4]), np.array([True, True]), 4)
    assert (threshold, f1) == (pytest.approx(0.2), pytest.approx(100 * 2 * 2 / (2 + 4)))


def test_uncalibrated_sets_are_those_above_a_half() -> None:
    plain = calibrate_by_share(SET)
    assert (plain.threshold, plain.input, len(plain.x)) == (0.5, "log_softmax", 256)
    assert plain.x[0] == pytest.approx(math.log(1e-5))
    assert (plain.x[-1], plain.p[-1]) == (0.0, 1.0)
    assert plain.p[0] == pytest.approx(1e-5)


def test_nothing_is_doubted_where_nothing_is_right() -> None:
    plain = calibrate_by_share(SET)
    fitted, doubted, _ = fit_presence(plain, np.arange(10, dtype=np.float32), np.zeros(0, np.float32), 0.5)
    # 0.5 + 1.645 x sqrt(0.25 / 10) = 0.76 of ten: the eighth of them and all below
    assert np.float32(7) < fitted.presence < 7.001
    assert doubted == 0.0


def test_shorter_shortlists_have_no_part_in_the_fit() -> None:
    logits, right, _ = shortlists(400, shift=0)
    fitted = fit(logits, right, int(right.sum()), "isotonic", SET)
    wider = np.concatenate([logits, np.full((400, 3), -np.inf, np.float32)], axis=1)
    padded = fit(wider, np.pad(right, ((0, 0), (0, 3))), int(right.sum()), "isotonic", SET)
    assert padded.calibration == fitted.calibration
    assert padded.log_loss["logit"] == fitted.log_loss["logit"]
    more = fit(logits, right, int(right.sum()) + 500, "isotonic", SET)  # gold labels that no shortlist holds
    assert more.f1_micro < fitted.f1_micro
    assert more.calibration.p == fitted.calibration.p


def test_what_was_predicted_is_in_six_digits_and_isotonic_needs_two_bins() -> None:
    draw = np.random.default_rng(11)
    logits = draw.standard_normal((40, 3)).astype(np.float32)
    right = np.zeros((40, 3), np.bool_)
    right[:, 0] = True
    for hits, method in ((40, isotonic), (39, platt)):
        right[39, 0] = hits == 40
        fitted = fit(logits, right, hits, "isotonic", SET)
        assert fitted.method == method.__name__
        assert fitted.log_loss["logit"] == round(held_out_loss(method, logits.astype(np.float64), right), 6)


def test_a_logit_at_the_limit_is_not_doubted() -> None:
    """Of 5 sorted numbers the one at or above 0.5 + 1.645 x sqrt(0.25 / 5) = 0.87 of the way is the last."""
    above = np.nextafter(np.float32(4), np.float32(9))
    plain = calibrate_by_share(SET)
    fitted, doubted, _ = fit_presence(plain, np.arange(5, dtype=np.float32), np.array([4, above, 9, 9]), 0.5)
    assert (fitted.presence, doubted) == (above, 0.25)


def test_the_scale_of_shares_is_where_cross_entropy_is_lowest() -> None:
    from scipy.optimize import minimize_scalar

    logits = np.array([[2, 0, -1], [1, 3, 0], [0, 0.5, -np.inf], [2, 1, 0], [1, 2, 3]], np.float32)
    right = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 1, 0]], np.bool_)

    def loss(log_scale: float) -> float:
        total = 0.0
        for x, hit in zip(logits[[0, 1, 2, 4]], right[[0, 1, 2, 4]], strict=True):  # one has no gold label
            there = [place for place in range(3) if np.isfinite(x[place])]
            share = np.exp(x[there] * math.exp(log_scale))
            target = 5 / 6 * hit[there] / hit.sum() + 1 / 6 / len(there)
            total -= float((target * np.log(share / share.sum())).sum())
        return total

    fitted = fit_share(logits, right, 6, SET)
    found = minimize_scalar(loss, (-1, 1), tol=1e-9).x
    assert fitted.scale == pytest.approx(math.exp(found), rel=1e-4)
    assert fitted.times == 1.0  # five right ones on five lists
    fewer = fit_share(logits[:3], right[:3], 4, SET)
    assert fewer.times == 1.3333  # four on three
    assert fewer.calibration.p[0] == pytest.approx(4 / 3 * 1e-5, rel=1e-5)
    weights = np.exp(logits * fitted.scale)
    shares, there = weights / weights.sum(1, keepdims=True), np.isfinite(logits)
    threshold, f1 = best_threshold(shares[there], right[there], 6)
    assert (fitted.calibration.threshold, fitted.f1_micro) == (pytest.approx(threshold, abs=2e-3), round(f1, 4))
