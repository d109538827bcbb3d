"""What a profile recommends to a recipe, by rules that each take a line, and reading it back.

The rules turn measured numbers into the few settings of a distillation that depend on the teacher. They are starting
points: a setting that a recipe names is the recipe's. With shares from 0 to 1,

    shortlist                    the smallest N, 16 to 512, at which doubling adds less than 0.25 points to P@1 and to
                                 nDCG@5, while the shortlist's R@N is within 20 points of R@1024
    screening.teacher_weight     4 x R@N of phase one, 2 at most (0 for a teacher without vectors): a teacher that finds
                                 half of the labels has vectors worth the full weight
    screening.ranking_weight     2 x P@1 of phase one's own order, where its shortlist holds a gold label
    screening.hard_negatives     16 x phase one's probability on near misses, rounded: negatives to mine a query
    reasoning.teacher_weight     20 x what the decision adds to P@1 of phase one's own order, where the shortlist holds
                                 a gold label, 2 at most: such a decision teaches a student without attention 3 points
                                 of P@1 more at 2 than at 0.3, and costs larger students nothing. One that adds little
                                 gets its P@1 there squared: it teaches its mistakes faster than its knowledge
    reasoning.near_miss_weight   the decision's probability on near misses, there too: what it still confuses
    reasoning.absent_share       0.1, for a student learns 'none of these' from such shortlists alone, and 0.4 x the
                                 share of queries that the teacher answers as surely as its right ones when the gold
                                 labels are taken away, which is what it would teach; 0.3 at most
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base import toml
from edgexl.base.errors import BadInput
from edgexl.base.files import read_input
from edgexl.base.strict_json import parse
from edgexl.data.label_set import LabelSet

PROFILE_FORMAT, PROFILE_VERSION = "edgexl profile", 1
SHORTEST, LONGEST, GAIN_POINTS, RECALL_POINTS = 16, 512, 0.25, 20.0


@dataclass(frozen=True)
class ScreeningAdvice:
    """For [screening]: weights of the teacher's vectors and of its ranking, and mined negatives a query."""

    teacher_weight: float
    ranking_weight: float
    hard_negatives: int


@dataclass(frozen=True)
class ReasoningAdvice:
    """For [reasoning]: weights of the teacher's decision and of near misses, and the share of goldless shortlists."""

    teacher_weight: float
    near_miss_weight: float
    absent_share: float


@dataclass(frozen=True)
class Recommendation:
    """The settings, and in `reasons` a sentence for each with the numbers that it comes from."""

    shortlist: int
    screening: ScreeningAdvice
    reasoning: ReasoningAdvice
    reasons: dict[str, str]

    def __post_init__(self) -> None:
        weights = (
            self.screening.teacher_weight, self.screening.ranking_weight,
            self.reasoning.teacher_weight, self.reasoning.near_miss_weight,
        )  # fmt: skip
        if self.shortlist < 1 or self.screening.hard_negatives < 0:
            raise ValueError("shortlist must be positive and hard_negatives 0 or more")
        if not all(math.isfinite(weight) and weight >= 0 for weight in weights):
            raise ValueError("weights must be 0 or more")
        if not 0.0 <= self.reasoning.absent_share < 1.0:
            raise ValueError("absent_share must lie in 0 to 1")


