"""Calibration on shortlists whose true probabilities are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgexl.compiler.fitting import best_threshold, fit, fit_presence, isotonic, platt, uncalibrated
from edgexl.errors import BadInput

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
    assert (np.diff(p) > 0).all()
    assert len(knots) <= right.sum() // 20
    # what is pooled keeps its share of right answers
    assert p[0] < 0.5
    assert isotonic(x[:30], np.arange(30) == 3)[0].shape == (2,)


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
    with pytest.raises(BadInput, match="only right labels"):
        fit(logits, np.ones((5, 4), bool), 20, "platt", SET)


def test_uncalibrated_is_the_softmax() -> None:
    logits = np.array([3.0, 1.0, 0.0, -2.0], np.float32)
    share = np.exp(logits) / np.exp(logits).sum()
    np.testing.assert_allclose(uncalibrated(SET).probabilities(logits), share, atol=0.002)


def below(value: float) -> float:
    """The share of the normal distribution below a value."""
    return 0.5 * (1 + math.erf(value / math.sqrt(2)))


def test_presence_lies_above_the_wanted_share_of_absent_shortlists() -> None:
    draw = np.random.default_rng(5)
    absent, present = draw.normal(0, 1, 1000).astype(np.float32), draw.normal(2, 1, 1000).astype(np.float32)
    fitted, doubted = fit_presence(uncalibrated(SET), absent, present, 0.8)
    # 1.645 standard errors of a share of 0.8 among 1000 are 2.1 points
    assert 0.82 <= (absent < np.float32(fitted.presence)).mean() < 0.824
    assert doubted == (present < np.float32(fitted.presence)).mean() == pytest.approx(below(0.92 - 2), abs=0.03)
    assert uncalibrated(SET).presence == -np.inf


def test_the_wanted_share_holds_for_shortlists_that_the_fit_has_not_seen() -> None:
    draw = np.random.default_rng(6)
    some = np.zeros(1, np.float32)
    shares = [
        below(fit_presence(uncalibrated(SET), draw.normal(0, 1, 300).astype(np.float32), some, 0.8)[0].presence)
        for _ in range(400)
    ]
    assert np.mean([share >= 0.8 for share in shares]) > 0.92
    assert np.mean(shares) < 0.85


def test_presence_is_above_equal_logits() -> None:
    fitted, _ = fit_presence(uncalibrated(SET), np.full(10, 1.5, np.float32), np.full(10, 1.5, np.float32), 0.8)
    assert np.float32(1.5) < np.float32(fitted.presence) < 1.51
