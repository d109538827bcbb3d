"""Splits depend on a query's text alone, case aside, and never change."""

from __future__ import annotations

from edgexl.data import Query
from edgexl.data.split import is_test, split_queries, text_hash, words

QUERIES = [Query(str(number), f"query number {number}", (number,)) for number in range(2000)]


def test_known_sides_never_change():
    assert text_hash("A Red Fruit") == text_hash("a red fruit") == "d8eb36a2c5640bf4d600b06a261e3fe0535b7027"
    # SHA-1s that begin with 455afa06 (a multiple of ten, in decimal) and with f428aa59 (not one)
    assert is_test("query number 10")
    assert not is_test("query number 11")


def test_a_tenth_is_test_and_both_sides_are_ordered_by_hash():
    train, test = split_queries(QUERIES[::-1], lambda query: False)
    assert len(train) + len(test) == 2000
    assert 160 < len(test) < 240
    for side in (train, test):
        hashes = [text_hash(query.text) for query in side]
        assert hashes == sorted(hashes)
    assert split_queries(QUERIES, lambda query: False) == (train, test)
    assert all(is_test(query.text.upper()) for query in test)


def test_queries_that_give_themselves_away_are_dropped_from_test_alone():
    train, test = split_queries(QUERIES, lambda query: False)
    kept_train, kept_test = split_queries(QUERIES, lambda query: query.targets[0] % 2 == 0)
    assert kept_train == train
    assert kept_test == [query for query in test if query.targets[0] % 2]


def test_words_are_runs_of_letters_and_digits():
    assert words("Co-worker's (2nd) snake_case Ünï") == ["co", "worker", "s", "2nd", "snake", "case", "ünï"]
