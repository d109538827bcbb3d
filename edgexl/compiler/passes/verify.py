"""Verify: the C runtime answers the bundle's goldens and the evaluation queries, as a device will."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgexl.base.arrays import Ints
from edgexl.base.errors import BadInput
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.bundle.goldens import Golden, Goldens, compare
from edgexl.bundle.layout import Kind
from edgexl.bundle.write import trial_bundle
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.measure.gates import Verdict, judge
from edgexl.compiler.measure.ledger import Accuracy
from edgexl.compiler.measure.yardstick import measure_accuracy, pad_rows
from edgexl.compiler.passes.declaration import Pass
from edgexl.runtime.binding import BundleHandle, open_bundle


@dataclass(frozen=True)
class Verify(Pass):
    """The bundle lies beside `out` for a moment, all of it but the manifest. The native engine gives the same bits here
    as on every device, and others than ONNX Runtime, by which the passes before were measured."""

    out: Path
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
            return dataclasses.replace(artifact, answered=self._measure_answers(artifact, handle), verdicts=verdicts)

    def _measure_answers(self, artifact: Artifact, handle: BundleHandle) -> Accuracy:
        queries = artifact.student.evaluation[: artifact.recipe.gates.queries]
        if not queries:
            self.progress(1, 1)
            return Accuracy()
        ranked, screened = [], []
        for done, query in enumerate(queries, 1):
            whole, alone = _rankings(handle, query.text)
            ranked.append(whole)
            screened.append(alone)
            self.progress(done, len(queries))
        return measure_accuracy(pad_rows(ranked, -1), queries, pad_rows(screened, -1))


def _rankings(handle: BundleHandle, text: str) -> tuple[Ints, Ints]:
    """The shortlist's labels, best first, and in the order of screening; none for a text without a token."""
    try:
        found = handle.predict(text, k=1)
    except BadInput:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    return found.ranked, found.shortlist_labels.astype(np.int64)


def _count_reproduced(handle: BundleHandle, goldens: Goldens) -> float:
    """The percentage of goldens that are answered as they say."""

    def reproduces(golden: Golden) -> bool:
        labels = handle.predict(golden.text, goldens.k).labels
        answers = [label.index for label in labels], [label.probability for label in labels]
        return compare(golden, *answers, goldens.tolerance)

    return 100 * sum(map(reproduces, goldens.items)) / len(goldens.items)
