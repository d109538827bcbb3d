"""Dividing the queries, and the bookkeeping of gold labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edgexl.base.ragged import Ragged
from edgexl.data import Query, write_dataset
from edgexl.data.label_set import LabelSet
from edgexl.distill.corpus.divide import (
    draw_labels,
    epoch_batches,
    gold_labels,
    gold_pairs,
    names_its_label,
    read_corpus,
)
from edgexl.distill.recipe import SplitTable
from tests.tiny import tiny_labels, tiny_queries

LABELS = tiny_labels()


def test_the_parts_share_no_query_and_held_out_ones_do_not_name_their_labels(tmp_path: Path) -> None:
    trn = [query for word in (0, 1) for query in tiny_queries(LABELS, 300, word)]
    telling = [Query(f"t{place}", f"well {LABELS.texts[place]} it is", (place,)) for place in range(100)]
    dataset = write_dataset(tmp_path / "data", LABELS, trn + telling, tiny_queries(LABELS, 50, 2), "made in code")
    corpus = read_corpus(dataset, SplitTable(reasoning_share=0.25, calibration=50, development=40, evaluation=30))
    parts = [corpus.screening, corpus.reasoning, corpus.calibration, corpus.development]
    texts = [(query.uid, query.text) for part in parts for query in part]
    assert len(texts) == len(set(texts)) == 700
    assert [len(part) for part in parts] == [458, 152, 50, 40]
    assert not [query for query in corpus.calibration + corpus.development if query.text.startswith("well")]
    assert [query.uid for query in corpus.evaluation] == [query.uid for query in tiny_queries(LABELS, 30, 2)]


def test_a_query_names_its_label_where_it_holds_the_text_of_any_of_them() -> None:
    labels = LabelSet(("a", "b", "c"), ("Sheep Dog", "cat", "cow"))
    told = [
        names_its_label(Query("q", text, targets), labels)
        for text, targets in (
            ("the sheep dog", (0,)), ("CATS", (2, 1)), ("a CAT", (1, 2)), ("cat and cow", (1, 2)), ("a dog", (0, 1)),
            ("a cat", (0, 2)),
        )
    ]  # fmt: skip
    assert told == [True, True, True, True, False, False]


def test_targets_draw_gold_labels_and_find_pairs_of_them() -> None:
    queries = [Query("a", "a", (3, 5)), Query("b", "b", (7,)), Query("c", "c", (3, 7, 9))]
    targets = gold_labels(queries)
    rng = np.random.default_rng(0)
    drawn = [set(draw_labels(targets, np.array([0, 1, 2]), rng).tolist()) for _ in range(40)]
    assert set.union(*drawn) == {3, 5, 7, 9}
    rows = Ragged(np.array([7, 3, 1, 9, 5, 3, 8]), np.array([0, 1, 2, 4, 5, 7]))  # five rows, two of two labels
    asking, chosen = gold_pairs(targets, np.array([0, 2]), rows, np.array([4, 0, 1, 1, 2, 3]))
    assert sorted(zip(asking.tolist(), chosen.tolist(), strict=True)) == [
        (0, 0), (0, 2), (0, 3), (0, 5), (1, 0), (1, 1), (1, 2), (1, 3), (1, 4),
    ]  # fmt: skip


def test_an_epoch_meets_each_row_once_in_batches_of_like_length() -> None:
    lengths = np.random.default_rng(0).integers(3, 60, 1000)
    batches = epoch_batches(lengths, 20, seed=1, epoch=0)
    rows = np.concatenate(batches)
    assert len(rows) == len(set(rows.tolist())) == 1000
    assert np.mean([np.ptp(lengths[batch]) for batch in batches]) < 10
    again = epoch_batches(lengths, 20, seed=1, epoch=0)
    assert all((one == two).all() for one, two in zip(batches, again, strict=True))
    other = epoch_batches(lengths, 20, seed=1, epoch=1)
    assert any((one != two).any() for one, two in zip(batches, other, strict=True))
