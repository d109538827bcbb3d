"""Builds the lexical section: which rows have which words, and which words are spelled alike (docs/format.md, "Lexical
section").

An index of two levels, tolerant of spelling: features (trigrams) lead to words, words to rows. Where words are many and
most of them rare, it finds what TF-IDF over the n-grams of whole texts finds, in a fraction of the bytes.
`edgexl/index/lexical_scores.py` scores by it as the C runtime does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Bools, Bytes, Doubles, Floats, Ints
from edgexl.base.errors import BadInput
from edgexl.bundle.lexical import LEFT_OUT, NORM_LEVELS, Lexical, encode_lists, encode_numbers
from edgexl.runtime.lexical import EXACT, split_words

MOST_FEATURES = 131072  # are told apart
_SHORT = 6  # code points: of a word up to so long, pairs are features, too
_DENSE_SHARE = 0.05
_FEWEST_DENSE = 4096  # rows: a term of fewer is never dense
_BROUGHT = 1024  # rows that a dense term brings
_LOG2_BITS, _LN2, _IDF_SHIFT, _LEAST_IDF = 16, 45426, 24, 13  # ln 2 in 2^-16; an idf is in 1/256, at least .05
_EDGE = 0  # stands on both sides of a word
_GRAM, _WHOLE = np.uint32(0x811C9DC5), np.uint32(0x9E3779B9)  # what a feature's hash begins with
_FEATURE_SHARE, _FEWEST_LEFT_OUT = 0.03, 1024  # a feature of more terms than both is left out


def build_lexical(
    texts: Sequence[str],
    *,
    most_term_share: float = 1.0,
    most_feature_share: float | None = None,
    dense_share: float = _DENSE_SHARE,
    bytes_a_row: float | None = None,
) -> Lexical:
    """The index of rows with these texts.

    A term of more than `most_term_share` of the rows brings no rows, and a feature of more than `most_feature_share` of
    the terms no terms; by default it is .03 or 1,024 terms, beyond which features cost time and tell nothing. A term of
    more than `dense_share` of the rows, and of 4,096, is dense: its rows are looked up, and it brings but few. With
    `bytes_a_row` the longest lists, of either kind relative to all that there is, are left out until the section takes
    no more. Raises `BadInput` where there is no word in any text, or no section is as small.
    """
    parts = _take_apart(texts)
    if most_feature_share is None:
        most_feature_share = max(_FEATURE_SHARE, _FEWEST_LEFT_OUT / len(parts.counts))
    lexical = _assemble(parts, most_term_share, most_feature_share, dense_share)
    if bytes_a_row is None:
        return lexical
    most_bytes = goal = int(bytes_a_row * len(texts))
    shares, costs = _price_lists(parts, min(1.0, most_term_share), most_feature_share)
    whole = size = len(lexical.pack())
    while size > most_bytes:
        dropped = int(np.searchsorted(np.cumsum(costs), whole - goal)) + 1
        if dropped >= len(shares):
            raise BadInput(
                f"a lexical index of these labels takes about {(whole - costs.sum()) / len(texts):.0f} bytes a row at "
                f"least, and {bytes_a_row:g} were asked for. Ask for more, or for no lexical index."
            )
        share = float(shares[dropped])
        lexical = _assemble(parts, min(share, most_term_share), min(share, most_feature_share), dense_share)
        size = len(lexical.pack())
        goal -= max(1, size - most_bytes)  # what a list takes is a guess
    return lexical


# ---- what there is --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Parts:
    """Words by their number, which ascends with their spelling; the rows of each, and the features of each."""

    row_count: int
    counts: Ints  # [words]: rows of each
    rows_word: Ints  # ascending pairs (word, row)
    rows_row: Ints
    features: int
    features_word: Ints  # pairs (word, feature)
    features_feature: Ints


def _take_apart(texts: Sequence[str]) -> _Parts:
    split = [list(dict.fromkeys(words)) for words in split_words(texts)]
    words = sorted({word for row in split for word in row})
    if not words:
        raise BadInput("no label's text has a letter or a digit, and a lexical index holds words.")
    number = {word: i for i, word in enumerate(words)}
    word = np.fromiter((number[word] for row in split for word in row), np.int64)
    row = np.repeat(np.arange(len(texts)), [len(row) for row in split])
    order = np.argsort(word, kind="stable")
    hashes, having = hash_features(words)
    features = min(MOST_FEATURES, 2 * len(np.unique(hashes)))  # with as many, more than half would share a place
    pairs = np.unique(having * features + bucket_features(hashes, features))
    of_rows = (np.bincount(word, minlength=len(words)), word[order], row[order])
    return _Parts(len(texts), *of_rows, features, pairs // features, pairs % features)


def hash_features(words: Sequence[str]) -> tuple[npt.NDArray[np.uint32], Ints]:
    """(hash, place of the word) of all features of the words: the trigrams of a word with its edges, of a short one its
    pairs, too, of an exact one itself. Not distinct."""
    points = np.frombuffer("".join(f"\0{word}\0" for word in words).encode("utf-32-le"), "<u4")
    lengths = np.array([len(word) + 2 for word in words], np.int64)
    starts = np.concatenate([[0], np.cumsum(lengths)])
    word = np.repeat(np.arange(len(words)), lengths)
    left = starts[1:][word] - np.arange(len(points))  # code points to the word's end
    exact = points[starts[:-1] + 1] == ord(EXACT)
    short = lengths - 2 <= _SHORT
    begin, pairs = ~exact[word] & (left >= 3), (~exact & short)[word] & (left >= 2)
    found = [_hash_runs(points, np.flatnonzero(begin), 3), _hash_runs(points, np.flatnonzero(pairs), 2)]
    of = [word[begin], word[pairs]]
    for length in np.unique(lengths[exact]).tolist():
        some = np.flatnonzero(exact & (lengths == length))
        found.append(_hash_runs(points, starts[some] + 2, length - 3, _WHOLE))
        of.append(some)
    return np.concatenate(found), np.concatenate(of)


def _hash_runs(
    points: npt.NDArray[np.uint32], begin: Ints, length: int, first: np.uint32 = _GRAM
) -> npt.NDArray[np.uint32]:
    hashes = np.full(len(begin), first, np.uint32)
    for i in range(length):
        hashes = (hashes ^ points[begin + i]) * np.uint32(0x01000193)
    hashes ^= hashes >> np.uint32(15)
    hashes *= np.uint32(0x2C1B3C6D)
    return hashes ^ hashes >> np.uint32(13)


def bucket_features(hashes: npt.NDArray[np.uint32], features: int) -> Ints:
    """The number of each feature."""
    return (hashes.astype(np.uint64) * np.uint64(features) >> np.uint64(32)).astype(np.int64)


def weigh_terms(rows: int, counts: Ints) -> Ints:
    """The idf of terms of so many rows, in 1/256: log((rows + 1) / (count + .5)), at least .05."""
    logs = _log2(np.int64(2 * rows + 2)) - _log2(2 * np.asarray(counts, np.int64) + 1)
    weights: Ints = np.maximum(_LEAST_IDF, np.maximum(logs, 0) * _LN2 >> _IDF_SHIFT)
    return weights


def _log2(numbers: Ints | np.int64) -> Ints:
    """The logarithm to base 2, in 2^-16: of each number's mantissa a bit a squaring."""
    left = np.asarray(numbers, np.uint64)
    whole = np.zeros(left.shape, np.int64)
    for bits in (32, 16, 8, 4, 2, 1):
        whole += np.where(left >> (whole + bits).astype(np.uint64) > 0, bits, 0)
    mantissa = left << (63 - whole).astype(np.uint64) >> np.uint64(32)  # 2^31 to 2^32
    for _ in range(_LOG2_BITS):
        mantissa = mantissa * mantissa >> np.uint64(31)
        bit = mantissa >> np.uint64(32)
        mantissa >>= bit
        whole = 2 * whole + bit.astype(np.int64)
    return whole


