"""Reads label files: what was added to a bundle's label set, and retired from it, after the compile (docs/format.md).

Only the runtime writes them, for only it has the screener. This reader needs no bundle: it can tell what a label file
holds whose bundle was compiled anew or lost, so that its labels can be added again.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.errors import BadInput
from edgexl.base.files import open_input

SUFFIX = ".labels"
MAGIC = b"\x89ELB\r\n\x1a\n"
MAJOR = 1
HEADER = struct.Struct("<8sHHIII8x32s32s32s")
COMMIT = struct.Struct("<QQ32s16s")
OPERATION = struct.Struct("<IIIIII")
COMMITS_AT, OPERATIONS_AT = 128, 256
_COMMIT_PLACES = (COMMITS_AT, COMMITS_AT + COMMIT.size)
ADD, RETIRE, RETIRE_OVERLAID = 1, 2, 3
assert HEADER.size == COMMITS_AT
assert COMMITS_AT + 2 * COMMIT.size == OPERATIONS_AT


@dataclass(frozen=True)
class Operation:
    """One of a label file's, or of an overlay's: its kind, the label's number, the rows with their codes, and the
    label's id, text and aliases, or the id alone of one that is retired from overlays."""

    kind: int
    index: int
    rows: int
    codes: bytes
    strings: tuple[str, ...]

    def split_codes(self, coarse_bytes: int, fine_bytes: int) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
        """The coarse and the fine codes [rows]."""
        fine = self.codes[self.rows * coarse_bytes :]
        return (
            tuple(self.codes[row * coarse_bytes : (row + 1) * coarse_bytes] for row in range(self.rows)),
            tuple(fine[row * fine_bytes : (row + 1) * fine_bytes] for row in range(self.rows)),
        )


@dataclass(frozen=True)
class AddedLabel:
    """A label that was added: its index, what it was given, and the codes [1 + aliases] of its rows."""

    index: int
    id: str
    text: str
    aliases: tuple[str, ...]
    retired: bool
    coarse: tuple[bytes, ...]
    fine: tuple[bytes, ...]


@dataclass(frozen=True)
class LabelFile:
    """`labels` is how many the bundle has; `retired_compiled` are those of them that are not in the set any more, and
    `retired_overlaid` the ids of labels that are retired from overlays."""

    labels: int
    bundle_sha256: bytes
    label_set_sha256: bytes
    generation: int
    added: tuple[AddedLabel, ...]
    retired_compiled: tuple[int, ...]
    retired_overlaid: tuple[str, ...] = ()


def label_file_of(bundle: str | os.PathLike[str]) -> Path:
    """Where a bundle's label file is by default."""
    return Path(f"{os.fspath(bundle)}{SUFFIX}")


def read_label_file(path: str | os.PathLike[str]) -> LabelFile:
    """Read and check a label file. Raises `BadInput` where it is not there, or not exactly well formed."""
    return _read_from(_content(path), path)


def read_label_file_if_any(path: str | os.PathLike[str]) -> LabelFile | None:
    """The same, or None where there is none yet: nothing by that name, or an empty file, as a first change that is
    refused leaves behind."""
    data = _content(path) if os.path.lexists(path) else b""
    return _read_from(data, path) if data else None


def _content(path: str | os.PathLike[str]) -> bytes:
    """What the commits promise of a file, or its beginning where it is no label file, whatever its size."""
    with open_input(path) as stream:
        try:
            head = stream.read(OPERATIONS_AT)
            if len(head) < OPERATIONS_AT or head[:8] != MAGIC:
                return head
            ends = [COMMIT.unpack_from(head, place)[1] for place in _COMMIT_PLACES if _is_whole(head, place)]
            length = os.fstat(stream.fileno()).st_size
            return head + stream.read(max(0, min(length, max(ends, default=0)) - len(head)))
        except (OSError, MemoryError) as error:
            raise BadInput(f"{os.fspath(path)} cannot be read: {error or 'it does not fit into memory'}.") from None


def _is_whole(data: bytes, place: int) -> bool:
    """Whether the commit at `place` was written to its end."""
    check: bytes = COMMIT.unpack_from(data, place)[3]
    return hashlib.sha256(data[:COMMITS_AT] + data[place : place + 48]).digest()[:16] == check


def _read_from(data: bytes, path: str | os.PathLike[str]) -> LabelFile:
    try:
        return _read(data)
    except BadInput as error:
        raise BadInput(f"{os.fspath(path)} {error}") from None


