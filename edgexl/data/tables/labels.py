"""A label set out of a table, and the rows of it that cannot be labels."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.base.gzipped_lines import is_unicode
from edgexl.bundle.strings import find_fault
from edgexl.data.label_set import (
    LARGEST_DESCRIPTION_BYTES,
    MOST_ALIASES,
    MOST_DESCRIBED,
    MOST_DESCRIPTIONS,
    LabelSet,
)
from edgexl.data.layout import LABELS_FILE
from edgexl.data.tables.open_table import read_table
from edgexl.data.tables.roles import LabelColumns, Wanted, choose_label_columns, split_cell
from edgexl.data.tables.table import Problem, Table, refuse_problems


@dataclass(frozen=True)
class LabelTable:
    """What a file of labels was understood to be.

    `ids`, `texts`, `aliases` and `descriptions` are of the labels that are sound, `lines` where each stands first;
    `problems` are all rows that are none. `notes` say what was decided on the way.
    """

    table: Table
    columns: LabelColumns
    ids: list[str]
    texts: list[str]
    aliases: list[tuple[str, ...]]
    descriptions: list[tuple[str, ...]]
    lines: list[int]
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    def label_set(self) -> LabelSet:
        """The labels. Raises `BadInput` naming the first row that is wrong."""
        refuse_problems(self.table.file, self.problems, self.table.unit)
        return LabelSet(tuple(self.ids), tuple(self.texts), tuple(self.aliases), tuple(self.descriptions))


def read_labels(path: str | os.PathLike[str], wanted: Wanted | None = None, language: str | None = None) -> LabelTable:
    """Read a file of labels, or the labels of a data set in the raw layout, given its directory. Raises `BadInput`
    where the file as a whole is wrong; its single rows are `problems`."""
    path = Path(path)
    if path.is_dir():
        if not (path / LABELS_FILE).is_file():
            raise BadInput(f"{path} is a directory without {LABELS_FILE}; give a file of labels, or a data set.")
        path = path / LABELS_FILE
    given = wanted or Wanted()
    names = [name for name in (given.id, given.text, *given.aliases, *given.descriptions) if name]
    table = read_table(path, language, names)
    return make_labels(table, choose_label_columns(table, wanted))


def make_labels(table: Table, columns: LabelColumns) -> LabelTable:
    """The labels of a table. Rows without an id column that have the same text are one label."""
    reader = _Reader(table, columns)
    made = LabelTable(table, columns, [], [], [], [], [], ())
    problems = list(table.problems)
    known: dict[str, int] = {}
    described: dict[str, int] = {}
    merged = 0
    for row, line in zip(table.rows, table.lines, strict=True):
        try:
            uid, text, aliases, descriptions = reader.read(row)
        except Fault as fault:
            problems.append(Problem(line, str(fault)))
            continue
        at = known.setdefault(uid, len(made.ids))
        if at < len(made.ids):
            if columns.id is None:
                made.aliases[at] = tuple(dict.fromkeys((*made.aliases[at], *aliases)))
                made.descriptions[at] = tuple(dict.fromkeys((*made.descriptions[at], *descriptions)))
                merged += 1
            else:
                what = f"has the id '{shorten(uid)}' of {table.unit} {made.lines[at]}; ids must be unique"
                problems.append(Problem(line, what))
            continue
        for one in set(descriptions):
            described[one] = described.get(one, 0) + 1
            if described[one] == MOST_DESCRIBED + 1:
                what = (
                    f"has the description '{shorten(one)}' that stands at {MOST_DESCRIBED:,} labels before, so it "
                    "tells none of them from the others; remove it"
                )
                problems.append(Problem(line, what))
        made.ids.append(uid)
        made.texts.append(text)
        made.aliases.append(aliases)
        made.descriptions.append(descriptions)
        made.lines.append(line)
    if not made.ids and not problems:
        raise BadInput(f"{table.file} holds no label.")
    notes = []
    if merged:
        notes.append(f"rows that repeat a text are one label with it ({merged:,})")
    return LabelTable(**{**vars(made), "problems": tuple(problems), "notes": (*table.notes, *notes)})


class Fault(Exception):
    """Why a row is no label: the rest of a sentence about it."""


class _Reader:
    """Makes a label of a row."""

    def __init__(self, table: Table, columns: LabelColumns) -> None:
        self.table = table
        self.id = None if columns.id is None else (table.column(columns.id), columns.id)
        self.text = table.column(columns.text), columns.text
        separators = dict(columns.separators)
        self.aliases = [(table.column(name), name, separators.get(name)) for name in columns.aliases]
        self.descriptions = [(table.column(name), name) for name in columns.descriptions]

    def read(self, row: Any) -> tuple[str, str, tuple[str, ...], tuple[str, ...]]:
        """(id, text, aliases, descriptions). Raises `Fault`."""
        place, name = self.text
        text = as_text(row[place], name)
        if not text.strip():
            raise Fault(f"the text (column '{shorten(name)}') is empty; give the label one or remove it")
        uid = text
        if self.id is not None:
            uid = as_text(row[self.id[0]], self.id[1])
            if not uid.strip():
                raise Fault(f"the id (column '{shorten(self.id[1])}') is empty; give each label an id of its own")
        for what, value in (("id", uid), ("text", text)):
            if fault := find_fault(value):
                raise Fault(f"the {what} '{shorten(value)}' {fault}")
        aliases: dict[str, None] = {}
        for place, name, separator in self.aliases:
            for part in split_cell(row[place], separator):
                alias = as_text(part, name)
                if fault := find_fault(alias):
                    raise Fault(f"the alias '{shorten(alias)}' {fault}")
                aliases[alias] = None
        aliases.pop(text, None)
        described = dict.fromkeys(self._descriptions(row))
        for kind, found, most in (("aliases", aliases, MOST_ALIASES), ("descriptions", described, MOST_DESCRIPTIONS)):
            if len(found) > most:
                raise Fault(f"has {len(found):,} {kind}, and at most {most:,} fit")
        return uid, text, tuple(aliases), tuple(described)

    def _descriptions(self, row: Any) -> Iterator[str]:
        for place, name in self.descriptions:
            for part in split_cell(row[place], None):
                text = as_text(part, name)
                if "\0" in text or not is_unicode(text):
                    raise Fault(f"the description '{shorten(text)}' holds what is no character; correct it")
                if (size := len(text.encode())) > LARGEST_DESCRIPTION_BYTES:
                    raise Fault(
                        f"the description '{shorten(text)}' has {size:,} bytes, and at most "
                        f"{LARGEST_DESCRIPTION_BYTES:,} fit; give its passages in columns of their own"
                    )
                yield text


def as_text(cell: Any, column: str) -> str:
    """A cell as the text it stands for: a whole number by its digits, nothing as "". Raises `Fault` for others."""
    if isinstance(cell, str):
        return cell
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return ""
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        kinds = {bool: "a truth value", list: "a list", tuple: "a list", dict: "an object", bytes: "bytes"}
        kind = kinds.get(type(cell), f"a {type(cell).__name__}")
        raise Fault(f"the column '{shorten(column)}' holds {kind} where a text belongs; give a string")
    if isinstance(cell, float) and cell.is_integer() and abs(cell) < 1 << 53:
        return str(int(cell))
    return str(cell)
