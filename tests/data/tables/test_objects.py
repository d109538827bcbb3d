"""Labels and queries of a program's own: lists, dictionaries, the frames of three packages, files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from edgexl.base.errors import BadInput
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.labels import read_labels
from edgexl.data.tables.objects import as_label_set, as_named_queries

CELLS: dict[str, list[Any]] = {
    "PLU": [7544, 7702, 8100],
    "Name": ["umbrella", "mousetrap", "floor mop"],
    "Synonyms": ["brolly|gamp", None, "mop"],
    "Details": ["It keeps the rain off", None, None],
    "Price": [9.5, 2.0, 12.0],
}
TILL = LabelSet(
    ("7544", "7702", "8100"),
    ("umbrella", "mousetrap", "floor mop"),
    (("brolly", "gamp"), (), ("mop",)),
    (("It keeps the rain off",), (), ()),
)
PLAIN = LabelSet(TILL.ids, TILL.texts)
FRAMES = {
    "pandas": lambda: pd.DataFrame(CELLS),
    "pandas' index": lambda: pd.DataFrame(CELLS).set_index("PLU"),
    "polars": lambda: pl.DataFrame(CELLS),
    "pyarrow": lambda: pa.table(CELLS),
    "records": lambda: pd.DataFrame(CELLS).to_dict("records"),
    "lists in cells": lambda: pl.DataFrame({**CELLS, "Synonyms": [["brolly", "gamp"], None, ["mop"]]}),
    "arrays in cells": lambda: pd.DataFrame({**CELLS, "Synonyms": [np.array(["brolly", "gamp"]), None, ("mop",)]}),
}


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_is_understood_as_a_file_is(name: str, tmp_path: Path) -> None:
    assert as_label_set(FRAMES[name]()) == TILL
    pd.DataFrame(CELLS).to_csv(tmp_path / "till.csv", index=False)
    assert as_label_set(tmp_path / "till.csv") == as_label_set(str(tmp_path / "till.csv")) == TILL
    assert read_labels(tmp_path / "till.csv").label_set() == TILL


@pytest.mark.parametrize(
    "value",
    [
        {"7544": "umbrella", "7702": "mousetrap", "8100": "floor mop"},
        {7544: "umbrella", 7702: "mousetrap", 8100: "floor mop"},
        [("7544", "umbrella"), [7702, "mousetrap"], (np.int64(8100), np.str_("floor mop"))],
        pd.Series(CELLS["Name"], index=["7544", "7702", "8100"]),
        pd.DataFrame(CELLS).set_index("PLU")["Name"],
        PLAIN,
    ],
)
def test_labels_with_ids(value: Any) -> None:
    assert as_label_set(value) == PLAIN


@pytest.mark.parametrize("make", [list, tuple, iter, np.array, pd.Series, pl.Series, pd.Index])
def test_labels_without_ids(make: Any) -> None:
    assert as_label_set(make(["umbrella", "mousetrap", "umbrella"])) == LabelSet(
        ("umbrella", "mousetrap"), ("umbrella", "mousetrap")
    )


def test_a_filtered_series_has_no_ids_in_its_index() -> None:
    assert as_label_set(pd.Series(["a", "b", "c"])[1:]).ids == ("b", "c")


def test_a_dictionary_tells_aliases_and_descriptions() -> None:
    told = {
        "7544": {"text": "umbrella", "aliases": ["brolly", "gamp"], "descriptions": ["It keeps the rain off"]},
        "7702": "mousetrap",
        "8100": {"text": "floor mop", "aliases": "mop"},
    }
    assert as_label_set(told) == TILL


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "labels are of the type int; give"),
        (None, "labels are None; give"),
        (b"umbrella", "type bytes"),
        (np.array(5), "one value"),
        ([], "holds no label"),
        ({}, "holds no label"),
        (pd.DataFrame(), "no columns"),
        ("no-such.csv", "no-such.csv"),
        (["umbrella", None], "item 1: the text .* is empty"),
        (pd.Series(["umbrella", pd.NA]), "item 1: the text .* is empty"),
        (["umbrella", 5], r"Label 1 \(5\) is no text"),
        ([("7544", "umbrella", "brolly")], "another length"),
        ([("a", "umbrella"), ("a", "mop")], "item 1: has the id 'a' of item 0"),
        ({"7544": 5}, "a value of the type int"),
        ({"7544": {"price": 5}}, "'price', 'id' .* rename one to 'text'"),
        (pd.DataFrame({"x": [1], "y": [2]}), "rename one to 'text'"),
        (pd.DataFrame([["a", "b"]], columns=["name", "name"]), "several columns 'name'"),
        (pd.DataFrame({"name": ["a", ["b"]]}), "item 1: .* a list where a text belongs"),
    ],
)
def test_other_labels_are_refused_in_a_sentence(value: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words) as raised:
        as_label_set(value)
    assert len(str(raised.value)) < 250


RAIN_AND_PETS = (Query("item 0", "keeps dry", (0,)), Query("item 1", "cleans and catches", (2, 1)))


@pytest.mark.parametrize(
    "value",
    [
        [("keeps dry", "7544"), ("cleans and catches", ["floor mop", 7702])],
        [("keeps dry", 7544), ["cleans and catches", np.array([8100, 7702])]],
        {"keeps dry": "Umbrella", "cleans and catches": ("8100", "7702")},
        pl.DataFrame({"query": ["keeps dry", "cleans and catches"], "labels": [["umbrella"], ["8100", "7702"]]}),
        pd.DataFrame({"product": ["7544", "8100|7702"], "q": ["keeps dry", "cleans and catches"]}),
        [{"query": "keeps dry", "label": 7544}, {"query": "cleans and catches", "label": [8100, 7702]}],
    ],
)
def test_queries_name_labels_by_id_or_text(value: Any) -> None:
    assert as_named_queries("calibration", value, TILL) == RAIN_AND_PETS


def test_a_query_that_repeats_has_all_its_labels() -> None:
    queries = as_named_queries("calibration", [("dry", "7544"), ("mice", "7702"), ("dry", "8100")], TILL)
    assert [query.targets for query in queries or ()] == [(0, 2), (1,)]


def test_queries_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "past.csv").write_text("query,label\nkeeps dry,umbrella\n")
    for path in (tmp_path / "past.csv", str(tmp_path / "past.csv")):
        assert as_named_queries("calibration", path, TILL) == (Query("line 2", "keeps dry", (0,), 2),)


def test_queries_that_count_labels_are_left_to_others() -> None:
    for value in ([], [Query("q", "dry", (0,))], [("q", "dry", [0])]):
        assert as_named_queries("calibration", value, TILL) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (5, "calibration queries are of the type int"),
        ([5], r"calibration query 0 \(5\) is none; give pairs"),
        ([("dry", "umbrella"), ("q", "dry", [0])], "calibration query 1 .* is none; give pairs"),
        ([("dry", "umbrela")], "item 0: there is no label 'umbrela', .* did you mean 'umbrella'"),
        ([("dry", None)], "item 0: the query 'dry' names no label"),
        ([(float("nan"), "7544")], "item 0: the query .* is empty"),
        (pd.DataFrame({"a": ["b"], "c": ["d"]}), "rename one to 'label'"),
        (pd.DataFrame({"query": ["b"]}), "one column"),
    ],
)
def test_other_queries_are_refused_in_a_sentence(value: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        as_named_queries("calibration", value, TILL)
