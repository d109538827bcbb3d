"""Strict TOML: recipes and targets are read into frozen dataclasses, and what those do not name is refused.

A configuration that silently ignores a misspelt key is worse than one that fails, so every unknown key is an
error that names the nearest known one, and every value is checked against its field's annotation.
"""

from __future__ import annotations

import contextlib
import dataclasses
import difflib
import math
import tomllib
import types
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from edgexl.base.errors import BadInput, shorten
from edgexl.base.files import read_input

T = TypeVar("T")
# A hundred times the largest recipe: what is larger is another file, and would take its time to parse.
_MOST_BYTES = 1 << 20


def load(path: Path, cls: type[T]) -> T:
    """Read the TOML file `path` into the dataclass `cls` (nested dataclasses are tables).

    Raises `BadInput` when the file is missing, is not TOML, has a key that `cls` does not know, lacks a field
    without a default, or holds a value of the wrong type or outside a `Literal`.
    """
    return build(parse(path), cls, str(path))


def parse(path: Path) -> dict[str, Any]:
    """The tables of the TOML file `path`, unchecked. Raises `BadInput` when the file is missing or is not TOML."""
    content = read_input(path, _MOST_BYTES)
    try:
        return tomllib.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise BadInput(f"{path}: is not valid TOML: it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise BadInput(f"{path}: is not valid TOML: it is nested too deeply") from None
    except ValueError as error:  # tomllib's own, and Python's for numbers of thousands of digits
        raise BadInput(f"{path}: is not valid TOML: {shorten(str(error), 200)}") from None


def build(table: dict[str, Any], cls: type[T], where: str) -> T:
    """Make a `cls` of a parsed TOML table; `where` opens every error sentence (a file name, then a key path)."""
    assert dataclasses.is_dataclass(cls)
    hints = get_type_hints(cls, include_extras=True)
    fields = {field.name: field for field in dataclasses.fields(cls)}
    for key in table:
        if key not in fields:
            raise BadInput(f"{where}: unknown key '{shorten(key)}'{nearest(shorten(key), list(fields))}")
    values = {}
    for name, field in fields.items():
        if name in table:
            values[name] = convert(table[name], hints[name], f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BadInput(f"{where}: the key '{name}' is missing; add it")
    try:
        return cls(**values)
    except ValueError as error:
        raise BadInput(f"{where}: {error}") from None


def nearest(key: str, known: list[str]) -> str:
    """The tail of an error sentence about `key`: the nearest known name, or all of them."""
    close = difflib.get_close_matches(key, known)
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(sorted(known))}"


def convert(value: Any, hint: Any, where: str) -> Any:
    """Check `value` against the annotation `hint` and return it as that type, or raise `BadInput`.

    `Annotated[Table, choose]` is a table of several forms: `choose` tells from its content which class it is read as.
    """
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        raise BadInput(f"{where} is a number beyond 64 bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInput(f"{where} = {value} must be a finite number")
    if hint is Any:
        return value
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = [arg for arg in args if arg is not type(None)]
        for choice in inner[:-1]:
            with contextlib.suppress(BadInput):
                return convert(value, choice, where)
        return convert(value, inner[-1], where)
    if origin is Literal:
        if value not in args or isinstance(value, bool):
            choices = [str(arg) for arg in args]
            raise BadInput(f"{where} = {_quote(value)} is not known{nearest(shorten(str(value)), choices)}")
        return value
    if origin is Annotated:
        try:
            return convert(value, args[1](value) if isinstance(value, dict) else args[0], where)
        except ValueError as error:
            raise BadInput(f"{where}: {error}") from None
    if origin is tuple:
        if not isinstance(value, list):
            raise BadInput(f"{where} must be a list, not {_quote(value)}")
        return tuple(convert(item, args[0], f"{where}[{index}]") for index, item in enumerate(value))
    if origin is dict:
        if not isinstance(value, dict):
            raise BadInput(f"{where} must be a table, not {_quote(value)}")
        return {key: convert(item, args[1], f"{where}.{key}") for key, item in value.items()}
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if not isinstance(value, dict):
            raise BadInput(f"{where} must be a table, not {_quote(value)}")
        return build(value, hint, where)
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (isinstance(value, bool) and hint is not bool):
        raise BadInput(f"{where} must be {hint.__name__}, not {_quote(value)}")
    return value


def _quote(value: Any) -> str:
    try:
        return shorten(repr(value))
    except (ValueError, RecursionError):  # numbers of thousands of digits; lists of a thousand levels
        return f"such a {type(value).__name__}"
