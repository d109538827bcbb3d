"""Verify: the C runtime answers the bundle's goldens and the evaluation queries, as a device will."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.bundle.goldens import Golden, Goldens, compare
from edgexl.bundle.layout import Kind
from edgexl.bundle.write import trial_bundle
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.measure.answering import measure_bundle
from edgexl.compiler.measure.gates import Verdict, judge
from edgexl.compiler.passes.declaration import Pass
from edgexl.runtime.binding import BundleHandle, open_bundle


@dataclass(frozen=True)
class Verify(Pass):
    """The bundle lies beside `out` for a moment, all of it but the manifest. The native engine gives the same bits here
    as on every device, and others than ONNX Runtime, by which the passes before were measured."""

    out: Path
    threads: int = 1
    progress: StageProgress = no_stage_progress

    name = "verify"
    needs = ("goldens", "sections")
    adds = ("answered",)
    judged = True
    tells = True

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `answered`. Raises `GateFailed` when a golden is not reproduced."""
        with (
            trial_bundle(self.out, {Kind.MANIFEST: b"{}\n", **artifact.sections}) as path,
            open_bundle(path, verify=False, compiled_only=True) as handle,
        ):
            verdict = Verdict(
                "goldens_reproduced", _count_reproduced(handle, artifact.goldens), 100.0, self.name,
                "the runtime answers otherwise than the compiler's reference does",
            )  # fmt: skip
            verdicts = artifact.verdicts + judge((verdict,))
            queries = artifact.student.evaluation[: artifact.recipe.gates.queries]
            answered = measure_bundle(handle, queries, self.threads, self.progress)
            return dataclasses.replace(artifact, answered=answered, verdicts=verdicts)


def _count_reproduced(handle: BundleHandle, goldens: Goldens) -> float:
    """The percentage of goldens that are answered as they say."""

    def reproduces(golden: Golden) -> bool:
        labels = handle.predict(golden.text, goldens.k).labels
        answers = [label.index for label in labels], [label.probability for label in labels]
        return compare(golden, *answers, goldens.tolerance)

    return 100 * sum(map(reproduces, goldens.items)) / len(goldens.items)
