"""Metrics against worked examples (computed by hand from pyxclib's definitions) and against plain loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.data.metrics import PROPENSITY, TrainFrequency, evaluate, inverse_propensity, precisions, recalls

# three queries over six labels; the second has more gold labels than ranks at k = 1, the third none found
RANKED = [[0, 3, 1], [2, 5, 4], [4, 0, -1]]
TARGETS = [(0, 1), (5, 4, 1, 2), (3,)]
SECOND, THIRD = 1 / math.log2(3), 1 / 2  # discounts of ranks 2 and 3


def test_precision_recall_and_ndcg_of_the_worked_example():
    got = evaluate(RANKED, TARGETS, ks=(1, 3))
    assert got["queries"] == 3
    assert got["P@1"] == pytest.approx(100 * (1 + 1 + 0) / 3)
    assert got["P@3"] == pytest.approx(100 * (2 / 3 + 3 / 3 + 0) / 3)
    assert got["R@1"] == pytest.approx(100 * (1 / 2 + 1 / 4 + 0) / 3)
    assert got["R@3"] == pytest.approx(100 * (2 / 2 + 3 / 4 + 0) / 3)
    assert got["nDCG@1"] == pytest.approx(100 * 2 / 3)
    # query 1: hits at ranks 1 and 3, two gold labels; query 2: all three ranks hit, four gold labels
    assert got["nDCG@3"] == pytest.approx(100 * ((1 + THIRD) / (1 + SECOND) + 1) / 3)
    assert got["coverage@1"] == pytest.approx(100 * 2 / 6)
    assert got["coverage@3"] == pytest.approx(100 * 5 / 6)
    assert got["PSP@1"] is None
    assert got["bands"] is None
    assert got["F1_micro"] is None
    assert got["F1_macro"] is None


def test_what_each_query_adds_is_what_the_means_are_of():
    assert precisions(RANKED, TARGETS, 3) == pytest.approx([2 / 3, 1, 0])
    assert recalls(RANKED, TARGETS, 1) == pytest.approx([1 / 2, 1 / 4, 0])
    got = evaluate(RANKED, TARGETS, ks=(3,))
    assert got["P@3"] == pytest.approx(100 * precisions(RANKED, TARGETS, 3).mean())
    assert got["R@3"] == pytest.approx(100 * recalls(RANKED, TARGETS, 3).mean())


def test_precision_divides_by_k_even_when_fewer_labels_are_right():
    assert evaluate([[7, 1, 2, 3, 4]], [(7,)], ks=(5,))["P@5"] == pytest.approx(20.0)


def test_inverse_propensity_of_the_worked_example():
    # 100 training queries, A 0.55, B 1.5: C = (ln 100 - 1) 2.5^0.55 = 3.60517 x 1.655263 = 5.967505
    got = inverse_propensity(TrainFrequency(np.array([0, 1, 50]), 100))
    # 1 + C / 1.5^0.55, 1 + C / 2.5^0.55 = ln 100, 1 + C / 51.5^0.55
    np.testing.assert_allclose(got, [5.774661, math.log(100), 1.682808], rtol=1e-6)


def test_too_few_training_queries_weigh_all_labels_alike():
    for queries in (0, 1, 2):
        assert inverse_propensity(TrainFrequency(np.array([0, 1, 2]), queries)).tolist() == [1.0, 1.0, 1.0]


def test_propensity_scored_precision_is_a_ratio_of_means():
    train = TrainFrequency(np.array([0, 1, 50, 3, 2, 9]), 100)
    weight = inverse_propensity(train)
    got = evaluate(RANKED, TARGETS, ks=(1, 3), train_frequency=train)
    # at 1: label 0 and label 2 are hit; the best would be label 0, then 1 of {5,4,1,2}, then 3
    assert got["PSP@1"] == pytest.approx(100 * (weight[0] + weight[2]) / (weight[0] + weight[1] + weight[3]))
    earned = weight[0] + weight[1] + weight[2] + weight[5] + weight[4]
    possible = (weight[0] + weight[1]) + (weight[1] + weight[4] + weight[5]) + weight[3]
    assert got["PSP@3"] == pytest.approx(100 * earned / possible)
    amazon = evaluate(RANKED, TARGETS, ks=(1,), train_frequency=train, propensity="amazon")
    explicit = evaluate(RANKED, TARGETS, ks=(1,), train_frequency=train, propensity=PROPENSITY["amazon"])
    assert amazon["PSP@1"] == explicit["PSP@1"] != got["PSP@1"]


def test_set_f1_of_the_worked_example():
    accepted = [[True, True, False], [True, False, False], [False, False, True]]  # the last is padding: not predicted
    got = evaluate(RANKED, TARGETS, ks=(1,), accepted=accepted)
    # predicted (0,3), (2), (): two right of three predicted, seven actual
    assert got["F1_micro"] == pytest.approx(100 * 2 * 2 / (3 + 7))
    # per label 0..5: label 0 and 2 have F1 1; 1, 3, 4, 5 have 0
    assert got["F1_macro"] == pytest.approx(100 * 2 / 6)


def test_excluded_pairs_leave_the_ranking_and_the_rest_moves_up():
    accepted = [[True, True, False], [True, False, False], [False, False, False]]
    got = evaluate(RANKED, TARGETS, ks=(1, 3), accepted=accepted, excluded=[(0, 0), (1, 3), (2, 4), (7, 1)])
    same = evaluate(
        [[3, 1, -1], [2, 5, 4], [0, -1, -1]],
        TARGETS,
        ks=(1, 3),
        accepted=[[True, False, False], [True, False, False], [False, False, False]],
    )
    assert got == same
    assert got["P@1"] == pytest.approx(100 / 3)


def test_bands_split_precision_and_count_recall_within_the_band():
    train = TrainFrequency(np.array([0, 1, 50, 3, 2, 9]), 100)  # unseen, tail, head, tail, tail, torso
    got = evaluate(RANKED, TARGETS, ks=(1, 3), train_frequency=train)
    bands = got["bands"]
    assert list(bands) == ["head", "torso", "tail", "unseen"]
    assert [bands[name]["positives"] for name in bands] == [1, 1, 4, 1]
    assert [bands[name]["labels"] for name in bands] == [1, 1, 3, 1]
    assert bands["tail"]["R@3"] == pytest.approx(100 * 2 / 4)  # labels 1 (query 1) and 4 (query 2)
    assert bands["head"]["R@1"] == pytest.approx(100.0)
    for k in (1, 3):
        assert sum(band[f"P@{k}"] for band in bands.values()) == pytest.approx(got[f"P@{k}"])


def test_a_band_holds_its_ends():
    counts = np.array([0, 1, 4, 5, 19, 20])
    got = evaluate([[0, 1, 2, 3, 4, 5]], [range(6)], ks=(1,), train_frequency=TrainFrequency(counts, 100))
    labels = {name: band["labels"] for name, band in got["bands"].items()}
    assert labels == {"head": 1, "torso": 2, "tail": 2, "unseen": 1}


@pytest.mark.parametrize(("name", "a", "b"), [("default", 0.55, 1.5), ("amazon", 0.6, 2.6), ("wikipedia", 0.5, 0.4)])
def test_propensities_are_the_papers(name, a, b):
    train = TrainFrequency(np.array([0, 9]), 100)
    weight = [1 + (math.log(100) - 1) * (b + 1) ** a / (count + b) ** a for count in (0, 9)]
    got = evaluate([[1]], [(0, 1)], ks=(1,), train_frequency=train, propensity=name)
    assert got["PSP@1"] == pytest.approx(100 * weight[1] / weight[0])


def test_queries_without_gold_labels_count_as_zero():
    got = evaluate([[1], [1]], [(1,), ()], ks=(1,), train_frequency=TrainFrequency(np.array([1, 1]), 9))
    assert (got["P@1"], got["R@1"], got["nDCG@1"], got["PSP@1"]) == (50.0, 50.0, 50.0, 100.0)


@pytest.mark.parametrize(
    ("ranked", "targets", "ks", "complaint"),
    [
        ([[0, 1]], [(0,), (1,)], (1,), "do not fit 2 queries"),
        ([[0, 1]], [(0,)], (3,), r"each k must lie in 1\.\.2"),
        ([[0, 0]], [(0,)], (1,), "names a label twice"),
        ([[-2, 0]], [(0,)], (1,), "indices from 0"),
        ([[1, 0]], [(-1,)], (1,), "negative"),
        (np.zeros((0, 3)), [], (1,), "no queries"),
    ],
)
def test_misshapen_input_is_refused(ranked, targets, ks, complaint):
    with pytest.raises(ValueError, match=complaint):
        evaluate(ranked, targets, ks=ks)


@st.composite
def _problems(draw):
    labels, queries = draw(st.integers(3, 12)), draw(st.integers(1, 6))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    ranked = np.stack([rng.permutation(labels)[:3] for _ in range(queries)])
    ranked[np.arange(3) >= rng.integers(0, 4, (queries, 1))] = -1  # rankings of 0 to 3 labels
    targets = [tuple(rng.choice(labels, rng.integers(0, labels), replace=False).tolist()) for _ in range(queries)]
    return ranked, targets, rng.integers(0, 40, labels), rng.random(ranked.shape) < 0.5


def _by_loops(ranked, targets, counts, accepted, k):
    """The definitions, read off pyxclib one query at a time."""
    weight = 1 + (math.log(50) - 1) * 2.5**0.55 * (counts + 1.5) ** -0.55
    precision, recall, ndcg, earned, possible = [], [], [], 0.0, 0.0
    for row, right in zip(ranked, targets, strict=True):
        hits = [label in right for label in row[:k]]
        precision.append(sum(hits) / k)
        recall.append(sum(hits) / max(len(right), 1))
        dcg = sum(hit / math.log2(rank + 2) for rank, hit in enumerate(hits))
        ideal = sum(1 / math.log2(rank + 2) for rank in range(min(k, len(right))))
        ndcg.append(dcg / ideal if ideal else 0.0)
        earned += sum(weight[label] for label in row[:k] if label in right)
        possible += sum(sorted((weight[label] for label in right), reverse=True)[:k])
    chosen = [
        {label for label, yes in zip(row, mask, strict=True) if yes and label >= 0}
        for row, mask in zip(ranked, accepted, strict=True)
    ]
    scores, right_total, both_total = [], 0, 0
    for label in range(len(counts)):
        right = sum(label in c and label in t for c, t in zip(chosen, targets, strict=True))
        both = sum(label in c for c in chosen) + sum(label in t for t in targets)
        right_total, both_total = right_total + right, both_total + both
        if both:
            scores.append(2 * right / both)
    found = {label for row, right in zip(ranked, targets, strict=True) for label in row[:k] if label in right}
    return {
        f"P@{k}": np.mean(precision),
        f"R@{k}": np.mean(recall),
        f"nDCG@{k}": np.mean(ndcg),
        f"PSP@{k}": earned / possible if possible else 0.0,
        f"coverage@{k}": len(found) / max(len({label for right in targets for label in right}), 1),
        "F1_micro": 2 * right_total / both_total if both_total else 0.0,
        "F1_macro": np.mean(scores) if scores else 0.0,
    }


@given(_problems())
@settings(max_examples=150, deadline=None)
def test_agrees_with_plain_loops(problem):
    ranked, targets, counts, accepted = problem
    got = evaluate(ranked, targets, ks=(1, 2, 3), train_frequency=TrainFrequency(counts, 50), accepted=accepted)
    for k in (1, 2, 3):
        for key, value in _by_loops(ranked, targets, counts, accepted, k).items():
            assert got[key] == pytest.approx(100 * value), key


def test_a_label_set_without_labels_has_nothing_to_find():
    nothing = TrainFrequency(np.zeros(0, np.int64), 5)
    got = evaluate([[-1, -1]], [()], ks=(1, 2), train_frequency=nothing, accepted=[[True, False]])
    assert {key: got[key] for key in ("P@1", "R@2", "PSP@2", "coverage@1", "F1_micro")} == dict.fromkeys(
        ("P@1", "R@2", "PSP@2", "coverage@1", "F1_micro"), 0.0
    )
    assert [band["labels"] for band in got["bands"].values()] == [0, 0, 0, 0]