def recommend(profile: dict[str, Any], has_vectors: bool) -> Recommendation:
    """Apply the rules (see above) to a profile's measured keys."""
    shortlist, why = _shortlist(profile["sweep"], profile["focus"]["by_length"][-1])
    row = next(row for row in profile["sweep"] if row["length"] == shortlist)
    recall = row["R@N"] / 100
    rows = {row["name"]: row for row in profile["interventions"]}
    mass = profile["confusion"]["mass"]
    held = mass["queries"] / profile["data"]["queries"]
    # only queries with a gold label in the shortlist can be right, so that dividing by their share conditions on them
    screened = rows["reasoner removed"]["P@1"] / 100 / held if held else 0.0
    decided = rows["as it is"]["P@1"] / 100 / held if held else 0.0
    before = mass["screening"]["near_misses"] if mass["screening"] else 0.0
    after = mass["decision"]["near_misses"] if mass["decision"] else 0.0
    confident = rows.get("gold removed", {}).get("confident_share")
    reasons = {
        "shortlist": why,
        "screening.teacher_weight": f"phase one finds {recall:.1%} of the gold labels at N = {shortlist}"
        if has_vectors
        else "the teacher has no vectors to imitate",
        "screening.ranking_weight": f"where phase one finds a gold label, it ranks one first in {screened:.1%}",
        "screening.hard_negatives": f"phase one leaves {before:.1%} of the probability on near misses",
        "reasoning.teacher_weight": f"where the shortlist holds a gold label, the decision is right in {decided:.1%}, "
        f"phase one's first in {screened:.1%}",
        "reasoning.near_miss_weight": f"the decision leaves {after:.1%} of the probability on near misses",
        "reasoning.absent_share": "the teacher cannot be queried without the gold labels"
        if confident is None
        else f"without the gold labels, {confident:.1%} of the answers are as sure as right ones",
    }
    return Recommendation(
        shortlist=shortlist,
        screening=ScreeningAdvice(
            teacher_weight=round(min(2.0, 4 * recall), 2) if has_vectors else 0.0,
            ranking_weight=round(2 * screened, 2),
            hard_negatives=round(16 * before),
        ),
        reasoning=ReasoningAdvice(
            teacher_weight=round(max(decided**2, min(2.0, 20 * (decided - screened))), 3),
            near_miss_weight=round(after, 2),
            absent_share=round(min(0.3, 0.1 + 0.4 * (confident or 0.0)), 2),
        ),
        reasons=reasons,
    )


def _shortlist(sweep: list[dict[str, Any]], most: dict[str, Any]) -> tuple[int, str]:
    """N and why, out of rows of rising length with P@1, nDCG@5 and R@N; `most` says what the longest list holds."""
    reach = most["gold"]
    allowed = [row for row in sweep if SHORTEST <= row["length"] <= LONGEST] or sweep[-1:]
    for row in allowed:
        longer = next((each for each in sweep if each["length"] >= 2 * row["length"]), None)
        gain = max(longer[key] - row[key] for key in ("P@1", "nDCG@5")) if longer else 0.0
        if gain < GAIN_POINTS and reach - row["R@N"] <= RECALL_POINTS:
            return row["length"], (
                f"doubling {row['length']} labels adds {max(gain, 0.0):.2f} points at most, and they hold "
                f"{row['R@N']:.1f}% of the gold labels ({most['length']:,} hold {reach:.1f}%)"
            )
    last = allowed[-1]
    return last["length"], f"longer shortlists still help at {last['length']} labels, the most that is advised"


def read_recommendation(path: str | Path, labels: LabelSet | None = None) -> Recommendation:
    """What the profile at `path` (profile.json, or the directory that holds it) recommends.

    `labels`, where given, must be the label set that was profiled: that of the data set, before a recipe adds aliases.
    Raises `BadInput` in one sentence for a file that is no profile, is damaged, or is another data set's.
    """
    path = Path(path)
    path = path / "profile.json" if path.is_dir() else path
    again = "run `edgexl characterize` again"
    try:
        profile = parse(read_input(path))
    except BadInput as error:
        raise BadInput(f"{error} Make the profile by `edgexl characterize`.") from None
    except ValueError as error:
        raise BadInput(f"{path} is not readable JSON ({error}); {again}.") from None
    if not isinstance(profile, dict) or profile.get("format") != PROFILE_FORMAT:
        raise BadInput(f"{path} is not a profile: it lacks the entry format = '{PROFILE_FORMAT}'; {again}.")
    if profile.get("version") != PROFILE_VERSION:
        raise BadInput(
            f"{path} is a profile of version {profile.get('version')!r}; this edgexl reads {PROFILE_VERSION}: {again}."
        )
    data = profile.get("data")
    if labels is not None and (not isinstance(data, dict) or data.get("labels_sha256") != labels.sha256()):
        of = data.get("source") if isinstance(data, dict) else None
        raise BadInput(f"{path} was measured on another label set (of {of!r}); characterize the teacher on this one.")
    advice = profile.get("recommendation")
    if not isinstance(advice, dict):
        raise BadInput(f"{path} holds no recommendation; {again}.")
    return toml.build(advice, Recommendation, f"{path}: recommendation")
