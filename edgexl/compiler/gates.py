"""Gates judge what a pass has made and never change it; a failed one fails the compile and names the stage to blame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgexl.errors import GateFailed


@dataclass(frozen=True)
class Verdict:
    """A gate's judgement: `value` against `threshold`, which is the least that passes, or the most with `at_most`.

    `stage` is the pass to blame for a failure, `advice` what to change.
    """

    name: str
    value: float
    threshold: float
    stage: str
    advice: str
    at_most: bool = False

    @property
    def passed(self) -> bool:
        return self.value <= self.threshold if self.at_most else self.value >= self.threshold

    def as_json(self) -> dict[str, Any]:
        """The verdict with the keys of `inspect --json`."""
        return {"name": self.name, "value": self.value, "threshold": self.threshold, "passed": self.passed}


def judge(verdicts: tuple[Verdict, ...]) -> tuple[Verdict, ...]:
    """The verdicts as they are, if all passed; raises `GateFailed` for the first that did not."""
    for verdict in verdicts:
        if not verdict.passed:
            relation = "above the most" if verdict.at_most else "below the least"
            raise GateFailed(
                f"The gate {verdict.name} failed: {verdict.value:.6g} is {relation} that passes, "
                f"{verdict.threshold:.6g}. The stage to blame is {verdict.stage}; {verdict.advice}."
            )
    return verdicts
