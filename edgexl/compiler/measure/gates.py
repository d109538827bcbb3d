"""Gates judge what a pass has made and never change it; a failed one fails the compile and names the stage to blame."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from edgexl.base.errors import GateFailed
from edgexl.compiler.measure.ledger import LedgerRow, largest_loss
from edgexl.compiler.recipe import GateRecipe

# What helps where a pass has lost too much accuracy; otherwise it is the index.
_ADVICE = {
    "quantize": "give it more bits, or keep_fp32 parts of it",
    "verify": 'the native engine rounds otherwise than ONNX Runtime, which engine = "ort" chooses',
}


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


def accuracy_gates(gates: GateRecipe, ledger: tuple[LedgerRow, ...], reasons: bool = True) -> tuple[Verdict, ...]:
    """What the ledger's last row keeps of the first, the exported float student's accuracy, judged by a recipe. A
    bundle that no longer `reasons`, which was for its good, is compared by its screening."""
    before, after = ledger[0].accuracy, ledger[-1].accuracy
    verdicts = []
    measured = {"p_at_1": gates.p_at_1_kept, "r_at_100": gates.r_at_100_kept}
    for name, threshold in measured.items():
        field = name if reasons else f"screening_{name}"
        base, now = getattr(before, field), getattr(after, field)
        if base is None:
            continue
        stage = largest_loss(ledger, field)
        advice = _ADVICE.get(stage, "give its codes more bits or overfetch")
        kept = 100.0 * now / base if base else 100.0
        margin = kept_margin(before.shares[field], after.shares[field], threshold, gates.confidence)
        verdicts.append(Verdict(f"{name}_kept", round(kept, 3), threshold, stage, advice, margin=round(margin, 3)))
    return judge(tuple(verdicts))


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
