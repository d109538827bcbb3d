"""Queries out of a table: texts with their gold labels, by id or by text."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.data.layout import QUERY_FILES, Query, read_queries
from edgexl.data.tables.labels import Fault, as_text
from edgexl.data.tables.open_table import read_table
from edgexl.data.tables.roles import (
    QUERY_LABELS,
    QUERY_TEXTS,
    SEPARATORS,
    holds_words,
    named,
    require_column,
    split_cell,
)
from edgexl.data.tables.table import Problem, Table, refuse_problems

# The raw layout's column: labels by their places.
POSITIONS = "target_ind"
# Rows by which a column is told to hold labels.
_SAMPLE = 200


@dataclass(frozen=True)
class LabelNames:
    """Labels by what a query may call them: number by id, by text, and by text without case. A text of several labels
    is none's."""

    ids: dict[str, int]
    texts: dict[str, int]
    folded: dict[str, int] = field(repr=False)
    unclear: frozenset[str] = frozenset()

    @classmethod
    def of(cls, ids: Sequence[str], texts: Sequence[str], numbers: Sequence[int] | None = None) -> LabelNames:
        """Of labels in order, whose `numbers` are their places unless told."""
        numbers = range(len(ids)) if numbers is None else numbers
        exact: dict[str, int] = {}
        folded: dict[str, int] = {}
        unclear, twice = set(), set()
        for text, number in zip(texts, numbers, strict=True):
            if exact.setdefault(text, number) != number:
                unclear.add(text)
            if folded.setdefault(text.casefold(), number) != number:
                twice.add(text.casefold())
        exact = {text: number for text, number in exact.items() if text not in unclear}
        folded = {text: number for text, number in folded.items() if text not in twice}
        return cls(dict(zip(ids, numbers, strict=True)), exact, folded, frozenset(unclear | twice))

    def find(self, name: str) -> int | None:
        """The number of the label of that id or text."""
        for known in (self.ids, self.texts):
            if name in known:
                return known[name]
        return self.folded.get(name.casefold())


@dataclass(frozen=True)
class QueryColumns:
    """The columns of a table of queries; `separator` is what parts several labels in a cell."""

    text: str
    labels: tuple[str, ...]
    separator: str | None = None
    unused: tuple[str, ...] = ()

    def sentence(self) -> str:
        """One line for people."""
        marks = {"\n": "line ends"}
        parted = f" (parted at {marks.get(self.separator, self.separator)})" if self.separator else ""
        rest = f"; passed over: {', '.join(self.unused[:6])}" if self.unused else ""
        return f"text = {self.text}; labels = {', '.join(self.labels)}{parted}{rest}"


@dataclass(frozen=True)
class QueryTable:
    """What a file of queries was understood to be. Rows of the same text are one query with all their labels; so many
    rows `repeat` one before them."""

    table: Table
    columns: QueryColumns
    queries: tuple[Query, ...]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()
    repeat: int = 0

    def all(self) -> tuple[Query, ...]:
        """The queries. Raises `BadInput` naming the first row that is wrong."""
        refuse_problems(self.table.file, self.problems, self.table.unit)
        return self.queries


def read_query_table(
    path: str | os.PathLike[str],
    labels: LabelNames,
    text: str | None = None,
    gold: Sequence[str] = (),
) -> QueryTable:
    """Read a file of queries over `labels`; `text` and `gold` are the columns where they are not to be guessed. Raises
    `BadInput` where the file as a whole is wrong; its single rows are `problems`."""
    table = read_table(path, names=(*gold, *((text,) if text else ())))
    columns = choose_query_columns(table, labels, text, gold)
    return make_queries(table, columns, labels)


def read_any_queries(path: str | os.PathLike[str], labels: LabelNames, label_count: int) -> tuple[Query, ...]:
    """The queries of a file in the raw layout, whose targets count labels from 0 below `label_count`, or of a table.
    Raises `BadInput`."""
    if is_raw_layout(path):
        return tuple(read_queries(path, label_count))
    return read_query_table(path, labels).all()


def is_raw_layout(path: str | os.PathLike[str]) -> bool:
    """Whether a file is named as those of a data set or a student, or counts its labels in `target_ind`."""
    name = Path(path).name
    if name in (*QUERY_FILES, "calibration.json.gz", "evaluation.json.gz"):
        return True
    if not name.lower().removesuffix(".gz").endswith((".json", ".jsonl", ".ndjson")):
        return False
    return POSITIONS in read_table(path).columns


