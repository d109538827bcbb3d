"""The three standard streams of the process, whatever state it was started in.

A stream may be closed, its encoding may not know a label's letters, and the disk behind it may be full: none of this
may end in a traceback, lose what a command has done, or change what its exit status says.
"""

from __future__ import annotations

import codecs
import contextlib
import os
import re
import sys
from typing import TextIO

from edgexl.base.errors import DeviceError

# What a terminal acts on instead of showing it: control characters, line ends of all kinds, and what turns the
# direction of the text around it. Halves of surrogate pairs stand for bytes of an argument that are no text.
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]")
_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


class OutputError(DeviceError):
    """Standard output cannot be written, as on a full disk. What a command has changed by then stays changed."""


def prepare_streams() -> bool:
    """At the start of a program: closed streams lead nowhere, and what an encoding lacks is escaped.

    Gives False where standard output is closed, so that all that is printed is lost.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # or the next file to be opened would get this number, and all that is printed
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    return sys.stdout is not None


def print_line(text: str = "", err: bool = False) -> None:
    """Print one line, with all that is not to be seen as escapes, and what the encoding lacks.

    Raises `OutputError` where standard output cannot be written; what standard error cannot take is lost.
    """
    write_line(printable(text), err)


def write_line(line: str, err: bool = False) -> None:
    """Print a line that holds nothing unseen, as `print_line` does."""
    stream = sys.stderr if err else sys.stdout
    if stream is None:
        return
    encoding = stream.encoding or "utf-8"
    line = line.encode(encoding, "backslashreplace").decode(encoding)
    try:
        stream.write(line + "\n")
        stream.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        if err:
            lead_nowhere(stream)
            return
        lead_nowhere(stream)
        raise OutputError(
            f"standard output cannot be written ({error.strerror}); what the command has changed stays changed"
        ) from None


def printable(text: str) -> str:
    """The text on one line: what a terminal would act on becomes an escape, such as \\x1b or \\u202e."""
    return _UNSEEN.sub(_escape, text)


def printable_json(document: str) -> str:
    """The same for a JSON document, whose escapes keep its meaning."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def takes_unicode(stream: TextIO | None) -> bool:
    """Whether a stream's encoding has all characters."""
    try:
        return stream is None or codecs.lookup(stream.encoding or "utf-8").name.startswith("utf")
    except LookupError:
        return False


def lead_nowhere(stream: TextIO) -> None:
    """Let the interpreter's last flush go nowhere: it would fail again, and change the exit status."""
    with contextlib.suppress(OSError, ValueError):  # ValueError: no real file
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no text
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
