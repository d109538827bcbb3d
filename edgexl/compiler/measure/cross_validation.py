"""How far a calibration's probabilities can be relied on, where the queries that fit it are all that there are: each
query is answered by a curve that the others were fitted on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from edgexl.base.arrays import Bools, Floats
from edgexl.bundle.calibration import Calibration
from edgexl.compiler.measure.fitting import FOLDS, can_fit
from edgexl.data.reliability import expected_calibration_error, wilson

# Samples of the queries that the interval is taken of: its ends then move by a twentieth of its width.
_SAMPLES = 400


def cross_validate(
    fit: Callable[[Floats, Bools], tuple[Calibration, float]], logits: Floats, right: Bools
) -> dict[str, Any] | None:
    """What the probabilities of first labels are worth on queries that they were not fitted on.

    `fit` takes shortlists, `logits` and whether each label is `right` [queries, N], and gives a calibration and the
    factor of the logits that it is for. The answer has ECE, how far probabilities are off on average, and the share of
    first labels that are right, each with its 95 % interval (percentiles of samples of the queries, about the figure;
    Wilson's). None where a fold leaves too little to fit.
    """
    fold = np.arange(len(logits)) % FOLDS
    rows = np.arange(len(logits))
    best = logits.argmax(axis=1)
    hits = right[rows, best]
    probabilities = np.zeros(len(logits))
    for held in range(FOLDS):
        given = fold != held
        if not can_fit(logits[given], right[given]):
            return None
        calibration, factor = fit(logits[given], right[given])
        for row in rows[~given]:
            there = np.isfinite(logits[row])
            probabilities[row] = calibration.probabilities(logits[row][there] * np.float32(factor)).max()
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(_SAMPLES):
        chosen = rng.integers(len(rows), size=len(rows))
        samples.append(expected_calibration_error(probabilities[chosen].tolist(), hits[chosen].tolist()) or 0.0)
    error = expected_calibration_error(probabilities.tolist(), hits.tolist()) or 0.0
    # a sample has some queries twice, which sets probabilities and hits further apart: that is no fault of the curve
    low, high = np.maximum(0.0, np.quantile(samples, (0.025, 0.975)) - (np.mean(samples) - error))
    share_low, share_high = wilson(int(hits.sum()), len(hits))
    return {
        "folds": FOLDS,
        "queries": len(hits),
        "ECE": round(error, 4),
        "ECE_interval": [round(float(low), 4), round(float(high), 4)],
        "first_right": round(float(hits.mean()), 4),
        "first_right_interval": [round(share_low, 4), round(share_high, 4)],
    }
