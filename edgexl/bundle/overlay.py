"""Reads and writes overlays: labels of one's own over a bundle, a signed file of its own (docs/format.md, "Overlay").

The codes of an overlay's labels are the bundle's own runtime's (`edgexl.use.overlay`), and its operations those of a
label file (`edgexl.bundle.label_file`). Who checks an overlay's signature is the runtime; nothing here does.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from edgexl.base.errors import BadInput
from edgexl.base.files import open_input, read_input
from edgexl.bundle.calibration import Calibration
from edgexl.bundle.label_file import ADD, Operation, pack_added, read_operations
from edgexl.bundle.layout import HEADER as BUNDLE_HEADER
from edgexl.bundle.layout import Kind
from edgexl.bundle.read import Bundle
from edgexl.bundle.signing import MOST_SIGNATURE_BYTES, SecretKey, Signature, parse_signature, sign, trusted_comment

SUFFIX = ".exlo"
MAGIC = b"\x89EXO\r\n\x1a\n"
MAJOR, MINOR = 1, 0
# magic, versions, flags; bytes that are signed for, of labels, of the calibration; labels, rows; bytes of a row's
# codes; code space, base of the calibration, hashes of labels and calibration
_HEAD = struct.Struct("<8sHHIQQQIIII8x32s32s32s32s32x")
_CHECK_AT, HEADER_BYTES = 224, 256
_NONE = bytes(32)
assert _HEAD.size == _CHECK_AT


@dataclass(frozen=True)
class OverlayLabel:
    """A label with the codes [1 + aliases] of its rows."""

    id: str
    text: str
    aliases: tuple[str, ...]
    coarse: tuple[bytes, ...]
    fine: tuple[bytes, ...]


@dataclass(frozen=True)
class OverlayFile:
    """What an overlay holds. `code_space` is that of the bundles which take it; `calibration` was fitted over the
    bundle with the identity `calibrated_over`. `signature` is the text of the one that it holds, or empty."""

    code_space: bytes
    labels: tuple[OverlayLabel, ...]
    calibration: Calibration | None = None
    calibrated_over: bytes = _NONE
    signature: bytes = b""

    @property
    def rows(self) -> int:
        """Labels and aliases."""
        return sum(len(label.coarse) for label in self.labels)

    @property
    def labels_sha256(self) -> bytes:
        """What stands for the label set in its calibration."""
        return hashlib.sha256(_pack_labels(self.labels)).digest()

    def pack(self) -> bytes:
        """The file's bytes."""
        labels = _pack_labels(self.labels)
        digest = hashlib.sha256(labels).digest()
        calibration = self.calibration.pack() if self.calibration else b""
        if self.calibration and self.calibration.label_set_sha256 != digest:
            raise BadInput("The overlay's calibration is of other labels; fit it again.")
        head = _HEAD.pack(
            MAGIC,
            MAJOR,
            MINOR,
            0,
            HEADER_BYTES + len(labels) + len(calibration),
            len(labels),
            len(calibration),
            len(self.labels),
            self.rows,
            len(self.labels[0].coarse[0]),
            len(self.labels[0].fine[0]),
            self.code_space,
            self.calibrated_over if calibration else _NONE,
            digest,
            hashlib.sha256(calibration).digest() if calibration else _NONE,
        )
        return head + hashlib.sha256(head).digest() + labels + calibration + self.signature

    @property
    def signed_bytes(self) -> bytes:
        """What is signed: the header, which holds the hashes of all that is behind it."""
        return self.pack()[:HEADER_BYTES]

    def sign(self, key: SecretKey, version: int = 0, comment: str = "") -> Signature:
        """A signature of it, as `edgexl.bundle.signing.sign_bundle` makes those of bundles."""
        return sign(self.signed_bytes, key, trusted_comment(version, comment))


def code_space_of(bundle: Bundle) -> bytes:
    """The hash of what the codes of a bundle's labels depend on: tokenizer, screener, code book and sizes. Bundles that
    have it in common take the same overlays."""
    kinds = (Kind.TOKENIZER, Kind.SCREENER_GRAPH, Kind.SCREENER_WEIGHTS, Kind.CODEBOOK)
    sections = b"".join(entry.sha256 for entry in bundle.entries if entry.kind in kinds)
    p = bundle.parameters
    sizes = struct.pack(
        "<IIIIIfI", p.dims, p.subspaces, p.subspace_dims, p.fine_dims, p.fine_bits, p.fine_gain, p.max_tokens
    )
    return hashlib.sha256(sections + sizes).digest()


