"""Gates judge what a pass has made and never change it; a failed one fails the compile and names the stage to blame."""

from __future__ import annotations

import math
from collections.abc import Mapping
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
    to blame for a failure, `advice` what to change. A `volatile` value may come out another way next time, as times do.
    """

    name: str
    value: float
    threshold: float
    stage: str
    advice: str
    at_most: bool = False
    margin: float = 0.0
    volatile: bool = False

    @property
    def passed(self) -> bool:
        if self.at_most:
            return self.value - self.margin <= self.threshold
        return self.value + self.margin >= self.threshold

    def as_json(self, volatile: bool = True) -> dict[str, Any]:
        """The verdict with the keys of `inspect --json`. Bundles hold no volatile values: the same inputs give the same
        bytes."""
        return {
            "name": self.name,
            "value": None if self.volatile and not volatile else self.value,
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
            failed = GateFailed(
                f"The gate {verdict.name} failed: {verdict.value:.6g} is {relation} that passes, "
                f"{verdict.threshold:.6g}{chance}. The stage to blame is {verdict.stage}; {verdict.advice}."
            )
            failed.gates = [each.as_json() for each in verdicts]
            raise failed
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


def score_gates(gates: GateRecipe, ledger: tuple[LedgerRow, ...]) -> tuple[Verdict, ...]:
    """What the ledger's last row reaches, judged by a recipe's `min`. What screening misses is the index's or the
    screener's to make good, the rest the reasoner's. Raises `GateFailed`."""
    accuracy, verdicts = ledger[-1].accuracy, []
    for name, threshold in gates.min.limits.items():
        value = getattr(accuracy, name)
        if value is None:
            continue
        before = getattr(ledger[0].accuracy, name)
        part = "its screening" if name.startswith("screening") else "the whole"
        if before < threshold:
            stage, advice = (
                "the student itself",
                f"the float student reaches {before:.4g} by {part}: train a better one",
            )
        else:
            stage, advice = (
                largest_loss(ledger, name),
                f"the float student reaches {before:.4g} by {part}: keep more of it",
            )
        shares = accuracy.shares.get(name)
        margin = 0.0
        if shares is not None and len(shares) > 1:
            error = float(shares.std(ddof=1)) / math.sqrt(len(shares))
            margin = 100.0 * NormalDist().inv_cdf(gates.confidence) * error
        verdicts.append(Verdict(f"min_{name}", value, threshold, stage, advice, margin=round(margin, 3)))
    return judge(tuple(verdicts))


def calibration_gate(gates: GateRecipe, facts: Mapping[str, Any]) -> tuple[Verdict, ...]:
    """How far probabilities are off, by what the pass calibrate found out. Raises `GateFailed`, also where they were
    not fitted."""
    if gates.max_calibration_error is None:
        return ()
    found = facts.get("cross_validated")
    value = 100.0 if found is None else 100.0 * float(found["ECE"])
    margin = 0.0 if found is None else value - 100.0 * float(found["ECE_interval"][0])
    advice = "give it more calibration queries" if found else "its probabilities are not fitted; give it queries"
    verdict = Verdict(
        "max_calibration_error", round(value, 3), gates.max_calibration_error, "calibrate", advice, at_most=True,
        margin=round(margin if gates.confidence > 0.5 else 0.0, 3),
    )  # fmt: skip
    return judge((verdict,))


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
