"""Offset and length lie within what they point into, sum and all (CVE-2026-7482, executorch#22118, #19453)."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import pytest

from edgexl.base.errors import EdgexlError
from edgexl.bundle.layout import Kind
from edgexl.runtime.binding import open_bundle
from tests.attacks.conftest import Forge, refused

PAST = (1 << 20, 1 << 31, (1 << 32) - 1, 1 << 63, (1 << 64) - 64, (1 << 64) - 1)


@pytest.mark.parametrize("offset", PAST)
@pytest.mark.parametrize("field", [48, 56])
def test_a_tensors_data(field: int, offset: int, forge: Forge) -> None:
    refused(forge(Kind.SCREENER_WEIGHTS, (16 + field, "Q", offset)), "weight")


@pytest.mark.parametrize("offset", [1 << 20, 1 << 31, (1 << 32) - 1])
@pytest.mark.parametrize("field", [0, 4])
def test_a_tensors_name(field: int, offset: int, forge: Forge) -> None:
    refused(forge(Kind.SCREENER_WEIGHTS, (16 + field, "I", offset)), "weight")


@pytest.mark.parametrize("field", [8, 16])
@pytest.mark.parametrize("place", PAST)
def test_a_section(field: int, place: int, forge: Forge, tmp_path: Path) -> None:
    path = forge(Kind.MANIFEST)
    content = bytearray(path.read_bytes())
    struct.pack_into("<Q", content, 64 + 64 + field, place)
    count = struct.unpack_from("<I", content, 12)[0]
    content[32:64] = hashlib.sha256(content[64 : 64 + 64 * count]).digest()
    path.write_bytes(content)
    refused(path, "does not lie where it must")


@pytest.mark.parametrize("offset", [64, 1 << 30, (1 << 32) - 64, 1 << 63, (1 << 64) - (1 << 20)])
def test_a_buffer_of_the_arena(offset: int, sound: dict[Kind, bytes], forge: Forge) -> None:
    content = sound[Kind.SCREENER_GRAPH]
    arena = struct.unpack_from("<Q", content, 32)[0]
    places = [64 + 32 * i for i in range(struct.unpack_from("<I", content, 4)[0])]
    of_arena = [place for place in places if struct.unpack_from("<I", content, place)[0] == 0]
    assert of_arena
    for place in of_arena:
        refused(forge(Kind.SCREENER_GRAPH, (place + 16, "Q", (arena + offset) % (1 << 64))), "plan")


@pytest.mark.parametrize("block", [0, 1, 2])
@pytest.mark.parametrize("offset", [1 << 16, 1 << 31, (1 << 32) - 1])
def test_a_block_of_strings(block: int, offset: int, forge: Forge) -> None:
    path = forge(Kind.LABEL_TEXTS, (2336 + 4 * block, "I", offset))
    with pytest.raises(EdgexlError):
        read_texts(path)


def read_texts(path: Path) -> list[str]:
    with open_bundle(path) as bundle:
        return [bundle.label_text(label) for label in range(300)]
