"""A value is used as the type that it has, or refused: never cast (llama.cpp#26690)."""

from __future__ import annotations

import pytest

from edgexl.bundle.layout import Kind
from tests.attacks.conftest import Forge, refused


@pytest.mark.parametrize("element_type", [0, 2, 3, 6, 7, 10, 11, 0xFFFFFFFF])
@pytest.mark.parametrize("kind", [Kind.SCREENER_WEIGHTS, Kind.REASONER_WEIGHTS])
def test_a_weight_of_another_type(element_type: int, kind: Kind, forge: Forge) -> None:
    refused(forge(kind, (16 + 8, "I", element_type)))


@pytest.mark.parametrize("offset", range(64 + 8, 64 + 8 + 3 * 32, 32))
def test_a_buffer_of_another_type(offset: int, forge: Forge) -> None:
    for element_type in (0, 2, 10, 0xFFFFFFFF):
        refused(forge(Kind.SCREENER_GRAPH, (offset, "I", element_type)), "plan")
