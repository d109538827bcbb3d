"""Writes src/unicode_tables.h, by which the runtime compares text: what Python's unicodedata knows, in few bytes.

    python -m tests.runtime.unicode_tables

Decompositions are the canonical ones, a step each; Hangul syllables are left to arithmetic. Case folding is the simple
one (CaseFolding.txt, C and S), which Python does not have: it is `str.casefold` where that gives one character, and
where it gives more the small letter that folds to the same (ẞ to ß). Characters with a decomposition need no folding.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

HEADER = Path(__file__).parents[2] / "edgexl/runtime/src/unicode_tables.h"
POINTS = range(0x110000)
PAGE_BITS = 8  # a page is 256 code points
_LAST_PAGED = 0x20000  # beyond lie the decompositions of one block alone, which all have another character
_BEYOND_BMP = 0x80  # in SECONDS' index: the first character is one of plane 1, or of plane 2 where there is no second


def decompositions() -> dict[int, tuple[int, ...]]:
    """One step of the canonical decomposition, one or two code points, of all that have one but Hangul syllables."""
    fields = ((point, unicodedata.decomposition(chr(point))) for point in POINTS)
    return {point: tuple(int(part, 16) for part in field.split()) for point, field in fields if field[:1] not in "<"}


def combining_classes() -> dict[int, int]:
    """Canonical combining classes other than 0."""
    return {point: found for point in POINTS if (found := unicodedata.combining(chr(point)))}


def simple_foldings() -> dict[int, int]:
    """What a character folds to where that is another one."""
    pairs = ((point, simple_fold(chr(point))) for point in POINTS)
    return {point: ord(folded) for point, folded in pairs if folded != chr(point)}


def simple_fold(character: str) -> str:
    """The simple case folding of one character."""
    folded = character.casefold()
    if len(folded) == 1:
        return folded
    small = character.lower()
    return small if len(small) == 1 and small.casefold() == folded else character


# What a character is to a word: the numbers of fold.h's enum.
OTHER, LETTER, NUMBER, IDEOGRAPH, MARK = range(5)
_ITERATION_MARK, _IDEOGRAPHIC_ZERO = 0x3005, 0x3007  # they stand among ideographs


def kind(point: int) -> int:
    """What a character is to a word."""
    category = unicodedata.category(chr(point))[0]
    if point in (_ITERATION_MARK, _IDEOGRAPHIC_ZERO):
        return IDEOGRAPH
    if category == "L" and unicodedata.name(chr(point), "").startswith(("CJK UNIFIED ", "CJK COMPATIBILITY ")):
        return IDEOGRAPH
    return {"L": LETTER, "N": NUMBER, "M": MARK}.get(category, OTHER)


def kind_runs() -> list[tuple[int, int]]:
    """(first, kind) of runs of characters of one kind; what is not assigned is in the run before."""
    runs = [(0, OTHER)]
    for point in POINTS:
        if unicodedata.category(chr(point)) != "Cn" and (found := kind(point)) != runs[-1][1]:
            runs.append((point, found))
    return runs


def header() -> str:
    """unicode_tables.h."""
    parts = decompositions()
    classes = {point: value for point, value in combining_classes().items() if point not in parts}
    folds = {point: to for point, to in simple_foldings().items() if point not in parts}
    seconds = sorted({pair[1] for pair in parts.values() if len(pair) == 2})
    runs = list(_runs(sorted(parts)))
    at = [0]
    for begin, end in runs:
        at.append(at[-1] + end - begin)
    entries = [_entry(parts[point], seconds) for point in sorted(parts)]
    class_runs = list(_runs(sorted(classes), classes))
    fold_runs = list(_fold_runs(folds))
    pages = sorted({point >> PAGE_BITS for point in [*parts, *classes, *folds] if point < _LAST_PAGED})
    words = [
        sum(1 << page % 32 for page in pages if page // 32 == word) for word in range(_LAST_PAGED >> PAGE_BITS + 5)
    ]
    assert len(seconds) < _BEYOND_BMP
    assert max(parts) < 0x2FA1F
    assert max(*classes, *folds) < _LAST_PAGED
    assert all(to not in parts and to not in folds for to in folds.values())
    assert not any(pair[-1] in parts for pair in parts.values() if len(pair) == 2)
    tables = [
        _table("uint32_t", "exl__pages", "a bit for each 256 code points below 0x20000 that have anything here", words),
        _table("uint32_t", "exl__decomposed_from", "where runs of decomposed ones begin", [run[0] for run in runs]),
        _table("uint16_t", "exl__decomposed_at", "the place of a run's first in those below; one more than runs", at),
        _table("uint16_t", "exl__decomposed_first", "the first part, or all of it", [entry[0] for entry in entries]),
        _table(
            "uint8_t", "exl__decomposed_second",
            "the second in exl__seconds, from 1, or 0; and 0x80: the first is of plane 1, or 2 without a second",
            [entry[1] for entry in entries],
        ),
        _table("uint32_t", "exl__seconds", "second parts", seconds),
        _table(
            "uint32_t", "exl__class_runs", "code points of one class: first << 8 | class",
            [begin << 8 | classes[begin] for begin, _ in class_runs],
        ),
        _table("uint8_t", "exl__class_counts", "how many these are", [end - begin for begin, end in class_runs]),
        _table(
            "uint32_t", "exl__fold_runs", "code points as far from what they fold to: first, and 1 << 31: every other",
            [begin | (step - 1) << 31 for begin, _, step, _ in fold_runs],
        ),
        _table("uint8_t", "exl__fold_counts", "how many these are", [count for _, count, _, _ in fold_runs]),
        _table("int32_t", "exl__fold_to", "what is added", [distance for _, _, _, distance in fold_runs]),
        _table(
            "uint32_t", "exl__kind_runs", "code points that are the same to a word: first << 8 | what",
            [first << 8 | what for first, what in kind_runs()],
        ),
    ]  # fmt: skip
    return (
        f"/* unicode_tables.h: made by tests/runtime/unicode_tables.py from Unicode {unicodedata.unidata_version}:\n"
        " * canonical decompositions, combining classes, simple case foldings, kinds of characters. For fold.c alone,\n"
        " * and told there. */\n"
        "#ifndef EXL_UNICODE_TABLES_H\n#define EXL_UNICODE_TABLES_H\n\n#include <stdint.h>\n\n// clang-format off\n"
        + "".join(tables)
        + "// clang-format on\n\n#endif\n"
    )


def _entry(parts: tuple[int, ...], seconds: Sequence[int]) -> tuple[int, int]:
    plane = parts[0] >> 16
    second = 1 + seconds.index(parts[1]) if len(parts) == 2 else 0
    assert plane in (0, 1 if second else 2)
    return parts[0] & 0xFFFF, second | (_BEYOND_BMP if plane else 0)


def _runs(points: Sequence[int], of: dict[int, int] | None = None) -> Iterator[tuple[int, int]]:
    """(first, behind the last) of code points that follow each other, and have the same value `of` them."""
    starts = [
        place
        for place, point in enumerate(points)
        if not place or point != points[place - 1] + 1 or (of and of[point] != of[point - 1])
    ]
    for begin, end in pairwise([*starts, len(points)]):
        yield points[begin], points[end - 1] + 1


def _fold_runs(folds: dict[int, int]) -> Iterator[tuple[int, int, int, int]]:
    """(first, count, step, distance) of code points that are 1 or 2 apart and equally far from what they fold to."""
    points = sorted(folds)
    while points:
        first, distance = points[0], folds[points[0]] - points[0]
        step = 2 if len(points) > 1 and points[1] == first + 2 and folds[points[1]] == first + 2 + distance else 1
        count = 1
        while (
            count < len(points)
            and points[count] == first + count * step
            and folds[points[count]] == points[count] + distance
        ):
            count += 1
        yield first, count, step, distance
        points = points[count:]


def _table(kind: str, name: str, about: str, values: Sequence[int]) -> str:
    assert kind != "uint8_t" or max(values) < 256
    lines, line = [], ""
    for text in map(str, values):
        if len(line) + len(text) > 114:
            lines.append(line)
            line = ""
        line += f"{text},"
    body = "\n".join(f"    {each}" for each in [*lines, line])
    return f"/* {about} */\nstatic const {kind} {name}[{len(values)}] = {{\n{body}\n}};\n"


if __name__ == "__main__":
    HEADER.write_text(header(), encoding="utf-8")
