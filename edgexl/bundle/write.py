"""Write a bundle: lay the sections out, hash them, and put the file in place in one step or not at all."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from edgexl.base.files import refuse_writing, write_file
from edgexl.bundle.layout import ALIGNMENT, ENTRY, HEADER, MAGIC, MAJOR, MINOR, OPTIONAL, Kind, align

# A section's bytes, or the file that holds them: those of an index of millions of rows need not be in memory.
Section = bytes | Path
_PIECE_BYTES = 1 << 20


def bundle_bytes(lengths: Mapping[Kind, int]) -> int:
    """The size of the file that `write_bundle` makes of sections of these lengths."""
    end = HEADER.size + ENTRY.size * len(lengths)
    for kind in sorted(lengths):
        end = align(end) + lengths[kind]
    return end


def write_bundle(path: str | os.PathLike[str], sections: Mapping[Kind, Section]) -> int:
    """Write `sections` to `path` and return the file's bytes; the same sections give the same bytes. A section may be a
    file, which is copied in pieces.

    The file is written under a temporary name beside `path`, synchronised, and renamed: whatever interrupts this,
    `path` holds the old file or the new one, and nothing else stays behind. Raises `BadInput` when the directory is
    missing or not writable, `DeviceError` when the disk is full.
    """
    missing = [kind.name.lower() for kind in Kind if kind not in OPTIONAL and kind not in sections]
    assert not missing, f"a bundle without {', '.join(missing)}"
    assert all(map(section_bytes, sections.values())), "a bundle with an empty section"
    with write_file(path) as stream:
        _write(stream, sections)
    return bundle_bytes({kind: section_bytes(section) for kind, section in sections.items()})


@contextmanager
def trial_bundle(out: Path, sections: Mapping[Kind, Section]) -> Iterator[Path]:
    """The path of a bundle of `sections` in a directory of its own beside `out`, both gone afterwards. Raises as
    `write_bundle` does."""
    try:
        folder = tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.")
    except OSError as error:
        raise refuse_writing(out, error) from None
    with folder:
        path = Path(folder.name) / out.name
        write_bundle(path, sections)
        yield path


def section_bytes(section: Section) -> int:
    """A section's length."""
    return section.stat().st_size if isinstance(section, Path) else len(section)


def _write(stream: BinaryIO, sections: Mapping[Kind, Section]) -> None:
    """The body first, zero bytes and a section in turn; then, in the place left for them, header and table."""
    kinds = sorted(sections)
    end = HEADER.size + ENTRY.size * len(kinds)
    stream.write(bytes(end))
    table = []
    for kind in kinds:
        offset, digest, length = align(end), hashlib.sha256(), 0
        stream.write(bytes(offset - end))
        for piece in _pieces(sections[kind]):
            stream.write(piece)
            digest.update(piece)
            length += len(piece)
        table.append(ENTRY.pack(kind, 0, offset, length, digest.digest(), 0))
        end = offset + length
    entries = b"".join(table)
    stream.seek(0)
    stream.write(HEADER.pack(MAGIC, MAJOR, MINOR, len(kinds), end, ALIGNMENT, 0, hashlib.sha256(entries).digest()))
    stream.write(entries)


def _pieces(section: Section) -> Iterator[bytes]:
    if not isinstance(section, Path):
        yield section
        return
    with open(section, "rb") as stream:
        while piece := stream.read(_PIECE_BYTES):
            yield piece
