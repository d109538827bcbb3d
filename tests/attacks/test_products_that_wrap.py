"""A product of dimensions that wraps 64 bits is refused, whatever it wraps to (llama.cpp#18674, #19856, #26318)."""

from __future__ import annotations

import pytest

from edgexl.bundle.layout import Kind
from tests.attacks.conftest import Forge, refused

RANK, DIMS = 16 + 12, 16 + 16  # of the first tensor


@pytest.mark.parametrize(
    "shape",
    [
        (1 << 32, 1 << 32, 1, 1),  # 2^64: 0
        (1 << 62, 4, 1, 1),
        ((1 << 63) + 16, 2, 1, 1),  # 32
        (0xFFFFFFFFFFFFFFFF, 1, 1, 1),  # a byte less than nothing, once padded
        (0xFFFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF, 1, 1),  # 1
        (0, 1, 1, 1),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [Kind.SCREENER_WEIGHTS, Kind.REASONER_WEIGHTS])
def test_of_a_weight(shape: tuple[int, ...], kind: Kind, forge: Forge) -> None:
    refused(forge(kind, (RANK, "I", 4), *((DIMS + 8 * axis, "Q", size) for axis, size in enumerate(shape))), "weight")


@pytest.mark.parametrize(("offset", "number"), [(8, 1 << 31), (12, 0x7FFFFFFF), (16, 4096), (20, 256), (24, 64)])
def test_of_the_index(offset: int, number: int, forge: Forge) -> None:
    refused(forge(Kind.PARAMETERS, (offset, "I", number)))


@pytest.mark.parametrize(
    ("offset", "number"), [(4, 300), (8, 0xFFFFFFFF), (12, 0xFFFFFFFF), (16, 1 << 31), (20, 0xFFFFFFFF)]
)
def test_of_the_lexical_side(offset: int, number: int, forge: Forge) -> None:
    refused(forge(Kind.LEXICAL, (offset, "I", number)), "lexical")
