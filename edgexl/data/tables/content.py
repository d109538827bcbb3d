"""The bytes of a table's file as text: unzipped, and in whichever of the usual encodings it is.

UTF-8 is taken where it is valid, UTF-16 and UTF-32 by their byte order marks or their NULs, and Windows-1252 (Latin-1
and its printable neighbours) for what is none of them, which is said. What is no text is refused by its name.
"""

from __future__ import annotations

import codecs
import gzip
import os
import re
import zlib
from dataclasses import dataclass

from edgexl.base.errors import BadInput
from edgexl.base.files import open_input

GZIP = b"\x1f\x8b"
# What unzips to more is no label file, but fills the memory.
_MOST_BYTES = 4 << 30
# (how a file begins, what it is, what to do)
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or a spreadsheet (xlsx, ods)", "save it as CSV"),
    (b"\xd0\xcf\x11\xe0", "an old Excel or Word file", "save it as CSV"),
    (b"%PDF", "a PDF", "give the table itself, as CSV"),
    (b"SQLite format 3", "a database", "export the table as CSV"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it, or compress it with gzip"),
    (b"BZh", "compressed with bzip2", "unpack it, or compress it with gzip"),
    (b"\x28\xb5\x2f\xfd", "compressed with zstd", "unpack it, or compress it with gzip"),
    (b"7z\xbc\xaf", "a 7z archive", "unpack it"),
    (b"\x89PNG", "a picture", "give a table, as CSV"),
    (b"\xff\xd8\xff", "a picture", "give a table, as CSV"),
    (b"GIF8", "a picture", "give a table, as CSV"),
    (b"\x7fELF", "a program", "give a table, as CSV"),
    (b"\x93NUMPY", "a numpy array", "give a table, as CSV"),
    (b"ARROW1", "an Arrow (Feather) file", "save it as Parquet or CSV"),
    (b"EDGEXL", "a bundle", "give the labels that it was compiled from"),
    (b"{\\rtf", "a rich text document", "save it as plain text or CSV"),
)
_HTML = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)
_MARKS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NAMES = {
    "utf-8": "UTF-8", "utf-8-sig": "UTF-8 with a byte order mark", "utf-16": "UTF-16", "utf-16-le": "UTF-16",
    "utf-16-be": "UTF-16", "utf-32": "UTF-32", "cp1252": "Windows-1252",
}  # fmt: skip
# Control characters that no text holds, in Windows-1252, too.
_CONTROLS = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")


@dataclass(frozen=True)
class Content:
    """A file's bytes, unzipped."""

    path: str
    raw: bytes
    gzipped: bool


@dataclass(frozen=True)
class Decoded:
    """A file's text, the name of its encoding, and what was decided about that, where there was a choice."""

    text: str
    encoding: str
    note: str = ""


def read_content(path: str | os.PathLike[str]) -> Content:
    """Read a file, gzipped or not. Raises `BadInput` where it cannot be read, is empty, is damaged, or is by its first
    bytes no table."""
    name = os.fspath(path)
    with open_input(path) as stream:
        gzipped = stream.peek(2)[:2] == GZIP
        try:
            raw = (gzip.GzipFile(fileobj=stream) if gzipped else stream).read(_MOST_BYTES + 1)
        except EOFError:
            raise BadInput(f"{name} ends early: the gzip file is truncated; fetch or save it again.") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise BadInput(f"{name} is not a sound gzip file ({error}); fetch or save it again.") from None
        except OSError as error:
            raise BadInput(f"{name} cannot be read: {error.strerror or error}.") from None
    if len(raw) > _MOST_BYTES:
        raise BadInput(f"{name} holds more than {_MOST_BYTES >> 30} GiB of text; split the label set.")
    if not raw:
        raise BadInput(f"{name} is empty; give a file of labels or queries.")
    _refuse_foreign(name, raw)
    return Content(name, raw, gzipped)


def _refuse_foreign(name: str, raw: bytes) -> None:
    if raw.startswith(GZIP):
        raise BadInput(f"{name} is gzipped twice; unpack it once.")
    for beginning, what, advice in _FOREIGN:
        if raw.startswith(beginning):
            raise BadInput(f"{name} is {what}, not a table of text; {advice}.")
    if _HTML.match(raw):
        raise BadInput(f"{name} is a page of HTML, not a table; download the file behind it, or save the table as CSV.")


def decode(content: Content) -> Decoded:
    """The text of a file. Raises `BadInput` where it is none, with the line."""
    raw, name = content.raw, content.path
    encoding = _find_encoding(raw)
    if encoding is None:
        try:
            return _checked(name, Decoded(raw.decode("utf-8"), _NAMES["utf-8"]))
        except UnicodeDecodeError as error:
            where = raw.count(b"\n", 0, error.start) + 1
            if _CONTROLS.search(raw) or b"\0" in raw:
                raise BadInput(f"{name}, line {where}: is not text; give a table as CSV, JSON or Parquet.") from None
            note = f"not UTF-8 in line {where}, so read as Windows-1252: look whether accents are right"
            # the five bytes that Windows-1252 leaves open are Latin-1's
            text = raw.decode("cp1252", "edgexl-latin-1")
            return _checked(name, Decoded(text, _NAMES["cp1252"], note))
    try:
        return _checked(name, Decoded(raw.decode(encoding), _NAMES[encoding]))
    except UnicodeDecodeError as error:
        line = raw[: error.start].decode(encoding, "ignore").count("\n") + 1
        raise BadInput(
            f"{name}, line {line}: is not {_NAMES[encoding]}, as its first bytes say; save the file as UTF-8."
        ) from None


def _find_encoding(raw: bytes) -> str | None:
    """The encoding that a file's first bytes tell; None where they tell none."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return encoding
    sample = raw[:4096]
    # UTF-16 without its mark: of mostly Latin text every other byte is 0
    halves = len(sample) // 2
    if halves and len(raw) % 2 == 0:
        even, odd = sample[0::2].count(0), sample[1::2].count(0)
        if odd > 0.4 * halves and not even:
            return "utf-16-le"
        if even > 0.4 * halves and not odd:
            return "utf-16-be"
    return None


def _checked(name: str, decoded: Decoded) -> Decoded:
    """Refuse a text that holds a NUL or nothing."""
    place = decoded.text.find("\0")
    if place >= 0:
        line = decoded.text.count("\n", 0, place) + 1
        raise BadInput(f"{name}, line {line}: holds a NUL, which no text does; save the file as text.")
    if not decoded.text.strip():
        raise BadInput(f"{name} holds white space alone; give a file of labels or queries.")
    return decoded


def _as_latin_1(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("edgexl-latin-1", _as_latin_1)
