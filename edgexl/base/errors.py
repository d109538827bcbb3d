"""The errors a user of edgexl can cause, one class a kind.

Each carries one sentence that says what is wrong and what to do about it. The command line prints that
sentence alone and exits with the class's `exit_code`; nothing else in edgexl decides an exit status.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def shorten(text: str, most: int = 60) -> str:
    """A text as an error sentence quotes it: long ones lose their end."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def kind_of(value: object) -> str:
    """What a value of a wrong kind is, for an error sentence."""
    return "None" if value is None else f"of the type {type(value).__name__}"


class EdgexlError(Exception):
    """Base of all errors that edgexl raises on purpose; `exit_code` is the command line's exit status."""

    exit_code = 2


class BadInput(EdgexlError):
    """An input (file, option, text, student, recipe, bundle) is not usable as it is."""


class SeveralFaults(BadInput):
    """Several inputs are not usable, each for a reason of its own: `sentences`, which the message joins."""

    def __init__(self, sentences: Sequence[str]) -> None:
        super().__init__(" ".join(sentences))
        self.sentences = tuple(sentences)


class GateFailed(EdgexlError):
    """A gate judged a compiled artifact to be below its threshold; the message names the stage to blame.

    A compile adds what it had measured until then: the ledger's rows and the gates' verdicts, the failed one among
    them, as `inspect --json` has them.
    """

    exit_code = 1
    ledger: Sequence[dict[str, Any]] = ()
    gates: Sequence[dict[str, Any]] = ()


class DeviceError(EdgexlError):
    """The device, its engine library or its emulator could not do what was asked."""

    exit_code = 3


class NotDurable(DeviceError):
    """A change is in force, for every process, but the system did not confirm that it is on the disk.

    `first` is the index of the first label that was added, where any were.
    """

    first: int | None = None
