"""Calibrate: probabilities and a threshold, fitted on what the compiled pipeline says of held-out queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.bundle.calibration import Calibration
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.encoding import Progress
from edgexl.compiler.fitting import fit, fit_presence, uncalibrated
from edgexl.compiler.measure import padded, reference_pipeline
from edgexl.compiler.reference import Answer, ReferencePipeline
from edgexl.data import Query
from edgexl.errors import BadInput
from edgexl.recipe import CalibrateRecipe
from edgexl.student.student import Student

# Shortlists without their right labels that the presence is fitted on: 80 % of them are known within 3 points.
PRESENCE_QUERIES = 1000


def calibration_queries(student: Student, recipe: CalibrateRecipe) -> tuple[Query, ...]:
    """The queries that a recipe's fit takes. Raises `BadInput` where it needs some and the student has none."""
    if recipe.method != "none" and not student.calibration:
        raise BadInput(
            "The student has no calibration queries; give it some that no training saw, "
            'or set [calibrate] method = "none".'
        )
    return student.calibration[: recipe.queries]


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
        queries = calibration_queries(artifact.student, self.calibrate)
        assert artifact.vectors is not None
        pipeline = reference_pipeline(artifact, artifact.vectors, artifact.rows.alias_labels)
        texts = [query.text for query in queries]
        answers = list(pipeline.answers(texts, self.threads, self.progress))
        right = padded(
            [np.isin(answer.labels, query.targets) for answer, query in zip(answers, queries, strict=True)], False
        )
        positives = sum(len(set(query.targets)) for query in queries)
        logits = padded([answer.logits for answer in answers], -np.inf)
        fitted = fit(logits, right, positives, method, label_set)
        calibration = fitted.calibration
        presence: dict[str, Any] = {}
        if self.calibrate.absence_noticed > 0:
            answered = [pair for pair in zip(queries, answers, strict=True) if len(pair[0].targets) < right.shape[1]]
            calibration, presence = self._presence(pipeline, answered, calibration)
        facts = {
            "method": method,
            "input": calibration.input,
            "queries": len(queries),
            "held_out_log_loss": fitted.log_loss,
            "threshold": calibration.threshold,
            "F1_micro": fitted.f1_micro,
        } | presence
        return dataclasses.replace(artifact, calibration=calibration, facts=artifact.facts | {"calibration": facts})

    def _presence(
        self, pipeline: ReferencePipeline, answered: Sequence[tuple[Query, Answer]], calibration: Calibration
    ) -> tuple[Calibration, dict[str, Any]]:
        """The calibration with a presence, and what it costs: the percentage of right best labels that it doubts."""
        some, noticed = [query for query, _ in answered[:PRESENCE_QUERIES]], self.calibrate.absence_noticed
        if not some:
            return calibration, {}
        texts, targets = [query.text for query in some], [query.targets for query in some]
        absent = pipeline.answers(texts, self.threads, self.progress, targets)
        without_right = np.array([answer.logits.max() for answer in absent], np.float32)
        best_right = [answer.logits.max() for query, answer in answered if answer.ranked[0] in query.targets]
        with_right = np.array(best_right, np.float32)
        calibration, doubted = fit_presence(calibration, without_right, with_right, noticed)
        facts = {
            "presence": calibration.presence,
            "absence_noticed": noticed,
            "doubted_percent": round(100 * doubted, 2),
        }
        return calibration, facts
