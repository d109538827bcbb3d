"""Exact search over rows: against brute force, over more labels than one block holds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from edgexl.data.label_set import LabelSet
from edgexl.distill.teachers import rows
from edgexl.distill.teachers.rows import LabelRows


@pytest.fixture(params=[32_768, 7])
def made(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> tuple[LabelRows, np.ndarray, torch.Tensor]:
    """Rows of 50 labels with 0 to 3 aliases, best score of each label [9,50] by brute force, and the queries."""
    monkeypatch.setattr(rows, "_LABELS", request.param)
    monkeypatch.setattr(rows, "_QUERIES", 4)
    monkeypatch.setattr(rows, "_GATHERED", 100)
    aliases = tuple(tuple(f"alias {i} {j}" for j in range(i % 4)) for i in range(50))
    labels = LabelSet(tuple(map(str, range(50))), tuple(f"label {i}" for i in range(50)), aliases)
    draw = torch.Generator().manual_seed(0)
    vectors = torch.randn(50 + sum(map(len, aliases)), 8, generator=draw).half()
    queries = torch.randn(9, 8, generator=draw)
    scores = (queries @ vectors.float().T).numpy()
    of = [*range(50), *(i for i in range(50) for _ in range(i % 4))]
    best = np.full((9, 50), -np.inf, dtype=np.float32)
    for column, label in enumerate(of):
        best[:, label] = np.maximum(best[:, label], scores[:, column])
    return LabelRows(labels, vectors, torch.device("cpu")), best, queries


def test_search_finds_the_best_labels(made: tuple[LabelRows, np.ndarray, torch.Tensor]) -> None:
    label_rows, best, queries = made
    labels, scores = label_rows.search(queries, depth=12)
    expected = np.argsort(-best, axis=1, kind="stable")[:, :12]
    np.testing.assert_array_equal(labels, expected)
    np.testing.assert_allclose(scores, np.take_along_axis(best, expected, 1), rtol=1e-5)


def test_pairs_give_both_scores(made: tuple[LabelRows, np.ndarray, torch.Tensor]) -> None:
    label_rows, best, queries = made
    candidates = np.stack([np.array([0, 3, 49, -1, 6]) + (row if row < 1 else 0) for row in range(9)])
    both = label_rows.pairs(queries, candidates)
    wanted = np.where(candidates < 0, -np.inf, np.take_along_axis(best, np.maximum(candidates, 0), 1))
    np.testing.assert_allclose(both.amax(-1), wanted, rtol=1e-5)
    own = (queries @ label_rows.own.float().T).numpy()
    np.testing.assert_allclose(both[:, :3, 0], np.take_along_axis(own, candidates[:, :3], 1), rtol=1e-5)
    # label 0 has no alias, so that its own score stands for both
    np.testing.assert_array_equal(both[:, 0, 0], both[:, 0, 1])


def test_ties_go_to_the_lower_label() -> None:
    labels = LabelSet(("a", "b", "c", "d"), ("a", "b", "c", "d"))
    vectors = torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]]).half()
    found, _ = LabelRows(labels, vectors, torch.device("cpu")).search(torch.tensor([[1.0, 0.0]]), depth=6)
    assert found.tolist() == [[1, 2, 3, 0, -1, -1]]
