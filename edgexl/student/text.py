"""Texts to token ids, exactly as the runtime does it.

A text becomes [CLS], its first `max_tokens - 2` word pieces, [SEP]. A label's tokens are its first S word pieces
without special tokens, padded with 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.files import read_input

# Long texts are read in windows of so many words, each beginning so many behind the one before; what has no space in
# it is a word as soon as it has so many bytes.
WINDOW_WORDS, WINDOW_STEP, WORD_BYTES = 24, 18, 24


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer of a tokenizer.json. Raises `BadInput` where the file is missing, cut or something else."""
    try:
        text = read_input(path).decode("utf-8")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not a Hugging Face tokenizer: it is not UTF-8.") from None
    try:
        return Tokenizer.from_str(text)
    except BaseException as error:  # the library raises bare Exception for every parse error, and can panic
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise BadInput(f"{path} is not a Hugging Face tokenizer: {reason}.") from None


def piece_id(tokenizer: Tokenizer, piece: str) -> int:
    """The id of a word piece. Raises `BadInput` where the vocabulary lacks it."""
    found = tokenizer.token_to_id(piece)
    if found is None:
        raise BadInput(f"The tokenizer has no {piece}; students need one of BERT's kind.")
    return int(found)


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int) -> list[list[int]]:
    """Token ids of each text, [CLS] and [SEP] included; 2 to `max_tokens` a text."""
    cls_id, sep_id = piece_id(tokenizer, "[CLS]"), piece_id(tokenizer, "[SEP]")
    encodings = tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
    return [[cls_id, *encoding.ids[: max_tokens - 2], sep_id] for encoding in encodings]


def cut_windows(text: str, most: int) -> list[str]:
    """The windows of a text that the screener does not take whole, `most` at most: the text itself, of which the
    screener takes the beginning, then 24 words each, every 18 words on; the last one ends with the text, as far as it
    is read. A word without a space in it ends with the character that reaches 24 bytes."""
    if most < 2:
        return [text]
    words, content = [], text.encode()
    for run in re.finditer(rb"[^ \t-\r]+", content):
        begin, end = run.span()
        while begin < end:
            stop = min(begin + WORD_BYTES, end)
            while stop < end and content[stop] & 0xC0 == 0x80:
                stop += 1
            words.append((begin, stop))
            begin = stop
    words = words[: WINDOW_WORDS + (most - 2) * WINDOW_STEP]
    last = max(0, len(words) - WINDOW_WORDS)
    firsts = [*range(0, last, WINDOW_STEP), last] if words else []
    parts = [words[first : first + WINDOW_WORDS] for first in firsts]
    return [text, *(content[part[0][0] : part[-1][1]].decode() for part in parts)]


def word_texts(tokenizer: Tokenizer, count: int, max_tokens: int, seed: int) -> list[list[int]]:
    """Token ids of `count` texts of one to three words of the vocabulary, drawn by the seed, [CLS] and [SEP] included.

    They stand in for texts that are not known yet.
    """
    vocabulary = tokenizer.get_vocab(with_added_tokens=False)
    words = sorted(place for piece, place in vocabulary.items() if len(piece) > 1 and piece.isalpha())
    words = words or sorted(vocabulary.values())  # a vocabulary of letters
    cls_id, sep_id = piece_id(tokenizer, "[CLS]"), piece_id(tokenizer, "[SEP]")
    draw = np.random.default_rng(seed)
    chosen = np.array(words)[draw.integers(len(words), size=(count, 3))].tolist()
    lengths = draw.integers(1, 4, size=count).tolist()
    return [[cls_id, *ids[:length][: max_tokens - 2], sep_id] for ids, length in zip(chosen, lengths, strict=True)]


def label_tokens(tokenizer: Tokenizer, texts: Sequence[str], count: int) -> Ints:
    """[len(texts), count] word pieces of label texts, padded with 0."""
    rows = np.zeros((len(texts), count), dtype=np.int64)
    for row, encoding in zip(rows, tokenizer.encode_batch_fast(list(texts), add_special_tokens=False), strict=True):
        ids = encoding.ids[:count]
        row[: len(ids)] = ids
    return rows


def pad(rows: Sequence[Sequence[int]]) -> tuple[Ints, Ints]:
    """(ids, mask), each [len(rows), longest], of token id lists; padding is 0 in both."""
    longest = max(map(len, rows))
    ids = np.zeros((len(rows), longest), dtype=np.int64)
    mask = np.zeros_like(ids)
    for index, row in enumerate(rows):
        ids[index, : len(row)] = row
        mask[index, : len(row)] = 1
    return ids, mask
