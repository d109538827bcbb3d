"""Header and section table of a bundle: the constants of docs/format.md and how both are packed."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass

MAGIC = b"\x89EXL\r\n\x1a\n"
MAJOR = 3
MINOR = 0
# Of a bundle that holds its signature, and of no other.
SIGNED_MINOR = 1
# The kind of the section that does: behind all that are signed, whatever may come.
SIGNATURE = 1000
# The largest page size in use on phones: every section can be mapped on its own.
ALIGNMENT = 16384
MAX_SECTIONS = 64

# magic, major, minor, section_count, file_bytes, alignment, flags, table_sha256
HEADER = struct.Struct("<8sHHIQII32s")
# kind, flags, offset, length, sha256, reserved
ENTRY = struct.Struct("<IIQQ32sQ")
assert HEADER.size == ENTRY.size == 64


class Kind(enum.IntEnum):
    """The section kinds, in file order."""

    MANIFEST = 1
    PARAMETERS = 2
    TOKENIZER = 3
    SCREENER_GRAPH = 4
    SCREENER_WEIGHTS = 5
    REASONER_GRAPH = 6
    REASONER_WEIGHTS = 7
    CODEBOOK = 8
    COARSE_CODES = 9
    FINE_CODES = 10
    ROW_LABELS = 11
    LABEL_TEXTS = 12
    LABEL_IDS = 13
    CALIBRATION = 14
    GOLDENS = 15
    CELLS = 16
    LEXICAL = 17
    LABEL_DESCRIPTIONS = 18
    KNOWN_TOKENS = 19


# Only a bundle that has such a part has these; all others must be there.
OPTIONAL = frozenset(
    {
        Kind.REASONER_GRAPH,
        Kind.REASONER_WEIGHTS,
        Kind.ROW_LABELS,
        Kind.CELLS,
        Kind.LEXICAL,
        Kind.LABEL_DESCRIPTIONS,
        Kind.KNOWN_TOKENS,
    }
)
# What sections are for; those that stand in none are the file's own.
PARTS: dict[str, tuple[Kind, ...]] = {
    "screener": (Kind.TOKENIZER, Kind.SCREENER_GRAPH, Kind.SCREENER_WEIGHTS, Kind.KNOWN_TOKENS),
    "reasoner": (Kind.REASONER_GRAPH, Kind.REASONER_WEIGHTS, Kind.CALIBRATION),
    "index": (Kind.CODEBOOK, Kind.COARSE_CODES, Kind.FINE_CODES, Kind.ROW_LABELS, Kind.CELLS, Kind.LEXICAL),
    "texts": (Kind.LABEL_TEXTS, Kind.LABEL_IDS, Kind.LABEL_DESCRIPTIONS),
}
# A larger one may stand in a file of a larger minor version, and is skipped.
LARGEST_KNOWN = max(Kind)


def part_of(kind: Kind) -> str:
    """Which of `PARTS` a section belongs to, or "rest"."""
    return next((part for part, kinds in PARTS.items() if kind in kinds), "rest")


@dataclass(frozen=True)
class Entry:
    """One line of the section table: `offset` and `length` in bytes, `sha256` of the section's bytes."""

    kind: int
    offset: int
    length: int
    sha256: bytes

    @property
    def name(self) -> str:
        """The section's name as docs/format.md writes it, or its number when this version does not know it."""
        if self.kind == SIGNATURE:
            return "signature"
        return Kind(self.kind).name.lower() if self.kind <= LARGEST_KNOWN else f"kind {self.kind}"


def align(offset: int) -> int:
    """The first multiple of the alignment at or after `offset`."""
    return -(-offset // ALIGNMENT) * ALIGNMENT
