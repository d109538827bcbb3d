"""Gates judge what a pass has made and never change it; a failed one fails the compile and names the stage to blame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.errors import GateFailed


@dataclass(frozen=True)
class Verdict:
    """A gate's judgement: `value` against `threshold`, which is the least that passes, or the most with `at_most`.

    `margin` is how far on the wrong side chance may have put a value that is measured on a sample. `stage` is the pass
    to blame for a failure, `advice` what to change.
    """

    name: str
    value: float
    threshold: float
    stage: str
    advice: str
    at_most: bool = False
    margin: float = 0.0

    @property
    def passed(self) -> bool:
        if self.at_most:
            return self.value - self.margin <= self.threshold
        return self.value + self.margin >= self.threshold

    def as_json(self) -> dict[str, Any]:
        """The verdict with the keys of `inspect --json`."""
        return {
            "name": self.name,
            "value": self.value,
            "margin": self.margin,
            "threshold": self.threshold,
            "passed": self.passed,
        }


def judge(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """The verdicts as they are, if all passed; raises `GateFailed` for the first that did not."""
    for verdict in verdicts:
        if not verdict.passed:
            relation = "above the most" if verdict.at_most else "below the least"
            chance = f", by more than the {verdict.margin:.3g} that chance explains" if verdict.margin else ""
            raise GateFailed(
                f"The gate {verdict.name} failed: {verdict.value:.6g} is {relation} that passes, "
                f"{verdict.threshold:.6g}{chance}. The stage to blame is {verdict.stage}; {verdict.advice}."
            )
    return verdicts


def kept_margin(
    before: npt.NDArray[np.float64], after: npt.NDArray[np.float64], threshold: float, confidence: float
) -> float:
    """How many percentage points under `threshold` the share kept may come out by chance, where in truth it is there.

    `before` and `after` [queries] are what the same queries add to a measure. That `threshold` percent of it are kept
    means that after - threshold / 100 * before is 0 on average; the margin is the one-sided bound of that average at
    `confidence` (.5 allows nothing for chance), by its standard error over the queries, in percent of the measure
    before. Queries are paired: what both sides answer alike adds little.
    """
    if len(before) < 2 or not before.any():
        return 0.0
    gaps = after - threshold / 100.0 * before
    error = gaps.std(ddof=1) / math.sqrt(len(gaps))
    return float(100.0 * NormalDist().inv_cdf(confidence) * error / before.mean())
