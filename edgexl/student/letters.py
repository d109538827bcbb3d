"""The letters of word pieces: a table from which a reasoner sees which letters of a text another one lacks.

A word that is spelt wrong falls into other pieces than the right one, and shares few or none with it, but nearly all of
its letters. A piece's row counts its letters and digits, each in a column of its own, and its pairs of neighbours, the
beginning of a word among them, hashed into the others.
"""

from __future__ import annotations

import itertools
import zlib

import torch
from tokenizers import Tokenizer
from torch import Tensor

from edgexl.student.text import read_pieces

LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
# One more for whatever else is a letter, and so many for pairs.
COLUMNS = 96
_PAIRS = COLUMNS - len(LETTERS) - 1


def count_letters(tokenizer: Tokenizer, vocabulary: int) -> Tensor:
    """[vocabulary, COLUMNS] of a tokenizer; rows of special tokens, and of ids without a piece, are 0."""
    table = torch.zeros(vocabulary, COLUMNS)
    for place, (begins, letters) in read_pieces(tokenizer).items():
        if place >= vocabulary or (letters.startswith("[") and letters.endswith("]") and len(letters) > 1):
            continue
        for letter in letters:
            at = LETTERS.find(letter)
            table[place, len(LETTERS) if at < 0 else at] += 1
        chain = f"^{letters}" if begins else letters
        for pair in itertools.pairwise(chain):
            table[place, len(LETTERS) + 1 + zlib.crc32("".join(pair).encode()) % _PAIRS] += 1
    return table
