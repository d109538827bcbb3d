"""Queries that nearly name a label."""

from __future__ import annotations

import numpy as np

from edgexl.data.label_set import LabelSet
from edgexl.data.naming import disturb, misspell, naming_queries

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


def share(found: list[bool]) -> float:
    return sum(found) / len(found)


def test_slips_come_as_often_as_they_should() -> None:
    """Over 4,000 draws a share is known within about two points."""
    rng = np.random.default_rng(3)
    drawn = [disturb("ab cd ef", rng) for _ in range(4000)]  # words too short to be misspelt
    letters = [text.replace(" ", "").replace(",", "").replace("-", "") for text in drawn]
    assert abs(share([len(text) == 4 for text in letters]) - 0.3) < 0.03
    whole = [(text, bare) for text, bare in zip(drawn, letters, strict=True) if len(bare) == 6]
    assert abs(share([not bare.startswith("ab") for _, bare in whole]) - 0.5) < 0.03
    assert {bare for _, bare in whole} == {"abcdef", "cdefab", "efabcd"}
    assert abs(share([text.count(" ") == 1 for text, _ in whole]) - 0.2) < 0.03
    joined = [text for text, _ in whole if text.count(" ") == 1]
    assert abs(share(["-" in text for text in joined]) - 0.5) < 0.07
    turned = [text for text, bare in whole if text.count(" ") == 2 and not bare.startswith("ab")]
    assert abs(share(["," in text for text in turned]) - 0.5) < 0.05
    assert {text for text in turned if "," in text} == {"cd ef, ab", "ef, ab cd"}
    words = [disturb("mountain", rng) for _ in range(4000)]
    assert abs(share([word != "mountain" for word in words]) - 0.4) < 0.03
    short = [disturb("fern", rng) != "fern" for _ in range(2000)]
    assert abs(share(short) - 0.4) < 0.04  # of four letters, and those of three never
    assert {disturb("oak", rng) for _ in range(100)} == {"oak"}


def test_each_slip_is_as_likely_as_the_others() -> None:
    rng = np.random.default_rng(4)
    slips = [misspell("fern", rng) for _ in range(6000)]
    lengths = [len(slip) for slip in slips]
    assert abs(lengths.count(3) / 6000 - 0.2) < 0.02
    assert abs(lengths.count(5) / 6000 - 0.4) < 0.02
    assert abs(slips.count("ferns") / 6000 - 0.2) < 0.02
    for doubled in ("feern", "ferrn", "fernn"):
        assert abs(slips.count(doubled) / 6000 - 0.2 / 3) < 0.015
    assert "ffern" not in slips
    for missing in ("frn", "fen", "fer"):
        assert abs(slips.count(missing) / 6000 - 0.2 / 3) < 0.015
    for swapped in ("efrn", "fren", "fenr"):
        assert 0.2 / 3 - 0.015 < slips.count(swapped) / 6000 < 0.2 / 3 + 0.02
    replaced = {slip[1] for slip in slips if len(slip) == 4 and slip[0] == "f" and slip[2:] == "rn"}
    assert {"a", "z"} <= replaced
