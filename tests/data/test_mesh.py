"""MeSH: the real package gives the known data set, and each rule holds in it."""

from __future__ import annotations

import pytest

from edgexl.data import Dataset, Query
from edgexl.data.split import is_test, words

pytestmark = pytest.mark.slow  # nearly a minute to read the package and write the data set


@pytest.fixture(scope="module")
def mesh(built) -> Dataset:
    return built("mesh")


@pytest.fixture(scope="module")
def queries(mesh) -> dict[str, list[Query]]:
    return {split: list(mesh.queries(split)) for split in ("trn", "tst")}


def test_counts_are_the_known_ones(mesh, queries):
    both = queries["trn"] + queries["tst"]
    assert len(mesh.labels) == 354_068
    assert {split: len(queries[split]) for split in queries} == {"trn": 387_016, "tst": 39_194}
    assert sum(len(query.targets) for query in both) / len(both) == pytest.approx(1.955, abs=0.001)


def test_a_synonym_asks_for_its_record_and_for_the_records_headings(mesh, queries):
    by_text = {query.text: query for query in queries["trn"] + queries["tst"]}

    def ids(text: str) -> set[str]:
        return {mesh.labels.ids[target] for target in by_text[text].targets}

    assert ids("House, Slaughter") == {"D000003"}  # a heading alone
    assert ids("sialyllactose") == {"C000020", "D007785", "D012794"}  # a supplementary record with two headings
    # the one row whose synonyms are quoted, since they hold a tab
    assert "DARC antigen, mouse" in by_text
    assert not [text for text in by_text if text.startswith('"') or "\t" in text or "|" in text]


def test_sides_are_by_hash_and_no_test_query_reorders_its_label(mesh, queries):
    assert not any(is_test(query.text) for query in queries["trn"])
    for query in queries["tst"]:
        assert is_test(query.text)
        for target in query.targets:
            assert sorted(words(mesh.labels.texts[target])) != sorted(words(query.text))


def test_labels_are_records_in_order_of_their_names(mesh):
    assert list(mesh.labels.texts) == sorted(mesh.labels.texts)
    assert mesh.labels.texts[mesh.labels.ids.index("D000003")] == "Abattoirs"


def test_the_source_is_acknowledged(mesh):
    assert "courtesy of the U.S. National Library of Medicine" in (mesh.directory / "ABOUT.txt").read_text()
