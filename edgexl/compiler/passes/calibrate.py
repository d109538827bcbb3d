"""Calibrate: probabilities and a threshold, fitted on what the compiled pipeline says of held-out queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from edgexl.base.arrays import Bools, Floats
from edgexl.base.errors import BadInput
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.bundle.calibration import Calibration, Input
from edgexl.bundle.doubts import Doubts, mark_tokens, share_known
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.measure.cross_validation import cross_validate
from edgexl.compiler.measure.fitting import (
    LEAST_RIGHT,
    Fit,
    Method,
    ShareFit,
    calibrate_by_share,
    can_fit,
    count_coverage,
    fit,
    fit_presence,
    fit_share,
)  # fmt: skip
from edgexl.compiler.measure.reference import Answer, ReferencePipeline
from edgexl.compiler.measure.yardstick import answer_texts, pad_rows, reference_pipeline
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import CalibrateRecipe
from edgexl.data import Query
from edgexl.student.student import Student
from edgexl.student.text import encode_texts, tokens_around

# So few held-out queries have a smaller share of known tokens, and so few label texts score less by themselves.
STRANGE = 0.01
# Label texts that are asked for, and the least score by which one is told from a text of like meaning.
NAMES, LEAST_SAME = 500, 0.9
# Shortlists without their gold labels that the presence is fitted on: 80 % of them are known within 3 points.
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
class Calibrate(Pass):
    """The fit's method and how many queries it takes at most."""

    calibrate: CalibrateRecipe
    threads: int
    progress: StageProgress = no_stage_progress

    name = "calibrate"
    needs = ("graphs", "vectors", "index", "blend")
    adds = ("calibration",)
    tells = True

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `calibration`. Raises `BadInput` when the student has no calibration queries."""
        label_set = bytes.fromhex(artifact.student.labels.sha256())
        method = self.calibrate.method
        if method == "none":
            self.progress(1, 1)
            facts: dict[str, Any] = {"method": method}
            return _add_calibration(artifact, calibrate_by_share(label_set), facts)
        queries = calibration_queries(artifact.student, self.calibrate)
        pipeline = reference_pipeline(artifact, artifact.vectors, artifact.rows)
        texts = [query.text for query in queries]
        answers = answer_texts(artifact, texts, self.threads, self.progress)
        right = pad_rows(
            [np.isin(answer.labels, query.targets) for answer, query in zip(answers, queries, strict=True)], False
        )
        positives = sum(len(set(query.targets)) for query in queries)
        logits = pad_rows([answer.logits for answer in answers], -np.inf)
        if right.any() and not can_fit(logits, right):
            facts = self._why_not(int(right.sum()), int(np.isfinite(logits).sum()))
            calibration = count_coverage(calibrate_by_share(label_set), logits, right)
            return _add_calibration(artifact, calibration, facts | {"queries": len(queries)})
        if artifact.is_small:
            shares = fit_share(logits, right, positives, label_set)
            calibration, facts = shares.calibration, self._share_facts(shares, len(queries))
            facts["cross_validated"] = cross_validate(partial(_fit_share, label_set), logits, right)
            artifact = _scale_logits(artifact, shares.scale)
            pipeline = dataclasses.replace(pipeline, blend=artifact.blend)
            answers = [dataclasses.replace(each, logits=each.logits * np.float32(shares.scale)) for each in answers]
        else:
            fitted = fit(logits, right, positives, method, label_set)
            calibration, facts = fitted.calibration, _curve_facts(fitted, len(queries))
            again = partial(_fit_curve, label_set, method, calibration.input)
            facts["cross_validated"] = cross_validate(again, logits, right)
        if self.calibrate.absence_noticed > 0:
            answered = [pair for pair in zip(queries, answers, strict=True) if len(pair[0].targets) < right.shape[1]]
            doubts = self._doubts(artifact, pipeline, texts)
            artifact = dataclasses.replace(artifact, doubts=doubts)
            calibration, presence = self._presence(pipeline, answered, calibration, doubts)
            facts |= {"least_known": doubts.least_known, "same_text": doubts.same_text} | presence
        logits = pad_rows([answer.logits for answer in answers], -np.inf)
        calibration = count_coverage(calibration, logits, right)
        return _add_calibration(artifact, calibration, facts)

    def _share_facts(self, fitted: ShareFit, queries: int) -> dict[str, Any]:
        return {
            "method": "share",
            "method_of_recipe": self.calibrate.method,
            "reason": "labels may be added to so small a set, which leave less of the shortlist to each",
            "input": fitted.calibration.input,
            "logits_times": fitted.scale,
            "share_times": fitted.times,
            "queries": queries,
            "threshold": fitted.calibration.threshold,
            "F1_micro": fitted.f1_micro,
        }

    def _why_not(self, right: int, labels: int) -> dict[str, Any]:
        """For the manifest, where a label's share of the shortlist is its probability after all: the queries are too
        few to fit one, or the label set is so small that all of it is right."""
        reason = f"{right} of the shortlists' {labels} labels are right; a fit needs {LEAST_RIGHT}, and wrong ones too"
        return {"method": "none", "method_of_recipe": self.calibrate.method, "reason": reason}

    def _doubts(self, artifact: Artifact, pipeline: ReferencePipeline, texts: Sequence[str]) -> Doubts:
        """What few held-out queries are stranger than, and what label texts score by themselves."""
        prompt = artifact.student.prompts.query
        tokens = encode_texts(artifact.student.tokenizer, texts, artifact.shapes.max_tokens, prompt)
        before, behind = map(len, tokens_around(artifact.student.tokenizer))
        known = mark_tokens(artifact.rows.tokens.values, artifact.shapes.vocabulary)
        least = float(
            np.quantile([share_known(known, each, (before, behind)) for each in tokens], STRANGE, method="lower")
        )
        names = artifact.student.labels.texts
        step = max(1, len(names) // NAMES)
        asked = range(0, len(names), step)
        answers = pipeline.answers([names[label] for label in asked], self.threads)
        own = [answer.scores[answer.labels == label, 0] for label, answer in zip(asked, answers, strict=True)]
        found = np.concatenate(own) if own else np.zeros(0, np.float32)
        same = float(np.quantile(found, STRANGE, method="lower")) if len(found) else 0.0
        return Doubts.of(known, least, same if same >= LEAST_SAME else 0.0, (before, behind))

    def _presence(
        self,
        pipeline: ReferencePipeline,
        answered: Sequence[tuple[Query, Answer]],
        calibration: Calibration,
        doubts: Doubts,
    ) -> tuple[Calibration, dict[str, Any]]:
        """The calibration with a presence, and what it costs: the percentage of right best labels that are doubted."""
        some, noticed = [query for query, _ in answered[:PRESENCE_QUERIES]], self.calibrate.absence_noticed
        if len(some) < LEAST_RIGHT:  # also where every label is right
            return calibration, {}
        texts, targets = [query.text for query in some], [query.targets for query in some]
        absent = pipeline.answers(texts, self.threads, self.progress, targets)
        without_right = np.array([answer.logits.max() for answer in absent], np.float32)
        right = [answer for query, answer in answered if answer.ranked[0] in query.targets]
        with_right = np.array([answer.logits.max() for answer in right], np.float32)
        calibration, _, found = fit_presence(
            calibration, without_right, with_right, noticed, self.calibrate.most_doubted
        )
        presence = calibration.presence
        doubted = [
            doubts.none_fits(answer.tokens, answer.scores[answer.order[0]], float(answer.logits.max()), presence)
            for answer in right
        ]
        facts = {
            "presence": presence,
            "absence_noticed": noticed,
            "noticed_percent": round(100 * found, 2),
            "doubted_percent": round(100 * float(np.mean(doubted)), 2) if doubted else 0.0,
        }
        return calibration, facts


def _fit_share(label_set: bytes, logits: Floats, right: Bools) -> tuple[Calibration, float]:
    shares = fit_share(logits, right, int(right.sum()), label_set)
    return shares.calibration, shares.scale


def _fit_curve(
    label_set: bytes, method: Method, only: Input, logits: Floats, right: Bools
) -> tuple[Calibration, float]:
    return fit(logits, right, int(right.sum()), method, label_set, only).calibration, 1.0


def _curve_facts(fitted: Fit, queries: int) -> dict[str, Any]:
    return {
        "method": fitted.method,
        "input": fitted.calibration.input,
        "queries": queries,
        "held_out_log_loss": fitted.log_loss,
        "threshold": fitted.calibration.threshold,
        "F1_micro": fitted.f1_micro,
    }


def _scale_logits(artifact: Artifact, factor: float) -> Artifact:
    """With logits so many times as large: the order of labels stays, and their softmax says how sure it is."""
    return dataclasses.replace(artifact, blend=artifact.blend.times(factor))


def _add_calibration(artifact: Artifact, calibration: Calibration, facts: dict[str, Any]) -> Artifact:
    return dataclasses.replace(artifact, calibration=calibration, facts=artifact.facts | {"calibration": facts})
