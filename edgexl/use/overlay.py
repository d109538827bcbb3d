"""Overlays: labels of one's own over a bundle, as a signed file of its own (docs/overlays.md).

The bundle's own runtime encodes the labels, as it does those that a device adds, so an overlay's codes are what a
device would have made of them. Queries of the overlay's own, where there are some, fit a calibration for the bundle
with the overlay over it; without them the bundle's stays in force.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.errors import BadInput, shorten
from edgexl.base.files import check_output, write_bytes
from edgexl.base.progress import Progress, no_progress, track
from edgexl.bundle.calibration import Calibration
from edgexl.bundle.label_file import read_label_file
from edgexl.bundle.layout import Kind
from edgexl.bundle.overlay import OverlayFile, OverlayLabel, code_space_of, identity_of, read_overlay
from edgexl.bundle.read import Bundle, read_bundle
from edgexl.bundle.signing import parse_signature, read_secret_key
from edgexl.bundle.strings import unpack_strings
from edgexl.data import Query
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.labels import read_labels
from edgexl.data.tables.queries import LabelNames, read_query_table
from edgexl.data.tables.roles import Wanted
from edgexl.runtime.binding import BundleHandle, NewLabel, open_bundle


@dataclass(frozen=True)
class QuerySource:
    """A file of queries whose labels are known, and its columns where they are not to be guessed."""

    file: Path
    text: str | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signer:
    """The file of a secret key, whose password `ask` gives, and what is signed with it: a version, and a comment."""

    key: Path
    ask: Callable[[], str]
    version: int = 0
    comment: str = ""


def write_overlay(
    bundle: Path,
    labels: Path,
    out: Path,
    queries: QuerySource | None = None,
    signer: Signer | None = None,
    columns: Wanted | None = None,
    language: str | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Make the overlay `out` of a file of labels, over `bundle`; gives the keys of `edgexl overlay --json`.

    `queries` fit its calibration; `signer` signs it. The file is written in one step: it is the old one or the new one.
    Raises `BadInput` where a file is not sound or a label's text holds no token, `DeviceError` where the engine is
    missing or `out` cannot be written.
    """
    check_output(out)
    key = read_secret_key(signer.key, signer.ask) if signer else None  # before the work
    label_set = read_labels(labels, columns, language).label_set()
    overlay = make_overlay(bundle, label_set, progress)
    report: dict[str, Any] = {"calibration": None}
    if queries is not None:
        known = read_bundle(bundle, verify=False)
        names = _names(known, label_set)
        found = read_query_table(queries.file, names, queries.text, queries.labels).all()
        overlay, report["calibration"] = calibrate_overlay(bundle, overlay, found, progress)
    if signer and key:
        signature = overlay.sign(key, signer.version, signer.comment)
        overlay = dataclasses.replace(overlay, signature=signature.text.encode())
    content = overlay.pack()
    write_bytes(out, content)
    with open_bundle(bundle, engine=False, compiled_only=True, overlays=[content]) as handle:
        replaced = handle.labels_info().retired_compiled
    described = sum(map(bool, label_set.descriptions))
    return (
        {"overlay": os.fspath(out), "bytes": len(content)}
        | describe(overlay)
        | report
        | {
            "replaced": replaced,
            "described": described,
        }
    )


def make_overlay(bundle: Path, labels: LabelSet, progress: Progress = no_progress) -> OverlayFile:
    """The overlay of these labels over a bundle, without a calibration. Their descriptions are aliases of theirs.
    Raises `BadInput` for a text without a token."""
    names = [
        tuple(dict.fromkeys((*aliases, *descriptions)))
        for aliases, descriptions in zip(labels.aliases, labels.descriptions, strict=True)
    ]
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "labels")
        with open_bundle(bundle, labels_path=file) as handle:
            for uid, texts in zip(labels.ids, map(_texts, labels.texts, names), strict=True):
                _check_tokens(handle, uid, texts)
            # by ids that no label has: theirs may be the bundle's
            new = [NewLabel(f"{file}/{place}", *one) for place, one in enumerate(zip(labels.texts, names, strict=True))]
            handle.add_labels(new, progress=partial(progress, "encode"))
        encoded = read_label_file(file).added
    return OverlayFile(
        code_space_of(read_bundle(bundle, verify=False)),
        tuple(
            OverlayLabel(uid, label.text, label.aliases, label.coarse, label.fine)
            for uid, label in zip(labels.ids, encoded, strict=True)
        ),
    )


