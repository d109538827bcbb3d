"""JSON documents of strangers: what is not plain JSON with ordinary numbers is refused in words.

Python's reader takes NaN, gives infinity for 1e999, has no bound on whole numbers and none of its own on depth; its
errors are of three classes. Here all are one `ValueError`, whose text completes a sentence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from edgexl.base.errors import BadInput, shorten
from edgexl.base.files import read_input

# Whole numbers that any other reader takes, too.
_LEAST, _MOST = -(1 << 63), (1 << 64) - 1


def parse(content: bytes) -> Any:
    """The value of a JSON document in UTF-8, with or without a byte order mark.

    Raises `ValueError` where it is no JSON, nested too deeply, or holds NaN, an infinity or a number beyond 64 bits.
    """
    try:
        text = content.decode("utf-8-sig")
        return json.loads(text, parse_constant=_refuse, parse_float=_float, parse_int=_int)
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def parse_line(line: bytes) -> Any:
    """As `parse`, without a byte order mark, and with numbers of any size: they are judged by what takes them."""
    try:
        return LINES.decode(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def read_json(path: Path, advice: str = "", reader: Callable[[bytes], Any] = parse) -> Any:
    """The value of a JSON file, read by `parse` or, where numbers are judged by what takes them, `parse_line`. Raises
    `BadInput`, with the `advice` that is given."""
    try:
        return reader(read_input(path))
    except ValueError as error:
        raise BadInput(f"{path} is not readable JSON ({error}){advice and '; ' + advice}.") from None


def parse_object(content: bytes) -> dict[str, Any]:
    """As `parse`, and also `ValueError` where the document is no object."""
    value = parse(content)
    if not isinstance(value, dict):
        raise ValueError(f"it is a {type(value).__name__}, not a JSON object")
    return value


def _refuse(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")


# Numbers of any size, as `parse_line` takes them.
LINES = json.JSONDecoder(parse_constant=_refuse)


def _float(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError(f"the number {shorten(digits)} is too large")
    return value


def _int(digits: str) -> int:
    if len(digits) > 20 or not _LEAST <= (value := int(digits)) <= _MOST:
        raise ValueError(f"the number {shorten(digits)} is beyond 64 bits")
    return value
