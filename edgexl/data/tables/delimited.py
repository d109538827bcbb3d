"""CSV and its kin: fields between commas, semicolons, tabs or bars, in quotes where need be, under a line of names."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.data.tables.table import Problem, Table

_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# Records by which a delimiter is chosen.
_SAMPLE = 50
# A field of this many characters is one whose quotes do not close.
_LONGEST_FIELD = 1 << 21
# What stands between names, but is not a delimiter that is read.
_FOREIGN = re.compile(r"\w[\"']?\s*(\^|~|::|:|\$|\x1f|\x01)\s*[\"']?\w")
# Excel's own first line.
_SEPARATOR_LINE = re.compile(r'^"?sep=(.)"?\r?\n', re.IGNORECASE)
_NUMBER = re.compile(r"[-+]?[\d.,]*\d[\d.,]*%?")


@dataclass(frozen=True)
class _Record:
    line: int
    fields: list[str]


def read_delimited(file: str, text: str, tabs: bool, is_known: Callable[[str], bool]) -> Table:
    """A table of delimited text. `tabs`: the file's name says that it is one of tabs. `is_known`: whether a word is a
    name of columns, by which a line of names is told from a row. Raises `BadInput` where there is no such line, or the
    text cannot be parted into fields."""
    skipped = 0
    if found := _SEPARATOR_LINE.match(text):
        delimiter, skipped = found[1], 1
        text = text[found.end() :]
    else:
        delimiter = _choose_delimiter(text, tabs)
    notes: list[str] = []
    try:
        records = list(_records(text, delimiter, csv.QUOTE_MINIMAL, skipped))
    except _Unquoted as fault:
        try:  # tables of tabs are often written without quoting, and a quote is then a letter
            records = list(_records(text, delimiter, csv.QUOTE_NONE, skipped)) if delimiter == "\t" else []
        except _Unquoted:
            records = []
        if len({len(record.fields) for record in records}) != 1:
            raise BadInput(f"{file}, line {fault.line}: {fault.what}.") from None
        notes.append("quotes are taken as they are")
    if not records:
        raise BadInput(f"{file} holds no row; give a line of names and a row a label.")
    names = [name.strip() for name in records[0].fields]
    _check_names(file, names, records, delimiter, is_known)
    if len(records) < 2:
        raise BadInput(f"{file}, line {records[0].line}: names columns, but no row follows; give a row a label.")
    rows, lines, problems = [], [], []
    for record in records[1:]:
        fields = record.fields
        while len(fields) > len(names) and not fields[-1].strip():
            fields = fields[:-1]  # spreadsheets end short rows in empty fields
        if len(fields) == len(names):
            rows.append([field.strip() for field in fields])
            lines.append(record.line)
        else:
            problems.append(Problem(record.line, _ragged(len(fields), len(names), delimiter)))
    kept = _drop_unnamed(file, names, rows, lines)
    if len(kept) < len(names):
        names = [names[place] for place in kept]
        rows = [[row[place] for place in kept] for row in rows]
    details = {"delimiter": _NAMES.get(delimiter, delimiter)}
    kind = "TSV" if delimiter == "\t" else "CSV"
    return Table(file, kind, tuple(names), rows, lines, "line", details, tuple(notes), tuple(problems))


class _Unquoted(Exception):
    def __init__(self, line: int, what: str) -> None:
        super().__init__(what)
        self.line, self.what = line, what


def _records(text: str, delimiter: str, quoting: Any, skipped: int = 0) -> Iterator[_Record]:
    """The records that hold anything, with the line in which each begins."""
    csv.field_size_limit(_LONGEST_FIELD)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quoting, strict=True)
    line = 1
    while True:
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "end of data" in str(error) or "field limit" in str(error):
                raise _Unquoted(
                    line + skipped, "a quote opens a text that no quote closes; close or remove it"
                ) from None
            raise _Unquoted(
                reader.line_num + skipped, "a quote stands inside a quoted text; write it twice, or remove the quotes"
            ) from None
        if any(field.strip() for field in fields):
            yield _Record(line + skipped, fields)
        line = reader.line_num + 1


def _choose_delimiter(text: str, tabs: bool) -> str:
    """The delimiter by which most of the first records have as many fields as the first, of which it makes most."""
    best, chosen = (0.0, 0), "\t" if tabs else ","
    head = text[: 1 << 16]
    for delimiter in ("\t", ",", ";", "|") if tabs else (",", ";", "\t", "|"):
        counts = []
        try:
            for record in _records(head, delimiter, csv.QUOTE_MINIMAL):
                counts.append(len(record.fields))
                if len(counts) == _SAMPLE:
                    break
        except _Unquoted:
            pass  # the sample may end within a text
        if len(counts) > 2 and len(head) < len(text) and len(counts) < _SAMPLE:
            counts.pop()
        if not counts or counts[0] < 2:
            continue
        share = sum(count == counts[0] for count in counts) / len(counts)
        if (round(share, 1), counts[0]) > best:
            best, chosen = (round(share, 1), counts[0]), delimiter
    return chosen


def _check_names(
    file: str, names: list[str], records: list[_Record], delimiter: str, is_known: Callable[[str], bool]
) -> None:
    """Raise `BadInput` where the first record is no line of names."""
    where = f"{file}, line {records[0].line}"
    doubled = [name for name, count in Counter(name for name in names if name).items() if count > 1]
    if doubled:
        raise BadInput(f"{where}: two columns are named '{shorten(doubled[0])}'; give each a name of its own.")
    if any(map(is_known, names)):
        return
    if len(names) == 1 and (found := _FOREIGN.search(names[0])):
        raise BadInput(
            f"{where}: '{shorten(names[0])}' looks like names with '{found[1]}' between them; separate columns by "
            "commas, semicolons, tabs or bars."
        )
    if not _looks_like_names(names, records[1:]):
        raise BadInput(
            f"{where}: expected the columns' names, such as id{delimiter if delimiter != chr(9) else ','}text, found "
            f"'{shorten(delimiter.join(names))}'; add such a line, or say which column is what (--text, --id)."
        )


def _looks_like_names(names: list[str], rows: list[_Record]) -> bool:
    """Whether unknown words are names of columns rather than the first row: they are short, differ, hold no number, and
    some column is numbers all through."""
    named = [name for name in names if name]
    if len(named) < 2 or any(len(name) > 40 or _NUMBER.fullmatch(name) for name in named):
        return False
    whole = [row.fields for row in rows[:200] if len(row.fields) == len(names)]
    return bool(whole) and any(
        all(_NUMBER.fullmatch(row[place].strip()) for row in whole) for place, name in enumerate(names) if name
    )


def normalise(name: str) -> str:
    """A column's name without case, blanks and punctuation: "Product ID" and "product_id" are one."""
    return re.sub(r"[\W_]+", "", name.casefold())


def _ragged(found: int, expected: int, delimiter: str) -> str:
    name = _NAMES.get(delimiter, delimiter)
    if found > expected:
        return (
            f"has {found} fields, but there are {expected} columns; put a text that holds a {name} in quotes, "
            "or remove what is too much"
        )
    return f"has {found} field{'s' if found > 1 else ''}, but there are {expected} columns; add what is missing"


def _drop_unnamed(file: str, names: list[str], rows: list[list[str]], lines: list[int]) -> list[int]:
    """The places of the columns that have a name. Raises `BadInput` where another one holds anything."""
    for place, name in enumerate(names):
        if name:
            continue
        for row, line in zip(rows, lines, strict=True):
            if row[place]:
                raise BadInput(
                    f"{file}, line {line}: column {place + 1} holds '{shorten(row[place])}', but has no name in the "
                    "first line; name it, or remove it."
                )
    return [place for place, name in enumerate(names) if name]
