"""Calibrate: probabilities and a threshold, fitted on what the compiled pipeline says of held-out queries."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding import Progress
from edgexl.compiler.fitting import fit, uncalibrated
from edgexl.compiler.measure import padded, reference_pipeline
from edgexl.errors import BadInput
from edgexl.recipe import CalibrateRecipe


@dataclass(frozen=True)
class Calibrate:
    """The fit's method and how many queries it takes at most."""

    calibrate: CalibrateRecipe
    threads: int
    progress: Progress | None = None
    name: str = "calibrate"

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `calibration`. Raises `BadInput` when the student has no calibration queries."""
        label_set = bytes.fromhex(artifact.student.labels.sha256())
        method = self.calibrate.method
        if method == "none":
            facts: dict[str, Any] = {"method": method}
            return dataclasses.replace(
                artifact, calibration=uncalibrated(label_set), facts=artifact.facts | {"calibration": facts}
            )
        queries = artifact.student.calibration[: self.calibrate.queries]
        if not queries:
            raise BadInput(
                "The student has no calibration queries; give it some that no training saw, "
                'or set [calibrate] method = "none".'
            )
        assert artifact.vectors is not None
        pipeline = reference_pipeline(artifact, artifact.vectors, artifact.rows.alias_labels)
        answers = list(pipeline.answers([query.text for query in queries], self.threads, self.progress))
        right = padded(
            [np.isin(answer.labels, query.targets) for answer, query in zip(answers, queries, strict=True)], False
        )
        positives = sum(len(set(query.targets)) for query in queries)
        logits = padded([answer.logits for answer in answers], -np.inf)
        fitted = fit(logits, right, positives, method, label_set)
        facts = {
            "method": method,
            "input": fitted.calibration.input,
            "queries": len(queries),
            "held_out_log_loss": fitted.log_loss,
            "threshold": fitted.calibration.threshold,
            "F1_micro": fitted.f1_micro,
        }
        return dataclasses.replace(
            artifact, calibration=fitted.calibration, facts=artifact.facts | {"calibration": facts}
        )
