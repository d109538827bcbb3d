"""Query files as people have them: which column is the text, which the labels, and how these are named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.data import Query, write_queries
from edgexl.data.tables.queries import LabelNames, QueryTable, read_any_queries, read_query_table

NAMES = LabelNames.of(("4011", "7544", "K-1"), ("banana", "Red wine; dry", "umbrella"))


def read(folder: Path, content: str, name: str = "past.csv", **columns: object) -> QueryTable:
    (folder / name).write_text(content)
    return read_query_table(folder / name, NAMES, **columns)  # type: ignore[arg-type]


def pairs(found: QueryTable) -> list[tuple[str, tuple[int, ...]]]:
    return [(query.text, query.targets) for query in found.all()]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("query,label\nyellow fruit,banana\nfor a party,7544\n", "past.csv"),
        ("label;query\n4011;yellow fruit\nRed wine; dry;for a party\n".replace("; dry", "; dry"), "ids.csv"),
        ("clicks\tproduct\tsearch term\n3\tBANANA\tyellow fruit\n9\t7544\tfor a party\n", "past.tsv"),
        ("text,title,code\nyellow fruit,x,4011\nfor a party,y,7544\n", "both.csv"),
        ("foo,bar\nyellow fruit,4011\nfor a party,7544\n", "unnamed.csv"),
        (json.dumps([{"q": "yellow fruit", "sku": 4011}, {"q": "for a party", "sku": 7544}]), "past.json"),
        ('{"text": "yellow fruit", "labels": ["4011"]}\n{"text": "for a party", "labels": ["7544"]}\n', "past.jsonl"),
    ],
)
def test_texts_and_labels_are_told_apart(tmp_path: Path, content: str, name: str) -> None:
    if name == "ids.csv":
        content = content.replace("Red wine; dry", '"Red wine; dry"')
    assert pairs(read(tmp_path, content, name)) == [("yellow fruit", (0,)), ("for a party", (1,))]


def test_columns_that_are_named_are_taken(tmp_path: Path) -> None:
    content = "a,b,c\nyellow,fruit,4011\nred,drink,7544\n"
    assert pairs(read(tmp_path, content, text="b", gold=("c",))) == [("fruit", (0,)), ("drink", (1,))]
    with pytest.raises(BadInput, match="no column 'd'"):
        read(tmp_path, content, text="d")


@pytest.mark.parametrize("mark", ["|", ";", ",", "\n"])
def test_several_labels_of_a_query_are_parted(tmp_path: Path, mark: str) -> None:
    found = read(tmp_path, f'query,label\nany,"4011{mark} umbrella"\nother,"Red wine; dry"\n')
    assert pairs(found) == [("any", (0, 2)), ("other", (1,))]


def test_rows_of_one_text_are_one_query(tmp_path: Path) -> None:
    found = read(tmp_path, "query,label\nany,4011\nother,K-1\nany,umbrella\nany,4011\n")
    assert pairs(found) == [("any", (0, 2)), ("other", (2,))]
    assert [query.line for query in found.queries] == [2, 3]
    assert found.notes == ("rows that repeat a query add their labels to it (2)",)


def test_the_raw_layout_counts_labels(tmp_path: Path) -> None:
    queries = (Query("a", "yellow fruit", (0,)), Query("b", "any", (1, 2)))
    for name in ("evaluation.json.gz", "mine.jsonl.gz"):
        write_queries(tmp_path / name, queries)
        assert read_any_queries(tmp_path / name, NAMES, 3) == queries
    assert pairs(read_query_table(tmp_path / "mine.jsonl.gz", NAMES)) == [("yellow fruit", (0,)), ("any", (1, 2))]
    (tmp_path / "past.csv").write_text("query,label\nyellow fruit,4011\n")
    assert [query.targets for query in read_any_queries(tmp_path / "past.csv", NAMES, 3)] == [(0,)]
