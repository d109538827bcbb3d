"""Read a bundle: check every byte of structure that docs/format.md describes, refuse everything else."""

from __future__ import annotations

import hashlib
import mmap
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.errors import BadInput
from edgexl.base.files import open_input
from edgexl.base.strict_json import parse_object
from edgexl.bundle.calibration import Calibration
from edgexl.bundle.cells import Cells, unpack_cells
from edgexl.bundle.goldens import Goldens
from edgexl.bundle.layout import (
    ALIGNMENT,
    ENTRY,
    HEADER,
    LARGEST_KNOWN,
    MAGIC,
    MAJOR,
    MAX_SECTIONS,
    MINOR,
    OPTIONAL,
    SIGNATURE,
    SIGNED_MINOR,
    Entry,
    Kind,
    align,
)
from edgexl.bundle.parameters import Parameters
from edgexl.bundle.row_labels import unpack_row_labels


@dataclass(frozen=True)
class Bundle:
    """An open, checked bundle. Sections are views of the mapped file; what is parsed is parsed once, on first use.

    `entries` are its sections but for the signature, whose place `signed` is, where there is one. Nothing here looks
    at who has signed it: that is what `open_bundle` does with its `keys`.
    """

    path: Path
    major: int
    minor: int
    file_bytes: int
    entries: tuple[Entry, ...]
    signed: Entry | None
    data: memoryview

    def section(self, kind: Kind) -> memoryview:
        """The bytes of a section; empty when the bundle has none of that kind."""
        for entry in self.entries:
            if entry.kind == kind:
                return self.data[entry.offset : entry.offset + entry.length]
        return self.data[:0]

    @property
    def signature(self) -> bytes:
        """The text of the signature that the bundle holds, as minisign writes it; empty where it holds none."""
        return bytes(self.data[self.signed.offset : self.signed.offset + self.signed.length]) if self.signed else b""

    @property
    def signed_bytes(self) -> bytes:
        """What is signed: the header and the section table that the bundle has, or would have, without a signature."""
        end = HEADER.size + ENTRY.size * len(self.entries)
        if not self.signed:
            return bytes(self.data[:end])
        table, last = bytes(self.data[HEADER.size : end]), self.entries[-1]
        minor = MINOR if self.minor == SIGNED_MINOR else self.minor
        header = MAGIC, self.major, minor, len(self.entries), last.offset + last.length, ALIGNMENT, 0
        return HEADER.pack(*header, hashlib.sha256(table).digest()) + table

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The JSON for people and hosts: recipe, target, provenance, shapes, ledger, gates."""
        try:
            return parse_object(bytes(self.section(Kind.MANIFEST)))
        except ValueError as error:
            raise BadInput(f"the manifest is not JSON ({error}); compile the bundle again.") from None

    @cached_property
    def parameters(self) -> Parameters:
        """The sizes that the runtime works with."""
        return Parameters.unpack(bytes(self.section(Kind.PARAMETERS)))

    @cached_property
    def calibration(self) -> Calibration:
        """Logit to probability, checked to be this label set's."""
        calibration = Calibration.unpack(bytes(self.section(Kind.CALIBRATION)))
        if calibration.label_set_sha256 != self.parameters.label_set_sha256:
            raise BadInput(f"{self.path}: the calibration is of another label set; compile the bundle again.")
        return calibration

    @cached_property
    def goldens(self) -> Goldens:
        """Inputs with expected answers."""
        return Goldens.unpack(bytes(self.section(Kind.GOLDENS)))

    @cached_property
    def codebook(self) -> npt.NDArray[np.float32]:
        """Coarse code book [subspaces, 16, subspace_dims]."""
        values = np.frombuffer(self.section(Kind.CODEBOOK), "<f4")
        return values.reshape(self.parameters.subspaces, 16, self.parameters.subspace_dims)

    @cached_property
    def row_labels(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
        """(start, label) of the alias rows; both empty of aliases when there are none."""
        if self.parameters.rows == self.parameters.labels:
            return np.zeros(1, np.uint32), np.zeros(0, np.uint32)
        section = bytes(self.section(Kind.ROW_LABELS))
        return unpack_row_labels(section, self.parameters.rows, self.parameters.labels)

    @cached_property
    def cells(self) -> Cells | None:
        """Which rows a query scans; None where it scans all of them."""
        sizes = self.parameters
        if not sizes.cells:
            return None
        tables = unpack_cells(self.section(Kind.CELLS), sizes.cells, sizes.rows, sizes.fine_dims)
        return Cells(*tables, dims=sizes.fine_dims, probes=sizes.probes, margin=sizes.cell_margin)


def read_bundle(path: str | os.PathLike[str], verify: bool = True) -> Bundle:
    """Map the bundle at `path` and check its structure and sizes, and with `verify` every section's hash.

    Raises `BadInput` with one sentence for the first thing that docs/format.md forbids.
    """
    place = Path(path)
    with open_input(place) as stream:
        length = os.fstat(stream.fileno()).st_size
        try:
            data = memoryview(mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) if length else b"")
        except (OSError, ValueError) as error:
            raise BadInput(f"{place} cannot be read: {error}.") from None
    try:
        major, minor, entries, signed = _entries(data)
        if verify:
            for entry in (*entries, *((signed,) if signed else ())):
                content = data[entry.offset : entry.offset + entry.length]
                if hashlib.sha256(content).digest() != entry.sha256:
                    raise BadInput(f"the section {entry.name} is damaged; fetch or compile the bundle again.")
        bundle = Bundle(place, major, minor, length, entries, signed, data)
        _check_sizes(bundle)
    except BadInput as error:
        raise BadInput(f"{place}: {error}") from None
    return bundle


