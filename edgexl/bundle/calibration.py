"""The calibration section: how a logit becomes a probability, bound to one label set."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Floats
from edgexl.base.errors import BadInput

_HEAD = struct.Struct("<32sIIff")
Input = Literal["logit", "log_softmax", "log_softmax_or_none"]
_INPUTS: tuple[Input, ...] = ("logit", "log_softmax", "log_softmax_or_none")
MAX_KNOTS = 4096


@dataclass(frozen=True)
class Calibration:
    """Probability = linear between the knots (x ascending strictly, p never descending), constant outside.

    `input` is what x means: the logit; the logit minus the log of the sum of the shortlist's exponentials; or that with
    a further logit of 0 in the sum, which stands for "none of these" where a reasoner was trained to mean it.
    `threshold` is the probability that maximises micro set F1. `presence` is a logit: a shortlist whose best label
    stays below it most likely holds no gold one (-inf: nothing is known of that). Raises `BadInput` when a number
    breaks these rules.
    """

    label_set_sha256: bytes
    input: Input
    threshold: float
    x: tuple[float, ...]
    p: tuple[float, ...]
    presence: float = -np.inf

    def __post_init__(self) -> None:
        x, p = np.asarray(self.x, np.float32), np.asarray(self.p, np.float32)
        if not 2 <= len(x) == len(p) <= MAX_KNOTS:
            raise BadInput(f"The calibration has {len(x)} and {len(p)} knots; it needs 2 to {MAX_KNOTS} of both.")
        if not np.isfinite(x).all() or not (np.diff(x) > 0).all():
            raise BadInput("The calibration's knots must be finite and ascend strictly.")
        if not ((p >= 0) & (p <= 1)).all() or not (np.diff(p) >= 0).all() or not 0 <= self.threshold <= 1:
            raise BadInput("The calibration's probabilities must lie within 0 and 1 and never descend.")
        if not self.presence < np.inf:
            raise BadInput("The calibration's presence must be a number or -inf.")

    def probabilities(self, logits: npt.ArrayLike) -> Floats:
        """Probabilities of the logits of one shortlist [N] (all of it: their softmax may be the input)."""
        values = np.asarray(logits, np.float32)
        if self.input != "logit":
            values = log_softmax(values, self.input == "log_softmax_or_none")
        return np.interp(values, self.x, self.p).astype(np.float32)

    def pack(self) -> bytes:
        """The section's bytes."""
        head = _HEAD.pack(
            self.label_set_sha256, _INPUTS.index(self.input) + 1, len(self.x), self.threshold, self.presence
        )
        return head + np.asarray(self.x, "<f4").tobytes() + np.asarray(self.p, "<f4").tobytes()

    @classmethod
    def unpack(cls, section: bytes) -> Calibration:
        """Read a section. Raises `BadInput` when it is not exactly as the format says."""
        if len(section) < _HEAD.size:
            raise BadInput("The bundle's calibration is cut off.")
        label_set, kind, knots, threshold, presence = _HEAD.unpack_from(section)
        if not 1 <= kind <= len(_INPUTS) or len(section) != _HEAD.size + 8 * knots:
            raise BadInput("The bundle's calibration has an unknown input or a wrong length.")
        x, p = np.frombuffer(section, "<f4", offset=_HEAD.size).reshape(2, knots)
        return cls(label_set, _INPUTS[kind - 1], threshold, tuple(x.tolist()), tuple(p.tolist()), presence)


def log_softmax(logits: Floats, or_none: bool = False) -> Floats:
    """Logits [..., N] minus the log of the sum of their exponentials, and of exp(0) with `or_none`, computed in f64."""
    values = np.asarray(logits, np.float64)
    top = values.max(-1, keepdims=True)
    rest = np.exp(-top) if or_none else 0.0
    return np.asarray(values - top - np.log(np.exp(values - top).sum(-1, keepdims=True) + rest), np.float32)
