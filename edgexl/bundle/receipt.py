"""Receipts: records of single answers, as docs/format.md has them, one behind the other in a file.

Only the runtime makes them (`exl_receipt`). Here they are read and compared: two that were made for the same text, key
and options on two processors have the same bits, or tell which stage did not.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.errors import BadInput
from edgexl.base.files import read_input
from edgexl.bundle.layout import HEADER as BUNDLE_HEADER
from edgexl.bundle.read import Bundle

MAGIC = b"\x89EXR\r\n\x1a\n"
MAJOR = 1
LEAST_KEY_BYTES, MOST_KEY_BYTES = 16, 4096
MOST_NOTE_BYTES, MOST_SIGNATURE_BYTES = 4096, 8192
# magic, major, minor, signed bytes, time, note bytes, flags, version, engine, k, threshold, coverage, most windows,
# windows, tokens, shortlist, answers, reserved, key, text, bundle, labels, tokens' hash, vector's hash
HEADER = struct.Struct("<8sHHIQII16sIIffIIIIII8s32s32s32s8s8s")
# Numbers of f32 stay the bits that they are.
ENTRY = np.dtype([("label", "<u4"), ("score", "<u4"), ("logit", "<u4"), ("probability", "<u4"), ("id", "S8")])
_NONE_FITS, _TRUNCATED, _COVERAGE_HOLDS, _VERIFIED = 1, 2, 4, 8
_MOST_LABELS = 4096
assert (HEADER.size, ENTRY.itemsize) == (208, 24)

# What two receipts can differ in, in the order in which one thing leads to another.
PARTS = (
    *("key", "text", "bundle", "labels", "options"),
    *("tokenize", "encode", "shortlist", "reason", "calibrate", "answer"),
)


@dataclass(frozen=True)
class Options:
    """What was asked for, with the defaults filled in: `threshold` -1 and `coverage` 0 are none."""

    k: int
    threshold: float
    coverage: float
    windows: int


@dataclass(frozen=True)
class Receipt:
    """A receipt. `record` is what is signed; `key`, `text`, `bundle` and `labels` are hashes; `verified`: all of the
    bundle's sections were hashed before they were used. `shortlist` is in screening's order, [N] of `ENTRY`, and
    `answers` are places in it, best first."""

    record: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    time: int
    note: bytes
    version: str
    options: Options
    key: bytes
    text: bytes
    bundle: bytes
    labels: bytes
    windows: int
    tokens: int
    tokens_hash: bytes
    vector_hash: bytes
    none_fits: bool
    truncated: bool
    coverage_holds: bool
    verified: bool
    shortlist: npt.NDArray[np.void] = field(repr=False)
    answers: npt.NDArray[np.uint32] = field(repr=False)

    def parts(self) -> dict[str, object]:
        """What is compared, by its name in `PARTS`."""
        column = {name: self.shortlist[name].tobytes() for name in ENTRY.names or ()}
        return {
            "key": self.key,
            "text": self.text,
            "bundle": self.bundle,
            "labels": self.labels,
            "options": self.options,
            "tokenize": (self.tokens, self.tokens_hash, self.windows, self.truncated),
            "encode": self.vector_hash,
            "shortlist": (column["label"], column["id"], column["score"]),
            "reason": column["logit"],
            "calibrate": (column["probability"], self.none_fits),
            "answer": (self.answers.tobytes(), self.coverage_holds),
        }

    def as_json(self) -> dict[str, Any]:
        """Its contents in JSON's types, but for the shortlist's labels that are no answers."""
        note: str | dict[str, str]
        try:
            note = self.note.decode()
        except UnicodeDecodeError:
            note = {"hex": self.note.hex()}
        best = self.shortlist[self.answers]
        return {
            "time": self.time,
            "note": note,
            "version": self.version,
            "bundle_sha256": self.bundle.hex(),
            "labels_sha256": self.labels.hex(),
            "text_hmac": self.text.hex(),
            **{name: getattr(self.options, name) for name in ("k", "threshold", "coverage")},
            "answers": [
                {"index": int(label), "probability": float(probability), "logit": float(logit)}
                for label, probability, logit in zip(
                    best["label"], *(best[name].view("<f4") for name in ("probability", "logit")), strict=True
                )
            ],
            "shortlist": len(self.shortlist),
            "none_fits": self.none_fits,
            "verified": self.verified,
        }


def differences(one: Receipt, other: Receipt) -> list[str]:
    """The `PARTS` in which two receipts differ; time, note, signature and the runtime's version may."""
    ours, theirs = one.parts(), other.parts()
    return [name for name in PARTS if ours[name] != theirs[name]]


