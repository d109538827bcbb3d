"""An index is held against the very table that it is used on, whatever its sign (llama.cpp#25969, pytorch#186518)."""

from __future__ import annotations

import struct

import pytest

from edgexl.bundle.layout import Kind
from tests.attacks.conftest import Forge, refused

BEYOND = (300, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)


@pytest.mark.parametrize("label", BEYOND)
def test_a_row_of_a_label_that_is_not_there(label: int, sound: dict[Kind, bytes], forge: Forge) -> None:
    refused(forge(Kind.ROW_LABELS, (len(sound[Kind.ROW_LABELS]) - 4, "I", label)), "row_labels")


@pytest.mark.parametrize("offset", [8, 12, 16])
@pytest.mark.parametrize("token", [1 << 24, 0x80000000, 0xFFFFFFFF])
def test_special_tokens(offset: int, token: int, forge: Forge) -> None:
    refused(forge(Kind.TOKENIZER, (offset, "I", token)), "tokenizer")


def test_tokens_that_the_graph_has_no_row_for(sound: dict[Kind, bytes], forge: Forge) -> None:
    """The section is sound by itself, and its vocabulary is larger than the embedding's table: met at the query."""
    vocabulary = struct.unpack_from("<I", sound[Kind.TOKENIZER], 4)[0]
    refused(forge(Kind.PARAMETERS, (64, "I", vocabulary - 1)))


@pytest.mark.parametrize("buffer", [40, 4095, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE])
def test_an_operand_of_a_buffer_that_is_not_there(buffer: int, sound: dict[Kind, bytes], forge: Forge) -> None:
    first = 64 + 32 * struct.unpack_from("<I", sound[Kind.SCREENER_GRAPH], 4)[0]
    for operand in range(2):
        refused(forge(Kind.SCREENER_GRAPH, (first + 20 + 24 * operand, "I", buffer)), "operation 0")


@pytest.mark.parametrize("index", [8, 31, 32, 64, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_buffer_of_a_port_that_is_not_there(index: int, sound: dict[Kind, bytes], forge: Forge) -> None:
    content = sound[Kind.SCREENER_GRAPH]
    for number in range(struct.unpack_from("<I", content, 4)[0]):
        refused(forge(Kind.SCREENER_GRAPH, (64 + 32 * number + 4, "I", index)), "plan")
