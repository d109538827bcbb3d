"""No operation writes where it reads: what it writes shares no byte with its other operands."""

from __future__ import annotations

import struct

from edgexl.bundle.layout import Kind
from tests.attacks.conftest import Forge, refused


def test_a_result_in_the_place_of_an_operand(sound: dict[Kind, bytes], forge: Forge) -> None:
    content, tried = sound[Kind.REASONER_GRAPH], 0
    buffers, operations = struct.unpack_from("<II", content, 4)
    records = [struct.unpack_from("<IIIIQ", content, 64 + 32 * number) for number in range(buffers)]
    for number in range(operations):
        at = 64 + 32 * buffers + 176 * number
        operands = [struct.unpack_from("<I", content, at + 20 + 24 * place)[0] for place in range(6)]
        of_arena = [buffer for buffer in operands if buffer < buffers and records[buffer][0] == 0]
        if len(of_arena) > 1 and of_arena[0] == operands[0] and operands[0] not in operands[1:]:
            other = records[of_arena[1]][4]
            refused(forge(Kind.REASONER_GRAPH, (64 + 32 * operands[0] + 16, "Q", other)), "plan")
            tried += 1
    assert tried > 0
