"""What a label's rows say together, against numpy's own functions."""

from __future__ import annotations

import numpy as np

from edgexl.index.votes import vote, votes


def test_votes_are_the_log_of_a_sum_of_exponentials() -> None:
    draw = np.random.default_rng(0)
    for temperature in (1 / 1024, 0.05, 1.0):
        scores = draw.uniform(-1, 1, (200, 9)).astype(np.float32)
        best = scores.max(1)
        sums = vote(scores, best[:, None], temperature).sum(1, dtype=np.uint64)
        found = votes(best, sums, temperature)
        exact = best + temperature * np.log(np.exp((scores.astype(np.float64) - best[:, None]) / temperature).sum(1))
        np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-7)
        assert (found >= best).all()


def test_a_single_row_says_its_score_and_equal_ones_the_log_of_their_number() -> None:
    best = np.array([0.3, -0.7, 0.0], np.float32)
    one = vote(best, best, 0.05)
    assert one.tolist() == [1 << 32] * 3
    assert votes(best, one, 0.05).tolist() == best.tolist()
    many = votes(np.zeros(1, np.float32), np.array([16384 << 32], np.uint64), 1.0)
    assert many.tolist() == [np.float32(np.log(16384))]


def test_rows_far_behind_have_no_vote() -> None:
    behind = np.array([0.0, -0.5, -1.109, -1.2, -30.0, -2e5], np.float32)
    found = vote(behind, np.zeros_like(behind), 0.05)
    assert found[2:].tolist() == [1, 0, 0, 0]
    np.testing.assert_allclose(found[:2], np.exp(behind[:2].astype(np.float64) / np.float32(0.05)) * 2**32, atol=1)
