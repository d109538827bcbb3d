"""SentencePiece's precompiled charsmaps as tables: what they map, and the grapheme classes that they are applied by.

The tokenizers library maps a grapheme of less than 6 bytes as a whole, by the shortest of its beginnings that the map
has, and all other characters one by one. Which characters belong to one grapheme depends on the library's own version
of Unicode, so it is asked: a charsmap made for the purpose shows whether two characters were one grapheme.
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

import numpy as np

from edgexl.base.errors import BadInput

# Grapheme classes, as docs/format.md numbers them.
(
    OTHER, CONTROL, EXTEND, PLAIN_EXTEND, LINKER, JOINER, SPACING, PREPEND, REGIONAL, L, V, T, LV, LVT, PICTOGRAPH,
    CONSONANT,
) = range(16)  # fmt: skip
MOST_KEY_BYTES = 5
# Beside every other character, this one is a grapheme of its own.
APART = "\U0010fffd"


def read_charsmap(encoded: str) -> dict[str, str]:
    """What a precompiled charsmap maps, of less than 6 bytes: longer texts are never mapped as a whole. Raises
    `BadInput` where it is not one."""
    content = base64.b64decode(encoded)
    if len(content) < 4:
        raise BadInput("the tokenizer's precompiled charsmap is cut")
    size = struct.unpack_from("<I", content)[0]
    if size % 4 or size > len(content) - 4:
        raise BadInput("the tokenizer's precompiled charsmap is cut")
    units = np.frombuffer(content, "<u4", size // 4, 4)
    texts = content[4 + size :]
    found: dict[str, str] = {}
    labels = np.arange(256, dtype=np.uint32)

    def offset(unit: int) -> int:
        return unit >> 10 << ((unit & 1 << 9) >> 6)

    pending = [(offset(int(units[0])), b"")] if len(units) else []
    while pending:
        base, key = pending.pop()
        places = base ^ labels[1:]
        places = places[places < len(units)]
        held = units[places]
        for place in places[held & np.uint32(1 << 31 | 0xFF) == places ^ np.uint32(base)].tolist():
            unit, longer = int(units[place]), key + bytes([place ^ base])
            below = place ^ offset(unit)
            if unit >> 8 & 1:
                start = int(units[below]) & 0x7FFFFFFF
                end = texts.find(b"\0", start)
                try:
                    found[longer.decode()] = texts[start : end if end >= 0 else len(texts)].decode()
                except (UnicodeDecodeError, IndexError):
                    raise BadInput("the tokenizer's precompiled charsmap holds what is not UTF-8") from None
            if len(longer) < MOST_KEY_BYTES:
                pending.append((below, longer))
    return found


def make_charsmap(mapped: dict[str, str]) -> str:
    """A precompiled charsmap that maps just this; for small ones."""
    texts, places = bytearray(), {}
    for key, text in mapped.items():
        places[key.encode()] = len(texts)
        texts += text.encode() + b"\0"
    units: dict[int, int] = {}
    taken: set[int] = {0}

    def build(prefix: bytes, at: int) -> int:
        """Lays the children of a node out; gives the node's offset."""
        children = sorted({key[len(prefix)] for key in places if key.startswith(prefix) and len(key) > len(prefix)})
        labels = [0] * (prefix in places) + children
        base = next(b for b in range(1, 1 << 20) if all((b ^ label) not in taken for label in labels))
        taken.update(base ^ label for label in labels)
        if prefix in places:
            units[base] = places[prefix] | 1 << 31
        for label in children:
            place, longer = base ^ label, prefix + bytes([label])
            below = build(longer, place)
            units[place] = label | (longer in places) << 8 | (place ^ below) << 10
        return base

    # a unit's offset is XORed with its own place, the root's with 0
    units[0] = build(b"", 0) << 10
    array = [units.get(place, 0) for place in range((max(units) | 0xFF) + 1)]
    packed = struct.pack(f"<{len(array)}I", *array)
    return base64.b64encode(struct.pack("<I", len(packed)) + packed + bytes(texts)).decode()


