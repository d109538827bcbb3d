"""The calibration section: how a logit becomes a probability, what a set covers, bound to one label set."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from edgexl.base.arrays import Bools, Floats
from edgexl.base.errors import BadInput

_HEAD = struct.Struct("<32sIIff")
_COUNTS = struct.Struct("<II")
Input = Literal["logit", "log_softmax", "log_softmax_or_none"]
_INPUTS: tuple[Input, ...] = ("logit", "log_softmax", "log_softmax_or_none")
MAX_KNOTS = 4096
# An f32 of a decimal fraction may be a little more than that, and is not to ask for another query's worth.
_ROUNDED = 1 - 2**-23


@dataclass(frozen=True)
class Calibration:
    """Probability = linear between the knots (x ascending strictly, p never descending), constant outside.

    `input` is what x means: the logit; the logit minus the log of the sum of the shortlist's exponentials; or that with
    a further logit of 0 in the sum, which stands for "none of these" where a reasoner was trained to mean it.
    `threshold` is the probability that maximises micro set F1. `presence` is a logit: a shortlist whose best label
    stays below it most likely holds no gold one (-inf: nothing is known of that).

    `scores` are what x is of the best gold label of each held-out query, descending; of `queries` of them, those whose
    shortlist holds none have no score. Without queries nothing is known of any coverage. Raises `BadInput` when a
    number breaks these rules.
    """

    label_set_sha256: bytes
    input: Input
    threshold: float
    x: tuple[float, ...]
    p: tuple[float, ...]
    presence: float = -np.inf
    queries: int = 0
    scores: tuple[float, ...] = ()

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
        scores = np.asarray(self.scores, np.float32)
        if not np.isfinite(scores).all() or (np.diff(scores) > 0).any() or not len(scores) <= self.queries < 2**32:
            raise BadInput("The calibration's scores must be finite, never ascend, and be no more than its queries.")

    def probabilities(self, logits: npt.ArrayLike) -> Floats:
        """Probabilities of the logits of one shortlist [N] (all of it: their softmax may be the input)."""
        return np.interp(self.inputs(logits), self.x, self.p).astype(np.float32)

    def inputs(self, logits: npt.ArrayLike) -> Floats:
        """What x is of the logits of one shortlist [N]."""
        values = np.asarray(logits, np.float32)
        return values if self.input == "logit" else log_softmax(values, self.input == "log_softmax_or_none")

    def covering(self, logits: npt.ArrayLike, coverage: float) -> Bools:
        """Which labels [N] of a shortlist make the smallest set that holds a gold one with this probability, as counted
        on the held-out queries (split conformal prediction). Raises `BadInput` where that is not known, or not reached.
        """
        wanted = math.ceil((self.queries + 1) * float(np.float32(coverage)) * _ROUNDED)
        if not 1 <= wanted <= len(self.scores):
            raise BadInput(
                f"A coverage of {coverage} is not reached: {len(self.scores)} of {self.queries} queries are."
            )
        return np.asarray(self.inputs(logits) >= np.float32(self.scores[wanted - 1]), np.bool_)

    def pack(self) -> bytes:
        """The section's bytes."""
        kind = _INPUTS.index(self.input) + 1
        head = _HEAD.pack(self.label_set_sha256, kind, len(self.x), self.threshold, self.presence)
        curve = head + np.asarray(self.x, "<f4").tobytes() + np.asarray(self.p, "<f4").tobytes()
        if not self.queries:
            return curve
        return curve + _COUNTS.pack(self.queries, len(self.scores)) + np.asarray(self.scores, "<f4").tobytes()

    @classmethod
    def unpack(cls, section: bytes) -> Calibration:
        """Read a section. Raises `BadInput` when it is not exactly as the format says."""
        if len(section) < _HEAD.size:
            raise BadInput("The bundle's calibration is cut off.")
        label_set, kind, knots, threshold, presence = _HEAD.unpack_from(section)
        length, queries, found = _HEAD.size + 8 * knots, 0, 0
        if len(section) >= length + _COUNTS.size:
            queries, found = _COUNTS.unpack_from(section, length)
            length += _COUNTS.size + 4 * found
        if not 1 <= kind <= len(_INPUTS) or len(section) != length:
            raise BadInput("The bundle's calibration has an unknown input or a wrong length.")
        x, p = (tuple(part.tolist()) for part in np.frombuffer(section, "<f4", 2 * knots, _HEAD.size).reshape(2, knots))
        scores = tuple(np.frombuffer(section, "<f4", found, length - 4 * found).tolist())
        return cls(label_set, _INPUTS[kind - 1], threshold, x, p, presence, queries, scores)


def log_softmax(logits: Floats, or_none: bool = False) -> Floats:
    """Logits [..., N] minus the log of the sum of their exponentials, and of exp(0) with `or_none`, computed in f64."""
    values = np.asarray(logits, np.float64)
    top = values.max(-1, keepdims=True)
    rest = np.exp(-top) if or_none else 0.0
    return np.asarray(values - top - np.log(np.exp(values - top).sum(-1, keepdims=True) + rest), np.float32)
