"""The most frequent words of a language, out of the word lists of the package wordfreq (CC BY-SA 4.0), which 40 of the
web's and books' languages have. They say which word pieces a vocabulary keeps, and go into no bundle."""

from __future__ import annotations

import gzip
import struct
import zipfile
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.fetch import Package, fetch

PACKAGE = Package(
    client="pip",
    name="wordfreq",
    version="3.1.1",
    file_name="wordfreq-3.1.1-py3-none-any.whl",
    sha256="4b1c6ecffc6198be3396d5cf871c4423ca71c907c231348d352dd54d62b97473",
)
_FOLDER = "wordfreq/data/"


def read_frequent_words(language: str, count: int) -> list[str]:
    """The `count` most frequent words of a language by its code ("de"), the most frequent first; fewer where the
    package lists fewer. Raises `BadInput` where it has none of that language, or cannot be fetched."""
    with zipfile.ZipFile(fetch(PACKAGE)) as wheel:
        names = [name.removeprefix(_FOLDER) for name in wheel.namelist() if name.startswith(_FOLDER)]
        lists = {name.removesuffix(".msgpack.gz") for name in names if name.endswith(".msgpack.gz")}
        size = next((size for size in ("large", "small") if f"{size}_{language}" in lists), None)
        if size is None:
            known = sorted({name.partition("_")[2] for name in lists if name.startswith(("large_", "small_"))})
            raise BadInput(f"There is no word list of the language '{language:.20}'; there are {', '.join(known)}.")
        content = gzip.decompress(wheel.read(f"{_FOLDER}{size}_{language}.msgpack.gz"))
    words: list[str] = []
    # a header, then for each centibel of frequency the words that have it
    for each in _read_value(content, 0)[0][1:]:
        words += each
        if len(words) >= count:
            break
    return words[:count]


def _read_value(content: bytes, at: int) -> tuple[Any, int]:
    """A value of MessagePack, of the kinds that the lists have (text, lists, small numbers, tables), and its end."""
    kind = content[at]
    if kind < 0x80:
        return kind, at + 1
    if kind < 0x90:
        pairs, at = _read_values(content, at + 1, 2 * (kind & 15))
        return dict(zip(pairs[::2], pairs[1::2], strict=True)), at
    if kind < 0xA0:
        return _read_values(content, at + 1, kind & 15)
    if kind < 0xC0:
        return _read_text(content, at + 1, kind & 31)
    if kind in (0xD9, 0xDA, 0xDB):
        wide = 1 << kind - 0xD9
        return _read_text(content, at + 1 + wide, int.from_bytes(content[at + 1 : at + 1 + wide], "big"))
    if kind in (0xDC, 0xDD):
        form = struct.Struct(">H" if kind == 0xDC else ">I")
        return _read_values(content, at + 1 + form.size, form.unpack_from(content, at + 1)[0])
    raise BadInput(f"{PACKAGE} holds a word list of an unknown form.")


def _read_values(content: bytes, at: int, count: int) -> tuple[list[Any], int]:
    found = []
    for _ in range(count):
        value, at = _read_value(content, at)
        found.append(value)
    return found, at


def _read_text(content: bytes, at: int, length: int) -> tuple[str, int]:
    return content[at : at + length].decode(), at + length