def _normalizer(mapped: dict[str, str]) -> Any:
    from tokenizers import Tokenizer, models

    spec = json.loads(Tokenizer(models.BPE()).to_str())
    spec["normalizer"] = {"type": "Precompiled", "precompiled_charsmap": make_charsmap(mapped)}
    return Tokenizer.from_str(json.dumps(spec)).normalizer


def _ask(normalizer: Any, texts: list[str]) -> list[str]:
    answers: list[str] = []
    for start in range(0, len(texts), 4096):
        answers += normalizer.normalize_str(APART.join(texts[start : start + 4096])).split(APART)
    if len(answers) != len(texts):
        raise BadInput("this version of the tokenizers library parts graphemes as no other does")
    return answers


def _questionable() -> list[str]:
    """All characters that may be in another class than OTHER: ideographs, Hangul and private ones are not."""
    edges = (
        0,
        0x3400,
        0x4DC0,
        0x4E00,
        0xA000,
        0xAC00,
        0xD7A4,
        0xD800,
        0xF900,
        0x17000,
        0x18D00,
        0x20000,
        0xE0000,
        0xE1000,
    )
    return [chr(c) for low, high in zip(edges[::2], edges[1::2], strict=True) for c in range(low, high)]


@lru_cache(maxsize=1)
def grapheme_classes() -> bytes:
    """[0x110000]: the class of each code point, as the tokenizers library parts graphemes."""
    chars = _questionable()
    classes = bytearray(0x110000)
    # "a" is mapped to X; where it begins a grapheme of less than 6 bytes, the rest of that is gone
    probe = _normalizer({"a": "X", "\u2764": "X", "\u0915": "X", "\u0300": "Y"})

    def those(texts: Iterable[str], test: Any) -> set[str]:
        asked = list(texts)
        return {char for char, answer in zip(chars, _ask(probe, asked), strict=True) if test(answer)}

    behind = those(("a" + c for c in chars), lambda answer: answer == "X")
    controls = those((c + "\u0300\u0301" for c in chars), lambda answer: answer.endswith("Y"))
    prepends = those((c + "a\u0300" for c in chars), lambda answer: answer.endswith("Y"))
    pictographs = those((c + "\u200d\u2764\u0300" for c in chars), lambda answer: answer.endswith("Y"))
    extends = those(("\u2665" + c + "\u200d\u2764\u0300" for c in chars), lambda answer: answer.endswith("Y"))
    consonants = those((c + "\u094d\u0915\u0300" for c in chars), lambda answer: answer.endswith("Y"))
    linkers = those(("\u0916" + c + "\u0915\u0300" for c in chars), lambda answer: answer.endswith("Y"))
    conjoining = those(("\u0916\u094d" + c + "\u0915\u0300" for c in chars), lambda answer: answer.endswith("Y"))
    for char in chars:
        kind = OTHER
        if char in behind:
            kind = SPACING if char not in extends else EXTEND
            if kind == EXTEND and conjoining and char not in conjoining:
                kind = PLAIN_EXTEND
            if char in linkers:
                kind = LINKER
        elif char in controls or char in "\r\n":
            kind = CONTROL
        elif char in prepends:
            kind = PREPEND
        elif char in pictographs and char not in consonants:
            kind = PICTOGRAPH
        elif char in consonants:
            kind = CONSONANT
        classes[ord(char)] = kind
    classes[0x200D] = JOINER
    for first, last, kind in (
        (0x1F1E6, 0x1F1FF, REGIONAL), (0x1100, 0x115F, L), (0xA960, 0xA97C, L), (0x1160, 0x11A7, V),
        (0xD7B0, 0xD7C6, V), (0x11A8, 0x11FF, T), (0xD7CB, 0xD7FB, T), (0xAC00, 0xD7A3, LVT),
    ):  # fmt: skip
        classes[first : last + 1] = bytes([kind]) * (last + 1 - first)
    for syllable in range(0xAC00, 0xD7A4, 28):
        classes[syllable] = LV
    return bytes(classes)
