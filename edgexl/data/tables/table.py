"""What every format is read into: columns, rows with the lines they stand in, and the rows that cannot be read."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from edgexl.base.errors import BadInput

# What a row is known by: a line of a text file, a row of a binary one, a concept of a thesaurus (by its number), an
# item of what a program has (counted from 0).
Unit = Literal["line", "row", "concept", "item"]


@dataclass(frozen=True)
class Problem:
    """A row that cannot be used: its `line` (row, concept), from 1, and the rest of a sentence that says why."""

    line: int
    what: str


@dataclass(frozen=True)
class Table:
    """A file as rows of cells.

    `rows[i]` has a cell for each of `columns` and stands in `lines[i]`, counted from 1 (items from 0). A cell is what
    the format holds: a string, a number, None, or a list of these. `problems` are rows that could not be read, which
    `rows` lacks.
    `format` and `details` are for people; `notes` say what was decided on the way. `roles` are the columns' where the
    format itself says so: a role's name, and its columns.
    """

    file: str
    format: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    lines: Sequence[int]
    unit: Unit = "line"
    details: dict[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    roles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def column(self, name: str) -> int:
        """A column's place."""
        return self.columns.index(name)

    def advise(self, option: str, name: str) -> str:
        """What to do where a column is not known by its name: an option of the command line says it, or a program
        renames it."""
        return f"rename one to '{name}'" if self.unit == "item" else f"say which: {option} COLUMN"


def refuse_problems(file: str | os.PathLike[str], problems: Sequence[Problem], unit: Unit = "line") -> None:
    """Raise `BadInput` where there are problems: the first one, and how many more there are."""
    if not problems:
        return
    first, more = min(problems, key=lambda problem: problem.line), len(problems) - 1
    rest = ""
    if more:
        others = f"{more:,} more {unit}s are" if more > 1 else f"1 more {unit} is"
        where = "" if unit == "item" else ": `edgexl data show` lists them"
        rest = f" ({others} wrong{where})"
    raise BadInput(f"{os.fspath(file)}, {unit} {first.line}: {first.what}{rest}.")
