"""What is measured of a ranked shortlist: per query, so that means come with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Bools, Doubles
from edgexl.distill.characterize.sample import Sample
from edgexl.distill.teachers import Ints

INTERVAL = (2.5, 97.5)
# A thousand resamples fix the ends of a 95 % interval to a few hundredths of its width.
RESAMPLES = 1000
# Softmax temperatures tried, from a cosine's to far beyond a confident logit's: steps of 9 %.
_TEMPERATURES = np.geomspace(0.005, 20.0, 97)


class Bootstrap:
    """Draws n queries with replacement, the same for every quantity: so that intervals of rows can be compared."""

    def __init__(self, queries: int, seed: int) -> None:
        draw = np.random.default_rng((seed, 7))
        self.times = np.empty((RESAMPLES, queries), dtype=np.uint8)
        for row in self.times:
            row[:] = np.bincount(draw.integers(0, queries, queries), minlength=queries).clip(max=255)

    def interval(self, values: Doubles, counted: Bools | None = None) -> list[float] | None:
        """The 95 % interval of the mean of `values` [n], over the `counted` queries only; None where there is none."""
        weights = self.times if counted is None else self.times * counted
        total = weights.sum(1, dtype=np.float64)
        if not (total > 0).any():
            return None
        sums = weights.astype(np.float64) @ np.where(np.isfinite(values), values, 0.0)
        means = sums[total > 0] / total[total > 0]
        return [float(end) for end in np.percentile(means, INTERVAL)]


def order_of(labels: Ints, logits: Doubles) -> Ints:
    """[n,N]: places of each list from best to worst; ties go to the lower label, so that no list's order matters."""
    # lexsort's last key is the first to be compared
    return np.asarray(np.lexsort((labels, -logits), axis=1), dtype=np.int64)


def probabilities(logits: Doubles, temperature: float, none: bool = False) -> Doubles:
    """Softmax of logits [n,N] / temperature; `none` adds the choice 'none of these', whose logit is 0.

    A logit of minus infinity (no opinion) gets 0, a list without any opinion zeros throughout.
    """
    scaled = logits / temperature
    top = scaled.max(1, keepdims=True, initial=-np.inf)
    top = np.maximum(top, 0.0) if none else np.where(np.isfinite(top), top, 0.0)
    raised = np.exp(scaled - top)
    total = raised.sum(1, keepdims=True) + (np.exp(-top) if none else 0.0)
    return np.asarray(raised / np.where(total > 0, total, 1.0), dtype=np.float64)


def fit_temperature(logits: Doubles, right: Bools, none: bool = False) -> float:
    """The temperature under which the gold labels are most likely: one number, since teachers' logits have any scale.

    Queries whose list holds no gold label count only with `none`. Where nothing can be fitted it is 1.
    """
    usable = np.isfinite(logits).any(1)
    held = (right & np.isfinite(logits)).any(1)
    if not held.any():
        return 1.0
    losses = []
    for temperature in _TEMPERATURES:
        shares = probabilities(logits, float(temperature), none)
        of_right = np.where(right, shares, 0.0).sum(1)
        loss = -np.log(of_right[held].clip(1e-12)).sum()
        if none:
            loss -= np.log((1.0 - shares.sum(1))[usable & ~held].clip(1e-12)).sum()
        losses.append(loss)
    return float(_TEMPERATURES[int(np.argmin(losses))])


@dataclass(frozen=True)
class Judged:
    """One arrangement's outcome, a value a query: `hit` and `precision` (P@1, P@5), `gain` (nDCG@5), all 0 to 1;
    `top` the best label's probability, `margin` what it is ahead of the second; `best` that label, -1 for none.
    """

    hit: Doubles
    precision: Doubles
    gain: Doubles
    top: Doubles
    margin: Doubles
    best: Ints

    def row(self, name: str, bootstrap: Bootstrap, **more: Any) -> dict[str, Any]:
        """The measured row: percentages for P@k and nDCG@5, probabilities from 0 to 1, an interval for each."""
        values: Mapping[str, Doubles] = {
            "P@1": 100 * self.hit, "P@5": 100 * self.precision, "nDCG@5": 100 * self.gain,
            "top_probability": self.top, "margin": self.margin,
        }  # fmt: skip
        means = {key: float(value.mean()) for key, value in values.items()}
        intervals = {key: bootstrap.interval(value) for key, value in values.items()}
        return {"name": name, **means, "n": len(self.hit), "interval": intervals, **more}


def judge(sample: Sample, labels: Ints, logits: Doubles, temperature: float, none: bool = False) -> Judged:
    """Judge lists `labels` [n,N] ordered by `logits` [n,N]; labels without an opinion are not ranked."""
    order = order_of(labels, logits)[:, :5]
    ranked = np.take_along_axis(labels, order, 1)
    known = np.isfinite(np.take_along_axis(logits, order, 1))
    ranked = np.where(known, ranked, -1)
    hits = sample.is_gold(ranked).astype(np.float64)
    discounts = 1.0 / np.log2(np.arange(hits.shape[1]) + 2)
    ideal = np.concatenate([[0.0], np.cumsum(1.0 / np.log2(np.arange(5) + 2))])[np.minimum(sample.sizes, 5)]
    shares = np.take_along_axis(probabilities(logits, temperature, none), order, 1)
    second = shares[:, 1] if shares.shape[1] > 1 else np.zeros(len(sample))
    return Judged(
        hit=hits[:, 0],
        precision=hits.sum(1) / 5,
        gain=(hits * discounts).sum(1) / ideal,
        top=shares[:, 0],
        margin=shares[:, 0] - second,
        best=ranked[:, 0],
    )
