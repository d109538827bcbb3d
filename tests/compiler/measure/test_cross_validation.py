"""Cross-validated probabilities: judged on queries that their curve was not fitted on."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.base.arrays import Bools, Floats
from edgexl.bundle.calibration import Calibration
from edgexl.compiler.measure.cross_validation import cross_validate
from edgexl.compiler.measure.fitting import fit

HASH = bytes(32)


def shortlists(queries: int, seed: int = 0) -> tuple[Floats, Bools]:
    """Of eight labels, each right with the probability that its logit says."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(-2, 1.5, (queries, 8)).astype(np.float32)
    return logits, rng.random(logits.shape) < 1 / (1 + np.exp(-logits))


def fit_curve(logits: Floats, right: Bools) -> tuple[Calibration, float]:
    return fit(logits, right, int(right.sum()), "isotonic", HASH, "logit").calibration, 1.0


def test_sound_probabilities_are_nearly_right() -> None:
    found = cross_validate(fit_curve, *shortlists(2000))
    assert found is not None
    assert found["ECE"] < 0.05
    assert found["ECE_interval"][0] <= found["ECE"] <= found["ECE_interval"][1]
    low, high = found["first_right_interval"]
    assert low < found["first_right"] < high
    assert (found["folds"], found["queries"]) == (5, 2000)


def test_few_queries_have_a_wide_interval() -> None:
    few, many = cross_validate(fit_curve, *shortlists(100)), cross_validate(fit_curve, *shortlists(2000))
    assert few is not None
    assert many is not None
    assert np.ptp(few["first_right_interval"]) > 3 * np.ptp(many["first_right_interval"])
    assert np.ptp(few["ECE_interval"]) > 2 * np.ptp(many["ECE_interval"])


def test_a_curve_is_judged_on_queries_that_it_has_not_seen() -> None:
    logits, right = shortlists(500)
    seen: list[Floats] = []

    def remember(given: Floats, hits: Bools) -> tuple[Calibration, float]:
        seen.append(given)
        return fit_curve(given, hits)

    cross_validate(remember, logits, right)
    assert [len(given) for given in seen] == [400] * 5
    left_out = [row for given in seen for row in logits if not (given == row).all(axis=1).any()]
    assert len(left_out) == 500


def test_one_that_overfits_is_found_out() -> None:
    """Probabilities of 1 for all first labels are off by as much as these are wrong."""
    logits, right = shortlists(500)
    found = cross_validate(
        lambda *_: (Calibration(HASH, "logit", 0.5, (-100.0, 100.0), (1.0, 1.0)), 1.0), logits, right
    )
    assert found is not None
    assert found["ECE"] == pytest.approx(1 - found["first_right"], abs=1e-3)


def test_too_few_right_answers_say_nothing() -> None:
    logits, right = shortlists(500)
    assert cross_validate(fit_curve, logits, right & (np.arange(500) < 10)[:, None]) is None
