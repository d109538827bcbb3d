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
from edgexl.compiler.measure.yardstick import Yardstick, accuracy, padded, reference_pipeline, screening_recall
from edgexl.compiler.passes.encode import Encode
from edgexl.compiler.passes.export import Export
from edgexl.compiler.pipeline import begin, product_bytes
from edgexl.compiler.recipe import IndexRecipe, Recipe
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.index.rows import Rows
from edgexl.target import load_target
from tests.tiny import tiny_labels, tiny_student

WORKERS = LocalWorkers(1)


@pytest.fixture(scope="module")
def exported() -> Artifact:
    """A student with aliases of three kinds: new ones, some that are nearly the label's text, some nearly another."""
    plain = tiny_labels(120)
    aliases = []
    for place, text in enumerate(plain.texts):
        words = text.split()
        near = " ".join([words[1], words[0], words[2]])  # the same words: the same vector but for positions
        other = plain.texts[(place + 7) % 120].split()[2]
        new, turned = f"{words[0]} {other} {other}", f"{other} {words[0]} {other}"
        aliases.append({0: (near,), 1: (new,), 2: (new, turned), 3: ()}[place % 4])
    labels = LabelSet(plain.ids, plain.texts, tuple(aliases))
    recipe = Recipe("tiny", index=IndexRecipe(code_bytes=8, overfetch=64, alias_cosine=0.98))
    return Export().run(begin(tiny_student(labels), recipe, load_target("host")))


def test_padding_and_accuracy_by_hand() -> None:
    rows = padded([np.array([3, 1]), np.array([2]), np.array([], np.int64)], -1)
    assert rows.tolist() == [[3, 1], [2, -1], [-1, -1]]
    queries = [Query("a", "a", (1, 7)), Query("b", "b", (2,)), Query("c", "c", (5,))]
    found = accuracy(rows, queries)
    assert found.p_at_1 == pytest.approx(100 / 3, abs=1e-4)
    assert found.r_at_100 == pytest.approx(100 * (1 / 2 + 1) / 3, abs=1e-4)
    gain = 1 / np.log2(3)
    assert found.ndcg_at_5 == pytest.approx(100 * (gain / (1 + gain) + 1) / 3, abs=1e-4)
    assert found.shares["p_at_1"].tolist() == [0, 1, 0]
    assert found.shares["r_at_100"].tolist() == [0.5, 1, 0]


def test_aliases_are_left_out_and_what_that_costs_is_told(exported: Artifact) -> None:
    made = Encode("float", 0.98, WORKERS).run(exported)
    rows = exported.rows
    vectors = encode_rows(exported.graphs.label_encoder, rows.tokens, True, 1)
    repetitions = rows.repetitions(vectors, 0.98)
    assert repetitions.near_text.any()
    assert (repetitions.near_alias & ~repetitions.near_text).any()  # or this shows nothing
    kept, places = rows.without(repetitions.either)
    assert made.rows.alias_labels.tolist() == kept.alias_labels.tolist()
    np.testing.assert_array_equal(made.vectors, vectors[places])
    told = made.facts["aliases"]
    assert told["rows"] == len(kept.alias_labels) < len(rows.alias_labels)
    assert told["dropped_near_label_text"] == repetitions.near_text.sum()
    assert told["dropped_near_other_alias"] == (repetitions.near_alias & ~repetitions.near_text).sum()
    assert told["queries"] == len(exported.student.calibration)
    for name, some, of in (("R@16_with_all", rows, vectors), ("R@16", kept, vectors[places])):
        assert told[name] == pytest.approx(recall_by_hand(exported, some, of), abs=1e-3)
    every = Encode("float", 1.0, WORKERS).run(dataclasses.replace(exported, rows=kept))
    assert set(every.facts["aliases"]) == {"rows", "dropped_near_label_text", "dropped_near_other_alias"}


def recall_by_hand(artifact: Artifact, rows: Rows, vectors: np.ndarray) -> float:
    """R@16 of labels by the best of their rows, query by query."""
    student, shares = artifact.student, []
    pipeline = reference_pipeline(artifact, vectors, rows.alias_labels)
    owners = rows.alias_labels
    for query in student.calibration:
        scores = vectors @ pipeline.answer(query.text).query_vector
        best = scores[: rows.labels].copy()
        for alias in range(len(owners)):
            for label in owners[alias]:
                best[label] = max(best[label], scores[rows.labels + alias])
        found = np.lexsort((np.arange(rows.labels), -best))[:16]
        shares.append(len(set(found.tolist()) & set(query.targets)) / len(query.targets))
    return 100 * float(np.mean(shares))


def test_labels_as_the_device_would_encode_them(exported: Artifact) -> None:
    """By the screener itself, one text at a time."""
    made = Encode("quantized", 1.0, WORKERS).run(exported)
    alone = encode_rows(exported.graphs.screener, made.rows.tokens, False, 1)
    np.testing.assert_array_equal(made.vectors, alone)


def test_a_yardstick_measures_what_there_is(exported: Artifact) -> None:
    vectors = encode_rows(exported.graphs.label_encoder, exported.rows.tokens, True, 1)
    queries = exported.student.evaluation[:50]
    yardstick = Yardstick(queries, vectors, exported.rows.alias_labels, 1)
    found = yardstick.measure(exported)  # it has no vectors yet: the yardstick's
    pipeline = reference_pipeline(exported, vectors, exported.rows.alias_labels)
    first = [pipeline.answer(query.text).ranked[0] in query.targets for query in queries]
    assert found.p_at_1 == pytest.approx(100 * np.mean(first), abs=1e-4)
    turned = dataclasses.replace(exported, vectors=vectors[::-1].copy())
    assert yardstick.measure(turned).p_at_1 != found.p_at_1
    assert Yardstick((), vectors, exported.rows.alias_labels, 1).measure(exported).p_at_1 is None
    assert screening_recall(exported, exported.rows, vectors, queries, 1) == pytest.approx(
        np.mean([np.isin(query.targets, pipeline.answer(query.text).labels).mean() for query in queries]) * 100,
        abs=1e-3,
    )
    graphs = len(exported.graphs.screener) + len(exported.graphs.reasoner)
    assert product_bytes(exported, yardstick) == graphs + vectors.nbytes


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
    exported: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same tokens, parted otherwise, are other texts; and so are other tokens, or another graph."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    model, screener = exported.graphs.label_encoder, exported.graphs.screener
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
