"""Texts to token ids, exactly as the runtime does it.

A text becomes the special tokens that the tokenizer's own template puts before it ([CLS], <s>, none), as many of its
first word pieces as `max_tokens` leaves room for, and the special tokens behind it. A label's tokens are its first S
word pieces without special tokens, padded with 0.
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.files import read_input
from edgexl.bundle.tokenizer import surrounding_ids

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


def tokens_around(tokenizer: Tokenizer) -> tuple[list[int], list[int]]:
    """The ids of the special tokens before a text and of those behind it. Raises `BadInput` for a template that edgexl
    does not take."""
    processor = tokenizer.post_processor
    state = None if processor is None else json.loads(processor.__getstate__())
    try:
        before, behind = surrounding_ids(state)
    except BadInput as error:
        raise BadInput(f"{str(error)[:1].upper()}{str(error)[1:]}.") from None
    return list(before), list(behind)


def count_around(tokenizer: Tokenizer) -> int:
    """How many tokens of a text are special ones around it."""
    return sum(map(len, tokens_around(tokenizer)))


def special_ids(tokenizer: Tokenizer) -> set[int]:
    """The ids that stand for no piece of a text: padding (0), the unknown token, and the tokens around a text."""
    unknown = unknown_id(tokenizer)
    return {0, *(() if unknown is None else (unknown,)), *itertools.chain(*tokens_around(tokenizer))}


def unknown_id(tokenizer: Tokenizer) -> int | None:
    """The id of what the tokenizer does not know; None where it knows everything."""
    if type(tokenizer.model).__name__ == "Unigram":
        found: int | None = json.loads(tokenizer.model.__getstate__())["unk_id"]
        return found
    found = tokenizer.token_to_id(str(tokenizer.model.unk_token))
    return found


def read_pieces(tokenizer: Tokenizer) -> dict[int, tuple[bool, str]]:
    """What the pieces of the vocabulary stand for, by id: whether a piece begins a word, and its characters.

    WordPiece marks the pieces that go on with a word ("##"), SentencePiece ("\u2581") and byte-level BPE (U+0120, a
    space's stand-in) those that begin one; of these a piece of punctuation begins a word, too. Special tokens are left
    out, and so are pieces of bytes that are no characters.
    """
    special = {place for place, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    vocabulary = {
        piece: place for piece, place in tokenizer.get_vocab(with_added_tokens=True).items() if place not in special
    }
    if type(tokenizer.model).__name__ == "WordPiece":
        mark = tokenizer.model.continuing_subword_prefix
        pieces = ((place, (piece == mark or not piece.startswith(mark), piece)) for piece, place in vocabulary.items())
        return {place: (begins, piece if begins else piece[len(mark) :]) for place, (begins, piece) in pieces}
    bytes_of = {char: byte for byte, char in byte_characters().items()}
    is_bytes = sum(piece.startswith("\u0120") for piece in vocabulary) > sum(
        piece.startswith("\u2581") for piece in vocabulary
    )
    found = {}
    for piece, place in vocabulary.items():
        if is_bytes:
            text = bytes(bytes_of[char] for char in piece if char in bytes_of).decode(errors="ignore")
        else:
            text = piece.replace("\u2581", " ")
        if letters := text.removeprefix(" "):
            found[place] = (letters != text or not letters[0].isalnum(), letters)
    return found


def byte_characters() -> dict[int, str]:
    """The character that byte-level BPE writes for each byte: itself where it can be seen, others from U+0100 on."""
    seen = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in seen]
    return {byte: chr(byte) for byte in seen} | {byte: chr(0x100 + place) for place, byte in enumerate(others)}


def encode_texts(tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int, prompt: str = "") -> list[list[int]]:
    """Token ids of each text behind the prompt, special tokens included; `max_tokens` a text at most."""
    before, behind = tokens_around(tokenizer)
    room = max_tokens - len(before) - len(behind)
    encodings = tokenizer.encode_batch_fast([prompt + text for text in texts], add_special_tokens=False)
    return [[*before, *encoding.ids[:room], *behind] for encoding in encodings]


def encode_pieces(tokenizer: Tokenizer, texts: Sequence[str], most: int) -> list[list[int]]:
    """The first token ids of each text, `most` at most, without special tokens."""
    return [encoding.ids[:most] for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]


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
    """Token ids of `count` texts of one to three words of the vocabulary, drawn by the seed, special tokens included.

    They stand in for texts that are not known yet.
    """
    own = tokenizer.get_vocab(with_added_tokens=False).values()
    known = set(own)
    words = sorted(
        place
        for place, (begins, piece) in read_pieces(tokenizer).items()
        if begins and len(piece) > 1 and piece.isalpha() and place in known
    )
    words = words or sorted(own)  # a vocabulary of letters
    before, behind = tokens_around(tokenizer)
    room = max_tokens - len(before) - len(behind)
    draw = np.random.default_rng(seed)
    chosen = np.array(words)[draw.integers(len(words), size=(count, 3))].tolist()
    lengths = draw.integers(1, 4, size=count).tolist()
    return [[*before, *ids[:length][:room], *behind] for ids, length in zip(chosen, lengths, strict=True)]


def label_tokens(tokenizer: Tokenizer, texts: Sequence[str], count: int) -> Ints:
    """[len(texts), count] word pieces of label texts, padded with 0."""
    rows = np.zeros((len(texts), count), dtype=np.int64)
    for row, ids in zip(rows, encode_pieces(tokenizer, texts, count), strict=True):
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
