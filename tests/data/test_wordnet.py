"""WordNet as a reverse dictionary: the real package gives the known data set, and each rule holds in it."""

from __future__ import annotations

import re

import pytest

from edgexl.base.errors import BadInput
from edgexl.data import Dataset, Query, build
from edgexl.data.frequency import train_frequency
from edgexl.data.split import is_test
from edgexl.data.summary import summarize


@pytest.fixture(scope="module")
def wordnet_data(built) -> Dataset:
    return built("wordnet")


@pytest.fixture(scope="module")
def queries(wordnet_data) -> dict[str, list[Query]]:
    return {split: list(wordnet_data.queries(split)) for split in ("trn", "tst")}


def _labels(wordnet_data: Dataset, query: Query) -> set[str]:
    return {wordnet_data.labels.texts[target] for target in query.targets}


def test_counts_are_the_known_ones(wordnet_data, queries):
    both = queries["trn"] + queries["tst"]
    assert len(wordnet_data.labels) == 147_478
    assert {split: len(queries[split]) for split in queries} == {"trn": 105_359, "tst": 10_884}
    assert sum(len(query.targets) for query in both) / len(both) == pytest.approx(1.770, abs=0.001)
    assert wordnet_data.labels.sha256() == "9c054b50de4bbeea2f9296922de0552f427689b3b7767827d99b72ee2452e0fe"


def test_labels_are_words_in_order_of_their_text(wordnet_data):
    texts, ids = wordnet_data.labels.texts, wordnet_data.labels.ids
    assert list(texts) == sorted(texts)
    assert len({text.lower() for text in texts}) == len(texts)
    assert all(text == uid.replace("_", " ") for text, uid in zip(texts, ids, strict=True))
    assert not [text for text in texts if re.search(r"\((a|p|ip)\)$", text)]
    # the bird gives its small letter to the country, which stands in WordNet first; the city has nobody to take it from
    assert "turkey" in texts
    assert "Turkey" not in texts
    assert "Paris" in texts


def test_a_known_gloss_asks_for_its_words(wordnet_data, queries):
    by_text = {query.text: query for query in queries["trn"] + queries["tst"]}
    gloss = "a young person of either sex"
    assert by_text[gloss].uid.endswith("-n")
    assert {"child", "kid", "youngster", "tike"} <= _labels(wordnet_data, by_text[gloss])


def test_glosses_have_no_examples_and_are_unique(queries):
    texts = [query.text for query in queries["trn"] + queries["tst"]]
    assert len({text.lower() for text in texts}) == len(texts)
    assert not [text for text in texts if re.search(r'[;:]\s*"', text) or not text.strip()]


def test_sides_are_by_hash_and_no_test_gloss_contains_its_label(wordnet_data, queries):
    assert all(is_test(query.text) for query in queries["tst"])
    assert not any(is_test(query.text) for query in queries["trn"])
    for query in queries["tst"]:
        for label in _labels(wordnet_data, query):
            assert not re.search(rf"(?<!\w){re.escape(label.lower())}(?!\w)", query.text.lower()), (label, query.text)


def test_frequencies_count_the_training_split(wordnet_data, queries):
    frequency = train_frequency(wordnet_data)
    assert frequency.queries == len(queries["trn"])
    assert frequency.counts.sum() == sum(len(query.targets) for query in queries["trn"])
    assert frequency.counts.shape == (147_478,)
    # most labels have one training query, which is what makes this a hard set
    assert 0.7 < (frequency.counts == 1).mean() < 0.9


def test_the_summary_says_what_is_there(wordnet_data):
    summary = summarize(wordnet_data)
    assert summary["labels"] == 147_478
    assert summary["tst"] == {"queries": 10_884, "labels_per_query": pytest.approx(1.75, abs=0.1), "without_labels": 0}
    assert len(summary["samples"]) == 5
    assert all(sample["text"] and sample["labels"] for sample in summary["samples"])


def test_the_licence_is_with_the_data(wordnet_data):
    about = (wordnet_data.directory / "ABOUT.txt").read_text(encoding="utf-8")
    assert "WordNet 3.1 Copyright 2011 by Princeton University" in about


def test_training_glosses_describe_their_labels_where_that_is_wanted(tmp_path, wordnet_data, queries):
    described = build("wordnet", tmp_path / "described", descriptions=True)
    labels = described.labels
    assert (labels.ids, labels.texts) == (wordnet_data.labels.ids, wordnet_data.labels.texts)
    assert sum(map(len, labels.descriptions)) == sum(len(query.targets) for query in queries["trn"])
    glosses = {text for texts in labels.descriptions for text in texts}
    assert glosses == {query.text for query in queries["trn"]}
    assert glosses.isdisjoint(query.text for query in queries["tst"])
    assert "a young person of either sex" in labels.descriptions[labels.texts.index("kid")]
    assert summarize(described)["descriptions"] == sum(map(len, labels.descriptions))


def test_other_data_sets_have_no_descriptions(tmp_path):
    with pytest.raises(BadInput, match="mesh has no texts that describe its labels"):
        build("mesh", tmp_path / "mesh", descriptions=True)
