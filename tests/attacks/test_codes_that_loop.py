"""Strings that lead to each other, and tables without a free slot, end a look-up: it never goes round."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from edgexl.base.errors import EdgexlError
from edgexl.bundle.layout import Kind
from edgexl.runtime.binding import open_bundle
from tests.attacks.conftest import Forge, refused


def read_all(path: Path) -> int:
    """How many of a bundle's texts are refused."""
    with open_bundle(path, engine=False) as bundle:
        wrong = 0
        for label in range(300):
            try:
                bundle.label_text(label)
            except EdgexlError:
                wrong += 1
        return wrong


@pytest.mark.parametrize("byte", [0xF0, 0xFF, 0x0F, 0x10])
def test_strings_that_share_more_than_there_is(byte: int, sound: dict[Kind, bytes], forge: Forge) -> None:
    """The first string of each block shares with one before it, and every other with what is not there."""
    content = sound[Kind.LABEL_TEXTS]
    blocks = -(-300 // 64)
    data = 2340 + 4 * blocks
    starts = struct.unpack_from(f"<{blocks}I", content, 2336)
    assert read_all(forge(Kind.LABEL_TEXTS, *((data + start, "B", byte) for start in starts))) > 0
    filled = content[:data] + bytes([byte]) * (len(content) - data)
    assert read_all(forge(Kind.LABEL_TEXTS, filled)) > 0


@pytest.mark.parametrize("entry", [1, 0xFF000001])
def test_a_tokenizers_table_without_a_free_slot(entry: int, sound: dict[Kind, bytes], forge: Forge) -> None:
    content = sound[Kind.TOKENIZER]
    heads, _, tails = struct.unpack_from("<III", content, 24)
    assert content.count(struct.pack("<I", 0)) > 0
    for slots in (heads, tails):
        place = find_slots(content, slots)
        full = content[:place] + struct.pack("<I", entry) * slots + content[place + 4 * slots :]
        refused(forge(Kind.TOKENIZER, full), "tokenizer")


def find_slots(content: bytes, slots: int) -> int:
    """Where the table of so many slots lies: its array has that many words, behind pages, expansions and items."""
    heads = struct.unpack_from("<I", content, 24)[0]
    pages, expansions, items = struct.unpack_from("<I", content, 40)[0], *struct.unpack_from("<HH", content, 44)
    place = 64 + 2 * 8704
    place += 256 * pages
    place += -(-2 * (expansions + 1) // 4) * 4
    place += 4 * items
    return place if slots == heads else place + 4 * heads