def calibrate_overlay(
    bundle: Path, overlay: OverlayFile, queries: Sequence[Query], progress: Progress = no_progress
) -> tuple[OverlayFile, dict[str, Any]]:
    """The overlay with a calibration for the bundle with it over it, fitted on queries whose targets are the bundle's
    labels and, behind these, the overlay's; and what is known of it. Raises `BadInput` where the queries are too few to
    fit one."""
    from edgexl.compiler.measure.fitting import LEAST_RIGHT, can_fit, count_coverage, fit
    from edgexl.compiler.measure.yardstick import pad_rows

    overlay = dataclasses.replace(overlay, calibration=None, signature=b"")
    with open_bundle(bundle, compiled_only=True, overlays=[overlay.pack()]) as handle:
        answers = [handle.predict(query.text, k=1) for query in track(queries, "calibrate", progress)]
        presence = handle.info.presence
    logits = pad_rows([answer.shortlist_logits for answer in answers], -np.inf)
    right = pad_rows(
        [np.isin(answer.shortlist_labels, query.targets) for answer, query in zip(answers, queries, strict=True)], False
    )
    if not can_fit(logits, right):
        raise BadInput(
            f"The shortlists of the {len(queries):,} queries hold {int(right.sum()):,} right labels; a calibration "
            f"needs {LEAST_RIGHT}, and wrong ones beside them. Give more queries, or none: the bundle's own then holds."
        )
    positives = sum(len(set(query.targets)) for query in queries)
    fitted = fit(logits, right, positives, "isotonic", overlay.labels_sha256)
    # the logit below which nothing fits is the reasoner's, whatever the labels
    calibration = count_coverage(dataclasses.replace(fitted.calibration, presence=presence), logits, right)
    facts = {
        "queries": len(queries),
        "found_percent": round(100 * float(right.any(axis=1).mean()), 2),
        "method": fitted.method,
        **_describe_calibration(calibration),
    }
    over = identity_of(read_bundle(bundle, verify=False))
    return dataclasses.replace(overlay, calibration=calibration, calibrated_over=over), facts


def inspect_overlay(path: Path) -> dict[str, Any]:
    """What is in an overlay: the keys of `edgexl inspect --json` for one. Every byte is checked, but whose signature it
    is: that is known where it is opened with keys. Raises `BadInput`."""
    overlay = read_overlay(path)
    calibration = (
        {"queries": overlay.calibration.queries, **_describe_calibration(overlay.calibration)}
        if (overlay.calibration)
        else None
    )
    return {"overlay": os.fspath(path), "bytes": path.stat().st_size, **describe(overlay), "calibration": calibration}


def describe(overlay: OverlayFile) -> dict[str, Any]:
    """Sizes, the code space of the bundles that take it, and who is said to have signed it."""
    signature = parse_signature(overlay.signature) if overlay.signature else None
    return {
        "labels": len(overlay.labels),
        "rows": overlay.rows,
        "code_space": overlay.code_space.hex(),
        "calibrated_over": overlay.calibrated_over.hex() if overlay.calibration else None,
        "key": signature.key_name if signature else None,
        "version": signature.version if signature else 0,
    }


def _describe_calibration(calibration: Calibration) -> dict[str, Any]:
    return {"input": calibration.input, "threshold": calibration.threshold}


def _texts(text: str, aliases: tuple[str, ...]) -> tuple[str, ...]:
    return text, *aliases


def _check_tokens(handle: BundleHandle, uid: str, texts: Sequence[str]) -> None:
    for text in texts:
        if not handle.has_tokens(text):
            raise BadInput(f"The label {shorten(uid)} has a text without a token, {shorten(repr(text))}; leave it out.")


def _names(bundle: Bundle, labels: LabelSet) -> LabelNames:
    """What queries may call the labels of the bundle and, behind these, the overlay's, which count before those."""
    ids = unpack_strings(bytes(bundle.section(Kind.LABEL_IDS)))
    texts = unpack_strings(bytes(bundle.section(Kind.LABEL_TEXTS)))
    own = set(labels.ids)
    kept = [number for number, uid in enumerate(ids) if uid not in own]
    numbers = [*kept, *range(len(ids), len(ids) + len(labels.ids))]
    return LabelNames.of(
        [*(ids[number] for number in kept), *labels.ids], [*(texts[number] for number in kept), *labels.texts], numbers
    )
