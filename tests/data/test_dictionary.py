"""The reverse dictionary that people ask, of the real packages: glosses describe, other words ask."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from edgexl.data import Dataset, Query
from edgexl.data.dictionary import shorten
from edgexl.data.wordnet import names_itself


@pytest.fixture(scope="module")
def dictionary(built) -> Dataset:
    return built("dictionary")


@pytest.fixture(scope="module")
def queries(dictionary: Dataset) -> dict[str, list[Query]]:
    return {split: list(dictionary.queries(split)) for split in ("trn", "tst")}


def way(query: Query) -> str:
    """How a query asks; a gloss's uid is its synset's."""
    return query.uid.split("-")[0] if query.uid[0].isalpha() else "gloss"


@pytest.mark.slow
def test_all_glosses_describe_and_most_queries_are_of_another_dictionary(
    dictionary: Dataset, queries: dict[str, list[Query]], built
) -> None:
    assert dictionary.labels.texts == built("wordnet").labels.texts
    assert min(map(len, dictionary.labels.descriptions)) == 1
    assert sum(map(len, dictionary.labels.descriptions)) > 200_000
    ways = Counter(map(way, queries["trn"]))
    assert set(ways) == {"webster", "gloss", "example", "part", "question", "misspelt", "kind"}
    assert ways["webster"] > 70_000
    assert min(ways.values()) > 5_000
    assert {way(query) for query in queries["tst"]} == {"webster"}
    asked = {text: [] for text in ("umbrella", "abaca")}
    for query in queries["trn"]:
        for target in query.targets:
            if (word := dictionary.labels.texts[target]) in asked:
                asked[word].append(way(query))
    # a word of running text is asked for in more ways than one that stands in none
    reworded = {word: len(ways) - ways.count("webster") - ways.count("gloss") for word, ways in asked.items()}
    assert reworded["umbrella"] > asked["umbrella"].count("webster")
    assert reworded["abaca"] <= 4


@pytest.mark.slow
def test_no_definition_that_tests_trains_and_none_names_its_label(
    dictionary: Dataset, queries: dict[str, list[Query]]
) -> None:
    assert len(queries["tst"]) > 7_000
    assert not {query.text.lower() for query in queries["tst"]} & {query.text.lower() for query in queries["trn"]}
    assert not any(names_itself(query, dictionary.labels) for query in queries["tst"])
    asked = {query.text: query.targets for query in queries["trn"]}
    assert len(asked) == len(queries["trn"])
    umbrella = dictionary.labels.texts.index("umbrella")
    own = [text for text, targets in asked.items() if umbrella in targets]
    assert any("carried in the hand" in text and "rays of the sun" in text for text in own)
    assert "a lightweight handheld collapsible canopy" in dictionary.labels.descriptions[umbrella]


def test_a_shorter_definition_is_a_part_of_it() -> None:
    rng = np.random.default_rng(0)
    text = "A building in which goods are sold by retail; a shop; a store, where people go to buy what they need"
    parts = {shorten(text, rng) for _ in range(50)}
    assert len(parts) > 10
    assert all(part in text for part in parts)
    assert any(part.count(" ") > 7 for part in parts)
    assert shorten("A shop", rng) == "A shop"
