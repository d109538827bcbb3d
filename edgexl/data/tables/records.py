"""JSON and JSON lines: an object a row, in a list, under a key, a line each, or as one object from ids to texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.base.strict_json import LINES
from edgexl.data.tables.delimited import normalise
from edgexl.data.tables.roles import IDS, TEXTS
from edgexl.data.tables.table import Problem, Table

_BLANK = " \t\n\r"


@dataclass(frozen=True)
class _Found:
    line: int
    value: Any


def read_json_lines(file: str, text: str) -> Table:
    """A table of JSON lines. A line that is no object is a problem of the table's. Raises `BadInput` where none is."""
    found, problems = [], []
    for number, line in enumerate(text.split("\n"), 1):
        content = line.strip()
        if not content:
            continue
        try:
            found.append(_Found(number, LINES.decode(content)))
        except RecursionError:
            problems.append(Problem(number, "is nested too deeply; correct or remove the line"))
        except ValueError as error:
            problems.append(Problem(number, f"is not valid JSON ({_reason(error)}); correct or remove the line"))
    return _tabulate(file, "JSON lines", found, problems)


def read_json(file: str, text: str) -> Table:
    """A table of one JSON document. Raises `BadInput` where it is none, or holds no rows."""
    try:
        found, notes = _rows_of(_Scanner(text))
    except RecursionError:
        raise BadInput(f"{file} is nested too deeply to be a table; give a list of objects.") from None
    except json.JSONDecodeError as error:
        raise BadInput(f"{file}, line {error.lineno}: is not valid JSON ({_reason(error)}); correct it.") from None
    except ValueError as error:
        raise BadInput(f"{file} is not valid JSON ({shorten(str(error), 200)}); correct it.") from None
    if found is None:
        raise BadInput(
            f"{file} holds no list of objects; give one such as "
            '[{"id": "4011", "text": "banana"}], or an object a line.'
        )
    return _tabulate(file, "JSON", found, [], notes)


def is_json_lines(text: str) -> bool:
    """Whether a text that begins with an object is a line each rather than one document."""
    first, _, rest = text.lstrip().partition("\n")
    try:
        LINES.decode(first.strip())
    except (ValueError, RecursionError):
        # a broken first line of many that begin alike
        return first.rstrip().endswith("}") and rest.lstrip().startswith("{")
    return bool(rest.strip())


class _Scanner:
    """A JSON document whose outer lists and objects are gone through one by one, so that lines are known."""

    def __init__(self, text: str) -> None:
        self.text, self.place, self.line, self._counted = text, 0, 1, 0

    def skip(self, wanted: str = "") -> str:
        """The next character that is not blank; passed over where it is one of `wanted`."""
        while self.text[self.place : self.place + 1] in _BLANK and self.place < len(self.text):
            self.place += 1
        character = self.text[self.place : self.place + 1]
        if character and character in wanted:
            self.place += 1
        return character

    def value(self) -> _Found:
        """The next value, and the line in which it begins."""
        self.skip()
        self.line += self.text.count("\n", self._counted, self.place)
        self._counted = self.place
        value, self.place = LINES.raw_decode(self.text, self.place)
        return _Found(self.line, value)

    def expect(self, characters: str) -> str:
        found = self.skip(characters)
        if not found or found not in characters:
            raise json.JSONDecodeError(f"expected {' or '.join(characters)}", self.text, self.place)
        return found

    def items(self) -> Iterator[_Found]:
        """The values of the list that begins here."""
        self.expect("[")
        if self.skip("]") == "]":
            return
        while True:
            yield self.value()
            if self.expect(",]") == "]":
                return

    def end(self) -> None:
        if self.skip():
            raise json.JSONDecodeError("there is more behind the end", self.text, self.place)


def _rows_of(scanner: _Scanner) -> tuple[list[_Found] | None, list[str]]:
    """(the rows of a document, notes); None where it has none."""
    if scanner.skip() == "[":
        found = list(scanner.items())
        scanner.end()
        return found, []
    if scanner.skip() != "{":
        scanner.value()
        scanner.end()
        return None, []
    pairs: list[tuple[str, _Found]] = []
    lists: dict[str, list[_Found]] = {}
    scanner.expect("{")
    if scanner.skip("}") != "}":
        while True:
            key = scanner.value()
            if not isinstance(key.value, str):
                raise json.JSONDecodeError("a key is no string", scanner.text, scanner.place)
            scanner.expect(":")
            if scanner.skip() == "[":
                line = scanner.line
                lists[key.value] = list(scanner.items())
                pairs.append((key.value, _Found(line, [each.value for each in lists[key.value]])))
            else:
                pairs.append((key.value, _Found(key.line, scanner.value().value)))
            if scanner.expect(",}") == "}":
                break
    scanner.end()
    tables = [name for name, values in lists.items() if values and all(isinstance(v.value, dict) for v in values)]
    if len(tables) == 1:
        return lists[tables[0]], [f"rows are the list under '{shorten(tables[0])}'"]
    if {normalise(key) for key, _ in pairs} & {*TEXTS, *IDS[:3]}:
        return [_Found(pairs[0][1].line, {key: each.value for key, each in pairs})], []  # a table of one row
    if pairs and all(isinstance(each.value, str) for _, each in pairs):
        return [_Found(each.line, {"id": key, "text": each.value}) for key, each in pairs], ["keys are ids"]
    if pairs and all(isinstance(each.value, dict) and "id" not in each.value for _, each in pairs):
        return [_Found(each.line, {"id": key, **each.value}) for key, each in pairs], ["keys are ids"]
    return None, []


def _tabulate(
    file: str,
    kind: str,
    found: Sequence[_Found],
    problems: list[Problem],
    notes: Sequence[str] = (),
) -> Table:
    if found and all(isinstance(each.value, str) for each in found):
        rows, lines = [(each.value,) for each in found], [each.line for each in found]
        roles = {"text": ("text",)}
        return Table(file, kind, ("text",), rows, lines, notes=tuple(notes), problems=tuple(problems), roles=roles)
    objects = []
    for each in found:
        if isinstance(each.value, dict):
            objects.append(each)
        else:
            problems.append(Problem(each.line, f"expected an object, found {_kind(each.value)}; correct or remove it"))
    if not objects:
        first = min(problems, key=lambda problem: problem.line, default=None)
        if first is None:
            raise BadInput(f"{file} holds an empty list; give an object a label.")
        raise BadInput(f"{file}, line {first.line}: {first.what}.")
    names = tuple(dict.fromkeys(key for each in objects for key in each.value))
    cells = [[each.value.get(name) for name in names] for each in objects]
    lines = [each.line for each in objects]
    return Table(file, kind, names, cells, lines, notes=tuple(notes), problems=tuple(problems))


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", bool: "a truth value", type(None): "null"}
    return names.get(type(value), "a number")


def _reason(error: ValueError) -> str:
    """A parser's message, without where it is."""
    return shorten(error.msg if isinstance(error, json.JSONDecodeError) else str(error), 200)
