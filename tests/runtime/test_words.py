"""A text's words in C, against a plain version by unicodedata: every code point, and mixtures of scripts."""

from __future__ import annotations

import random
import unicodedata
from itertools import groupby, pairwise

from edgexl.runtime.lexical import split_words
from tests.runtime.test_fold import VERSION, folded
from tests.runtime.unicode_tables import IDEOGRAPH, LETTER, MARK, NUMBER, kind

LONGEST = 64


def words_of(text: str) -> list[str]:
    """What docs/format.md says, run by run."""
    words = []
    points = [point for point in folded(text) if kind(ord(point)) != MARK]
    for what, run in groupby(points, run_of):
        joined = "".join(run)
        if what == IDEOGRAPH:
            words += [f"#{pair}" for pair in map("".join, pairwise(joined))] or [f"#{joined}"]
        elif what == LETTER:
            exact = all(kind(ord(point)) == NUMBER for point in joined)
            words.append("#" * exact + joined[:LONGEST])
    return words


def run_of(point: str) -> int:
    """Letters and digits are of one run."""
    found = kind(ord(point))
    return LETTER if found == NUMBER else found


def known_points() -> list[str]:
    """All but surrogates, those not assigned, and a line's end."""
    every = (chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000 and point != 10)
    return [point for point in every if unicodedata.category(point) != "Cn"]


def test_every_code_point() -> None:
    if unicodedata.unidata_version != VERSION:
        return  # of an older version than the tables some are not known, of a newer one some are new
    points = known_points()
    for texts in (points, [f"a{point}b" for point in points], [f"{point}{point}" for point in points]):
        found = split_words(texts)
        assert [(text, words) for text, words in zip(texts, found, strict=True) if words != words_of(text)] == []


def test_mixtures() -> None:
    draw = random.Random(1)
    some = "aÉß7٣ 漢字仮々〇かがカﾊ한국 ไทยกำ ёЙ\u0301\u0323-_'.,()/½²Ⅷ𠀀𝐀🙂"
    texts = ["".join(draw.choices(some, k=draw.randrange(24))) for _ in range(3000)]
    assert split_words(texts) == [words_of(text) for text in texts]


def test_words_by_hand() -> None:
    found = {
        "Crème BRÛLÉE": ["creme", "brulee"],
        "COVID-19 90 B12 ²": ["covid", "#19", "#90", "b12", "#²"],
        "東京タワー 東 京都市": ["#東京", "タワー", "#東", "#京都", "#都市"],
        "東京東京": ["#東京", "#京東", "#東京"],
        "한국": [unicodedata.normalize("NFD", "한국")],
        " -- ": [],
        "": [],
        "x" * 70 + "7": ["x" * LONGEST],
        "9" * 70 + "x": ["9" * LONGEST],
    }
    assert split_words(list(found)) == list(found.values())


def test_what_is_no_text_ends_a_word() -> None:
    assert split_words(["a\ud800b", "a\0b", "a\nb"]) == [["a", "b"]] * 3
    assert split_words([]) == []
