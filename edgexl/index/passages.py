"""Long descriptions, cut into passages that a screener reads whole: at the end of a sentence, else of a word."""

from __future__ import annotations

import re
from collections.abc import Sequence

from tokenizers import Tokenizer

# What ends a sentence, where a space or the text's end follows; and a line's end.
_SENTENCE_END = re.compile(r"[.!?;](?=\s)|\n")
_SPACE = re.compile(r"\s")


def cut_passages(tokenizer: Tokenizer, texts: Sequence[str], most_tokens: int) -> list[list[str]]:
    """The passages of each text, of at most `most_tokens` tokens each, special ones not counted: the text itself, where
    it has no more."""
    lengths = [len(encoding.ids) for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    return [
        [text] if length <= most_tokens else _cut(tokenizer, text, most_tokens)
        for text, length in zip(texts, lengths, strict=True)
    ]


def _cut(tokenizer: Tokenizer, text: str, most_tokens: int) -> list[str]:
    ends = [end for _, end in tokenizer.encode(text, add_special_tokens=False).offsets]
    passages, begin, token = [], 0, 0
    while token < len(ends):
        last = min(token + most_tokens, len(ends)) - 1
        end = len(text) if last == len(ends) - 1 else _end_of_passage(text, begin, ends[token], ends[last])
        passages.append(text[begin:end].strip())
        begin = end
        while token < len(ends) and ends[token] <= end:
            token += 1
    return [passage for passage in passages if passage]


def _end_of_passage(text: str, begin: int, least: int, most: int) -> int:
    """Where a passage from `begin` on ends, behind `least` and not behind `most`: at the last sentence's end of its
    later half, else at the last space, else at `most`."""
    middle = max(least, (begin + most) // 2)
    sentences = [found.end() for found in _SENTENCE_END.finditer(text, middle, min(most + 1, len(text)))]
    if sentences and sentences[-1] <= most:
        return sentences[-1]
    if most < len(text) and _SPACE.match(text, most):  # the last token ends a word
        return most
    spaces = [found.start() for found in _SPACE.finditer(text, least, most)]
    return spaces[-1] if spaces else most
