"""Text compared as people compare it, against Python's unicodedata: every code point, marks in any order, prefixes."""

from __future__ import annotations

import unicodedata
from itertools import permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.kernels import Kernels
from edgexl.bundle.strings import pack_strings
from tests.runtime.unicode_tables import HEADER, header, simple_fold

LAST = 0x110000
# Of the version that the tables are made of, for a Python that knows a later one.
VERSION = next(word for word in HEADER.read_text().split() if word.count(".") == 2).rstrip(":")


def folded(text: str) -> str:
    return "".join(map(simple_fold, unicodedata.normalize("NFD", text)))


def test_the_tables_are_what_their_script_makes() -> None:
    if unicodedata.unidata_version != VERSION:
        pytest.skip(f"the tables are of Unicode {VERSION}, this Python knows {unicodedata.unidata_version}")
    assert header() == HEADER.read_text(encoding="utf-8")


def test_the_tables_are_small() -> None:
    sizes = {"uint8_t": 1, "uint16_t": 2, "uint32_t": 4, "int32_t": 4}
    arrays = [line.split() for line in HEADER.read_text().splitlines() if line.startswith("static const")]
    assert sum(sizes[array[2]] * int(array[3].split("[")[1][:-1]) for array in arrays) < 16_000


def test_simple_foldings() -> None:
    """CaseFolding.txt: C and S, and neither the full ones nor those of Turkish."""
    small = {0x41: 0x61, 0x1E9E: 0xDF, 0x3C2: 0x3C3, 0x3A3: 0x3C3, 0x17F: 0x73, 0xB5: 0x3BC, 0x416: 0x436, 0x531: 0x561}
    small |= {0x1C90: 0x10D0, 0x10400: 0x10428, 0xAB70: 0x13A0, 0x345: 0x3B9, 0x1F88: 0x1F80, 0x24B6: 0x24D0}
    assert {letter: ord(simple_fold(chr(letter))) for letter in small} == small
    for letter in (0xDF, 0x10D0, 0x149, 0xFB01, 0x131, 0x13A0, 0x345 + 1):
        assert simple_fold(chr(letter)) == chr(letter)


@pytest.mark.parametrize("folds", [False, True])
def test_every_code_point(kernels: Kernels, folds: bool) -> None:
    """In one text, apart: those of Hangul, and those that are not assigned, too."""
    later = unicodedata.unidata_version != VERSION
    known = [
        chr(point)
        for point in range(LAST)
        if not 0xD800 <= point < 0xE000 and not (later and unicodedata.category(chr(point)) == "Cn")
    ]
    for begin in range(0, len(known), 65536):
        text = "\n".join(known[begin : begin + 65536])
        wanted = folded(text) if folds else unicodedata.normalize("NFD", text)
        assert kernels.code_points(text.encode(), folds) == list(map(ord, wanted))


def test_marks_in_every_order(kernels: Kernels) -> None:
    """However many: more than any buffer holds, of classes that come again, behind a letter that brings some itself."""
    for marks in permutations("\u0301\u0323\u0345\u05b0\u0301"):
        text = "\u1ebf" + "".join(marks) * 40 + "x"
        assert kernels.code_points(text.encode(), False) == list(map(ord, unicodedata.normalize("NFD", text)))


def test_bytes_that_are_no_text(kernels: Kernels) -> None:
    """Each is its own character, which no text has."""
    assert kernels.code_points(b"a\xff\xc3", True) == [0x61, 0x1100FF, 0x1100C3]
    assert kernels.code_points(b"\xed\xa0\x80\xef\xbf\xbd", True) == [0x1100ED, 0x1100A0, 0x110080, 0xFFFD]
    view = kernels.open_strings(pack_strings(["é", "x\ufffd"]), 2)
    assert view is not None
    assert [view.prefix(prefix, 2) for prefix in (b"\xc3", b"x\xff", b"x", b"e\xcc")] == [[], [], [1], []]


# Letters and marks that are the same in several ways, or begin each other: accents, dots on i, a long s, the Kelvin and
# Angstrom signs, sigmas, Cyrillic, Hangul syllables and what they are made of.
letters = st.sampled_from(
    [*"aeEi xéÉè", *map(chr, (0x130, 0x131, 0x17F, 0x212A, 0x212B, 0x3A3, 0x3C3, 0x3C2, 0x386, 0x436))]
)
marks = st.sampled_from([*"\u0301\u0323\u0307\u0345", *"가각", "\u1100", "\u1161"])
alphabet = st.text(letters | marks, max_size=6)
forms = st.sampled_from(["NFC", "NFD", None])
strings = st.tuples(alphabet, forms).map(lambda pair: unicodedata.normalize(pair[1], pair[0]) if pair[1] else pair[0])


@settings(max_examples=100, deadline=None)
@given(texts=st.lists(strings, min_size=1, max_size=140), prefix=strings, in_order=st.booleans())
def test_prefixes_are_found_in_any_form_and_case(
    kernels: Kernels, texts: list[str], prefix: str, in_order: bool
) -> None:
    texts = sorted(texts) if in_order else texts
    view = kernels.open_strings(pack_strings(texts), len(texts))
    assert view is not None
    wanted = [place for place, text in enumerate(texts) if folded(text).startswith(folded(prefix))]
    assert view.prefix(prefix.encode(), len(texts)) == wanted
    assert view.prefix(prefix.encode(), 2) == wanted[:2]
    assert view.with_bytes(prefix.encode(), len(texts)) == [
        place for place, text in enumerate(texts) if text.encode().startswith(prefix.encode())
    ]


def test_long_prefixes(kernels: Kernels) -> None:
    """Within a text's first 4096 bytes, whatever their letters."""
    texts = ["e" * 4200, "é" * 500, "e\u0301" * 500 + "x", "é" * 2100]
    view = kernels.open_strings(pack_strings(texts), len(texts))
    assert view is not None
    assert view.prefix(b"E" * 4096, 5) == [0]
    assert view.prefix("E\u0301".encode() * 400, 5) == [1, 2, 3]
    assert view.prefix("é".encode() * 400 + b"x", 5) == []
    assert view.prefix("É".encode() * 2048, 5) == [3]
    assert view.with_bytes(texts[3].encode(), 5) == [3]
