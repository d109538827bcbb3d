"""Blend: how much of the reasoner's logit and of the screening score each label's logit is made of, so that reasoning
never costs what screening had right."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Floats
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.compiler.artifact import Artifact
from edgexl.compiler.graphs.graph import Session
from edgexl.compiler.measure.blending import Choice, choose_blend, standard_error
from edgexl.compiler.measure.fitting import fit_share
from edgexl.compiler.measure.gates import Verdict, judge
from edgexl.compiler.measure.reference import REASONER_ALONE, Answer, Blend
from edgexl.compiler.measure.yardstick import answer_texts, pad_rows
from edgexl.compiler.passes.declaration import Pass
from edgexl.compiler.recipe import Recipe
from edgexl.data import Query
from edgexl.data.naming import naming_queries
from edgexl.student.prior import weigh_labels
from edgexl.student.reasoner import SCORE_SCALE, ListwiseReasoner, ScreeningReasoner

# Fewer queries tell a gain from chance only where it is large.
FEWEST_QUERIES = 100
BLIND = (
    "The reasoner is left out: labels are found by descriptions, of which it is told nothing, and the held-out queries "
    "have gold labels without any."
)
# Made of label texts where there are too few held-out ones.
MADE_QUERIES = 1000


@dataclass(frozen=True)
class FitBlend(Pass):
    """The recipe's word on blending, its gate, and how many queries are looked at."""

    recipe: Recipe
    threads: int
    progress: StageProgress = no_stage_progress

    name = "blend"
    needs = ("graphs", "vectors", "index")
    adds = ("blend",)
    judged = True  # not before: what words or rounding do to a reasoner, its weight in the blend may make good
    tells = True

    @property
    def measured(self) -> bool:
        return self.recipe.reasoner.blend != "none"

    def run(self, artifact: Artifact) -> Artifact:
        """Adds `blend`. Raises `GateFailed` where the reasoner costs more than the recipe allows."""
        if isinstance(artifact.student.reasoner, ScreeningReasoner):
            self.progress(1, 1)
            blend = Blend(0.0, float(artifact.student.reasoner.scale.detach()))
            weights = {"reasoner_weight": blend.reasoner, "screening_weight": blend.screening}
            because = "The student has no reasoner: its logits are its screening scores, which takes no graph."
            return _add(artifact, blend, {"kind": "left out", **weights, "because": because})
        queries, made = self._queries(artifact)
        if not queries and self.recipe.reasoner.blend == "screening":
            self.progress(1, 1)
            because = "The reasoner is left out: the recipe says so."
            return _add(artifact, Blend(0.0, SCORE_SCALE), {"kind": "left out", "because": because})
        if not queries:
            self.progress(1, 1)
            wanted = self.recipe.reasoner.blend == "none"
            why = "the recipe says so" if wanted else f"there are not the {FEWEST_QUERIES} queries that tell more"
            facts = {"kind": "as it is", "because": f"The reasoner's logits are taken as they are: {why}."}
            return _add(artifact, artifact.own_blend, facts)
        answers = answer_texts(artifact, [query.text for query in queries], self.threads, self.progress)
        right = pad_rows(
            [np.isin(answer.labels, query.targets) for answer, query in zip(answers, queries, strict=True)], False
        )
        logits = pad_rows(_without_prior(artifact, answers), -np.inf)
        screening = pad_rows([answer.screening for answer in answers], -np.inf)
        choice = choose_blend(logits, screening, right, may_blend=not made)
        blind = not made and self._is_blind(artifact, queries)
        if blind:
            choice = dataclasses.replace(choice, kind="left out", chosen=choice.screening)
        if self.recipe.reasoner.blend == "none":
            choice = dataclasses.replace(choice, kind="as it is", blend=REASONER_ALONE, chosen=choice.reasoner)
        if self.recipe.reasoner.blend == "screening":
            choice = dataclasses.replace(choice, kind="left out", blend=Blend(0.0, 1.0), chosen=choice.screening)
        blend = choice.blend
        if choice.kind != "left out":
            # that of a reasoner which corrects screening stands in its logits already
            blend = dataclasses.replace(blend, screening=artifact.own_blend.screening + blend.screening)
        elif right.any():
            # scores lie close together: as large as their softmax predicts best
            scale = fit_share(screening, right, int(right.sum()), bytes(32)).scale
            blend = Blend(0.0, scale)
        verdict = self._judge(choice)
        artifact = dataclasses.replace(artifact, verdicts=(*artifact.verdicts, *judge((verdict,))))
        return _add(artifact, blend, self._facts(choice, blend, made) | ({"because": BLIND} if blind else {}))

    def _queries(self, artifact: Artifact) -> tuple[tuple[Query, ...], bool]:
        """The queries to choose by, and whether they are made of label texts. The evaluation queries are never among
        them. None where there are too few of both, or nothing to choose."""
        held_out = artifact.student.calibration[: self.recipe.calibrate.queries]
        if len(held_out) >= FEWEST_QUERIES:
            return held_out, False
        if self.recipe.reasoner.blend != "auto" or len(artifact.student.labels) < FEWEST_QUERIES:
            return (), False
        return naming_queries(artifact.student.labels, MADE_QUERIES, seed=0), True

    def _is_blind(self, artifact: Artifact, queries: Sequence[Query]) -> bool:
        """Whether the reasoner is not told of descriptions, by which labels are found, and no query shows what that
        costs."""
        told = "evidence" in Session(artifact.graphs.reasoner).input_names
        auto = self.recipe.reasoner.blend == "auto"
        return auto and not told and artifact.rows.descriptions > 0 and not artifact.can_judge_descriptions(queries)

    def _judge(self, choice: Choice) -> Verdict:
        """P@1 of the whole less that of screening, in points, give or take the standard error."""
        gain = choice.chosen - choice.screening
        return Verdict(
            "reasoner_gain", round(100 * float(gain.mean()), 3), self.recipe.gates.reasoner_gain, self.name,
            'let the compile blend it with screening ([reasoner] blend = "auto"), or train it on such labels',
            margin=round(100 * standard_error(gain), 3),
        )  # fmt: skip

    def _facts(self, choice: Choice, blend: Blend, made: bool) -> dict[str, Any]:
        """For the manifest: what was chosen, P@1 of each on the queries, and a sentence."""
        count = len(choice.chosen)
        shares = {"screening": choice.screening, "reasoner": choice.reasoner, "chosen": choice.chosen}
        found = {name: round(100 * float(hits.mean()), 2) for name, hits in shares.items()}
        alone, reasoned, chosen = found.values()
        queries = f"{count:,} queries made of label texts" if made else f"{count:,} held-out queries"
        asked = self.recipe.reasoner.blend == "auto"
        rest = ", and no blend of both is better by more than chance" if asked else ", and the recipe wants no blend"
        why_out = f"{', which is not better' if made else ', and no blend of both is better'} by more than chance"
        because = {
            "as it is": f"The reasoner's logits are taken as they are: P@1 is {reasoned:.2f} on {queries}, "
            f"{alone:.2f} by screening alone{rest}.",
            "blend": f"A label's logit is the reasoner's and {blend.screening:.4g} times its screening score: P@1 is "
            f"{chosen:.2f} on {queries}, {reasoned:.2f} by the reasoner and {alone:.2f} by screening alone.",
            "left out": f"The reasoner is left out: P@1 is {alone:.2f} by screening alone on {queries}, "
            f"{reasoned:.2f} by the reasoner{why_out if asked else ', and the recipe leaves it out'}.",
        }[choice.kind]
        weights = {"reasoner_weight": blend.reasoner, "screening_weight": blend.screening}
        return {
            "kind": choice.kind,
            **weights,
            "queries": count,
            "queries_made": made,
            "P@1": found,
            "because": because,
        }


def _without_prior(artifact: Artifact, answers: Sequence[Answer]) -> list[Floats]:
    """The answers' logits. A prior is for other queries than the held-out ones, and comes on top of what is chosen by
    these."""
    reasoner = artifact.student.reasoner
    if not isinstance(reasoner, ListwiseReasoner) or not reasoner.config.prior:
        return [answer.logits for answer in answers]
    prior = weigh_labels(reasoner.prior.weight, artifact.rows.label_pieces(artifact.shapes.label_tokens))
    said = [prior[answer.labels] for answer in answers]
    return [answer.logits - (own - own.mean()) for answer, own in zip(answers, said, strict=True)]


def _add(artifact: Artifact, blend: Blend, facts: dict[str, Any]) -> Artifact:
    return dataclasses.replace(artifact, blend=blend, facts=artifact.facts | {"blend": facts})