# ---- the section ----------------------------------------------------------------------------------------------------


def _assemble(parts: _Parts, most_term_share: float, most_feature_share: float, dense_share: float) -> Lexical:
    """Without the longest lists. Terms: dense, listed, single, each ascending in features, then in spelling."""
    counts, word, row = parts.counts, parts.rows_word, parts.rows_row
    kept = counts <= most_term_share * parts.row_count
    is_dense = kept & (counts > max(_FEWEST_DENSE, int(dense_share * parts.row_count)))
    kinds = np.where(is_dense, 0, np.where((counts > 1) | ~kept, 1, 2))
    sizes, left_out = _count_features(parts, most_feature_share)
    order = np.lexsort((sizes, kinds))
    term_of = np.empty(len(order), np.int64)
    term_of[order] = np.arange(len(order))
    by_term = np.argsort(term_of[word], kind="stable")
    word, row = word[by_term], row[by_term]
    inverse_norms, norms = _weigh_rows(parts)
    bits = np.zeros((int(is_dense.sum()), -(-parts.row_count // 32) * 32), np.uint8)
    bits[term_of[word[is_dense[word]]], row[is_dense[word]]] = 1
    bitmaps = np.packbits(bits, axis=1, bitorder="little").view("<u4").reshape(len(bits), -(-parts.row_count // 32))
    brought = [np.sort(rows[np.argsort(norms[rows], kind="stable")[:_BROUGHT]]) for rows in map(np.flatnonzero, bits)]
    some = (kinds[word] == 1) & kept[word]
    listed = np.where(kept, counts, 0)[order[kinds[order] == 1]]
    lengths = np.concatenate([[len(rows) for rows in brought], listed]).astype(np.int64)
    of_lists = np.concatenate([*brought, row[some]])
    term_lists, term_starts = _list_terms(counts[order][: len(lengths)], lengths, of_lists)
    feature_lists, feature_starts = _list_features(parts, term_of, left_out)
    lists = (term_starts, term_lists, row[kinds[word] == 2], feature_starts, feature_lists)
    return Lexical(parts.row_count, inverse_norms, norms, sizes[order], bitmaps, *lists)


def _list_terms(counts: Ints, lengths: Ints, rows: Ints) -> tuple[bytes, Ints]:
    """Of each term how many rows it has, then so many of `rows` as its length says, and where each list begins."""
    starts = np.concatenate([[0], np.cumsum(lengths)])
    numbers = np.empty(len(rows) + len(counts), np.int64)
    distances = np.diff(rows, prepend=-1)
    firsts = starts[:-1][lengths > 0]
    distances[firsts] = rows[firsts] + 1
    is_head = np.zeros(len(numbers), bool)
    is_head[starts[:-1] + np.arange(len(counts))] = True
    numbers[is_head], numbers[~is_head] = counts, distances
    return encode_numbers(numbers, starts + np.arange(len(starts)))


def _count_features(parts: _Parts, most_share: float) -> tuple[Bytes, Bools]:
    """How many features each word has, and which are left out and not counted."""
    having = np.bincount(parts.features_feature, minlength=parts.features)
    left_out = having > most_share * len(parts.counts)
    kept = ~left_out[parts.features_feature]
    return np.bincount(parts.features_word[kept], minlength=len(parts.counts)).astype(np.uint8), left_out


def _list_features(parts: _Parts, term_of: Ints, left_out: Bools) -> tuple[bytes, Ints]:
    """The terms of each feature, and where each list begins."""
    kept = ~left_out[parts.features_feature]
    term, feature = term_of[parts.features_word[kept]], parts.features_feature[kept]
    lengths = np.bincount(feature, minlength=parts.features)
    lists, starts = encode_lists(term[np.lexsort((term, feature))], np.concatenate([[0], np.cumsum(lengths)]))
    for at in np.flatnonzero(left_out)[::-1].tolist():
        lists = lists[: starts[at]] + LEFT_OUT + lists[starts[at] :]
    return lists, starts + np.concatenate([[0], np.cumsum(left_out)])


def _price_lists(parts: _Parts, most_term_share: float, most_feature_share: float) -> tuple[Doubles, Doubles]:
    """(share of all there is, about how many bytes) of each list, the longest first."""
    having = np.bincount(parts.features_feature, minlength=parts.features)
    shares, costs = [], []
    for counts, all_there_is, most, a_step, steps in (
        (parts.counts, parts.row_count, most_term_share, 1.0, (128, 1 << 14)),
        (having, len(parts.counts), most_feature_share, 1.125, (257,)),
    ):
        some = counts[(counts > 0) & (counts <= most * all_there_is)]
        gaps = all_there_is / some
        shares.append(some / all_there_is)
        costs.append(some * (a_step + sum(gaps >= step for step in steps)))
    order = np.argsort(-np.concatenate(shares), kind="stable")
    return np.concatenate(shares)[order], np.concatenate(costs)[order]


def _weigh_rows(parts: _Parts) -> tuple[Floats, Bytes]:
    """1 / sqrt(sum idf^2 of a row's words), by which its score is multiplied, in 256 levels, and the rows' levels."""
    weights = weigh_terms(parts.row_count, parts.counts) / 256
    squares = np.bincount(parts.rows_row, weights[parts.rows_word] ** 2, parts.row_count)
    lengths = np.sqrt(np.where(squares > 0, squares, squares.max()))
    levels = np.geomspace(lengths.min(), lengths.max(), NORM_LEVELS)
    between = np.sqrt(levels[1:] * levels[:-1])
    return (1 / levels).astype(np.float32), np.searchsorted(between, lengths).astype(np.uint8)
