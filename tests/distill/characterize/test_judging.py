"""Judging ranked shortlists, by plain loops over queries."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edgexl.data import Query
from edgexl.distill.characterize.focus import _mentions, _share_in_view, doubling
from edgexl.distill.characterize.measures import Bootstrap, fit_temperature, judge, order_of, probabilities
from edgexl.distill.characterize.sample import Sample

QUERIES, WIDTH = 30, 7


def lists(seed: int) -> tuple[Sample, np.ndarray, np.ndarray]:
    """Queries of one to three gold labels, lists of seven of twelve labels (some padded), logits that tie at times."""
    draw = np.random.default_rng(seed)
    gold = [tuple(draw.choice(12, draw.integers(1, 4), replace=False).tolist()) for _ in range(QUERIES)]
    sample = Sample.of([Query(str(i), f"text {i}", right) for i, right in enumerate(gold)], "test")
    labels = np.stack([draw.permutation(12)[:WIDTH] for _ in range(QUERIES)])
    logits = np.round(draw.normal(0, 2, labels.shape), 1)
    logits[draw.random(labels.shape) < 0.15] = -np.inf
    logits[4] = -np.inf
    labels[::5, 5:] = -1
    logits[labels < 0] = -np.inf
    return sample, labels, logits


@pytest.mark.parametrize("none", [False, True])
def test_a_judgement_is_the_metrics_of_each_query(none: bool) -> None:
    sample, labels, logits = lists(0)
    judged = judge(sample, labels, logits, 1.7, none)
    for query in range(QUERIES):
        right = {label for label in sample.gold[query].tolist() if label >= 0}
        known = [place for place in range(WIDTH) if np.isfinite(logits[query, place])]
        ranked = sorted(known, key=lambda place: (-logits[query, place], labels[query, place]))
        hits = [labels[query, place] in right for place in ranked[:5]]
        weights = {place: math.exp(logits[query, place] / 1.7) for place in known}
        total = sum(weights.values()) + (1.0 if none else 0.0)
        shares = [weights[place] / total for place in ranked]
        gain = sum(hit / math.log2(rank + 2) for rank, hit in enumerate(hits))
        best = sum(1 / math.log2(rank + 2) for rank in range(min(5, len(right))))
        assert judged.hit[query] == (bool(hits) and hits[0])
        assert judged.precision[query] == pytest.approx(sum(hits) / 5)
        assert judged.gain[query] == pytest.approx(gain / best)
        assert judged.best[query] == (labels[query, ranked[0]] if ranked else -1)
        assert judged.top[query] == pytest.approx(shares[0] if ranked else 0.0)
        second = shares[1] if len(ranked) > 1 else 0.0
        assert judged.margin[query] == pytest.approx((shares[0] if ranked else 0.0) - second)
    row = judged.row("mine", Bootstrap(QUERIES, 0), R=3)
    assert (row["name"], row["n"], row["R"]) == ("mine", QUERIES, 3)
    assert row["P@1"] == pytest.approx(100 * judged.hit.mean())
    assert row["P@5"] == pytest.approx(100 * judged.precision.mean())
    assert row["nDCG@5"] == pytest.approx(100 * judged.gain.mean())
    assert row["top_probability"] == pytest.approx(judged.top.mean())
    assert row["interval"]["margin"][0] <= row["margin"] <= row["interval"]["margin"][1]


def test_a_list_of_one_leads_by_all_of_it() -> None:
    sample = Sample(("a",), np.array([[3]]), "test")
    judged = judge(sample, np.array([[3]]), np.array([[0.5]]), 1.0, True)
    share = math.exp(0.5) / (1 + math.exp(0.5))
    assert (judged.top[0], judged.margin[0]) == (pytest.approx(share), pytest.approx(share))


@pytest.mark.parametrize("none", [False, True])
def test_the_temperature_is_the_likeliest_of_those_tried(none: bool) -> None:
    sample, labels, logits = lists(1)
    right = sample.is_gold(labels)
    tried = np.geomspace(0.005, 20.0, 97)
    losses = []
    for temperature in tried:
        loss = 0.0
        for query in range(QUERIES):
            known = np.isfinite(logits[query])
            if not known.any():
                continue
            shares = probabilities(logits[query : query + 1], float(temperature), none)[0]
            if (right[query] & known).any():
                loss -= math.log(max(shares[right[query]].sum(), 1e-12))
            elif none:
                loss -= math.log(max(1 - shares.sum(), 1e-12))
        losses.append(loss)
    assert fit_temperature(logits, right, none) == pytest.approx(tried[int(np.argmin(losses))])
    assert fit_temperature(logits, np.zeros_like(right), none) == 1.0


def test_order_is_by_logit_then_by_label() -> None:
    labels, logits = np.array([[5, 2, 9, 1]]), np.array([[1.0, 1.0, 3.0, -np.inf]])
    assert order_of(labels, logits).tolist() == [[2, 1, 0, 3]]


def test_an_interval_is_of_resampled_means() -> None:
    values = np.random.default_rng(3).random(40)
    values[7] = np.nan
    counted = np.arange(40) % 3 > 0
    bootstrap = Bootstrap(40, 5)
    assert bootstrap.times.shape == (1000, 40)
    assert (bootstrap.times.sum(1) == 40).all()
    draw = np.random.default_rng((5, 7))
    means = []
    for _ in range(1000):
        chosen = [place for place in draw.integers(0, 40, 40) if counted[place]]
        means.append(np.nan_to_num(values[chosen]).mean())
    assert bootstrap.interval(values, counted) == pytest.approx(np.percentile(means, (2.5, 97.5)).tolist())


def test_lengths_double_up_to_the_last() -> None:
    assert [doubling(last) for last in (1, 2, 3, 8, 9)] == [[1], [1, 2], [1, 2, 3], [1, 2, 4, 8], [1, 2, 4, 8, 9]]


def test_labels_in_view_are_a_share_of_the_right_ones() -> None:
    found = np.array([[True, False, True], [False, False, False], [False, True, False]])
    shares = _share_in_view(found, np.array([2, 0, 4]))
    assert shares.tolist() == [[0.5, 0.5, 1.0], [0, 0, 0], [0, 0.25, 0.25]]


def test_where_a_label_is_written() -> None:
    text = "A dog? No: the hot dog, not dogs."
    assert _mentions(text, "dog") == (5 / len(text), 22 / len(text))
    assert _mentions(text, "DOGS") == (32 / len(text), 32 / len(text))
    assert _mentions(text, "og") == (math.inf, -1.0)
    assert _mentions(text, "d.g") == (math.inf, -1.0)
