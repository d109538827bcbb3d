"""Labels and queries that a Python program has: lists, dictionaries, data frames of pandas, polars or pyarrow, files.

A frame is known by what it can do, so none of these packages has to be there. Columns are guessed as those of a file
are; rows are counted from 0, as the program counts them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from edgexl.base.arguments import as_items, is_missing
from edgexl.base.errors import BadInput, kind_of, shorten
from edgexl.data.label_set import LabelSet
from edgexl.data.layout import Query
from edgexl.data.tables.labels import make_labels, read_labels
from edgexl.data.tables.queries import (
    LabelNames,
    QueryColumns,
    choose_query_columns,
    make_queries,
    read_any_queries,
)
from edgexl.data.tables.roles import choose_label_columns
from edgexl.data.tables.table import Table


class Frame(Protocol):
    """A data frame of pandas or polars."""

    @property
    def columns(self) -> Any:
        """The columns' names."""


LabelSource = (
    LabelSet
    | str
    | os.PathLike[str]
    | Mapping[str, str | Mapping[str, object]]
    | Mapping[int, str | Mapping[str, object]]
    | Iterable[str]
    | Iterable[tuple[str | int, str]]
    | Iterable[Mapping[str, object]]
    | Frame
)
Gold = str | int | Sequence[str] | Sequence[int]
QuerySource = (
    str
    | os.PathLike[str]
    | Iterable[Query | tuple[str, str, Sequence[int]]]
    | Iterable[tuple[str, Gold]]
    | Iterable[Mapping[str, object]]
    | Mapping[str, str]
    | Mapping[str, int]
    | Mapping[str, Sequence[str]]
    | Frame
)

_LABEL_FORMS = (
    "give a LabelSet, a list of texts or of (id, text), a dictionary from ids to texts, a data frame, or a file's path"
)
_QUERY_FORMS = "give pairs (text, label), Query(uid, text, targets), a data frame, or a file's path"


def as_label_set(value: Any) -> LabelSet:
    """The labels that `value` holds: a `LabelSet`, a list of texts, of (id, text) or of records, a dictionary from ids
    to texts or to records ({"text", "aliases", "descriptions"}), a frame, a series (whose index is the ids where it
    has a name or holds strings), or the path of a file (`edgexl.data.tables.labels`).

    Without ids a label's text is its id, and texts that repeat are one label. Raises `BadInput`.
    """
    if isinstance(value, LabelSet):
        return value
    if isinstance(value, str | os.PathLike):
        return read_labels(value).label_set()
    table = _label_table(value)
    return make_labels(table, choose_label_columns(table)).label_set()


def as_named_queries(what: str, value: Any, labels: LabelSet) -> tuple[Query, ...] | None:
    """The queries that `value` holds by names of labels: pairs of a text and a label's id or text (or a list of them),
    a dictionary of such pairs, records, a frame, or the path of a file; None for a list of `Query` or of (uid, text,
    targets). A text that repeats is one query with all its labels. Raises `BadInput`."""
    if isinstance(value, str | os.PathLike):
        return read_any_queries(value, LabelNames.of(labels.ids, labels.texts), len(labels))
    table, columns = _query_table(what, value)
    if table is None:
        return None
    names = LabelNames.of(labels.ids, labels.texts)
    return make_queries(table, columns or choose_query_columns(table, names), names).all()


def _label_table(value: Any) -> Table:
    if is_frame(value):
        return _tabulate_frame("The table of labels", value)
    if isinstance(value, Mapping):
        wrong = next(
            (one for one in value.values() if not isinstance(one, str | Mapping) and not is_missing(one)), None
        )
        if wrong is not None:
            raise BadInput(f"The dictionary of labels holds a value {kind_of(wrong)}; give a text or a record each.")
        if any(isinstance(one, Mapping) for one in value.values()):
            records = [one if isinstance(one, Mapping) else {"text": one} for one in value.values()]
            records = [{**record, "id": key} for key, record in zip(value, records, strict=True)]
            return _tabulate("The dictionary of labels", records)
        return _named_rows("The dictionary of labels", ("id", "text"), list(value.items()))
    if isinstance(value, bytes | bytearray) or not isinstance(value, Iterable):
        raise BadInput(f"The labels are {kind_of(value)}; {_LABEL_FORMS}.")
    index: Any = getattr(value, "index", None)
    if hasattr(index, "tolist"):  # a pandas series; other indices only count
        ids = _cells(index)
        if index.name is not None or (ids and all(isinstance(one, str) for one in ids)):
            return _named_rows("The series of labels", ("id", "text"), list(zip(ids, _cells(value), strict=True)))
    items = as_items("The labels", value)
    if items and all(isinstance(item, Mapping) for item in items):
        return _tabulate("The list of labels", items)
    if items and all(isinstance(item, tuple | list) for item in items):
        _refuse_first(items, lambda item: len(item) == 2, "Label", "is a tuple of another length; give (id, text)")
        return _named_rows("The list of labels", ("id", "text"), items)
    what = f"is no text, nor what the others are; {_LABEL_FORMS}"
    _refuse_first(items, lambda item: isinstance(item, str) or is_missing(item), "Label", what)
    return _named_rows("The list of labels", ("text",), [(item,) for item in items])