def _read(data: bytes) -> LabelFile:
    if data[:8] != MAGIC:
        raise BadInput("is not a label file.")
    if len(data) < OPERATIONS_AT:
        raise BadInput("ends inside its header; copy it again.")
    _, major, _, labels, code_bytes, fine_bytes, bundle, label_set, check = HEADER.unpack_from(data)
    if major > MAJOR:
        raise BadInput(f"is of format version {major}, which this edgexl does not read; use a newer one.")
    if major != MAJOR or check != hashlib.sha256(data[:96]).digest():
        raise BadInput("has a damaged header; copy it again.")
    generation, end = _newest_commit(data)
    added: list[AddedLabel] = []
    retired: list[int] = []
    overlaid: dict[str, None] = {}
    for operation in read_operations(data, OPERATIONS_AT, end, code_bytes + fine_bytes):
        if operation.kind == RETIRE:
            _retire(operation.index, labels, added, retired)
        elif operation.kind == RETIRE_OVERLAID:
            overlaid[operation.strings[0]] = None
        elif operation.index != labels + len(added):
            raise BadInput(f"numbers a label {operation.index} where {labels + len(added)} is due.")
        else:
            uid, text, *aliases = operation.strings
            codes = operation.split_codes(code_bytes, fine_bytes)
            added.append(AddedLabel(operation.index, uid, text, tuple(aliases), False, *codes))
    return LabelFile(labels, bundle, label_set, generation, tuple(added), tuple(retired), tuple(overlaid))


def _newest_commit(data: bytes) -> tuple[int, int]:
    """(generation, where its operations end) of the newest commit that is whole and whose operations are there."""
    found = (0, 0)
    for place in _COMMIT_PLACES:
        generation, end, digest, _ = COMMIT.unpack_from(data, place)
        there = OPERATIONS_AT <= end <= len(data) and end % 8 == 0
        if _is_whole(data, place) and there and hashlib.sha256(data[OPERATIONS_AT:end]).digest() == digest:
            found = max(found, (generation, end))
    if found == (0, 0):
        raise BadInput("is damaged: it does not hold what it has committed; copy it again.")
    return found


def pack_added(index: int, strings: Sequence[str], coarse: Sequence[bytes], fine: Sequence[bytes]) -> bytes:
    """The operation that adds a label: its id, text and aliases, and the codes [1 + aliases] of its rows."""
    content = b"".join((*coarse, *fine))
    texts = b"".join(text.encode() + b"\0" for text in strings)
    used = OPERATION.size + len(content) + len(texts)
    size = (used + 7) // 8 * 8
    return OPERATION.pack(ADD, size, index, len(coarse), len(texts), 0) + content + texts + bytes(size - used)


def read_operations(data: bytes, at: int, end: int, row_bytes: int) -> Iterator[Operation]:
    """The operations from `at` to `end`. Raises `BadInput` at the first that is not well formed."""
    while at < end:
        if end - at < OPERATION.size:
            raise BadInput(f"breaks the format's rules at byte {at}.")
        kind, size, index, rows, string_bytes, reserved = OPERATION.unpack_from(data, at)
        strings_at = at + OPERATION.size + rows * row_bytes
        used = strings_at + string_bytes
        texts = data[strings_at:used].split(b"\0")
        expected = {ADD: rows + 1 if rows else -1, RETIRE: 0, RETIRE_OVERLAID: -1 if rows or index else 1}
        sound = (
            size == (used - at + 7) // 8 * 8
            and at + size <= end
            and reserved == 0
            and not any(data[used : at + size])
            and len(texts) - 1 == expected.get(kind, -1)
            and not texts[-1]
            and (rows == 0 or kind == ADD)
            and all(0 < len(text) <= 65535 for text in texts[:-1])
        )
        if not sound:
            raise BadInput(f"breaks the format's rules at byte {at}.")
        try:
            strings = tuple(text.decode("utf-8") for text in texts[:-1])
        except UnicodeDecodeError:
            raise BadInput(f"holds a text at byte {at} that is not UTF-8.") from None
        yield Operation(kind, index, rows, data[at + OPERATION.size : strings_at], strings)
        at += size


def _retire(index: int, labels: int, added: list[AddedLabel], retired: list[int]) -> None:
    place = index - labels
    if index in retired or place >= len(added) or (place >= 0 and added[place].retired):
        raise BadInput(f"retires label {index}, which is not in the set.")
    if place < 0:
        retired.append(index)
    else:
        old = added[place]
        added[place] = AddedLabel(index, old.id, old.text, old.aliases, True, old.coarse, old.fine)
