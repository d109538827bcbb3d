"""What a logit is made of: chosen by which labels come first, and only where it is sure."""

from __future__ import annotations

import numpy as np
import pytest

from edgexl.base.arrays import Bools, Floats
from edgexl.compiler.measure.blending import choose_blend, is_better, standard_error

LENGTH = 16


def shortlists(noise: float, rival: float, queries: int = 400, seed: int = 0) -> tuple[Floats, Floats, Bools]:
    """Logits with so much noise, screening scores with another, and a right label each, of all but the last places."""
    rng = np.random.default_rng(seed)
    right = np.zeros((queries, LENGTH), np.bool_)
    right[np.arange(queries), rng.integers(0, LENGTH, queries)] = True
    logits = (4 * right + noise * rng.standard_normal(right.shape)).astype(np.float32)
    screening = (0.1 * right + 0.1 * rival * rng.standard_normal(right.shape)).astype(np.float32)
    logits[:, -1] = -np.inf  # the last place is padding, which no choice may take
    screening[:, -1] = -np.inf
    right[:, -1] = False
    return logits, screening, right


def first(scores: Floats, right: Bools) -> float:
    return float(right[np.arange(len(right)), scores.argmax(1)].mean())


def test_a_good_reasoner_stays_as_it_is() -> None:
    logits, screening, right = shortlists(noise=0.5, rival=4.0)
    choice = choose_blend(logits, screening, right, may_blend=True)
    assert (choice.kind, choice.blend.reasoner, choice.blend.screening) == ("as it is", 1.0, 0.0)
    assert choice.chosen.mean() == choice.reasoner.mean() == first(logits, right)
    assert choice.screening.mean() == first(screening, right)


def test_two_that_err_apart_are_blended() -> None:
    logits, screening, right = shortlists(noise=3.0, rival=0.75)
    choice = choose_blend(logits, screening, right, may_blend=True)
    assert choice.kind == "blend"
    assert choice.blend.reasoner == 1.0
    assert np.float32(choice.blend.screening) == choice.blend.screening > 0
    found = first(logits + np.float32(choice.blend.screening) * np.where(np.isfinite(logits), screening, 0), right)
    assert choice.chosen.mean() == found > max(first(logits, right), first(screening, right)) + 0.03
    held_out = shortlists(noise=3.0, rival=0.75, seed=1)
    blended = held_out[0] + np.float32(choice.blend.screening) * np.where(np.isfinite(held_out[0]), held_out[1], 0)
    assert first(blended, held_out[2]) > max(first(held_out[0], held_out[2]), first(held_out[1], held_out[2]))


def test_a_reasoner_that_only_costs_is_left_out_where_it_may_be() -> None:
    logits, screening, right = shortlists(noise=400.0, rival=0.25, seed=2)
    choice = choose_blend(logits, screening, right, may_blend=True)
    assert (choice.kind, choice.blend.reasoner, choice.blend.screening) == ("left out", 0.0, 1.0)
    assert choice.chosen.mean() == first(screening, right) > 0.8


def test_queries_that_tell_no_weight_keep_a_reasoner_only_where_it_is_better() -> None:
    logits, screening, right = shortlists(noise=3.0, rival=0.75)  # a blend of which would be better than both
    choice = choose_blend(logits, screening, right, may_blend=False)
    assert (choice.kind, choice.blend.reasoner) == ("left out", 0.0)
    assert choice.chosen.mean() == first(screening, right)
    logits, screening, right = shortlists(noise=0.5, rival=4.0)
    assert choose_blend(logits, screening, right, may_blend=False).kind == "as it is"


def test_chance_chooses_nothing() -> None:
    """Of many pairs that are equally good, almost none is changed by more than it is worth."""
    changed = 0
    for seed in range(40):
        logits, screening, right = shortlists(noise=1.5, rival=100.0, queries=120, seed=seed)
        changed += choose_blend(logits, screening, right, may_blend=True).kind != "as it is"
    assert changed <= 2


def test_better_is_beyond_the_standard_error_of_the_pairs() -> None:
    those = np.array([0.0, 1.0] * 50)
    assert not is_better(those, those)
    these = those.copy()
    these[[0, 2, 4]], these[[1, 3]] = 1.0, 0.0
    assert not is_better(these, those)  # .01 against a standard error of .02
    these[[6, 8, 10]] = 1.0
    assert is_better(these, those)
    assert standard_error(these - those) == pytest.approx(np.std(these - those, ddof=1) / 10)
    assert standard_error(np.ones(1)) == 0
