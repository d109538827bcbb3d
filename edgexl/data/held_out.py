"""Held-out queries of a label set: what someone gave, divided, and what is made of the labels where that is too little.

none, or fewer than 20   the compile is judged on queries made of label texts, and no probabilities are fitted
20 to 399                all of them fit probabilities and judge the compile, which cannot be told apart better
400 and more             one half fits, the other judges

A student that serves an edited version of its own labels brings its own held-out queries along (`carry_over`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from edgexl.data.label_set import LabelSet
from edgexl.data.layout import Query
from edgexl.data.naming import naming_queries
from edgexl.data.split import text_hash

FEWEST, FEWEST_TO_DIVIDE = 20, 400
# Either half: more would settle no figure further than a point.
MOST = 2000
# What a compile keeps of a model is judged on pairs of answers, which vary less than answers do.
MADE = 500
MADE_OF = "label texts, with words left out, turned, joined or misspelt"


@dataclass(frozen=True)
class HeldOut:
    """Queries to fit on and queries to judge by; `about` says for manifests where they come from: `measured_on` in a
    sentence, and how many they are."""

    calibration: tuple[Query, ...]
    evaluation: tuple[Query, ...]
    about: dict[str, Any]


def hold_out(labels: LabelSet, queries: tuple[Query, ...] = ()) -> HeldOut:
    """Divide `queries`, and make some where they are fewer than 20. The same arguments give the same queries."""
    given = len(queries)
    if given < FEWEST:
        made = naming_queries(labels, MADE, seed=0)
        why = f"{given} queries are too few to measure on ({FEWEST} would do), so" if given else "Without queries,"
        return _describe(
            (), made, f"{why} figures are of {len(made):,} made of {MADE_OF}. They say what the compile keeps of the "
            "model, not how well it answers other texts, and no probabilities are fitted.", made_of=MADE_OF,
        )  # fmt: skip
    ordered = tuple(sorted(queries, key=lambda query: (text_hash(query.text), query.text)))
    if given < FEWEST_TO_DIVIDE:
        return _describe(
            ordered, ordered, f"Figures are of the {given:,} queries given, on which probabilities are fitted, too: "
            f"{FEWEST_TO_DIVIDE} would be divided.",
        )  # fmt: skip
    fitted, judged = ordered[: given // 2][:MOST], ordered[given // 2 :][:MOST]
    sentence = (
        f"Figures are of {len(judged):,} of the queries given; probabilities are fitted on {len(fitted):,} others."
    )
    return _describe(fitted, judged, sentence)


def carry_over(
    ids: Sequence[str], calibration: Sequence[Query], evaluation: Sequence[Query], labels: LabelSet
) -> HeldOut | None:
    """A student's own held-out queries over other `labels`: those all of whose gold labels, by their `ids`, are still
    there. None where that leaves fewer than 20 of either, or less than half of them: then it is another label set."""
    place = {uid: number for number, uid in enumerate(labels.ids)}
    kept = [
        tuple(
            replace(query, targets=tuple(place[ids[target]] for target in query.targets))
            for query in queries
            if query.targets and all(ids[target] in place for target in query.targets)
        )
        for queries in (calibration, evaluation)
    ]
    fitted, judged = kept
    if min(len(fitted), len(judged)) < FEWEST or 2 * sum(map(len, kept)) < len(calibration) + len(evaluation):
        return None
    sentence = (
        f"Figures are of {len(judged):,} queries that the student holds out, those whose labels are still there; "
        f"probabilities are fitted on {len(fitted):,} others."
    )
    return _describe(fitted, judged, sentence)


def _describe(
    fitted: tuple[Query, ...], judged: tuple[Query, ...], sentence: str, made_of: str | None = None
) -> HeldOut:
    about = {"measured_on": sentence, "evaluation": len(judged), "calibration": len(fitted), "made_of": made_of}
    return HeldOut(fitted, judged, about)
