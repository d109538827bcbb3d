"""The lexical section: which rows have which words, and which words are spelled alike, as docs/format.md, "Lexical
section", has it. `edgexl/index/lexical.py` builds one; edgexl/runtime/src/lexical.c reads it."""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Array, Bytes, Floats, Ints
from edgexl.base.errors import BadInput

VERSION = 2
NORM_LEVELS = 256
LARGEST_INVERSE_NORM = 1e6
NARROW_ROWS = 1 << 24  # up to so many rows, a single term's row takes 3 bytes; then 4
FAR = 65535  # a step from which on it takes 4 bytes more
LEFT_OUT = b"\0"  # a feature's list that is not there
Buffer = bytes | memoryview
_HEADER = struct.Struct("<8I32x")


@dataclass(frozen=True, eq=False)
class Lexical:
    """The section's tables. Terms are numbered: the dense ones, which have a bitmap of rows each; the listed ones; the
    single ones, which stand in one row each."""

    rows: int
    inverse_norms: Floats  # [256], finite and above 0
    norms: Bytes  # [rows]: the place of a row's inverse norm
    sizes: Bytes  # [terms]: features of each term
    bitmaps: npt.NDArray[np.uint32]  # [dense, ceil(rows / 32)]
    term_starts: Ints  # [dense + listed + 1], in term_lists
    term_lists: bytes  # of a term: how many rows it has, then these, of a dense one those that it brings
    singles: Ints  # [single]: the row of each
    feature_starts: Ints  # [features + 1], in feature_lists
    feature_lists: bytes  # of a feature: its terms

    @property
    def dense(self) -> int:
        """How many terms have a bitmap."""
        return len(self.bitmaps)

    @property
    def listed(self) -> int:
        """How many terms have a list."""
        return len(self.term_starts) - 1 - self.dense

    @property
    def terms(self) -> int:
        """How many terms there are."""
        return len(self.sizes)

    @property
    def features(self) -> int:
        """How many features there can be."""
        return len(self.feature_starts) - 1

    def pack(self) -> bytes:
        """The section's bytes. Raises `BadInput` where the lists are too long for 32 bits."""
        if max(len(self.term_lists), len(self.feature_lists)) >= 1 << 32:
            raise BadInput("the lexical index takes more than 4 GiB. Give it a smaller budget.")
        lengths = (len(self.term_lists), len(self.feature_lists))
        header = _HEADER.pack(VERSION, self.rows, self.terms, self.dense, self.listed, self.features, *lengths)
        parts = [
            self.inverse_norms.astype("<f4").tobytes(),
            self.term_starts.astype("<u4").tobytes(),
            self.feature_starts.astype("<u4").tobytes(),
            self.bitmaps.astype("<u4").tobytes(),
            self.singles.astype("<u4").view(np.uint8).reshape(-1, 4)[:, : _row_bytes(self.rows)].tobytes(),
            self.term_lists,
            self.feature_lists,
            self.sizes.tobytes(),
            self.norms.tobytes(),
        ]
        return header + b"".join(parts)


