"""Screening in plain numpy, equal to the C runtime to the bit: scan, rescore, shortlist.

This is the reference that tests and the compiler's ledger compare the runtime with; it is not meant to be fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import astuple, dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Array, Floats, Ints
from edgexl.base.ragged import Ragged
from edgexl.bundle.cells import CENTROID_BITS, Cells
from edgexl.bundle.lexical import Lexical
from edgexl.index.best_of_rows import BEST_ROW, LabelScores, RowWords, Weighing
from edgexl.index.coarse import BLOCK_ROWS, unpack_coarse
from edgexl.index.fine import EVEN, Gain, decode_fine, fine_stride_bytes, fine_values
from edgexl.index.lexical_scores import LexicalScores

GROUP = 4  # the entries of so many subspaces add up within a byte
GROUP_RANGE = 252  # leaves room for each of them to be rounded up by a half
LARGEST_QUERY = 2047
_CHUNK_ROWS = 65536  # what numpy widens indices into then stays in a core's cache


def scan_tables(query: Floats, codebook: Floats) -> npt.NDArray[np.uint8]:
    """Look-up tables [M, 16]; query: [D], finite, of which the leading dimensions count; codebook: [M, 16, C / M].

    Any entries of the four subspaces 4g to 4g + 3 add up to at most 255.
    """
    subspaces, entries, subspace_dims = codebook.shape
    split = query[: subspaces * subspace_dims].astype(np.float32).reshape(subspaces, 1, subspace_dims)
    values = np.zeros((subspaces, entries), np.float32)
    for j in range(subspace_dims):  # in this order, each product rounded: as the C code adds them
        values = values + split[:, :, j] * codebook[:, :, j].astype(np.float32)
    low = values.min(axis=1, keepdims=True)
    ranges = np.pad((values.max(axis=1) - low[:, 0]), (0, -subspaces % GROUP)).reshape(-1, GROUP)
    width = (((ranges[:, 0] + ranges[:, 1]) + ranges[:, 2]) + ranges[:, 3]).max()
    step = np.float32(GROUP_RANGE) / width if width > 0 else np.float32(0)
    if not np.isfinite(step):
        step = np.float32(0)
    tables: npt.NDArray[np.uint8] = np.minimum((values - low) * step + np.float32(0.5), 255).astype(np.uint8)
    return tables


def scan(
    codes: bytes | npt.NDArray[np.uint8], rows: int, tables: npt.NDArray[np.uint8], keep: int
) -> tuple[Ints, npt.NDArray[np.uint16]]:
    """The `keep` best rows and their scores, by score descending, ties by row.

    codes: the section's bytes, or what unpack_coarse made of them ([M / 2, rows], to scan them more than once).
    """
    unpacked = codes if isinstance(codes, np.ndarray) else unpack_coarse(codes, rows, len(tables))
    wide = tables.astype(np.uint16)
    pairs = (wide[1::2, :, None] + wide[0::2, None, :]).reshape(-1, 256)
    scores, part = np.zeros(rows, np.uint16), np.empty(_CHUNK_ROWS, np.uint16)
    for begin in range(0, rows, _CHUNK_ROWS):
        chunk = scores[begin : begin + _CHUNK_ROWS]
        for pair, byte in zip(pairs, unpacked, strict=True):
            np.take(pair, byte[begin : begin + _CHUNK_ROWS], out=part[: len(chunk)], mode="clip")
            chunk += part[: len(chunk)]
    keep = min(keep, rows)
    # All rows that reach the score of the last place, then the exact order
    reached = np.cumsum(np.bincount(scores)[::-1])
    least = len(reached) - 1 - int(np.searchsorted(reached, keep))
    best = np.flatnonzero(scores >= least)
    best = best[np.argsort(-scores[best].astype(np.int64), kind="stable")[:keep]]
    return best, scores[best]


def quantize_query(query: Floats, fine_dims: int, gain: Gain = EVEN) -> tuple[npt.NDArray[np.int16], np.float32]:
    """Q int16 [fine_dims] and its unit; query: [D], finite. The gain of the codes is put on the query, where it costs
    nothing."""
    leading = gain.times(query[:fine_dims])
    unit = np.float32(np.abs(leading).max() / np.float32(LARGEST_QUERY))
    if not unit > 0:
        return np.zeros(fine_dims, np.int16), unit
    steps = (leading / unit).astype(np.float64)
    rounded = np.trunc(steps + np.copysign(0.5, steps))  # halves away from zero
    return np.clip(rounded, -LARGEST_QUERY, LARGEST_QUERY).astype(np.int16), unit


def rescore(
    fine: bytes | memoryview,
    rows: Ints,
    fine_dims: int,
    fine_bits: int,
    quantized: npt.NDArray[np.int16],
    unit: np.float32,
) -> Floats:
    """Fine scores f32 of the given rows of the section's bytes."""
    stride = fine_stride_bytes(fine_dims, fine_bits)
    chosen = np.frombuffer(fine, np.uint8).reshape(-1, stride)[rows]
    values, scale = fine_values(chosen.tobytes(), fine_dims, fine_bits)
    dot = values.astype(np.int64) @ quantized.astype(np.int64)
    return dot.astype(np.float32) * scale * unit


