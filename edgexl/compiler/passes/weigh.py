"""Weigh: what the bundle costs on the target, in time and memory, where the recipe has gates on it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from edgexl.bundle.layout import Kind
from edgexl.bundle.write import trial_bundle
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.measure.budget import judge_costs
from edgexl.compiler.measure.costs import Meter
from edgexl.compiler.measure.gates import judge
from edgexl.compiler.passes.declaration import Pass


@dataclass(frozen=True)
class Weigh(Pass):
    """The bundle lies beside `out` for a moment, all of it but the manifest, and is timed as `edgexl profile` does."""

    out: Path
    meter: Meter

    name = "weigh"
    needs = ("goldens", "sections")

    def run(self, artifact: Artifact) -> Artifact:
        """Adds verdicts. Raises `GateFailed` naming the stage that takes too long."""
        with trial_bundle(self.out, {Kind.MANIFEST: b"{}\n", **artifact.sections}) as path:
            costs = self.meter.tell(path)
        facts = artifact.facts | {"costs_of": self.meter.said}
        verdicts = judge(judge_costs(costs, artifact.recipe))
        return dataclasses.replace(artifact, verdicts=artifact.verdicts + verdicts, facts=facts)