def unpack_lexical(section: Buffer, rows: int) -> Lexical:
    """The tables of a section of at most `rows` rows. Raises `BadInput` where it is not as docs/format.md says."""
    section = bytes(section)
    if len(section) < _HEADER.size:
        raise _malformed("is too short")
    version, own_rows, terms, dense, listed, features, term_bytes, feature_bytes = _HEADER.unpack_from(section)
    if version != VERSION or any(section[32:64]) or not 1 <= own_rows <= rows or dense + listed > terms or not features:
        raise _malformed("has a bad header")
    singles, wide, words = terms - dense - listed, _row_bytes(own_rows), -(-own_rows // 32)
    numbers = 256 + dense + listed + 1 + features + 1 + dense * words
    if len(section) != 64 + 4 * numbers + wide * singles + terms + own_rows + term_bytes + feature_bytes:
        raise _malformed("has not the length that its header says")
    at = 64

    def take(kind: str, count: int) -> Array:
        nonlocal at
        taken = np.frombuffer(section, kind, count, at)
        at += taken.nbytes
        return taken

    inverse = take("<f4", NORM_LEVELS)
    term_starts, feature_starts = (take("<u4", count + 1).astype(np.int64) for count in (dense + listed, features))
    bitmaps = take("<u4", dense * words).reshape(dense, words)
    rows_of = np.zeros((singles, 4), np.uint8)
    rows_of[:, :wide] = take("u1", singles * wide).reshape(singles, wide)
    term_lists, feature_lists = (take("u1", count).tobytes() for count in (term_bytes, feature_bytes))
    sizes, norms = take("u1", terms), take("u1", own_rows)
    if not bool(((inverse > 0) & (inverse <= LARGEST_INVERSE_NORM)).all()):
        raise _malformed("has a norm that is no number above 0")
    for starts, data in ((term_starts, term_lists), (feature_starts, feature_lists)):
        if starts[0] != 0 or int(starts[-1]) != len(data) or bool((np.diff(starts) < 0).any()):
            raise _malformed("has bad offsets")
    if term_lists and term_lists[-1] >= 128:
        raise _malformed("has a list that does not end")
    of_singles = rows_of.view("<u4")[:, 0].astype(np.int64)
    lists = (term_starts, term_lists, of_singles, feature_starts, feature_lists)
    return Lexical(own_rows, inverse, norms, sizes, bitmaps, *lists)


def encode_lists(values: Ints, starts: Ints) -> tuple[bytes, Ints]:
    """Lists of ascending numbers, list i being values[starts[i] : starts[i + 1]], as bytes, and where each begins.

    A number is a step of 1 or 2 bytes, the distance from the one before it (the first: from -1) less 1; in front of
    every 8 of a list stands a byte whose bit i says that the i-th takes 2. `FAR` is followed by the step in 4 bytes."""
    steps = np.diff(values, prepend=-1) - 1
    firsts = starts[:-1][np.diff(starts) > 0]
    steps[firsts] = values[firsts]
    place = np.arange(len(steps)) - np.repeat(starts[:-1], np.diff(starts))  # in its list
    heads = np.cumsum(place % 8 == 0)  # up to each step
    far, wide = steps >= FAR, steps > 255
    widths = 1 + wide + 4 * far
    ends = np.cumsum(widths) + heads
    at = ends - widths
    out = np.zeros(int(ends[-1]) if len(ends) else 0, np.uint8)
    kinds = np.bincount(heads - 1, wide.astype(np.int64) << place % 8, minlength=0).astype(np.uint8)
    out[at[place % 8 == 0] - 1] = kinds
    short = np.where(far, FAR, steps)
    out[at] = short & 255
    out[at[wide] + 1] = short[wide] >> 8
    for byte in range(4):
        out[at[far] + 2 + byte] = steps[far] >> 8 * byte & 255
    return out.tobytes(), np.concatenate([[0], ends])[starts]


def decode_list(data: bytes) -> Ints:
    """The numbers of one list of `encode_lists`."""
    numbers, number, at = [], -1, 0
    while at < len(data):
        kinds, at = data[at], at + 1
        for place in range(8):
            if at >= len(data):
                break
            width = 1 + (kinds >> place & 1)
            step, at = int.from_bytes(data[at : at + width], "little"), at + width
            if step == FAR:
                step, at = int.from_bytes(data[at : at + 4], "little"), at + 4
            number += step + 1
            numbers.append(number)
    return np.array(numbers, np.int64)


def encode_numbers(numbers: Ints, starts: Ints) -> tuple[bytes, Ints]:
    """Lists of numbers as bytes, and where each begins: groups of 7 bits, lowest first, all but the last with the bit
    128 set."""
    widths = np.ones(len(numbers), np.int64)
    for bits in (7, 14, 21, 28):
        widths += numbers >= 1 << bits
    places = np.concatenate([[0], np.cumsum(widths)])
    out = np.empty(int(places[-1]), np.uint8)
    for group in range(5):
        some = np.flatnonzero(widths > group)
        goes_on = (widths[some] > group + 1) * 128
        out[places[some] + group] = (numbers[some] >> 7 * group & 127) + goes_on
    return out.tobytes(), places[starts]


def decode_numbers(data: bytes) -> Ints:
    """The numbers of one list of `encode_numbers`."""
    groups = np.frombuffer(data, np.uint8).astype(np.int64)
    ends = np.flatnonzero(groups < 128)
    firsts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    groups = groups[: ends[-1] + 1] if len(ends) else groups[:0]
    within = np.arange(len(groups)) - np.repeat(firsts, ends + 1 - firsts)
    return np.add.reduceat((groups & 127) << 7 * np.minimum(within, 4), firsts) if len(ends) else groups


def _row_bytes(rows: int) -> int:
    return 3 if rows <= NARROW_ROWS else 4


def _malformed(what: str) -> BadInput:
    return BadInput(f"The bundle's lexical section {what}: it is damaged; compile or copy it again.")
