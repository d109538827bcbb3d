"""How much memory a bundle takes on a device: the peak resident memory of exl-bench, out of sections and plans.

Resident are the process itself, a session's scratch, and those pages of the file that were touched. Weights, coarse
codes and the tokenizer's tables are read in whole; of fine codes, label texts and words of a lexical side, what the
queries lead to. Linux maps up to 64 KiB around a page that is touched (fault-around, mm/memory.c).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from edgexl.bundle.layout import Kind
from edgexl.cost.stages import Anatomy

# exl-bench with the C library and its own times, before a bundle is open: 2 MB by glibc, less by musl.
_PROCESS_BYTES = 2_500_000
_AROUND_BYTES = 1 << 16
# A profile's different queries: a bundle's goldens at least, 220 at most.
_QUERIES = (16, 32, 220)
# Fixed tables of the tokenizer and the words' Unicode tables are read in part.
_WHOLE = (
    Kind.SCREENER_GRAPH, Kind.SCREENER_WEIGHTS, Kind.REASONER_GRAPH, Kind.REASONER_WEIGHTS, Kind.CODEBOOK,
    Kind.TOKENIZER, Kind.PARAMETERS, Kind.CALIBRATION, Kind.KNOWN_TOKENS,
)  # fmt: skip


@dataclass(frozen=True)
class Range:
    """A prediction: `low` and `high` are to hold what is measured in 90 of 100 cases, `middle` is as likely above as
    below it."""

    low: float
    middle: float
    high: float

    def times(self, factor: float) -> Range:
        """The range in another unit."""
        return Range(self.low * factor, self.middle * factor, self.high * factor)

    def wider(self, low: float, high: float) -> Range:
        """The range with its ends moved by factors."""
        return Range(self.low * low, self.middle, self.high * high)


def predict_memory(anatomy: Anatomy) -> Range:
    """Peak resident bytes of exl-bench over a bundle, without labels added on the device."""
    fewest, usual, most = (_resident_bytes(anatomy, queries) for queries in _QUERIES)
    return Range(0.94 * fewest, usual, 1.05 * most + _PROCESS_BYTES / 5)


def _resident_bytes(anatomy: Anatomy, queries: int) -> float:
    p, lengths = anatomy.parameters, anatomy.lengths
    whole = sum(lengths.get(kind, 0) for kind in _WHOLE)
    coarse = float(lengths[Kind.COARSE_CODES])
    if p.cells:
        coarse = _touched(coarse, queries * p.probes, coarse / p.cells)
    rows = min(p.overfetch, p.rows) + p.lexical_candidates
    fine = _touched(lengths[Kind.FINE_CODES], queries * rows)
    named = queries * (p.shortlist if p.label_tokens else 5)
    texts = _touched(lengths[Kind.LABEL_TEXTS], named) + _touched(lengths[Kind.LABEL_IDS], 5 * queries)
    aliases = _touched(lengths.get(Kind.ROW_LABELS, 0), queries * rows)
    lexical = _touched(lengths.get(Kind.LEXICAL, 0), queries * 40)
    cells = lengths.get(Kind.CELLS, 0)
    return _PROCESS_BYTES + whole + coarse + fine + texts + aliases + lexical + cells + scratch_bytes(anatomy)


def _touched(length: float, touches: float, run_bytes: float = 0.0) -> float:
    """The expected bytes of a section that so many random places bring into memory, each with `run_bytes`."""
    pieces = max(length / _AROUND_BYTES, 1.0)
    each = 1 + run_bytes / _AROUND_BYTES
    return length * (1 - math.exp(-touches * each / pieces)) if length else 0.0


def scratch_bytes(anatomy: Anatomy) -> float:
    """A session's own memory, as far as a query writes to it."""
    p, lexical = anatomy.parameters, anatomy.lexical
    plans = [anatomy.screener, *([anatomy.reasoner] if anatomy.reasoner else [])]
    candidates = p.overfetch + p.lexical_candidates
    arena = max(plan.arena_bytes for plan in plans)
    lists = 100 * candidates + p.shortlist * (4 * p.dims + 8 * p.label_tokens + 200)
    words = (4 * lexical.rows + lexical.terms) if lexical else 0
    return arena + lists + 4 * p.max_tokens * p.state_dims + words