def _entries(data: memoryview) -> tuple[int, int, tuple[Entry, ...], Entry | None]:
    """Major, minor and the checked section table, the signature apart."""
    if len(data) < HEADER.size or bytes(data[:8]) != MAGIC:
        raise BadInput("is not an edgexl bundle.")
    _, major, minor, count, file_bytes, alignment, flags, table_sha256 = HEADER.unpack_from(data)
    if major != MAJOR:
        advice = "use a newer one" if major > MAJOR else "compile it again"
        raise BadInput(f"is of format version {major}.{minor}, which this edgexl does not read; {advice}.")
    if file_bytes != len(data):
        raise BadInput(f"has {len(data)} bytes where its header says {file_bytes}; fetch it again.")
    end = HEADER.size + ENTRY.size * count
    if not 1 <= count <= MAX_SECTIONS or alignment != ALIGNMENT or flags or end > len(data):
        raise BadInput("has a header with a number that the format forbids.")
    table = data[HEADER.size : end]
    if hashlib.sha256(table).digest() != table_sha256:
        raise BadInput("has a damaged section table; fetch or compile the bundle again.")
    entries, last_kind = [], 0
    for kind, entry_flags, offset, length, digest, reserved in ENTRY.iter_unpack(table):
        entry = Entry(kind, offset, length, digest)
        is_known = kind <= LARGEST_KNOWN or minor > SIGNED_MINOR or (kind == SIGNATURE and minor == SIGNED_MINOR)
        if not is_known or not last_kind < kind or last_kind == SIGNATURE or entry_flags or reserved:
            raise BadInput(f"has a section table in which {entry.name} is unknown, repeated or out of order.")
        if offset != align(end) or length == 0 or offset + length > len(data):
            raise BadInput(f"has a section {entry.name} that is empty, misplaced or longer than the file.")
        if any(data[end:offset]):
            raise BadInput(f"has bytes that are not 0 before the section {entry.name}.")
        entries.append(entry)
        last_kind, end = kind, offset + length
    if end != len(data):
        raise BadInput("has bytes behind its last section.")
    signed = entries.pop() if last_kind == SIGNATURE else None
    if minor == SIGNED_MINOR and signed is None:
        raise BadInput(f"is of format version {major}.{minor}, but holds no signature; fetch or compile it again.")
    missing = [kind.name.lower() for kind in Kind if kind not in OPTIONAL and kind not in {e.kind for e in entries}]
    if missing:
        raise BadInput(f"has no section {missing[0]}.")
    return major, minor, tuple(entries), signed


def _check_sizes(bundle: Bundle) -> None:
    """Check that the sections are as long as the parameters say, and that the small ones parse."""
    sizes = bundle.parameters
    lengths = {
        Kind.CODEBOOK: sizes.subspaces * 16 * sizes.subspace_dims * 4,
        Kind.COARSE_CODES: -(-sizes.rows // 256) * 256 * sizes.subspaces // 2,
        Kind.FINE_CODES: sizes.rows * (2 + sizes.fine_dims * sizes.fine_bits // 8),
    }
    if sizes.least_known:
        lengths[Kind.KNOWN_TOKENS] = -(-sizes.vocabulary // 8)
    for kind, wanted in lengths.items():
        found = len(bundle.section(kind))
        if found != wanted:
            raise BadInput(f"has {found} bytes of {kind.name.lower()} where its parameters ask for {wanted}.")
    if not np.isfinite(bundle.codebook).all():
        raise BadInput("has a code book with a number that is not finite.")
    if (sizes.rows > sizes.labels) != bool(len(bundle.section(Kind.ROW_LABELS))):
        raise BadInput("has a section row_labels exactly where its parameters say that there are no aliases.")
    for kind, wanted in (
        (Kind.REASONER_GRAPH, sizes.reasoner_inputs),
        (Kind.REASONER_WEIGHTS, sizes.reasoner_inputs),
        (Kind.CELLS, sizes.cells),
        (Kind.LEXICAL, sizes.lexical_candidates),
        (Kind.KNOWN_TOKENS, sizes.least_known > 0),
    ):
        if bool(wanted) != bool(len(bundle.section(kind))):
            raise BadInput(f"has a section {kind.name.lower()} exactly where its parameters say that there is none.")
    _ = bundle.cells, bundle.manifest, bundle.calibration, bundle.goldens, bundle.row_labels
    for golden in bundle.goldens.items:
        if max(golden.labels, default=0) >= sizes.labels:
            raise BadInput("has a golden with a label that is not there.")
