"""Answering texts on another device, by exl-run: what the device itself says, in its own time."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgexl.base.errors import BadInput, DeviceError, EdgexlError
from edgexl.bundle.read import read_bundle
from edgexl.bundle.signing import read_public_key
from edgexl.device.device import Device
from edgexl.runtime.answers import Explanation, LabelAnswer, Prediction
from edgexl.use.answer import Answer, Input, Refusal
from edgexl.use.receipts import Receipting, check_engine

_LEAST_S = 600.0


@dataclass(frozen=True)
class AnswerThere(Answer):
    """An answer of exl-run, which does not count tokens."""

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in super().as_json().items() if name != "tokens"}


def answer_there(
    device: Device,
    bundle: Path,
    inputs: Iterable[Input],
    k: int | None = None,
    threshold: float | None = None,
    explain: str | None = None,
    threads: int = 1,
    labels_file: Path | None = None,
    windows: int | None = None,
    keys: Sequence[str | os.PathLike[str]] = (),
    least_version: int = 0,
    receipts: Receipting | None = None,
) -> Iterator[Answer | Refusal]:
    """Answer all of `inputs` on `device` in one run, then each in turn; arguments and errors as those of `answer`."""
    read = read_bundle(bundle)
    if receipts is not None:
        check_engine(str(read.manifest.get("engine")))
    asked = list(inputs)
    told: dict[int, str | BadInput] = {}
    for at, one in enumerate(asked):
        try:
            told[at] = one.text()
        except BadInput as error:
            told[at] = error
    texts = [text for text in told.values() if isinstance(text, str)]
    place = device.push(bundle)
    arguments = [place, "--threads", str(threads)]
    for option, value in (("-k", k), ("--explain", explain), ("--windows", windows)):
        arguments += [option, str(value)] if value is not None else []
    if threshold is not None:
        arguments += ["--above"] if threshold < 0 else ["--threshold", repr(threshold)]
    for key in keys:
        arguments += ["--key", read_public_key(key).line]
    if least_version:
        arguments += ["--least-version", str(least_version)]
    if labels_file is not None:
        arguments += ["--labels-file", device.push(labels_file)]
    if receipts is not None:
        arguments += ["--receipt-key", device.push(receipts.key)]
    alone = len(asked) == 1 and not asked[0].line
    try:
        said = run_there(device, arguments, texts, alone) if texts else iter(())
    except EdgexlError as error:
        raise type(error)(str(error).replace(place, str(bundle))) from None
    for at, one in enumerate(asked):
        where = f"line {one.line}: " if one.line else ""
        text = told[at]
        record = {"error": str(text)} if isinstance(text, BadInput) else next(said)
        if "error" in record:
            yield Refusal(one.content.decode("utf-8", "replace"), f"{where}{record['error']}")
        else:
            receipt = receipts.complete(base64.b64decode(record["receipt"])) if receipts else b""
            yield _read_answer(record, threshold is not None, receipt)


def run_there(device: Device, arguments: list[str], texts: list[str], alone: bool) -> Iterator[dict[str, Any]]:
    """What exl-run says on `device`, an object a text. A text on its own is an argument, for it may have line ends in
    it. Raises `BadInput` and `DeviceError` where it does not answer."""
    if alone:
        done = device.run("exl-run", [*arguments, "--", *texts])
    else:
        lines = "".join(f"{text}\n" for text in texts)
        done = device.run("exl-run", arguments, lines, max(_LEAST_S, float(len(texts))))
    records = [json.loads(line) for line in done.stdout.splitlines()]
    if len(records) != len(texts):
        said = done.stderr.strip().splitlines() or [f"exl-run ended with {done.exit_code}"]
        kind = BadInput if done.exit_code == BadInput.exit_code else DeviceError
        raise kind(f"{said[0].removeprefix('exl-run: ').rstrip('.')}.")
    return iter(records)


def _read_answer(record: dict[str, Any], may_be_none: bool, receipt: bytes) -> Answer:
    labels = [LabelAnswer(each["id"], each["text"], each["probability"], 0.0, 0) for each in record["labels"]]
    nothing = np.zeros(0, np.float32)
    # the shortlist is not told: only whether there is one
    shortlist = np.zeros(len(labels) or int(may_be_none), np.uint32)
    prediction = Prediction(
        labels, record["ms"], shortlist, nothing, nothing, nothing, 0, record["truncated"], record["none_fits"],
        windows=record["windows"],
    )  # fmt: skip
    explained = record.get("explanation")
    way = Explanation(**explained) if explained else None
    return AnswerThere(record["text"], prediction, way, receipt=receipt)
