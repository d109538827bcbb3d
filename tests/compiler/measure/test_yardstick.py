"""What the compiler measures, by plain searches: accuracy, recall, and what aliases that were left out cost."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.base.ragged import Ragged
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding.encode import _batches, encode_rows
from edgexl.compiler.encoding.open_workers import open_workers
from edgexl.compiler.encoding.workers import LocalWorkers
from edgexl.compiler.graphs.rotate import rotate_output
from edgexl.compiler.measure.yardstick import (
    Yardstick,
    measure_accuracy,
    pad_rows,
    reference_pipeline,
    screening_accuracy,
)
from edgexl.compiler.pipeline import product_bytes
from edgexl.data import Query

WORKERS = LocalWorkers(1)


def test_padding_and_accuracy_by_hand() -> None:
    rows = pad_rows([np.array([3, 1]), np.array([2]), np.array([], np.int64)], -1)
    assert rows.tolist() == [[3, 1], [2, -1], [-1, -1]]
    queries = [Query("a", "a", (1, 7)), Query("b", "b", (2,)), Query("c", "c", (5,))]
    found = measure_accuracy(rows, queries)
    assert found.p_at_1 == 33.3333
    assert found.r_at_100 == pytest.approx(100 * (1 / 2 + 1) / 3, abs=1e-4)
    gain = 1 / np.log2(3)
    assert found.ndcg_at_5 == pytest.approx(100 * (gain / (1 + gain) + 1) / 3, abs=1e-4)
    assert found.shares["p_at_1"].tolist() == [0, 1, 0]
    assert found.shares["r_at_100"].tolist() == [0.5, 1, 0]


def test_a_yardstick_measures_what_there_is(aliased: Artifact) -> None:
    vectors = encode_rows(aliased.graphs.label_encoder, aliased.rows.tokens, True, 1)
    queries = aliased.student.evaluation[:50]
    yardstick = Yardstick(queries, vectors, aliased.rows, 1)
    found = yardstick.measure(aliased)  # it has no vectors yet: the yardstick's
    pipeline = reference_pipeline(aliased, vectors, aliased.rows)
    first = [pipeline.answer(query.text).ranked[0] in query.targets for query in queries]
    assert found.p_at_1 == pytest.approx(100 * np.mean(first), abs=1e-4)
    turned = dataclasses.replace(aliased, vectors=vectors[::-1].copy())
    assert yardstick.measure(turned).p_at_1 != found.p_at_1
    assert Yardstick((), vectors, aliased.rows, 1).measure(aliased).p_at_1 is None
    assert screening_accuracy(aliased, aliased.rows, vectors, queries, 1)[0] == pytest.approx(
        np.mean([np.isin(query.targets, pipeline.answer(query.text).labels).mean() for query in queries]) * 100,
        abs=1e-3,
    )
    graphs = len(aliased.graphs.screener) + len(aliased.graphs.reasoner)
    assert product_bytes(aliased, yardstick) == graphs + vectors.nbytes


def test_batches_are_of_one_length_and_so_many_tokens() -> None:
    lengths = [4, 7, 4, 5, 4, 7, 4]
    rows = Ragged.of([list(range(length)) for length in lengths], np.int32)
    assert [batch.tolist() for batch in _batches(rows, 12)] == [[0, 2, 4], [6], [3], [1], [5]]
    assert [batch.tolist() for batch in _batches(rows, 0)] == [[0], [2], [4], [6], [3], [1], [5]]
    assert [batch.tolist() for batch in _batches(rows, 14)] == [[0, 2, 4], [6], [3], [1, 5]]


@pytest.mark.parametrize("named", ["0", "1025", "-1", "many", "", "1.5", "ray:"])
def test_workers_that_there_are_not(named: str) -> None:
    with pytest.raises(BadInput, match=f"no workers '{named}'"):
        open_workers(named)


def test_workers_by_number() -> None:
    assert [open_workers(str(count)).threads for count in (1, 3, 1024)] == [1, 3, 1024]
    assert open_workers("local").threads >= 1


def test_what_is_remembered_is_of_the_very_texts(
    aliased: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tokens, parted otherwise, are other texts; and so are other tokens, or another graph."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, screener = aliased.graphs.label_encoder, aliased.graphs.screener
    texts = [[2, 5, 9, 3], [2, 7, 3]], [[2, 5, 9], [3, 2, 7, 3]], [[2, 5, 9, 3], [2, 8, 3]]
    first = [encode_rows(model, Ragged.of(lists, np.int32), True, 1) for lists in texts]
    for lists, vectors in zip(texts, first, strict=True):
        for place, tokens in enumerate(lists):
            (alone,) = encode_rows(model, Ragged.of([tokens], np.int32), True, 1)
            np.testing.assert_allclose(vectors[place], alone, atol=1e-5)
    again = encode_rows(model, Ragged.of(texts[0], np.int32), True, 1)
    np.testing.assert_array_equal(again, first[0])
    turned = rotate_output(screener, "query_vector", np.eye(32, dtype=np.float32)[::-1].copy())
    other = encode_rows(turned, Ragged.of(texts[0], np.int32), False, 1)
    np.testing.assert_allclose(
        other[:, ::-1], encode_rows(screener, Ragged.of(texts[0], np.int32), False, 1), atol=1e-5
    )
