"""A rank is held against its limit before it is used, and cannot grow later (tensorflow#124982, onnxruntime#28175)."""

from __future__ import annotations

import struct

import pytest

from edgexl.bundle.layout import Kind
from tests.attacks.conftest import Forge, refused


@pytest.mark.parametrize("rank", [5, 8, 255, 1 << 16, 1 << 31, 0xFFFFFFFF])
def test_of_a_tensor(rank: int, forge: Forge) -> None:
    refused(forge(Kind.SCREENER_WEIGHTS, (16 + 12, "I", rank)), "weight")


@pytest.mark.parametrize("power", [1 << 28, 2 << 28, 3 << 28, 1 << 30, 2 << 30, 3 << 30, 15 << 28])
def test_a_size_that_grows_faster_than_its_buffer(power: int, sound: dict[Kind, bytes], forge: Forge) -> None:
    """Sizes are polynomials in the text's length T and the shortlist's N: a power more leads out of the buffer."""
    content = sound[Kind.REASONER_GRAPH]
    first = 64 + 32 * struct.unpack_from("<I", content, 4)[0]
    refusals = 0
    for operation in range(struct.unpack_from("<I", content, 8)[0]):
        for axis in range(4):
            at = first + 176 * operation + 4 + 4 * axis
            size = struct.unpack_from("<I", content, at)[0]
            if size & 0xF0000000 == 0 and size > 1:
                refused(forge(Kind.REASONER_GRAPH, (at, "I", size | power)), "plan")
                refusals += 1
    assert refusals > 3
