"""Checking receipts: each text is answered again, here or on another device, and its receipt compared to the bit.

A receipt holds its text as a hash, so the text is looked for among those that are given. What a receipt and its replay
differ in is told by `edgexl.bundle.receipt.PARTS`.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgexl.base.errors import BadInput
from edgexl.base.files import read_input
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.label_file import label_file_of
from edgexl.bundle.read import read_bundle
from edgexl.bundle.receipt import (
    Options,
    Receipt,
    differences,
    hash_text,
    name_bundle,
    name_key,
    parse_receipts,
    read_receipt_key,
    read_receipts,
)
from edgexl.bundle.signing import PublicKey
from edgexl.device.device import Device
from edgexl.runtime.binding import BundleHandle, open_bundle
from edgexl.runtime.ed25519 import is_signed_by
from edgexl.use.answer_there import run_there

_TEXTS_A_RUN = 50
Signed = Literal["none", "not checked", "holds", "does not hold"]
_SENTENCES = {
    "key": "it was made under another key",
    "text": "its text is not among the texts",
    "bundle": "another bundle gave the answer",
    "labels": "the label set is another one: labels were added, retired or renumbered since, or before; replay it with "
    "the label file as it was (--labels-file)",
    "options": "what was asked for cannot be asked again",
    "tokenize": "the text's tokens differ",
    "encode": "the query vector differs",
    "shortlist": "the shortlist differs",
    "reason": "the logits differ",
    "calibrate": "the probabilities, or whether none fits, differ",
    "answer": "the labels that were given differ",
}


@dataclass(frozen=True)
class Replayed:
    """A receipt, the `number`th of its `file` from 1, and what came of it. `line` is its text's among the texts, from 1
    (0: all of them are one text; None: it is not among them); `differs` has names of `PARTS`, in order: none where the
    replay gave the same bits. `why` is the first one's sentence."""

    file: Path
    number: int
    receipt: Receipt
    line: int | None
    differs: tuple[str, ...]
    signature: Signed
    why: str = ""

    def holds(self, must_be_signed: bool) -> bool:
        """Whether it is the same, and is signed where it must be."""
        return not self.differs and (not must_be_signed or self.signature == "holds")

    def as_json(self) -> dict[str, Any]:
        """The same in JSON's types; `stage` is the first of what differs."""
        return {
            "file": str(self.file),
            "number": self.number,
            "same": not self.differs,
            "stage": self.differs[0] if self.differs else None,
            "differs": list(self.differs),
            "why": self.why,
            "line": self.line,
            "signature": self.signature,
            **self.receipt.as_json(),
        }


def replay(
    files: Sequence[Path],
    bundle: Path,
    texts: Path,
    key_file: Path,
    device: Device | None = None,
    labels_file: Path | None = None,
    signer: PublicKey | None = None,
    progress: Progress = no_progress,
    overlays: Sequence[Path] = (),
) -> Iterator[Replayed]:
    """Answer the texts of all receipts in `files` again, and compare.

    `texts` has a text a line, or is one text; `key_file` holds the key of the receipts; `device` is where to answer, by
    default this process; `labels_file` keeps labels added and retired (default: the bundle's path and ".labels"),
    and `overlays` are those that the bundle was open with; `signer` is who is to have signed them. Raises `BadInput`
    where a file is not sound or the bundle cannot be replayed, `DeviceError` where the device or the runtime fails.
    """
    key = read_receipt_key(key_file)
    receipts = [(file, number, one) for file in files for number, one in enumerate(read_receipts(file), 1)]
    known = _Known(name_key(key), name_bundle(read_bundle(bundle)), _texts(texts, key))
    asked = [(known.texts[one.text][1], one.options) for _, _, one in receipts if not known.differs(one)]
    again: Iterator[Receipt | str] = iter(())
    if asked and device is None:
        again = _answer_here(bundle, key, labels_file, overlays, asked)
    elif asked and device is not None:
        again = _answer_there(device, bundle, key_file, labels_file, overlays, asked, progress)
    for file, number, one in receipts:
        found = known.texts.get(one.text)
        differs, why = known.differs(one), ""
        if not differs:
            made = next(again)
            differs = differences(one, made) if isinstance(made, Receipt) else ["options"]
            why = f"{_SENTENCES['options']}: {made}" if isinstance(made, str) else ""
        why = why or (_SENTENCES[differs[0]] if differs else "")
        yield Replayed(file, number, one, found[0] if found else None, tuple(differs), _signed(one, signer), why)


