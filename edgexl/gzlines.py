"""Gzipped JSON lines, the one container of label sets, queries and data sets. Traces may also come unzipped (*.jsonl).

Written deterministically (no file name and no time in the gzip header) and atomically (temporary name in the same
directory, then `os.replace`); read as a stream, and every way in which such a file can be damaged is one `BadInput`
sentence that names the file and the line.
"""

from __future__ import annotations

import gzip
import json
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from edgexl.errors import BadInput

# zlib's default level. 9 gains under 2 % on these texts and takes twice the time.
_LEVEL = 6


def encode_line(record: dict[str, Any]) -> bytes:
    """The canonical bytes of one record: compact JSON in UTF-8, keys in the order given, one newline at the end."""
    return json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def is_unicode(text: str) -> bool:
    """Whether a text can be UTF-8. JSON's escapes can smuggle half of a surrogate pair in, which cannot."""
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def write_lines(path: str | os.PathLike[str], records: Iterable[dict[str, Any]]) -> None:
    """Write `records` to `path` as gzipped JSON lines; the same records give the same bytes."""
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as raw, gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as stream:
            for record in records:
                stream.write(encode_line(record))
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number from 1, record) for each line of a gzipped JSON lines file; blank lines are passed over.

    A file named *.jsonl is read as it is. Raises `BadInput` where the file cannot be opened, is not gzip, ends early,
    or has a line that is not a JSON object.
    """
    number = 0
    try:
        with open(path, "rb") if str(path).endswith(".jsonl") else gzip.open(path, "rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.isspace():
                    continue
                try:
                    record = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise BadInput(
                        f"{path}, line {number}: not valid JSON ({error}); correct or remove the line."
                    ) from None
                if not isinstance(record, dict):
                    raise BadInput(f"{path}, line {number}: expected a JSON object, found {type(record).__name__}.")
                yield number, record
    except FileNotFoundError:
        raise BadInput(f"{path} does not exist.") from None
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
