"""Gzipped JSON lines, the one container of label sets, queries and data sets. What is read may also be unzipped.

Written deterministically (no file name and no time in the gzip header) and in one step; read as a stream, and every
way in which such a file can be damaged or be another one is one `BadInput` sentence that names the file and the line.
"""

from __future__ import annotations

import codecs
import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.base.files import open_input, write_file
from edgexl.base.strict_json import parse_line

# zlib's default level. 9 gains under 2 % on these texts and takes twice the time.
_LEVEL = 6
# A reasoning model's trace has megabytes at most; a line without an end must not fill the memory.
_LONGEST_BYTES = 64 << 20
_GZIP = b"\x1f\x8b"
_FORMATS = "what is read is JSON lines in UTF-8, an object a line, gzipped or plain"
_BEGINNINGS = {
    codecs.BOM_UTF32_LE: "UTF-32 text",
    codecs.BOM_UTF16_LE: "UTF-16 text",
    codecs.BOM_UTF16_BE: "UTF-16 text",
    codecs.BOM_UTF32_BE: "UTF-32 text",
    b"PK\x03\x04": "a zip archive or a spreadsheet",
    b"\xfd7zXZ": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "Parquet",
    b"SQLite format 3": "a database",
    _GZIP: "gzipped twice",
}


def encode_line(record: dict[str, Any]) -> bytes:
    """The canonical bytes of one record: compact JSON in UTF-8, keys in the order given, one newline at the end."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def is_unicode(text: str) -> bool:
    """Whether a text can be UTF-8. JSON's escapes can smuggle half of a surrogate pair in, which cannot."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def describe_wrong(record: dict[str, Any], *keys: str) -> str:
    """What the first of `keys` holds that is no string, to end a sentence with: "'title' is null"."""
    key = next(key for key in keys if not isinstance(record.get(key), str))
    if key not in record:
        return f"there is no '{key}'"
    value = record[key]
    return f"'{key}' is {'a list' if isinstance(value, list) else shorten(json.dumps(value)[:100])}"


def write_lines(path: str | os.PathLike[str], records: Iterable[dict[str, Any]]) -> None:
    """Write `records` to `path` as gzipped JSON lines; the same records give the same bytes."""
    with write_file(path) as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as stream:
        for record in records:
            stream.write(encode_line(record))


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, record) for each line of a JSON lines file, gzipped or not; blank lines are passed
    over, and so is a byte order mark.

    Raises `BadInput` where the file cannot be opened, ends early, is in another format, or has a line that is not a
    JSON object or longer than 64 MiB.
    """
    number = 0
    with open_input(path) as raw:
        try:
            stream = gzip.GzipFile(fileobj=raw) if raw.peek(2)[:2] == _GZIP else raw
            for number, line in enumerate(iter(partial(stream.readline, _LONGEST_BYTES + 1), b""), 1):
                content = line.removeprefix(codecs.BOM_UTF8) if number == 1 else line
                if not content.isspace() and content:
                    yield number, _record(content, f"{path}, line {number}", number == 1)
        except EOFError:
            raise BadInput(
                f"{path} ends early after line {number}: the gzip file is truncated; fetch or build it again."
            ) from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadInput(
                f"{path}, after line {number}: not a sound gzip file ({error}); fetch or build it again."
            ) from None
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror or error}.") from None


def _record(line: bytes, where: str, first: bool) -> dict[str, Any]:
    if len(line) > _LONGEST_BYTES:
        raise BadInput(f"{where}: is longer than {_LONGEST_BYTES >> 20} MiB; {_FORMATS}.")
    try:
        record = parse_line(line)
    except ValueError as error:
        found = _another_format(line) if first else None
        advice = "correct or remove the line" if found is None else _FORMATS
        raise BadInput(f"{where}: not valid JSON ({found or shorten(str(error), 200)}); {advice}.") from None
    if not isinstance(record, dict):
        advice = f"; {_FORMATS}" if first else ""
        raise BadInput(f"{where}: expected a JSON object, found {type(record).__name__}{advice}.")
    return record


def _another_format(line: bytes) -> str | None:
    """What a file is whose first line is no JSON, as far as that line tells; None for a line like the others."""
    for beginning, name in _BEGINNINGS.items():
        if line.startswith(beginning):
            return f"the file is {name}"
    if line.lstrip()[:1] == b"{":
        return "one object over several lines" if line.strip() == b"{" else None
    if line.lstrip()[:1] == b"[":
        return "one list over several lines"
    if not line.isascii() or any(byte < 32 and byte not in b"\t\n\f\r" for byte in line):
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return "not a sound gzip file, nor text in UTF-8"
        if b"\0" in line:
            return "not a sound gzip file, nor text in UTF-8"
    separated = any(separator in line for separator in (b",", b";", b"\t"))
    return "the file is CSV or a like table" if separated else "the file is plain text"