def _query_table(what: str, value: Any) -> tuple[Table | None, QueryColumns | None]:
    """(a table of queries, its columns); without columns where these are to be guessed, without either for a list of
    `Query` and the like."""
    file = f"The list of {what} queries"
    if is_frame(value):
        return _tabulate_frame(f"The table of {what} queries", value), None
    items: list[Any] = list(value.items()) if isinstance(value, Mapping) else as_items(f"The {what} queries", value)
    if not items or all(isinstance(item, Query) or (_is_row(item) and len(item) == 3) for item in items):
        return None, None
    if all(isinstance(item, Mapping) for item in items):
        return _tabulate(file, items), None
    name = f"The {what} query"
    _refuse_first(items, lambda item: _is_row(item) and len(item) == 2, name, f"is none; {_QUERY_FORMS}")
    return _named_rows(file, ("text", "label"), items), QueryColumns("text", ("label",))


def _is_row(item: Any) -> bool:
    return isinstance(item, tuple | list)


def _refuse_first(items: Sequence[Any], is_right: Any, name: str, what: str) -> None:
    for place, item in enumerate(items):
        if not is_right(item):
            raise BadInput(f"{name} {place} ({shorten(repr(item), 40)}) {what}.")


def is_frame(value: Any) -> bool:
    """Whether a value is a data frame: a table of named columns, of any package."""
    return hasattr(value, "columns") and hasattr(value, "__getitem__") and not isinstance(value, Mapping | type)


def _tabulate_frame(file: str, frame: Any) -> Table:
    named = getattr(frame, "column_names", frame.columns)  # pyarrow's `columns` are the cells
    names = list(named)
    columns = [_cells(frame[name]) if names.count(name) == 1 else None for name in names]
    index: Any = getattr(frame, "index", None)
    if getattr(index, "name", None) is not None and index.name not in names:  # pandas: `set_index`
        names, columns = [index.name, *names], [_cells(index), *columns]
    texts = [str(name) for name in names]
    if doubled := next((name for name in texts if texts.count(name) > 1), None):
        raise BadInput(f"{file} has several columns '{shorten(doubled)}'; rename them.")
    if not texts:
        raise BadInput(f"{file} has no columns.")
    rows = list(zip(*(column or [] for column in columns), strict=True))
    return Table(file, "data frame", tuple(texts), rows, range(len(rows)), unit="item")


def _cells(column: Any) -> list[Any]:
    """The cells of a column, whatever package it is of, in Python's types."""
    method = next(name for name in ("to_list", "to_pylist", "tolist", "__iter__") if hasattr(column, name))
    return [_cell(value) for value in getattr(column, method)()]


def _cell(value: Any) -> Any:
    """A cell as files have it: a string, a number, None, or a list of these."""
    if isinstance(value, str):
        return str(value)
    if is_missing(value):
        return None
    if isinstance(value, set | frozenset):
        return sorted(map(_cell, value), key=str)
    if hasattr(value, "tolist"):  # numpy's arrays and numbers
        value = value.tolist()
    return [_cell(one) for one in value] if isinstance(value, list | tuple) else value


def _tabulate(file: str, records: Sequence[Mapping[Any, Any]]) -> Table:
    names = list(dict.fromkeys(key for record in records for key in record))
    rows = [[_cell(record.get(name)) for name in names] for record in records]
    return Table(file, "records", tuple(map(str, names)), rows, range(len(rows)), unit="item")


def _named_rows(file: str, names: tuple[str, ...], items: Sequence[Sequence[Any]]) -> Table:
    rows = [[_cell(cell) for cell in item] for item in items]
    roles = {name: (name,) for name in names}
    return Table(file, "list", names, rows, range(len(rows)), unit="item", roles=roles)
