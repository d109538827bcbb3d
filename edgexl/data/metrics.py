"""How good rankings over huge label sets are: the Extreme Classification Repository's metrics, defined as in pyxclib.

A ranking is compared with the set of gold labels of each query; all values are percentages, averaged over queries.
With h(i) = 1 where the label at rank i is right, and m gold labels:

    P@k     sum of h(1..k) / k, whatever m is
    R@k     sum of h(1..k) / m
    nDCG@k  sum of h(i) / log2(i + 1), over the most that m gold labels could reach in k ranks
    PSP@k   P@k with each hit weighted by its label's inverse propensity, over the same of the best possible ranking
            (a ratio of two means, not a mean of ratios: that is how pyxclib normalises)
    coverage@k   share of the labels that are gold for any query and were found in the top k of at least one such query

A query without gold labels counts as 0 in the means, as it does there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Bools, Doubles, Ints

# (A, B) of Jain, Prabhu and Varma (KDD 2016), section 4: fitted to Amazon and to Wikipedia, and for everything else
PROPENSITY = {"default": (0.55, 1.5), "amazon": (0.6, 2.6), "wikipedia": (0.5, 0.4)}

# Bands of labels by the number of their training queries: name, fewest, most. Labels never seen are a band of their
# own, since only a model that reads label texts can find them.
BANDS: tuple[tuple[str, int, int | None], ...] = (
    ("head", 20, None),
    ("torso", 5, 19),
    ("tail", 1, 4),
    ("unseen", 0, 0),
)


@dataclass(frozen=True)
class TrainFrequency:
    """How often each label is gold in training: `counts` int64 [labels], out of `queries` training queries."""

    counts: Ints
    queries: int


def inverse_propensity(train: TrainFrequency, a: float = 0.55, b: float = 1.5) -> Doubles:
    """Inverse propensities [labels], 1 + C (frequency + b)^-a with C = (ln queries - 1)(b + 1)^a.

    Below three training queries, where C would be negative, all are 1.
    """
    scale = (np.log(max(train.queries, np.e)) - 1) * (b + 1) ** a
    return np.asarray(1.0 + scale * (train.counts + b) ** -a, dtype=np.float64)


def evaluate(
    ranked: npt.ArrayLike,
    targets: Sequence[Sequence[int]],
    ks: Sequence[int] = (1, 3, 5, 10, 100),
    train_frequency: TrainFrequency | None = None,
    accepted: npt.ArrayLike | None = None,
    propensity: str | tuple[float, float] = "default",
    excluded: npt.ArrayLike | None = None,
) -> dict[str, Any]:
    """Judge rankings.

    - `ranked` int [queries, ranks]: label indices from best to worst; -1 pads rankings that end early.
    - `targets`: the gold labels of each query, as label indices.
    - `ks`: the cut-offs, each at most `ranks`.
    - `train_frequency` brings PSP@k and `bands`; without it they are None.
    - `accepted` bool [queries, ranks]: which ranked labels are in the predicted set (their probability passed the
      threshold). It brings F1_micro and F1_macro; without it they are None. F1_macro is the mean over the labels that
      are gold for, or predicted for, at least one query.
    - `propensity`: a key of `PROPENSITY`, or (A, B).
    - `excluded` int [pairs, 2]: (query, label) pairs that are taken out of the rankings, the ranks below moving up.

    Returns "queries", then for each k "P@k", "nDCG@k", "R@k", "PSP@k", "coverage@k"; "F1_micro", "F1_macro"; and
    "bands": {name: {"labels": those gold for some query, "positives": their (query, label) pairs, "P@k": what the
    band's hits add to P@k, so that the bands sum to it, "R@k": the share of the positives that was found}}.

    Raises ValueError where shapes do not agree, a k is out of range, or a ranking names a label twice.
    """
    ranking = np.asarray(ranked, dtype=np.int64)
    truth = _Truth.of(targets)
    _check(ranking, truth, ks)
    if train_frequency is not None and len(train_frequency.counts) <= truth.label.max(initial=-1):
        raise ValueError(f"train_frequency counts {len(train_frequency.counts)} labels, the targets name more")
    mask = None if accepted is None else np.asarray(accepted, dtype=np.bool_)
    if mask is not None and mask.shape != ranking.shape:
        raise ValueError(f"accepted has shape {mask.shape}, the rankings {ranking.shape}")
    if excluded is not None:
        ranking, mask = _without(ranking, mask, np.asarray(excluded, dtype=np.int64).reshape(-1, 2))
    hits = truth.holds(ranking)
    result: dict[str, Any] = {"queries": len(targets)}
    weights = None
    if train_frequency is not None:
        a, b = PROPENSITY[propensity] if isinstance(propensity, str) else propensity
        weights = inverse_propensity(train_frequency, a, b)
    for k in ks:
        result |= _at(k, ranking[:, :k], hits[:, :k], truth, weights)
    result |= _set_f1(ranking, hits, truth, mask)
    result["bands"] = None
    if train_frequency is not None:
        result["bands"] = _bands(ranking, hits, truth, train_frequency.counts, ks)
    return result


def precisions(ranked: npt.ArrayLike, targets: Sequence[Sequence[int]], k: int) -> Doubles:
    """P@k of each query, 0 to 1 [queries]; arguments as `evaluate` takes them."""
    return _count_found(ranked, targets, k)[0] / k


def recalls(ranked: npt.ArrayLike, targets: Sequence[Sequence[int]], k: int) -> Doubles:
    """R@k of each query, 0 to 1 [queries]; arguments as `evaluate` takes them."""
    return _ratios(*_count_found(ranked, targets, k))


def find_gold(ranked: npt.ArrayLike, targets: Sequence[Sequence[int]]) -> Bools:
    """Whether each ranked label is a gold one [queries, ranks]; arguments as `evaluate` takes them."""
    return _Truth.of(targets).holds(np.asarray(ranked, dtype=np.int64))


def ndcgs(ranked: npt.ArrayLike, targets: Sequence[Sequence[int]], k: int) -> Doubles:
    """nDCG@k of each query, 0 to 1 [queries]; arguments as `evaluate` takes them."""
    ranking = np.asarray(ranked, dtype=np.int64)
    truth = _Truth.of(targets)
    _check(ranking, truth, (k,))
    return _ratios(*_gains(k, truth.holds(ranking[:, :k]), truth))


def _gains(k: int, hits: Bools, truth: _Truth) -> tuple[Doubles, Doubles]:
    """What each query's first k ranks earn by nDCG's discounts, and the most that they could [queries]."""
    discounts = 1.0 / np.log2(np.arange(k) + 2)
    best = np.concatenate([[0.0], np.cumsum(discounts)])[np.minimum(truth.sizes, k)]
    return (hits * discounts).sum(axis=1), best


def _count_found(ranked: npt.ArrayLike, targets: Sequence[Sequence[int]], k: int) -> tuple[Ints, Ints]:
    """How many gold labels each query's first k ranks hold, and how many it has [queries]."""
    ranking = np.asarray(ranked, dtype=np.int64)
    truth = _Truth.of(targets)
    _check(ranking, truth, (k,))
    return truth.holds(ranking[:, :k]).sum(axis=1), truth.sizes


@dataclass(frozen=True)
class _Truth:
    """The right (query, label) pairs, flat and sorted: `query` and `label` [pairs]; `sizes` [queries]."""

    query: Ints
    label: Ints
    sizes: Ints

    @classmethod
    def of(cls, targets: Sequence[Sequence[int]]) -> _Truth:
        unique = [sorted(set(labels)) for labels in targets]
        sizes = np.array([len(labels) for labels in unique], dtype=np.int64)
        label = np.array([label for labels in unique for label in labels], dtype=np.int64)
        if label.size and label.min() < 0:
            raise ValueError("targets must not be negative")
        return cls(np.repeat(np.arange(len(unique)), sizes), label, sizes)

    def holds(self, ranking: Ints) -> Bools:
        """Whether each ranked label is right for its query: bool [queries, ranks]; padding never is."""
        stride = 1 + max(self.label.max(initial=0), ranking.max(initial=0))
        rows = np.arange(len(ranking))[:, None] * stride
        found = np.isin(rows + ranking, self.query * stride + self.label)
        return np.asarray(found & (ranking >= 0), dtype=np.bool_)


def _check(ranking: Ints, truth: _Truth, ks: Sequence[int]) -> None:
    if ranking.ndim != 2 or len(ranking) != len(truth.sizes):
        raise ValueError(f"rankings of shape {ranking.shape} do not fit {len(truth.sizes)} queries")
    if not len(ranking):
        raise ValueError("there are no queries to judge")
    if not ks or min(ks) < 1 or max(ks) > ranking.shape[1]:
        raise ValueError(f"each k must lie in 1..{ranking.shape[1]}, the ranks given; pad shorter rankings with -1")
    if ranking.min() < -1:
        raise ValueError("ranked labels must be indices from 0, or -1 for padding")
    ordered = np.sort(ranking, axis=1)
    if bool(((ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)).any()):
        raise ValueError("a ranking names a label twice")


def _without(ranking: Ints, accepted: Bools | None, pairs: Ints) -> tuple[Ints, Bools | None]:
    """The rankings without the (query, label) `pairs`, padded at the end; `accepted` moves with its labels."""
    stride = 1 + max(pairs[:, 1].max(initial=0), ranking.max(initial=0))
    rows = np.arange(len(ranking))[:, None] * stride
    gone = (ranking >= 0) & np.isin(rows + ranking, pairs[:, 0] * stride + pairs[:, 1])
    order = np.argsort(gone, axis=1, kind="stable")
    kept = np.take_along_axis(np.where(gone, -1, ranking), order, axis=1)
    return kept, None if accepted is None else np.take_along_axis(accepted, order, axis=1)


def _at(k: int, ranking: Ints, hits: Bools, truth: _Truth, weights: Doubles | None) -> dict[str, float | None]:
    found = hits.sum(axis=1)
    reached = np.unique(ranking[hits]).size
    return {
        f"P@{k}": _percent(found.mean() / k),
        f"nDCG@{k}": _percent(_ratios(*_gains(k, hits, truth)).mean()),
        f"R@{k}": _percent(_ratios(found, truth.sizes).mean()),
        f"PSP@{k}": None if weights is None else _percent(_weighted_precision(k, ranking, hits, truth, weights)),
        f"coverage@{k}": _percent(reached / max(np.unique(truth.label).size, 1)),
    }


def _weighted_precision(k: int, ranking: Ints, hits: Bools, truth: _Truth, weights: Doubles) -> float:
    earned = weights[ranking[hits]].sum()
    # the best ranking puts each query's heaviest gold labels first
    heaviest = np.lexsort((-weights[truth.label], truth.query))
    first = np.cumsum(truth.sizes) - truth.sizes
    rank = np.arange(len(heaviest)) - first[truth.query]
    possible = weights[truth.label[heaviest[rank < k]]].sum()
    return float(earned / possible) if possible else 0.0


def _set_f1(ranking: Ints, hits: Bools, truth: _Truth, accepted: Bools | None) -> dict[str, float | None]:
    if accepted is None:
        return {"F1_micro": None, "F1_macro": None}
    mask = accepted & (ranking >= 0)
    size = 1 + int(max(truth.label.max(initial=0), ranking.max(initial=0)))
    right = np.bincount(ranking[mask & hits], minlength=size)
    # predicted + actual = 2 tp + fp + fn, so that F1 = 2 tp / both
    both = np.bincount(ranking[mask], minlength=size) + np.bincount(truth.label, minlength=size)
    involved = both > 0
    micro = 2 * right.sum() / max(both.sum(), 1)
    macro = (2 * right[involved] / both[involved]).mean() if involved.any() else 0.0
    return {"F1_micro": _percent(micro), "F1_macro": _percent(macro)}


def _bands(ranking: Ints, hits: Bools, truth: _Truth, counts: Ints, ks: Sequence[int]) -> dict[str, dict[str, Any]]:
    bands: dict[str, dict[str, Any]] = {}
    for name, fewest, most in BANDS:
        member = (counts >= fewest) & (counts <= (most if most is not None else counts.max(initial=0)))
        of_band = member[truth.label]
        found = hits.copy()
        found[hits] = member[ranking[hits]]
        positives = int(of_band.sum())
        band: dict[str, Any] = {"labels": int(np.unique(truth.label[of_band]).size), "positives": positives}
        for k in ks:
            hits_in_band = int(found[:, :k].sum())
            band[f"P@{k}"] = _percent(hits_in_band / (k * len(ranking)))
            band[f"R@{k}"] = _percent(hits_in_band / positives) if positives else None
        bands[name] = band
    return bands


def _ratios(numerators: npt.NDArray[Any], denominators: npt.NDArray[Any]) -> Doubles:
    """Element by element, 0 where the denominator is 0."""
    safe = np.where(denominators > 0, denominators, 1)
    return np.asarray(np.where(denominators > 0, numerators / safe, 0.0), dtype=np.float64)


def _percent(share: Any) -> float:
    return 100.0 * float(share)