def identity_of(bundle: Bundle) -> bytes:
    """The hash by which a calibration knows the bundle that it was fitted over: of every byte but a signature."""
    digest: bytes = BUNDLE_HEADER.unpack_from(bundle.signed_bytes)[-1]
    return digest


def is_overlay(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as overlays do. Raises `BadInput` where it cannot be read."""
    with open_input(path) as stream:
        return stream.read(len(MAGIC)) == MAGIC


def read_overlay(path: str | os.PathLike[str]) -> OverlayFile:
    """Read and check an overlay, but for its signature. Raises `BadInput` where it is not exactly well formed."""
    try:
        return parse_overlay(read_input(path))
    except BadInput as error:
        if os.fspath(path) in str(error):
            raise
        raise BadInput(f"{os.fspath(path)} {error}") from None


def parse_overlay(data: bytes) -> OverlayFile:
    """Read an overlay's bytes. Raises `BadInput` where they are not exactly as the format says."""
    if data[:8] != MAGIC:
        raise BadInput("is not an overlay.")
    if len(data) < HEADER_BYTES:
        raise BadInput("ends inside its header; fetch it again.")
    fields = _HEAD.unpack_from(data)
    _, major, minor, flags, signed_bytes, labels_bytes, calibration_bytes, labels, rows, coarse, fine = fields[:11]
    code_space, calibrated_over, labels_sha256, calibration_sha256 = fields[11:]
    if major > MAJOR:
        raise BadInput(f"is of format version {major}, which this edgexl does not read; use a newer one.")
    if hashlib.sha256(data[:_CHECK_AT]).digest() != data[_CHECK_AT:HEADER_BYTES]:
        raise BadInput("has a damaged header; fetch it again.")
    end = HEADER_BYTES + labels_bytes
    sound = (
        major == MAJOR
        and flags == 0
        and labels_bytes > 0
        and labels_bytes % 8 == 0
        and signed_bytes == end + calibration_bytes
        and signed_bytes <= len(data) <= signed_bytes + MOST_SIGNATURE_BYTES
        and (minor != MINOR or not any(data[56:64] + data[192:_CHECK_AT]))
        and (calibration_bytes > 0 or calibrated_over == calibration_sha256 == _NONE)
    )
    if not sound:
        raise BadInput("has a header with a number that the format forbids, or was cut; fetch it again.")
    section, signature = data[end:signed_bytes], data[signed_bytes:]
    if hashlib.sha256(data[HEADER_BYTES:end]).digest() != labels_sha256 or (
        section and hashlib.sha256(section).digest() != calibration_sha256
    ):
        raise BadInput("does not match its hashes; fetch it again.")
    calibration = Calibration.unpack(section) if section else None
    if calibration and calibration.label_set_sha256 != labels_sha256:
        raise BadInput("holds a calibration of other labels; make it again.")
    if signature and parse_signature(signature).text.encode() != signature:
        raise BadInput("holds a signature that is not written as stored ones are; sign it again.")
    found = _unpack_labels(data, end, coarse, fine)
    overlay = OverlayFile(code_space, found, calibration, calibrated_over, signature)
    if (len(found), overlay.rows) != (labels, rows):
        raise BadInput("does not hold as many labels as it states; fetch it again.")
    return overlay


def _pack_labels(labels: Sequence[OverlayLabel]) -> bytes:
    if not labels:
        raise BadInput("An overlay needs a label; give some.")
    return b"".join(
        pack_added(place, (label.id, label.text, *label.aliases), label.coarse, label.fine)
        for place, label in enumerate(labels)
    )


def _unpack_labels(data: bytes, end: int, coarse_bytes: int, fine_bytes: int) -> tuple[OverlayLabel, ...]:
    labels: list[OverlayLabel] = []
    for operation in read_operations(data, HEADER_BYTES, end, coarse_bytes + fine_bytes):
        if operation.kind != ADD or operation.index != len(labels):
            raise BadInput("breaks the format's rules in its labels; fetch it again.")
        labels.append(_label_of(operation, coarse_bytes, fine_bytes))
    return tuple(labels)


def _label_of(operation: Operation, coarse_bytes: int, fine_bytes: int) -> OverlayLabel:
    uid, text, *aliases = operation.strings
    return OverlayLabel(uid, text, tuple(aliases), *operation.split_codes(coarse_bytes, fine_bytes))
