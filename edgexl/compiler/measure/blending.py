"""Choosing what a label's logit is made of: the reasoner's logit, that and some of the screening score, or the
screening score alone, whichever puts more right labels first; a reasoner that was trained on other labels may cost
some."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgexl.base.arrays import Bools, Doubles, Floats
from edgexl.compiler.measure.fitting import FOLDS
from edgexl.compiler.measure.reference import REASONER_ALONE, Blend

# Screening weights that are tried, as multiples of the one that gives both parts of a logit an equal spread.
TRIED = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)

Kind = Literal["as it is", "blend", "left out"]


@dataclass(frozen=True)
class Choice:
    """What was chosen, and whether the first label of each query is right, 0 or 1 float64 [queries]: by screening
    alone, by the reasoner alone, and by what was chosen."""

    kind: Kind
    blend: Blend
    screening: Doubles
    reasoner: Doubles
    chosen: Doubles


def choose_blend(logits: Floats, screening: Floats, right: Bools, may_blend: bool) -> Choice:
    """Choose by the shortlists of some queries: the reasoner's `logits`, the `screening` scores and whether each label
    is `right` [queries, N], shorter ones padded with logits of -inf.

    The reasoner stays as it is unless something else is better by more than its standard error over the queries
    (paired: what both answer alike adds nothing to it). A screening weight is judged on queries that it was not chosen
    on (cross-validation), and screening alone is preferred to a blend that is not better than it by more than the
    standard error. `may_blend`: whether the queries can tell a weight. Where they cannot, the reasoner stays only where
    it is better than screening alone, for on those that will be asked it may cost more.
    """
    there = np.isfinite(logits)
    scores = np.where(there, screening, np.float32(-np.inf))
    as_is, alone = _first_is_right(logits, right), _first_is_right(scores, right)
    equal = _equal_spread(logits, screening, there)
    weights = [float(np.float32(times * equal)) for times in TRIED]
    finite = np.where(there, screening, np.float32(0))
    hits = np.stack([_first_is_right(Blend(1.0, weight).of(logits, finite), right) for weight in weights])
    blended = _cross_validated(hits)
    best = int(hits.mean(axis=1).argmax())
    if not may_blend:
        if is_better(as_is, alone):
            return Choice("as it is", REASONER_ALONE, alone, as_is, as_is)
        return Choice("left out", Blend(0.0, 1.0), alone, as_is, alone)
    if is_better(alone, as_is) and not is_better(blended, alone):
        return Choice("left out", Blend(0.0, 1.0), alone, as_is, alone)
    if is_better(blended, as_is):
        return Choice("blend", Blend(1.0, weights[best]), alone, as_is, hits[best])
    return Choice("as it is", REASONER_ALONE, alone, as_is, as_is)


def is_better(these: Doubles, those: Doubles) -> bool:
    """Whether the mean of `these` is above that of `those` by more than the standard error of their difference."""
    return float((these - those).mean()) > standard_error(these - those)


def standard_error(values: Doubles) -> float:
    """Of the mean; 0 for a single value."""
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else 0.0


def _first_is_right(scores: Floats, right: Bools) -> Doubles:
    """Ties go to the label that screening put first."""
    return np.asarray(right[np.arange(len(right)), scores.argmax(axis=1)], np.float64)


def _equal_spread(logits: Floats, screening: Floats, there: Bools) -> float:
    """How many times as far apart the logits of a shortlist lie as its screening scores, on average."""

    def spread(values: Floats) -> float:
        counts = there.sum(axis=1)
        mean = np.where(there, values, 0).sum(axis=1) / counts
        square = np.where(there, (np.where(there, values, 0) - mean[:, None]) ** 2, 0).sum(axis=1) / counts
        return float(np.sqrt(square).mean())

    return spread(logits) / max(spread(screening), 1e-6)


def _cross_validated(hits: Doubles) -> Doubles:
    """What the weight that is best on the other folds' queries answers right on each fold's, of `hits`
    [weights, queries]."""
    fold = np.arange(hits.shape[1]) % FOLDS
    found = np.empty(hits.shape[1])
    for held in range(FOLDS):
        given = fold != held
        best = int(hits[:, given].mean(axis=1).argmax()) if given.any() else 0
        found[~given] = hits[best, ~given]
    return found
