"""Write a bundle: lay the sections out, hash them, and put the file in place in one step or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from edgexl.bundle.layout import ALIGNMENT, ENTRY, HEADER, MAGIC, MAJOR, MINOR, OPTIONAL, Kind, aligned
from edgexl.errors import BadInput, DeviceError


def bundle_bytes(lengths: Mapping[Kind, int]) -> int:
    """The size of the file that `write_bundle` makes of sections of these lengths."""
    end = HEADER.size + ENTRY.size * len(lengths)
    for kind in sorted(lengths):
        end = aligned(end) + lengths[kind]
    return end


def write_bundle(path: str | os.PathLike[str], sections: Mapping[Kind, bytes]) -> int:
    """Write `sections` to `path` and return the file's bytes; the same sections give the same bytes.

    The file is written under a temporary name beside `path`, synchronised, and renamed: whatever interrupts this,
    `path` holds the old file or the new one, and nothing else stays behind. Raises `BadInput` when the directory is
    missing or not writable, `DeviceError` when the disk is full.
    """
    missing = [kind.name.lower() for kind in Kind if kind not in OPTIONAL and kind not in sections]
    assert not missing, f"a bundle without {', '.join(missing)}"
    assert all(sections.values()), "a bundle with an empty section"
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as stream:
            for piece in _pieces(sections):
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
        return target.stat().st_size
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DeviceError(f"{target}: the disk is full; free some space and compile again.") from None
        raise BadInput(f"{target}: cannot be written ({error.strerror}); choose another place for it.") from None
    finally:
        temporary.unlink(missing_ok=True)


def _pieces(sections: Mapping[Kind, bytes]) -> list[bytes]:
    """The file as a list of byte strings: header, table, then zero bytes and a section in turn."""
    kinds = sorted(sections)
    end = HEADER.size + ENTRY.size * len(kinds)
    table, body = [], []
    for kind in kinds:
        content = sections[kind]
        offset = aligned(end)
        table.append(ENTRY.pack(kind, 0, offset, len(content), hashlib.sha256(content).digest(), 0))
        body += [bytes(offset - end), content]
        end = offset + len(content)
    entries = b"".join(table)
    header = HEADER.pack(MAGIC, MAJOR, MINOR, len(kinds), end, ALIGNMENT, 0, hashlib.sha256(entries).digest())
    return [header, entries, *body]
