"""Which scripts texts are written in, by the names that Unicode gives their letters."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

# Unicode's own names of characters begin so.
_NAMES = {"CJK": "Han", "HANGUL": "Hangul", "HIRAGANA": "Hiragana", "KATAKANA": "Katakana", "KATAKANA-HIRAGANA": "Kana"}


def count_scripts(texts: Iterable[str]) -> dict[str, float]:
    """The share of letters of each script, in percent, the largest first; scripts of less than a tenth of a percent
    are left out."""
    counts: Counter[str] = Counter()
    for text in texts:
        if text.isascii():
            counts["Latin"] += sum(map(str.isalpha, text))
        else:
            counts.update(_script(character) for character in text if character.isalpha())
    total = sum(counts.values())
    shares = {script: round(100 * count / total, 1) for script, count in counts.most_common()}
    return {script: share for script, share in shares.items() if share >= 0.1}


@lru_cache(maxsize=1 << 16)
def _script(letter: str) -> str:
    first = unicodedata.name(letter, "OTHER").split()[0]
    if first in ("FULLWIDTH", "HALFWIDTH", "MATHEMATICAL", "MODIFIER", "FEMININE", "MASCULINE", "MICRO", "KELVIN"):
        return "other"
    return _NAMES.get(first, first.capitalize())
