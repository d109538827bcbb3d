"""Fitting probabilities to logits: isotonic or Platt, on the logit or on its share of the shortlist, whichever predicts
held-out queries better; and the threshold that makes the best label sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Doubles
from edgexl.base.errors import BadInput
from edgexl.bundle.calibration import Calibration, Input, log_softmax

Knots = tuple[Doubles, Doubles]
Method = Literal["isotonic", "platt"]

FOLDS = 5
# A knot with fewer right answers behind it would follow chance.
POSITIVES_A_KNOT = 20
# Steps narrower than this would turn a difference in a logit's last digit between two engines into a visible one in the
# probability: logits go up to some hundreds, in f32.
NARROWEST = 1e-3
# Fewer right answers in all tell no curve from chance.
LEAST_RIGHT = 20
LARGEST_SCALE = 1000.0
PLATT_KNOTS = 256
# A probability of exactly 0 or 1 cannot be learnt from a sample, and one wrong answer there costs an infinite loss.
SMALLEST = 1e-5
# Standard errors that a share lies from its estimate at most, to one side, in 95 of 100 samples.
CERTAINTY_95 = 1.645


@dataclass(frozen=True)
class Fit:
    """A calibration, the method that made it (Platt's, where there is too little for isotonic steps), and how well its
    kind predicted queries that it was not fitted on (log loss, nats a label)."""

    calibration: Calibration
    method: Method
    log_loss: dict[str, float]
    f1_micro: float


@dataclass(frozen=True)
class ShareFit:
    """A calibration by shares of the softmax of logits that are `scale` (an f32) times as large, each share `times` so
    large: how many gold labels a shortlist holds."""

    calibration: Calibration
    scale: float
    times: float
    f1_micro: float


def can_fit(logits: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]) -> bool:
    """Whether shortlists, as `fit` takes them, show more than chance: they hold enough gold labels, and wrong ones
    beside them. Those of a single label hold none."""
    return int(right.sum()) >= LEAST_RIGHT and not bool(right[np.isfinite(logits)].all())


def fit(
    logits: npt.NDArray[np.float32],
    right: npt.NDArray[np.bool_],
    positives: int,
    method: Method,
    label_set: bytes,
    only: Input | None = None,
) -> Fit:
    """Fit on shortlists: `logits` and whether each label is `right` [queries, N]; `positives` are all gold labels of
    the queries, shortlisted or not. Shorter shortlists are padded with logits of -inf. `only` is the curve's input
    where that is chosen already. Raises `BadInput` when no shortlist holds a gold label, or none a wrong one."""
    there = np.isfinite(logits)
    if not right.any() or right[there].all():
        raise BadInput(
            "Probabilities cannot be fitted: on the calibration queries the shortlists hold only "
            f"{'gold' if right.any() else 'wrong'} labels. Give the student more, or real, held-out queries, "
            'or set [calibrate] method = "none".'
        )
    inputs: dict[Input, Doubles] = {
        "logit": logits.astype(np.float64),
        "log_softmax": log_softmax(logits).astype(np.float64),
        "log_softmax_or_none": log_softmax(logits, or_none=True).astype(np.float64),
    }
    inputs = inputs if only is None else {only: inputs[only]}
    if right.sum() < 2 * POSITIVES_A_KNOT:  # a single bin is no curve
        method = "platt"
    make = {"isotonic": isotonic, "platt": platt}[method]
    losses = {name: held_out_loss(make, x, right) for name, x in inputs.items()}
    best = min(inputs, key=lambda name: losses[name])
    x, p = _as_float32(*make(inputs[best][there], right[there]))
    probabilities = np.interp(inputs[best][there], x, p)
    threshold, f1 = best_threshold(probabilities, right[there], positives)
    calibration = Calibration(label_set, best, threshold, tuple(x.tolist()), tuple(p.tolist()))
    return Fit(calibration, method, {name: round(loss, 6) for name, loss in losses.items()}, round(f1, 4))


def fit_presence(
    calibration: Calibration,
    without_right: npt.NDArray[np.float32],
    with_right: npt.NDArray[np.float32],
    noticed: float,
    most_doubted: float = 1.0,
) -> tuple[Calibration, float, float]:
    """The calibration with the logit that says "none fits", the share of good answers that it doubts, and the share of
    `without_right` that it notices.

    without_right: the best logits [n] of shortlists whose gold labels were taken away. So many of them lie below that
    a share `noticed` of all such shortlists does, with a certainty of 95 % as far as n can tell (the binomial's normal
    approximation; a quantile at `noticed` itself would fall short for every other student). with_right: those [m] of
    queries whose best label is right. The logit itself, not its share of the shortlist: a reasoner that was trained on
    both kinds puts its scale there, and of 300 MeSH queries it doubts 27 % of the right answers where the probability
    doubts 34 %. Where more than `most_doubted` of the good answers would be doubted, less is noticed: a warning that
    is mostly wrong warns of nothing.
    """
    level = min(1.0, noticed + CERTAINTY_95 * math.sqrt(noticed * (1 - noticed) / len(without_right)))
    # strictly below: the next number up
    presence = float(np.nextafter(np.quantile(without_right, level, method="higher"), np.float32(np.inf)))
    allowed = math.floor(most_doubted * len(with_right))
    if np.count_nonzero(with_right < presence) > allowed:
        presence = float(np.sort(with_right)[allowed])
    doubted = float(np.mean(with_right < presence)) if len(with_right) else 0.0
    return replace(calibration, presence=presence), doubted, float(np.mean(without_right < presence))


def count_coverage(
    calibration: Calibration, logits: npt.NDArray[np.float32], right: npt.NDArray[np.bool_]
) -> Calibration:
    """The calibration with what it sees of each query's best gold label, of shortlists as `fit` takes them. They are
    counted on the queries that the curve was fitted on, which does no harm: a set is chosen by the order of labels,
    which no curve changes."""
    seen = [calibration.inputs(row[np.isfinite(row)]) for row in logits]
    best = [float(x[hits[: len(x)]].max()) for x, hits in zip(seen, right, strict=True) if hits[: len(x)].any()]
    return replace(calibration, queries=len(logits), scores=tuple(sorted(best, reverse=True)))


def calibrate_by_share(label_set: bytes) -> Calibration:
    """A label's share of the shortlist's softmax, for students without held-out queries; sets are those above a
    half.
    """
    return _by_share(label_set, 1.0, 0.5)


def fit_share(
    logits: npt.NDArray[np.float32], right: npt.NDArray[np.bool_], positives: int, label_set: bytes
) -> ShareFit:
    """What `fit` is for larger sets: two numbers that hold for longer shortlists too, of which more labels leave each a
    smaller share. A curve through the few shares of a small set says nothing of those between them.

    The scale (1 / temperature) is the one whose softmax predicts the gold labels best (cross entropy). A query's right
    labels have equal parts in what is predicted, less what Platt's targets leave to the others, which keeps the scale
    finite where all answers are right.
    """
    usable = right.any(axis=1)
    x, hits = logits[usable].astype(np.float64), right[usable]
    there = np.isfinite(x)
    smooth = 1 / (len(x) + 2)
    target = (1 - smooth) * hits / hits.sum(axis=1, keepdims=True) + smooth * there / there.sum(axis=1, keepdims=True)
    x = np.where(there, x - x.max(axis=1, keepdims=True), -1e6)

    def loss(log_scale: float) -> float:
        scaled = math.exp(log_scale) * x
        return float((target * (np.log(np.exp(scaled).sum(axis=1, keepdims=True)) - scaled)).sum())

    # the loss is convex in the scale: it falls to its lowest and rises from there
    low, high = -math.log(LARGEST_SCALE), math.log(LARGEST_SCALE)
    while high - low > 1e-4:
        third = (high - low) / 3
        low, high = (low, high - third) if loss(low + third) <= loss(high - third) else (low + third, high)
    scale, times = float(np.float32(math.exp((low + high) / 2))), float(right.sum() / len(right))
    everywhere = np.isfinite(logits)
    curve = _by_share(label_set, times, 0.5)
    probabilities = np.interp(log_softmax(logits * np.float32(scale))[everywhere], curve.x, curve.p)
    threshold, f1 = best_threshold(probabilities, right[everywhere], positives)
    return ShareFit(replace(curve, threshold=threshold), scale, round(times, 4), round(f1, 4))


def _by_share(label_set: bytes, times: float, threshold: float) -> Calibration:
    """So many times the share of the shortlist's softmax."""
    x = np.linspace(np.log(SMALLEST), 0.0, PLATT_KNOTS)
    knots, p = _as_float32(x, times * np.exp(x))
    return Calibration(label_set, "log_softmax", threshold, tuple(knots.tolist()), tuple(p.tolist()))


def isotonic(x: Doubles, right: npt.NDArray[np.bool_]) -> Knots:
    """The best never-descending curve through bins of equally many right answers; knots at the means of what it
    pools, and at the end of the lowest pool: that holds nearly all wrong answers, far below most right ones, and a
    curve that rose from its mean on would give what lies between too much.
    """
    from sklearn.isotonic import IsotonicRegression

    order = np.argsort(x, kind="stable")
    x, hits = x[order], right[order].astype(np.float64)
    # a bin ends behind each POSITIVES_A_KNOT-th right answer; the last one takes the rest
    ends = np.flatnonzero(hits)[POSITIVES_A_KNOT - 1 :: POSITIVES_A_KNOT] + 1
    starts = np.concatenate([[0], ends[:-1]])
    counts = np.diff([*starts, len(x)]).astype(np.float64)
    share = np.add.reduceat(hits, starts) / counts
    centre = np.add.reduceat(x, starts) / counts
    level = IsotonicRegression(y_min=0, y_max=1).fit_transform(centre, share, sample_weight=counts)
    new = np.concatenate([[True], np.diff(level) > 0])
    block = np.cumsum(new) - 1
    pooled = np.bincount(block, counts).astype(np.float64)
    knots, p, weight = _join_narrow(np.bincount(block, centre * counts) / pooled, level[new], pooled)
    if len(knots) == 1:
        return np.array([knots[0] - 1, knots[0] + 1]), np.array([p[0], p[0]])
    end = x[int(weight[0]) - 1]
    if knots[0] < end < knots[1] - NARROWEST:
        return np.insert(knots, 1, end), np.insert(p, 1, p[0])
    return knots, p


def _join_narrow(knots: Doubles, p: Doubles, weight: Doubles) -> tuple[Doubles, Doubles, Doubles]:
    """Knots, their probabilities and how many answers each stands for, those that lie too close to the one below pooled
    with it."""
    pools: list[tuple[float, float, float]] = []
    for one in zip(knots.tolist(), p.tolist(), weight.tolist(), strict=True):
        if pools and one[0] - pools[-1][0] < NARROWEST:
            other = pools.pop()
            both = one[2] + other[2]
            mean = [(one[i] * one[2] + other[i] * other[2]) / both for i in range(2)]
            pools.append((mean[0], mean[1], both))
        else:
            pools.append(one)
    joined = np.array(pools)
    return joined[:, 0], joined[:, 1], joined[:, 2]


def platt(x: Doubles, right: npt.NDArray[np.bool_]) -> Knots:
    """A logistic curve a * x + b by Newton's method, with Platt's targets; sampled at evenly spaced knots."""
    hits = right.sum()
    target = np.where(right, (hits + 1) / (hits + 2), 1 / (len(x) - hits + 2))
    centre, width = float(x.mean()), float(x.std()) or 1.0
    z = np.stack([(x - centre) / width, np.ones_like(x)], 1)
    weights = np.array([0.0, float(np.log(hits / (len(x) - hits)))])
    for _ in range(100):
        p = 1 / (1 + np.exp(-(z @ weights)))
        gradient = z.T @ (p - target)
        curvature = (z * (p * (1 - p))[:, None]).T @ z + 1e-9 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        # a full step may overshoot far from the optimum
        weights = weights - step * min(1.0, 2.0 / float(np.abs(step).max() or 1.0))
        if np.abs(step).max() < 1e-10:
            break
    slope = max(float(weights[0]), 0.0)
    knots = np.linspace(x.min(), max(x.max(), x.min() + 1e-3), PLATT_KNOTS)
    return knots, 1 / (1 + np.exp(-(slope * (knots - centre) / width + weights[1])))


def held_out_loss(
    make: Callable[[Doubles, npt.NDArray[np.bool_]], Knots], x: Doubles, right: npt.NDArray[np.bool_]
) -> float:
    """Mean log loss over the shortlists [queries, N], padded with -inf, of folds that `make` was not given."""
    total = 0.0
    there = np.isfinite(x)
    for fold in range(FOLDS):
        in_fold = (np.arange(len(x)) % FOLDS == fold)[:, None]
        held, given = there & in_fold, there & ~in_fold
        if not right[given].any() or right[given].all():
            continue
        knots, p = make(x[given], right[given])
        predicted = np.clip(np.interp(x[held], knots, p), SMALLEST, 1 - SMALLEST)
        total -= float(np.log(np.where(right[held], predicted, 1 - predicted)).sum())
    return total / int(there.sum())


def best_threshold(p: Doubles, right: npt.NDArray[np.bool_], positives: int) -> tuple[float, float]:
    """(threshold, F1 in percent): taking all labels with probability >= threshold gives the best micro set F1."""
    order = np.argsort(-p)
    sorted_p, hits = p[order], np.cumsum(right[order])
    f1 = 2 * hits / (np.arange(1, len(p) + 1) + positives)
    # equal probabilities stand or fall together
    last_of_its_kind = np.append(sorted_p[:-1] > sorted_p[1:], True)
    f1 = np.where(last_of_its_kind, f1, -1.0)
    place = int(f1.argmax())
    below = sorted_p[place + 1] if place + 1 < len(p) else 0.0
    return float(np.float32((sorted_p[place] + below) / 2)), 100 * float(f1[place])


def _as_float32(x: Sequence[float] | Doubles, p: Sequence[float] | Doubles) -> tuple[npt.NDArray[np.float32], ...]:
    """Knots in f32, still ascending strictly where rounding made two of them one."""
    knots, values = np.asarray(x, np.float32), np.clip(np.asarray(p, np.float32), 0, 1)
    kept = np.concatenate([[True], np.diff(knots) > 0])
    knots, values = knots[kept], np.maximum.accumulate(values[kept])
    if len(knots) == 1:
        knots, values = np.append(knots, knots[0] + np.float32(1)), np.repeat(values, 2)
    return knots, values
