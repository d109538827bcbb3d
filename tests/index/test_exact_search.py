"""Exact search, and how scores of rows become scores of labels, against brute force."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.base.ragged import Ragged
from edgexl.index.best_of_rows import BEST_ROW, LabelScores, Weighing, best_aliases, distinct, rows_of_labels
from edgexl.index.exact_search import ExactSearch, _best

LABELS, QUERIES = 6, 3
ALIASES = st.lists(st.sets(st.integers(0, LABELS - 1), min_size=1, max_size=3), max_size=8)


@given(ALIASES, st.data())
@settings(max_examples=200, deadline=None)
def test_labels_are_scored_by_the_best_of_their_rows(aliases: list[set[int]], data: st.DataObject) -> None:
    count = LABELS + len(aliases)
    found = data.draw(
        st.lists(st.tuples(st.integers(0, QUERIES - 1), st.integers(0, count - 1)), min_size=1, unique=True)
    )
    scores = data.draw(st.lists(st.integers(-2, 2), min_size=len(found), max_size=len(found)))
    descriptions = data.draw(st.integers(0, len(aliases)))
    alias_labels = Ragged.of(map(sorted, aliases), np.uint32)
    query, rows = np.array(found).T
    scored = LabelScores.of(QUERIES, query, rows, np.array(scores, np.float32), LABELS, alias_labels, descriptions)
    best = np.full((QUERIES, LABELS, 3), -np.inf)
    together = np.zeros((QUERIES, LABELS))
    for (of, row), score in zip(found, scores, strict=True):
        kind = 0 if row < LABELS else 1 if row < count - descriptions else 2
        for label in [row] if row < LABELS else aliases[row - LABELS]:
            best[of, label, kind] = max(best[of, label, kind], score)
            together[of, label] += np.exp(score / 0.5)
    known = best.max(-1) > -np.inf
    assert scored.counts.tolist() == known.sum(1).tolist()
    ranked = [
        sorted(np.flatnonzero(known[of]), key=lambda label, of=of: (-best[of, label].max(), label)) for of in range(3)
    ]
    assert scored.best(4).tolist() == [[*of, -1, -1, -1, -1][:4] for of in ranked]
    every = np.tile(np.arange(LABELS), (QUERIES, 1))
    np.testing.assert_array_equal(scored.look_up(every), best)
    assert np.isneginf(scored.look_up(np.full((QUERIES, 1), -1))).all()
    evidence, screening = scored.weigh(Weighing(0.5, 2.0))
    own, alias, description = best[known].T
    alias = np.where(np.isneginf(alias), own, alias)
    votes, most = 0.5 * np.log(together[known]), best[known].max(-1)
    description = np.where(np.isneginf(description), np.maximum(own, alias), description)
    wanted = [own, alias, description, votes, np.zeros_like(own)]
    np.testing.assert_allclose(evidence, np.stack(wanted, -1), atol=1e-6)
    np.testing.assert_allclose(screening, most + 2 * (votes - most), atol=1e-5)
    assert scored.weigh(BEST_ROW)[1].tolist() == most.tolist()


@given(ALIASES)
@settings(max_examples=50, deadline=None)
def test_all_aliases_of_given_labels_are_scored(aliases: list[set[int]]) -> None:
    alias_rows = rows_of_labels(LABELS, Ragged.of(map(sorted, aliases), np.uint32))
    labels, own = np.array([[3, -1, 0], [5, 5, 2]]), np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    score = np.random.default_rng(0).standard_normal((2, LABELS + len(aliases))).astype(np.float32)
    best = best_aliases(alias_rows, labels, own, lambda query, rows: score[query, rows])
    for query, place in np.ndindex(labels.shape):
        rows = [LABELS + row for row, of in enumerate(aliases) if labels[query, place] in of]
        assert best[query, place] == (max(score[query, rows]) if rows else own[query, place])


def test_exact_search_is_brute_force_with_ties_to_the_lower_label() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.integers(-2, 3, (60, 4)).astype(np.float32)  # many ties
    alias_labels = tuple((int(a), int(a) + 1) for a in draw.integers(0, 49, 10))
    search = ExactSearch(vectors, 50, Ragged.of(alias_labels, np.uint32), 20)
    for query in draw.integers(-2, 3, (20, 4)).astype(np.float32):
        own = (vectors[:50] @ query).tolist()
        alias = list(own)
        for label in range(50):
            of = [float(vectors[50 + row] @ query) for row, labels in enumerate(alias_labels) if label in labels]
            alias[label] = max(of) if of else own[label]
        wanted = sorted(range(50), key=lambda label: (-max(own[label], alias[label]), label))[:20]
        found = search.search(query)
        assert found.labels.tolist() == wanted
        np.testing.assert_array_equal(found.scores, np.array([[own[i], alias[i]] for i in wanted], np.float32))


@pytest.mark.parametrize("weight", [0.0, 4.0])
def test_exact_search_by_all_of_a_labels_rows(weight: float) -> None:
    """A row of several labels votes once for each, however many of them are found."""
    draw = np.random.default_rng(1)
    vectors = draw.standard_normal((90, 4)).astype(np.float32)
    labels_of = [sorted({int(a), int(a) % 7}) for a in draw.integers(0, 40, 50)]
    search = ExactSearch(vectors, 40, Ragged.of(labels_of, np.uint32), 40, 20, Weighing(0.25, weight))
    rows = [[label, *(40 + row for row, of in enumerate(labels_of) if label in of)] for label in range(40)]
    for query in draw.standard_normal((5, 4)).astype(np.float32):
        scores = (vectors @ query).astype(np.float64)
        best = np.array([scores[of].max() for of in rows])
        votes = np.array([0.25 * np.log(np.exp(scores[of] / 0.25).sum()) for of in rows])
        found = search.search(query)
        weighed = best + weight * (votes - best)
        assert found.labels.tolist() == np.argsort(-weighed, kind="stable").tolist()
        np.testing.assert_allclose(found.screening, weighed[found.labels], atol=1e-5)
        np.testing.assert_allclose(found.evidence[:, 3], votes[found.labels], atol=1e-5)
        described = [[row for row in of if row >= 70] for of in rows]
        for label, evidence in zip(found.labels, found.evidence, strict=True):
            others = scores[[row for row in rows[label] if row < 70]]
            wanted = scores[described[label]].max() if described[label] else others.max()
            assert evidence[2] == pytest.approx(wanted, abs=1e-5)


@pytest.mark.parametrize("rows", [1, 63, 64, 2000, 30_000])
@pytest.mark.parametrize("kind", ["smooth", "ties", "level", "in order"])
def test_the_best_scores_of_many_are_found_by_a_sample(rows: int, kind: str) -> None:
    draw = np.random.default_rng(rows)
    scores = draw.standard_normal(rows).astype(np.float32)
    scores = {"ties": np.round(scores), "level": np.zeros_like(scores), "in order": np.sort(scores)}.get(kind, scores)
    for count in sorted({1, min(rows, 7), min(rows, 130), rows}):
        nth = sorted(scores.tolist(), reverse=True)[count - 1]
        assert _best(scores, count).tolist() == [place for place, score in enumerate(scores.tolist()) if score >= nth]


def test_exact_search_of_many_queries_and_rows() -> None:
    """Beyond a pass of 32 queries and a chunk of rows; aliases that stand for few labels fill the first places."""
    draw = np.random.default_rng(3)
    vectors = draw.standard_normal((20_000, 8)).astype(np.float32)
    vectors[19_000:] = 9 * vectors[0] + 0.01 * draw.standard_normal((1000, 8))
    alias_labels = Ragged.of([[int(place) % 3] for place in range(1000)], np.uint32)
    search = ExactSearch(vectors, 19_000, alias_labels, 40)
    queries = np.concatenate([draw.standard_normal((69, 8)), vectors[:1]]).astype(np.float32)
    with ThreadPoolExecutor(3) as pool:
        found = list(search.search_all(queries, pool))
    assert len(found) == 70
    for place in (0, 31, 32, 40, 68, 69):
        scores = vectors @ queries[place]
        best = scores[:19_000].copy()
        best[:3] = np.maximum(best[:3], [scores[19_000 + label :: 3].max() for label in range(3)])
        wanted = np.lexsort((np.arange(19_000), -best))[:40]
        np.testing.assert_array_equal(found[place].labels, wanted)
        np.testing.assert_allclose(found[place].scores[:, 0], scores[wanted], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(found[place].scores.max(1), best[wanted], rtol=1e-5, atol=1e-5)
    few = search.with_shortlist(3)
    assert few.search(queries[5]).labels.tolist() == found[5].labels[:3].tolist()
    assert len(ExactSearch(vectors[:5], 5, Ragged.of([], np.uint32), 40).search(queries[0]).labels) == 5


@pytest.mark.parametrize("bound", [200, 1 << 40])
def test_distinct_numbers_are_those_of_numpy(bound: int) -> None:
    """By a table of them where they lie close, by sorting elsewhere."""
    numbers = np.random.default_rng(0).integers(0, bound, 3000)
    for some in (numbers, numbers[:0]):
        for own, wanted in zip(distinct(some, bound), np.unique(some, return_inverse=True), strict=True):
            np.testing.assert_array_equal(own, wanted)
            assert own.dtype == np.int64
