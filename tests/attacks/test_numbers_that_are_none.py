"""NaN, infinity and denormal scales are refused, or the answer is finite: a probability is from 0 to 1."""

from __future__ import annotations

import contextlib
import math
import struct

import pytest

from edgexl.base.errors import EdgexlError
from edgexl.bundle.layout import Kind
from tests.attacks.conftest import Forge, answers

WORDS = (0x7FC00000, 0xFFFFFFFF, 0x7F800000, 0xFF800000, 1, 0x007FFFFF, 0x7F7FFFFF)


@pytest.mark.parametrize("word", WORDS, ids=hex)
@pytest.mark.parametrize("kind", [Kind.SCREENER_WEIGHTS, Kind.REASONER_WEIGHTS, Kind.CODEBOOK, Kind.FINE_CODES])
def test_everywhere(kind: Kind, word: int, sound: dict[Kind, bytes], forge: Forge) -> None:
    content = sound[kind]
    begin = min(len(content), 1024 if kind in (Kind.SCREENER_WEIGHTS, Kind.REASONER_WEIGHTS) else 0) // 4 * 4
    filled = content[:begin] + struct.pack("<I", word) * ((len(content) - begin) // 4)
    with contextlib.suppress(EdgexlError):
        for label in answers(forge(kind, filled + content[len(filled) :])).labels:
            assert 0 <= label.probability <= 1
            assert math.isfinite(label.logit)


@pytest.mark.parametrize("word", WORDS[:4], ids=hex)
@pytest.mark.parametrize("offset", [104, 116, 120, 124, 128, 132])
def test_of_parameters(offset: int, word: int, forge: Forge) -> None:
    with pytest.raises(EdgexlError):
        answers(forge(Kind.PARAMETERS, (offset, "I", word)))