@dataclass(frozen=True)
class _Known:
    """What can be compared before anything is answered: hashes of key and bundle, texts by theirs, with their lines."""

    key: bytes
    bundle: bytes
    texts: dict[bytes, tuple[int, str]]

    def differs(self, receipt: Receipt) -> list[str]:
        same = {"key": receipt.key == self.key, "text": receipt.text in self.texts}
        same["bundle"] = receipt.bundle == self.bundle
        # under another key every text has another hash: that says nothing of the text
        return [name for name, holds in same.items() if not holds and (name != "text" or same["key"])]


def _texts(path: Path, key: bytes) -> dict[bytes, tuple[int, str]]:
    """The lines of a file, and the whole file, with and without its last line end; what is no text gave no receipt."""
    content = read_input(path)
    whole = {0: content, -1: content.removesuffix(b"\n")}
    lines = {number: line.removesuffix(b"\r") for number, line in enumerate(content.split(b"\n"), 1)}
    found: dict[bytes, tuple[int, str]] = {}
    for number, text in {**whole, **lines}.items():
        try:
            found[hash_text(key, text)] = (max(number, 0), text.decode())
        except UnicodeDecodeError:
            continue
    return found


def _signed(receipt: Receipt, signer: PublicKey | None) -> Signed:
    if not receipt.signature:
        return "none"
    if signer is None:
        return "not checked"
    return "holds" if is_signed_by(signer, receipt.record, receipt.signature) else "does not hold"


def _answer_here(
    bundle: Path, key: bytes, labels_file: Path | None, overlays: Sequence[Path], asked: Iterable[tuple[str, Options]]
) -> Iterator[Receipt | str]:
    """A receipt for each text and its options, or the sentence that refuses them."""
    with open_bundle(bundle, labels_path=labels_file, overlays=overlays) as handle:
        for text, options in asked:
            try:
                (made,) = parse_receipts(_receipt(handle, text, key, options))
                yield made
            except BadInput as error:
                yield str(error)


def _receipt(handle: BundleHandle, text: str, key: bytes, options: Options) -> bytes:
    threshold = options.threshold if options.threshold >= 0 else None
    return handle.receipt(text, key, options.k, threshold, options.coverage or None, options.windows)[0]


def _answer_there(
    device: Device,
    bundle: Path,
    key_file: Path,
    labels_file: Path | None,
    overlays: Sequence[Path],
    asked: Sequence[tuple[str, Options]],
    progress: Progress,
) -> Iterator[Receipt | str]:
    """The same by exl-run on a device."""
    labels = labels_file or label_file_of(bundle)
    start = [device.push(bundle), "--receipt-key", device.push(key_file)]
    if labels_file or labels.exists():
        start += ["--labels-file", device.push(labels)]
    for overlay in overlays:
        start += ["--overlay", device.push(overlay)]
    made: dict[int, Receipt | str] = {}
    for (options, text), places in _runs(asked):
        arguments = [*start, "-k", str(options.k), "--windows", str(options.windows)]
        arguments += ["--threshold", repr(options.threshold)] if options.threshold >= 0 else []
        arguments += ["--coverage", repr(options.coverage)] if options.coverage else []
        try:
            if text:
                said = list(run_there(device, arguments, [text], alone=True)) * len(places)
            else:
                said = list(run_there(device, arguments, [asked[place][0] for place in places], alone=False))
            for place, told in zip(places, said, strict=True):
                made[place] = told["error"] if "error" in told else _decode(told["receipt"])
        except BadInput as error:
            made |= dict.fromkeys(places, str(error))
        progress("replay", len(made), len(asked))
    return iter([made[place] for place in range(len(asked))])


def _runs(asked: Sequence[tuple[str, Options]]) -> Iterator[tuple[tuple[Options, str], list[int]]]:
    """Places of texts that one run answers: of the same options, and so few that a slow device ends in time. With a
    text that a line cannot hold, which is answered alone."""
    groups: dict[tuple[Options, str], list[int]] = {}
    for place, (text, options) in enumerate(asked):
        alone = "\n" in text or text.endswith("\r")
        groups.setdefault((options, text if alone else ""), []).append(place)
    for what, places in groups.items():
        for begin in range(0, len(places), _TEXTS_A_RUN):
            yield what, places[begin : begin + _TEXTS_A_RUN]


def _decode(receipt: str) -> Receipt:
    (made,) = parse_receipts(base64.b64decode(receipt))
    return made