def cell_scores(cells: Cells, query: Floats) -> Floats:
    """How near each cell is to a query [D], as the C runtime has it."""
    quantized, unit = quantize_query(query, cells.dims)
    return rescore(cells.centroids, np.arange(cells.count), cells.dims, CENTROID_BITS, quantized, unit)


def choose_cells(cells: Cells, query: Floats) -> Ints:
    """The cells that a query [D] scans, ascending."""
    scores = cell_scores(cells, query)
    best = np.argsort(-scores, kind="stable")[: cells.probes]
    near = scores[best] >= scores[best[0]] - np.float32(cells.margin)
    return np.sort(best[near])


def list_places(cells: Cells, query: Floats) -> Ints:
    """The places of the coarse codes that a query [D] scans, ascending: all of each block that holds a row of a probed
    cell."""
    rows, chosen = len(cells.rows), choose_cells(cells, query)
    first, last = cells.starts[chosen] // BLOCK_ROWS, (cells.starts[chosen + 1] - 1) // BLOCK_ROWS
    lengths = (last - first).astype(np.int64) + 1
    ends = np.cumsum(lengths)
    blocks = np.unique(np.repeat(first - (ends - lengths), lengths) + np.arange(ends[-1]))
    places = (blocks[:, None] * BLOCK_ROWS + np.arange(BLOCK_ROWS)).reshape(-1)
    return places[places < rows]


@dataclass(frozen=True)
class Shortlist:
    """What screening hands on, best first: label indices [N], their `evidence` f32 [N, 5] (docs/format.md), and the
    screening scores f32 [N] that put them in order."""

    labels: Ints
    evidence: Floats
    screening: Floats

    @property
    def scores(self) -> Floats:
        """The graphs' screening_scores f32 [N, 2]: own text, best alias."""
        return self.evidence[:, :2]


