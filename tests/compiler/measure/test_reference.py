"""The reference pipeline's own parts against brute force."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from edgexl.base.ragged import Ragged
from edgexl.bundle.read import read_bundle
from edgexl.compiler import CompileReport
from edgexl.compiler.measure.exact_search import ExactSearch, _best
from edgexl.compiler.measure.reference import ReferencePipeline
from edgexl.student.student import Student


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


def test_threads_do_not_change_answers(compiled: CompileReport, student: Student) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    texts = [query.text for query in student.evaluation[:40]]
    for one, many in zip(pipeline.answers(texts), pipeline.answers(texts, threads=4), strict=True):
        np.testing.assert_array_equal(one.ranked, many.ranked)
        np.testing.assert_array_equal(one.logits, many.logits)
        assert one.logits[one.order].tolist() == sorted(one.logits.tolist(), reverse=True)


def test_labels_taken_out_of_the_shortlist_leave_their_places(compiled: CompileReport, student: Student) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    queries = student.evaluation[:40]
    texts, taken = [query.text for query in queries], [query.targets for query in queries]
    usual, missing = list(pipeline.answers(texts)), list(pipeline.answers(texts, threads=2, without=taken))
    assert any(np.isin(answer.labels, labels).any() for answer, labels in zip(usual, taken, strict=True))
    for whole, answer, labels in zip(usual, missing, taken, strict=True):
        others = whole.labels[~np.isin(whole.labels, labels)]
        assert len(answer.labels) == len(whole.labels)
        assert answer.labels[: len(others)].tolist() == others.tolist()
        assert not np.isin(answer.labels, labels).any()


def test_a_bundle_notices_the_share_of_absent_labels_that_its_recipe_asks_for(
    compiled: CompileReport, student: Student
) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    fitted = read_bundle(compiled.path)
    queries = student.calibration
    texts, taken = [query.text for query in queries], [query.targets for query in queries]
    best = np.array([answer.logits.max() for answer in pipeline.answers(texts, threads=2, without=taken)])
    assert fitted.manifest["calibration"]["absence_noticed"] == 0.8
    certain = 0.8 + 1.645 * np.sqrt(0.8 * 0.2 / len(queries))
    assert np.mean(best < fitted.calibration.presence) == pytest.approx(certain, abs=1 / len(queries) + 0.02)


def test_goldens_are_the_pipelines_answers(compiled: CompileReport, student: Student) -> None:
    pipeline = ReferencePipeline.from_bundle(compiled.path, student.tokenizer)
    goldens = read_bundle(compiled.path).goldens
    assert len(goldens.items) == 32
    for golden in goldens.items:
        assert pipeline.answer(golden.text).tokens == golden.tokens
        found = pipeline.predict(golden.text, goldens.k)
        assert [label for label, _ in found] == list(golden.labels)
        np.testing.assert_allclose([share for _, share in found], golden.probabilities, atol=1e-6)


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