def choose_query_columns(
    table: Table, labels: LabelNames, text: str | None = None, gold: Sequence[str] = ()
) -> QueryColumns:
    """Which column is the query and which its labels: by what was said, else by what the columns hold, else by their
    names. Raises `BadInput`."""
    for name in (*((text,) if text else ()), *gold):
        require_column(table, name)
    if not gold and POSITIONS in table.columns:
        gold = (POSITIONS,)
    if len(table.columns) < 2:
        raise BadInput(f"{table.file} has one column, but a query needs a text and the labels that are right for it.")
    free = [name for name in table.columns if name != text and name not in gold]
    if not gold:
        shares = {name: _share_of_labels(table, name, labels) for name in free}
        by_name = named(free, QUERY_LABELS)
        # what the column is called decides among those that hold labels
        holders = [name for name in free if shares[name] >= 0.5]
        if text is None and len(holders) > 1 and (asked := named(holders, QUERY_TEXTS[:13])):
            holders.remove(asked[0])
        chosen = named(holders, QUERY_LABELS) or tuple(sorted(holders, key=lambda name: -shares[name])[:1]) or by_name
        if not chosen or (text is None and len(free) < 2):
            names = ", ".join(f"'{shorten(name, 30)}'" for name in table.columns[:8])
            raise BadInput(
                f"{table.file}: none of the columns {names} holds ids or texts of the labels; "
                f"{table.advise('--query-labels', 'label')}."
            )
        gold = chosen
        free.remove(gold[0])
    if text is None:
        wordy = [name for name in free if holds_words(table, name)]
        found = named(wordy, QUERY_TEXTS) or (tuple(wordy) if len(wordy) == 1 else ()) or named(free, QUERY_TEXTS)
        if not found:
            names = ", ".join(f"'{shorten(name, 30)}'" for name in free[:8])
            raise BadInput(
                f"{table.file}: none of the columns {names} is known to be the queries' text; "
                f"{table.advise('--query-text', 'query')}."
            )
        text = found[0]
        free.remove(text)
    return QueryColumns(text, tuple(gold), _find_separator(table, gold, labels), tuple(free))


def _share_of_labels(table: Table, column: str, labels: LabelNames) -> float:
    """Which share of a column's cells are labels, whole or parted."""
    place = table.column(column)
    cells = [row[place] for row in table.rows[:_SAMPLE]]
    marks = (None, *SEPARATORS, ",")

    def is_label(cell: Any) -> bool:
        try:
            return any(
                bool(parts := split_cell(cell, mark)) and labels.find(as_text(parts[0], column)) is not None
                for mark in marks
            )
        except Fault:
            return False

    return sum(map(is_label, cells)) / max(len(cells), 1)


def _find_separator(table: Table, columns: Sequence[str], labels: LabelNames) -> str | None:
    """What parts several labels in a cell: the mark by which most cells that are no label whole become labels."""
    best, chosen = 0, None
    cells = [row[table.column(name)] for name in columns for row in table.rows]
    texts = [cell for cell in cells if isinstance(cell, str) and labels.find(cell.strip()) is None]
    for mark in (*SEPARATORS, ","):
        found = sum(
            mark in cell and all(labels.find(part) is not None for part in split_cell(cell, mark)) for cell in texts
        )
        if found > best:
            best, chosen = found, mark
    return chosen or next((mark for mark in SEPARATORS if any(mark in cell for cell in texts)), None)


def make_queries(table: Table, columns: QueryColumns, labels: LabelNames) -> QueryTable:
    """The queries of a table."""
    place = table.column(columns.text)
    gold = [(table.column(name), name) for name in columns.labels]
    queries: dict[str, Query] = {}
    problems = list(table.problems)
    repeated = 0
    for row, line in zip(table.rows, table.lines, strict=True):
        try:
            text = as_text(row[place], columns.text).strip()
            if not text:
                raise Fault(f"the query (column '{shorten(columns.text)}') is empty; give it a text or remove it")
            if "\0" in text:
                raise Fault(f"the query '{shorten(text)}' holds a NUL; remove it")
            targets = [_number(each, name, labels) for at, name in gold for each in _names(row[at], columns, labels)]
            if not targets:
                raise Fault(f"the query '{shorten(text)}' names no label; give it one or remove it")
        except Fault as fault:
            problems.append(Problem(line, str(fault)))
            continue
        if known := queries.get(text):
            queries[text] = replace(known, targets=tuple(dict.fromkeys((*known.targets, *targets))))
            repeated += 1
        else:
            stands = 0 if table.unit == "item" else line
            queries[text] = Query(f"{table.unit} {line}", text, tuple(dict.fromkeys(targets)), stands)
    if not queries and not problems:
        raise BadInput(f"{table.file} holds no query.")
    notes = (f"rows that repeat a query add their labels to it ({repeated:,})",) if repeated else ()
    return QueryTable(table, columns, tuple(queries.values()), tuple(problems), (*table.notes, *notes), repeated)


def _names(cell: Any, columns: QueryColumns, labels: LabelNames) -> list[Any]:
    """The labels that a cell names: itself, where it is one, before it is parted."""
    if isinstance(cell, str) and labels.find(cell.strip()) is not None:
        return [cell.strip()]
    return split_cell(cell, columns.separator)


def _number(cell: Any, column: str, labels: LabelNames) -> int:
    if column == POSITIONS:
        if type(cell) is not int or not 0 <= cell < len(labels.ids):
            raise Fault(f"'{shorten(str(cell))}' is no number of a label; {len(labels.ids):,} are counted from 0")
        return cell
    name = as_text(cell, column)
    number = labels.find(name)
    if number is not None:
        return number
    if name in labels.unclear or name.casefold() in labels.unclear:
        raise Fault(f"'{shorten(name)}' is the text of several labels; name the label by its id")
    close = difflib.get_close_matches(name, list(labels.texts)[:20_000], 1, 0.75)
    advice = f"; did you mean '{shorten(close[0])}'?" if close else "; correct it, or add the label"
    raise Fault(f"there is no label '{shorten(name)}', by id or text{advice.rstrip('?')}")