@dataclass(frozen=True)
class LabelIndex:
    """The sections of an index and how many candidates it hands on.

    codebook: [M, 16, C / M] of the leading C of `dims` dimensions, whose fine codes have the gain `fine_gain`; coarse,
    fine: the sections' bytes; labels: their number; row_starts [rows - labels + 1] and row_labels: the labels of the
    alias rows, empty when every row is a label's own text; cells: in whose order the coarse codes lie, and which of
    them a query scans; descriptions: how many of the alias rows, the last ones, are descriptions; lexical: the lexical
    side, which brings `lexical_candidates` rows at most.
    """

    codebook: Floats
    coarse: bytes | memoryview
    fine: bytes | memoryview
    labels: int
    dims: int
    fine_dims: int
    fine_bits: int
    overfetch: int
    shortlist: int
    row_starts: npt.NDArray[np.uint32]
    row_labels: npt.NDArray[np.uint32]
    fine_gain: float = 1.0
    cells: Cells | None = None
    descriptions: int = 0
    weighing: Weighing = BEST_ROW
    lexical: Lexical | None = None
    lexical_candidates: int = 0

    def parts(self) -> Iterator[bytes | memoryview | str | Array]:
        """All that its answers depend on, for a hash of them (`edgexl.index.remembered`)."""
        settings = (self.labels, self.dims, self.fine_dims, self.fine_bits, self.overfetch, self.shortlist)
        more = (self.fine_gain, self.descriptions, astuple(self.weighing), self.lexical_candidates)
        yield repr((settings, more))
        yield from (self.codebook, self.coarse, self.fine, self.row_starts, self.row_labels)
        if self.cells is not None:
            yield repr((self.cells.dims, self.cells.probes, self.cells.margin))
            yield self.cells.pack()
        if self.lexical is not None:
            yield self.lexical.pack()

    @property
    def gain(self) -> Gain:
        """What the fine codes of the dimensions that coarse codes keep stand for, beside the others."""
        subspaces, _, subspace_dims = self.codebook.shape
        return Gain(subspaces * subspace_dims, self.fine_gain)

    @property
    def rows(self) -> int:
        """Labels, aliases and descriptions."""
        return self.labels + max(0, len(self.row_starts) - 1)

    @cached_property
    def _alias_labels(self) -> Ragged:
        starts = self.row_starts if len(self.row_starts) else np.zeros(1, np.uint32)
        return Ragged(self.row_labels, starts.astype(np.int64))

    @cached_property
    def _unpacked(self) -> npt.NDArray[np.uint8]:
        return unpack_coarse(self.coarse, self.rows, len(self.codebook))

    def search(self, query: Floats, text: str = "") -> Shortlist:
        """The shortlist of a query vector [D] in the index's space, and of its text where there is a lexical side."""
        return self.shortlist_of(query, self.candidates(query), self.match(text))

    def match(self, text: str) -> RowWords | None:
        """What the lexical side says of a text, where there is one."""
        return LexicalScores(self.lexical, text) if self.lexical is not None else None

    def candidates(self, query: Floats) -> Ints:
        """The rows that the scan finds for a query vector [D], best first."""
        tables = scan_tables(query, self.codebook)
        if self.cells is None:
            return scan(self._unpacked, self.rows, tables, self.overfetch)[0]
        places = list_places(self.cells, query)
        best, _ = scan(self._unpacked[:, places], len(places), tables, self.overfetch)
        return self.cells.rows[places[best]].astype(np.int64)

    def shortlist_of(self, query: Floats, candidates: Ints, words: RowWords | None = None) -> Shortlist:
        """The shortlist of a query vector [D] whose scan found the rows `candidates`; `words`: those of its text."""
        [shortlist] = self.shortlists_of(query, candidates, words, (self.weighing,))
        return shortlist

    def shortlists_of(
        self, query: Floats, candidates: Ints, words: RowWords | None, weighings: Sequence[Weighing]
    ) -> list[Shortlist]:
        """As `shortlist_of`, by each of several weighings in the place of the index's own."""
        if words is not None:
            candidates = np.union1d(candidates, words.ranked[: self.lexical_candidates])
        quantized, unit = quantize_query(query, self.fine_dims, self.gain)
        # where an alias was found, its labels' own texts count, too
        aliases = candidates[candidates >= self.labels] - self.labels
        rows = np.union1d(candidates, self._alias_labels.take(aliases).values.astype(np.int64))
        scores = rescore(self.fine, rows, self.fine_dims, self.fine_bits, quantized, unit)
        found = LabelScores.of(1, np.zeros_like(rows), rows, scores, self.labels, self._alias_labels, self.descriptions)
        shortlists = []
        for evidence, screening in found.weigh_each(weighings, words):
            labels = found.best(min(self.shortlist, len(found.pairs)), screening)
            place = found.places_of(labels)[0][0]
            shortlists.append(Shortlist(labels[0], evidence[place], screening[place]))
        return shortlists

    def search_all(
        self, queries: Floats, pool: ThreadPoolExecutor, texts: Sequence[str] | None = None
    ) -> Iterable[Shortlist]:
        """The shortlists of query vectors [n, D] and their texts, on the pool's threads."""
        return pool.map(self.search, queries, texts if texts is not None else [""] * len(queries))

    def with_shortlist(self, shortlist: int) -> LabelIndex:
        """The same for shortlists of another length, for which it rescores at least so many rows."""
        return replace(self, shortlist=shortlist, overfetch=max(self.overfetch, shortlist))

    def decompress(self, labels: Ints) -> Floats:
        """label_vectors [n, D] of the given labels, as the reasoner gets them."""
        stride = fine_stride_bytes(self.fine_dims, self.fine_bits)
        chosen = np.frombuffer(self.fine, np.uint8).reshape(-1, stride)[labels].tobytes()
        return decode_fine(chosen, len(labels), self.fine_dims, self.fine_bits, self.dims, self.gain)
