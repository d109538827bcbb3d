"""What callers of `binding` give, made into what C takes: converted where there is one meaning, otherwise refused with
a sentence before C sees it (ctypes would cut numbers to their size, and paths and ids at a NUL)."""

from __future__ import annotations

import contextlib
import math
import operator
import os
from collections.abc import Iterable
from typing import Any

from edgexl.base.errors import BadInput, kind_of, shorten

_MISSING = ("NAType", "NaTType")


def as_text(what: str, value: Any) -> bytes:
    """UTF-8 of a str; bytes are taken to be that. Lone surrogates are passed on, for the library to refuse."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogatepass")
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    raise BadInput(f"{what} is {kind_of(value)}; give a str.")


def as_whole(what: str, value: Any, low: int, high: int, range_words: str = "") -> int:
    """A whole number, also one of numpy's, from `low` to `high`."""
    try:
        number = operator.index(value)
    except TypeError:
        raise BadInput(f"{what} is {kind_of(value)}; give a whole number.") from None
    if not low <= number <= high:
        raise BadInput(f"{what} is {shorten(str(number), 30)}; it must be {range_words or f'from {low} to {high}'}.")
    return number


def as_number(what: str, value: Any) -> float:
    """A number. Raises `BadInput` for what is none, a string of digits included."""
    if not isinstance(value, str | bytes | bytearray):
        with contextlib.suppress(TypeError, ValueError, OverflowError):
            return float(value)
    raise BadInput(f"{what} is {kind_of(value)} and no number that a float can be; give one.")


def as_path(what: str, value: Any) -> bytes:
    """A path as the system has it."""
    try:
        path = os.fsencode(value)
    except (TypeError, UnicodeEncodeError):
        raise BadInput(f"{what} is {kind_of(value)} that names no file; give a path.") from None
    if not path or b"\0" in path:
        raise BadInput(f"{what} {shorten(repr(value))} is empty or holds a NUL; give the path of a file.")
    return path


def as_items(what: str, values: Any) -> list[Any]:
    """The items of a sequence, or of anything else that can be gone through; one string is no list of strings, and a
    data frame none of its rows."""
    if isinstance(values, str | bytes | bytearray | dict) or not isinstance(values, Iterable):
        raise BadInput(f"{what} are {kind_of(values)}; give a list of them.")
    if hasattr(values, "columns"):
        raise BadInput(f"{what} are {kind_of(values)}; give one of its columns.")
    try:
        return list(values)
    except TypeError:  # an array without dimensions
        raise BadInput(f"{what} are one value {kind_of(values)}; give a list of them.") from None


def is_missing(value: Any) -> bool:
    """Whether a value stands for none in a column: None, NaN, or NA and NaT of pandas."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in _MISSING


def as_batch(what: str, values: Any) -> list[Any]:
    """The texts of a batch, also of a column with places for none. Raises `BadInput` naming such a place, from 0."""
    items = as_items(f"{what}s", values)
    for place, item in enumerate(items):
        if is_missing(item):
            raise BadInput(f"{what} {place} of {len(items):,} is missing ({item}); give a text, or leave it out.")
    return items
