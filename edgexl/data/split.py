"""Splitting queries into train and test by their text alone, so that a query never changes sides."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

from edgexl.data.layout import Query


def text_hash(text: str) -> str:
    """Hex SHA-1 of the lower-cased text: what splits and orders queries."""
    return hashlib.sha1(text.lower().encode("utf-8"), usedforsecurity=False).hexdigest()


def is_test(text: str) -> bool:
    """Whether a query belongs to the tenth that is the test set."""
    return int(text_hash(text)[:8], 16) % 10 == 0


def words(text: str) -> list[str]:
    """The lower-cased runs of letters and digits in a text: what shows whether a query gives itself away."""
    return re.findall(r"[^\W_]+", text.lower())


def split_queries(queries: list[Query], gives_itself_away: Callable[[Query], bool]) -> tuple[list[Query], list[Query]]:
    """(train, test), each ordered by hash, so that the first n of either are a fair sample of it.

    A query of the test tenth that gives its label away is dropped: it would measure reading, not knowing.
    """
    ordered = sorted(queries, key=lambda query: (text_hash(query.text), query.text))
    train = [query for query in ordered if not is_test(query.text)]
    test = [query for query in ordered if is_test(query.text) and not gives_itself_away(query)]
    return train, test
