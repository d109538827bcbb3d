"""No count leads behind the end of an array, of the file's or of the library's own (llama.cpp#25821)."""

from __future__ import annotations

import pytest

from edgexl.base.errors import EdgexlError
from edgexl.bundle.layout import Kind
from edgexl.runtime.binding import open_bundle
from tests.attacks.conftest import Forge, refused

MANY = (65, 4097, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF)


@pytest.mark.parametrize("count", MANY)
def test_of_tensors(count: int, forge: Forge) -> None:
    refused(forge(Kind.SCREENER_WEIGHTS, (0, "I", count)), "weight")


@pytest.mark.parametrize("offset", [4, 8, 12])
@pytest.mark.parametrize("count", MANY)
def test_of_a_plans_records(offset: int, count: int, forge: Forge) -> None:
    refused(forge(Kind.REASONER_GRAPH, (offset, "I", count)), "plan")


@pytest.mark.parametrize("offset", [0, 8, 12])
@pytest.mark.parametrize("count", MANY)
def test_of_strings(offset: int, count: int, forge: Forge) -> None:
    refused(forge(Kind.LABEL_TEXTS, (offset, "I", count)), "label_texts")


@pytest.mark.parametrize("offset", [4, 20, 24, 28, 32, 36, 40, 48, 52, 56])
@pytest.mark.parametrize("count", MANY[2:])
def test_of_the_tokenizer(offset: int, count: int, forge: Forge) -> None:
    refused(forge(Kind.TOKENIZER, (offset, "I", count)), "tokenizer")


@pytest.mark.parametrize("count", [255, *MANY])
def test_of_knots_of_the_calibration(count: int, forge: Forge) -> None:
    refused(forge(Kind.CALIBRATION, (4 * 9, "I", count)), "calibration")


@pytest.mark.parametrize("count", MANY)
def test_of_goldens(count: int, forge: Forge) -> None:
    with pytest.raises(EdgexlError), open_bundle(forge(Kind.GOLDENS, (0, "I", count), (4, "I", count))) as bundle:
        bundle.self_test()
