"""Queries that nearly name a label."""

from __future__ import annotations

import numpy as np

from edgexl.distill.naming import disturb, misspell, naming_queries
from edgexl.student.labels import LabelSet

TEXTS = ("free state", "stated", "states", "state", "ox", "mountain bladder fern", "GABA-A Receptor Antagonists")
LABELS = LabelSet(tuple(f"l{place}" for place in range(len(TEXTS))), TEXTS)


def test_each_label_is_named_once_at_most_and_no_query_names_another() -> None:
    queries = naming_queries(LABELS, 5, 0)
    assert len({query.targets for query in queries}) == len(queries) == 5
    assert queries == naming_queries(LABELS, 5, 0) != naming_queries(LABELS, 5, 1)
    for seed in range(100):
        every = naming_queries(LABELS, 100, seed)
        assert sorted(query.targets for query in every) == [(place,) for place in range(len(TEXTS))]
        for query in every:  # "states" may lose its s, but not become "state"
            assert query.text not in set(TEXTS) - {TEXTS[query.targets[0]]}


def test_labels_of_several_words_come_first() -> None:
    half = [f"word{place}" for place in range(500)], [f"label of {place} words" for place in range(500)]
    texts = (*half[0], *half[1])
    queries = naming_queries(LabelSet(texts, texts), 300, 0)
    assert sum(query.targets[0] >= 500 for query in queries) > 200


def test_words_go_missing_change_places_and_are_misspelt_but_some_texts_stay() -> None:
    rng = np.random.default_rng(1)
    found = {disturb("mountain bladder fern", rng) for _ in range(500)}
    assert {"mountain bladder fern", "mountain fern", "bladder fern mountain", "fern, mountain bladder"} <= found
    assert {"mountain bladder-fern", "mountainbladder fern"} <= found
    assert not any(text.endswith(",") or ",-" in text for text in found)
    assert "GABA A Receptor" in {disturb("GABA-A Receptor", rng) for _ in range(100)}
    assert {disturb("ox", rng) for _ in range(50)} == {"ox"}


def test_a_misspelt_word_differs_by_one_slip() -> None:
    rng = np.random.default_rng(2)
    slips = {misspell("fern", rng) for _ in range(2000)}
    assert {"frn", "fen", "fer", "feern", "fefn", "efrn", "fren", "ferns"} <= slips
    assert all(abs(len(slip) - 4) < 2 for slip in slips)
    assert "state" in {misspell("states", rng) for _ in range(100)}
