"""Answering texts with a bundle: one text, or a stream of lines of which some may be unusable."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from edgexl.base.errors import BadInput
from edgexl.runtime.binding import Explanation, Prediction, open_bundle
from edgexl.use.receipts import Receipting, check_engine


@dataclass(frozen=True)
class Input:
    """A text as its bytes came, UTF-8 or not; `line` counts from 1 in a stream, and is 0 for a text on its own."""

    content: bytes
    line: int = 0

    def text(self) -> str:
        """The text. Raises `BadInput` where it is not UTF-8."""
        try:
            return self.content.decode("utf-8")
        except UnicodeDecodeError as error:
            raise BadInput(f"The text is not valid UTF-8 (byte {error.start + 1}); convert it to UTF-8.") from None


@dataclass(frozen=True)
class Answer:
    """A text with its labels and, where one was asked for, a label's way through both stages, and its descriptions, a
    line each, where the bundle keeps them. `coverage`: the labels are a set that was asked for by its coverage.
    `receipt`: the answer's, where receipts are made."""

    text: str
    prediction: Prediction
    explanation: Explanation | None = None
    description: str = ""
    coverage: bool = False
    receipt: bytes = b""

    def as_json(self) -> dict[str, Any]:
        """What `edgexl run --json` and the API say, in JSON's types."""
        record = {"text": self.text, **self.prediction.as_json()}
        if self.explanation is not None:
            record["explanation"] = self.explanation.as_json()
        if self.description:
            record["description"] = self.description
        if self.coverage:
            record["coverage_holds"] = self.prediction.coverage_holds
        return record


@dataclass(frozen=True)
class Refusal:
    """A text that cannot be answered (as far as it is one), and the sentence that says why."""

    text: str
    message: str
    exit_code = BadInput.exit_code


def one_text(argument: str) -> list[Input]:
    """A text given as a command line argument, whatever its bytes."""
    return [Input(os.fsencode(argument))]


def standard_input() -> BinaryIO:
    """The bytes of standard input. Raises `BadInput` where it is closed."""
    if sys.stdin is None:
        raise BadInput("Standard input is closed; give the text as an argument, or send texts in.")
    return sys.stdin.buffer


def lines(stream: Iterable[bytes]) -> Iterator[Input]:
    """A text a line, without its line end."""
    for number, line in enumerate(stream, start=1):
        yield Input(line.removesuffix(b"\n").removesuffix(b"\r"), number)


def parse_threshold(value: str | None) -> float | None:
    """A probability written as a number, or 'own' for the bundle's own threshold (which is -1 to the runtime)."""
    if value is None:
        return None
    if value == "own":
        return -1.0
    try:
        threshold = float(value)
    except ValueError:
        threshold = -1.0
    if not 0 <= threshold <= 1:
        raise BadInput(f"The threshold {value!r} is not a probability; give a number from 0 to 1, or 'own'.")
    return threshold


def answer(
    bundle: Path,
    inputs: Iterable[Input],
    k: int | None = None,
    threshold: float | None = None,
    explain: str | None = None,
    threads: int = 1,
    labels_file: Path | None = None,
    coverage: float | None = None,
    windows: int | None = None,
    keys: Sequence[str | os.PathLike[str]] = (),
    least_version: int = 0,
    receipts: Receipting | None = None,
    overlays: Iterable[Path] = (),
) -> Iterator[Answer | Refusal]:
    """Answer each text in turn with at most `k` labels; a text that cannot be answered becomes a `Refusal`.

    `k`, `coverage` and `windows` as `BundleHandle.predict` takes them; `threshold` as `parse_threshold` gives it;
    `explain` is a label's id or text; `labels_file` keeps labels added and retired (default: the bundle's path and
    ".labels"); `keys`, `least_version` and `overlays` as `open_bundle` takes them; `receipts` says how they are made,
    if any. Raises `BadInput` where the bundle, `k` or the label is wrong for every text, `NotTrusted` where no key has
    signed the bundle or an overlay, `DeviceError` where the engine is missing or fails.
    """
    with open_bundle(
        bundle,
        threads=threads,
        labels_path=labels_file,
        keys=keys,
        least_version=least_version,
        overlays=overlays,
    ) as handle:
        if k is not None and k > handle.info.shortlist:
            raise BadInput(f"k is {k}, but {bundle} shortlists {handle.info.shortlist} labels; give a smaller k.")
        if windows is not None and windows > handle.info.windows:
            raise BadInput(f"windows is {windows}, but {bundle} reads in {handle.info.windows} at most; give fewer.")
        if receipts is not None:
            check_engine(handle.info.engine)
        label = None if explain is None else handle.find_label(explain)
        for one in inputs:
            try:
                text = one.text()
                receipt = b""
                if receipts is None:
                    prediction = handle.predict(text, k, threshold, coverage, windows or 0)
                else:
                    receipt, prediction = receipts.predict(handle, text, k, threshold, coverage, windows or 0)
                if label is None:
                    yield Answer(text, prediction, coverage=coverage is not None, receipt=receipt)
                    continue
                explanation, description = handle.explain(text, label), handle.label_description(label)
                yield Answer(text, prediction, explanation, description, coverage is not None, receipt)
            except BadInput as error:
                where = f"line {one.line}: " if one.line else ""
                yield Refusal(one.content.decode("utf-8", "replace"), f"{where}{error}")