def read_receipts(path: str | os.PathLike[str]) -> list[Receipt]:
    """The receipts in a file, in order. Raises `BadInput` where one of them is not exactly well formed."""
    content = read_input(path)
    try:
        receipts = list(parse_receipts(content))
    except BadInput as error:
        raise BadInput(f"{os.fspath(path)}: {error}") from None
    if not receipts:
        raise BadInput(f"{os.fspath(path)} holds no receipt.")
    return receipts


def parse_receipts(content: bytes) -> Iterator[Receipt]:
    """Each receipt in turn. Raises `BadInput` at the first that is none, naming it from 1."""
    at, count = 0, 0
    while at < len(content):
        count += 1
        try:
            receipt = _parse(content[at:])
        except BadInput as error:
            raise BadInput(f"receipt {count}, at byte {at:,}, {error}") from None
        yield receipt
        at += len(receipt.record) + 4 + len(receipt.signature)


def _parse(content: bytes) -> Receipt:
    if content[: len(MAGIC)] != MAGIC:
        raise BadInput("does not begin as one does.")
    if len(content) < HEADER.size:
        raise BadInput("ends inside its header; copy the file again.")
    (
        _, major, _, size, time, note_bytes, flags, version, engine, k, threshold, coverage, most_windows, windows,
        tokens, shortlist, answers, reserved, key, text, bundle, labels, tokens_hash, vector_hash,
    ) = HEADER.unpack_from(content)  # fmt: skip
    if major != MAJOR:
        raise BadInput(f"is of format version {major}, which this edgexl does not read; use a newer one.")
    if size + 4 > len(content):
        raise BadInput("is cut off; copy the file again.")
    places_at = HEADER.size + shortlist * ENTRY.itemsize
    note_at = places_at + 4 * answers
    signature_bytes = int.from_bytes(content[size : size + 4], "little")
    sound = (
        shortlist <= _MOST_LABELS
        and answers <= shortlist
        and note_bytes <= MOST_NOTE_BYTES
        and size == note_at + note_bytes
        and signature_bytes <= MOST_SIGNATURE_BYTES
        and flags < 2 * _VERIFIED
        and (engine, reserved) == (2, 0)
        and version.rstrip(b"\0").isascii()
    )
    if not sound:
        raise BadInput("breaks the format's rules.")
    if size + 4 + signature_bytes > len(content):
        raise BadInput("ends inside its signature; copy the file again.")
    places = np.frombuffer(content, "<u4", answers, places_at)
    if answers and int(places.max()) >= shortlist:
        raise BadInput("answers with a label that is not on its shortlist.")
    return Receipt(
        record=content[:size],
        signature=content[size + 4 : size + 4 + signature_bytes],
        time=time,
        note=content[note_at:size],
        version=version.rstrip(b"\0").decode("ascii"),
        options=Options(k, threshold, coverage, most_windows),
        key=key,
        text=text,
        bundle=bundle,
        labels=labels,
        windows=windows,
        tokens=tokens,
        tokens_hash=tokens_hash,
        vector_hash=vector_hash,
        none_fits=bool(flags & _NONE_FITS),
        truncated=bool(flags & _TRUNCATED),
        coverage_holds=bool(flags & _COVERAGE_HOLDS),
        verified=bool(flags & _VERIFIED),
        shortlist=np.frombuffer(content, ENTRY, shortlist, HEADER.size),
        answers=places,
    )


def read_receipt_key(path: str | os.PathLike[str]) -> bytes:
    """The key in a file, all of its bytes. Raises `BadInput` where they are too few to be one."""
    key = read_input(path, MOST_KEY_BYTES)
    if len(key) < LEAST_KEY_BYTES:
        raise BadInput(
            f"{os.fspath(path)} has {len(key)} bytes, and a key of receipts {LEAST_KEY_BYTES} at least; make one by "
            "`head -c 32 /dev/urandom`."
        )
    return key


def hash_text(key: bytes, text: bytes) -> bytes:
    """What a receipt under this key has of a text: HMAC-SHA-256."""
    return hmac.digest(key, text, "sha256")


def name_key(key: bytes) -> bytes:
    """What a receipt has of its key: the beginning of the empty text's hash, which is no text."""
    return hash_text(key, b"")[:8]


def name_bundle(bundle: Bundle) -> bytes:
    """What a receipt has of its bundle: the section table's SHA-256, without a signature, as label files have it."""
    return hashlib.sha256(bundle.signed_bytes[BUNDLE_HEADER.size :]).digest()


def add_signature(record: bytes, signature: bytes) -> bytes:
    """The receipt of a record, its part that is signed, and a signature of it, which may be empty."""
    return record + len(signature).to_bytes(4, "little") + signature


def append_receipts(path: Path, content: bytes) -> None:
    """Put receipts behind those that a file holds, or begin it. Raises `BadInput` where it cannot be written."""
    try:
        with path.open("ab") as stream:
            stream.write(content)
    except OSError as error:
        raise BadInput(f"{path} cannot be written ({error.strerror}); give another file.") from None
