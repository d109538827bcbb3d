"""Patch files, `.exlp`: what makes a new bundle of an old one (docs/updates.md). The contents are coded by
`edgexl/runtime/private/patch_writer.h` and read by the runtime alone; here are the header and the blocks around them.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass

import numpy as np

from edgexl.base.arrays import Bytes
from edgexl.base.errors import BadInput
from edgexl.base.files import open_input
from edgexl.bundle.layout import ENTRY, Kind
from edgexl.bundle.layout import HEADER as BUNDLE_HEADER
from edgexl.bundle.read import Bundle

MAGIC = b"\x89EXP\r\n\x1a\n"
MAJOR, MINOR = 1, 0
BLOCK_BYTES = 65536
# magic, major, minor, block bytes, patch bytes, old bytes, new bytes, code bytes of old and new, then SHA-256 of old's
# and new's header and section table, and of the first block
HEADER = struct.Struct("<8sHHIQQQII16x32s32s32s")
# Rows of coarse codes that lie interleaved, and the most bytes of one.
_TURNED_ROWS, _MOST_CODE_BYTES = 256, 128
assert HEADER.size == 160


@dataclass(frozen=True)
class PatchHeader:
    """What a patch says of itself: lengths in bytes, and the SHA-256 of each bundle's header and section table."""

    patch_bytes: int
    old_bytes: int
    new_bytes: int
    old_sha256: bytes
    new_sha256: bytes


def read_patch_header(path: str | os.PathLike[str]) -> PatchHeader:
    """The header of the patch at `path`. Raises `BadInput` where it is no patch that this version reads."""
    place = os.fspath(path)
    with open_input(path) as stream:
        head, length = stream.read(HEADER.size), os.fstat(stream.fileno()).st_size
    if head[:8] != MAGIC or len(head) < HEADER.size:
        raise BadInput(f"{place} is not an edgexl patch.")
    _, major, _, _, patch_bytes, old_bytes, new_bytes, _, _, old, new, _ = HEADER.unpack(head)
    if major != MAJOR:
        raise BadInput(f"{place} is a patch of version {major}, which this edgexl does not read; use a newer one.")
    if patch_bytes != length:
        raise BadInput(f"{place} has {length} bytes where its header says {patch_bytes}; fetch it again.")
    return PatchHeader(patch_bytes, old_bytes, new_bytes, old, new)


def is_patch(path: str | os.PathLike[str]) -> bool:
    """Whether the file at `path` begins as a patch does. Raises `BadInput` where it cannot be read."""
    with open_input(path) as stream:
        return stream.read(len(MAGIC)) == MAGIC


def read_signed_bytes(path: str | os.PathLike[str]) -> bytes:
    """What is signed of the patch at `path`: its header, which vouches for every byte. Raises `BadInput`."""
    read_patch_header(path)
    with open_input(path) as stream:
        return stream.read(HEADER.size)


def check_blocks(path: str | os.PathLike[str]) -> None:
    """Check every byte of the patch at `path` against its header. Raises `BadInput` where one was changed."""
    read_patch_header(path)
    with open_input(path) as stream:
        (*_, expected) = HEADER.unpack(stream.read(HEADER.size))
        while block := stream.read(BLOCK_BYTES):
            if hashlib.sha256(block).digest() != expected:
                raise BadInput(f"{os.fspath(path)} is damaged; fetch it again.")
            expected = block[:32]


def identity(bundle: Bundle) -> bytes:
    """SHA-256 of a bundle's header and section table, which say what every byte of it is, a stored signature's too."""
    sections = BUNDLE_HEADER.unpack_from(bundle.data)[3]
    return hashlib.sha256(bundle.data[: BUNDLE_HEADER.size + ENTRY.size * sections]).digest()


def code_bytes(bundle: Bundle) -> int:
    """Bytes of a row of coarse codes, where a patch takes these row by row; else 0."""
    bytes_a_row = bundle.parameters.subspaces // 2
    return bytes_a_row if bytes_a_row <= _MOST_CODE_BYTES else 0


def turn(bundle: Bundle) -> Bytes:
    """The file's bytes with the coarse codes of each block of 256 rows row by row: a row that is new then moves the
    rows behind it, and leaves their bytes together."""
    turned = np.array(bundle.data, np.uint8)
    wide = code_bytes(bundle)
    for entry in bundle.entries:
        if entry.kind == Kind.COARSE_CODES and wide:
            codes = turned[entry.offset : entry.offset + entry.length]
            codes[:] = codes.reshape(-1, wide, _TURNED_ROWS).transpose(0, 2, 1).reshape(-1)
    return turned


def pack_patch(old: Bundle, new: Bundle, contents: bytes) -> bytes:
    """The file: header, and `contents` in blocks, each of which begins with the SHA-256 of the one behind it."""
    room = BLOCK_BYTES - 32
    pieces = [contents[at : at + room] for at in range(0, len(contents), room)]
    blocks, following = [], bytes(32)
    for piece in reversed(pieces):
        blocks.append(following + piece)
        following = hashlib.sha256(blocks[-1]).digest()
    length = HEADER.size + sum(map(len, blocks))
    sizes = (length, old.file_bytes, new.file_bytes, code_bytes(old), code_bytes(new))
    head = HEADER.pack(MAGIC, MAJOR, MINOR, BLOCK_BYTES, *sizes, identity(old), identity(new), following)
    return b"".join((head, *reversed(blocks)))
