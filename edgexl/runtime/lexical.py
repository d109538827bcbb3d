"""The runtime's lexical side by itself: the words of texts, of which the lexical index is built, and its scores
(words.h, lexical.h)."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Bools, Bytes, Floats
from edgexl.runtime.kernels import Rows, address_of
from edgexl.runtime.private_library import PrivateLibrary

EXACT = "#"  # begins a word of which another spelling is another word; no word has it otherwise
_FEATURES = 8


@cache
def _library() -> PrivateLibrary:
    return PrivateLibrary()


def split_words(texts: Sequence[str]) -> list[list[str]]:
    """The words of each text in their order, with their repetitions; an exact one begins with `EXACT`. Raises
    `DeviceError` where there is no private library."""
    if not texts:
        return []
    ends, joined = _join(texts)
    split = _library().function("private_words", ctypes.c_size_t)
    capacity = 2 * len(joined) + 2 * len(texts)
    while True:
        out = np.empty(capacity, np.uint8)
        arguments = (joined, address_of(ends), ctypes.c_size_t(len(texts)))
        needed = split(*arguments, address_of(out), ctypes.c_size_t(capacity))
        if needed <= capacity:
            return [line.split() for line in out[:needed].tobytes().decode().split("\n")[:-1]]
        capacity = needed


def _join(texts: Sequence[str]) -> tuple[npt.NDArray[np.uint64], bytes]:
    """(the end of each, all of them one after the other)."""
    raw = [text.encode("utf-8", "surrogatepass") for text in texts]
    return np.cumsum([len(text) for text in raw], dtype=np.uint64), b"".join(raw)


class LexicalIndex:
    """An open lexical section, and what its last query was; keeps its bytes alive."""

    def __init__(self, section: bytes, rows: int, most: int) -> None:
        """For queries of `most` rows. Raises `ValueError` where the section is malformed or has more than `rows`."""
        self._section, self._most = np.frombuffer(section, np.uint8).copy(), most
        library = _library()
        self._close = library.function("private_lexical_close", None)
        self._add = library.function("private_lexical_add", ctypes.c_int)
        self._query = library.function("private_lexical_query", ctypes.c_uint32)
        self._scores = library.function("private_lexical_scores", None)
        self._features = library.function("private_lexical_features", None)
        opener = library.function("private_lexical_open", ctypes.c_void_p)
        opened = opener(address_of(self._section), ctypes.c_size_t(len(section)), rows, most)
        if not opened:
            raise ValueError("the section is malformed")
        self._opened = ctypes.c_void_p(opened)
        self._rows, self._best = np.empty(most, np.uint32), np.empty(most, np.float32)
        self._out = (address_of(self._rows), address_of(self._best))

    def add(self, texts: Sequence[str], first_row: int) -> None:
        """Put rows with these texts, numbered from `first_row` on, in the place of those that were added before."""
        ends, joined = _join(texts)
        if not self._add(
            self._opened, joined, address_of(ends), ctypes.c_uint32(len(texts)), ctypes.c_uint32(first_row)
        ):
            raise MemoryError

    def query(self, text: str, dead: Bools | None = None) -> tuple[Rows, Floats]:
        """The best rows and their scores, but for those of the section's that are `dead`."""
        bits = None
        if dead is not None:
            bits = np.packbits(np.pad(dead, (0, -len(dead) % 64)), bitorder="little")
        count = self.run(text.encode("utf-8", "surrogatepass"), bits)
        return self._rows[:count].copy(), self._best[:count].copy()

    def run(self, text: bytes, dead: Bytes | None = None) -> int:
        """A query as a benchmark times it: how many rows it has found."""
        skipped = None if dead is None else address_of(dead)
        count: int = self._query(self._opened, text, ctypes.c_size_t(len(text)), skipped, *self._out)
        return count

    def scores(self, rows: Rows) -> Floats:
        """What some rows score by the last query."""
        scores = np.empty(len(rows), np.float32)
        self._scores(self._opened, address_of(rows), ctypes.c_size_t(len(rows)), address_of(scores))
        return scores

    def features(self, dense: float) -> Floats:
        """What the weight of the last query's scores is made of; dense: the best score of a row by its vector."""
        out = np.empty(_FEATURES, np.float32)
        self._features(self._opened, ctypes.c_float(dense), address_of(out))
        return out

    def __del__(self) -> None:
        if hasattr(self, "_opened"):
            self._close(self._opened)
