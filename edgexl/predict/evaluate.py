"""How good the float student is on held-out queries, by stage."""

from __future__ import annotations

from collections.abc import Sequence, Set
from typing import Any

from edgexl.base.arrays import Ints
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.data import Query, metrics
from edgexl.predict.float_student import StudentPredictor

# P@1, P@5, nDCG@5 and R@10/100/1000 are what students are judged by.
CUTOFFS = (1, 5, 10, 100, 1000)
REPORTED = ("P@1", "P@5", "nDCG@5", "R@10", "R@100", "R@1000")


def evaluate_student(
    predictor: StudentPredictor,
    queries: Sequence[Query],
    progress: StageProgress = no_stage_progress,
    trained: Set[int] | None = None,
) -> dict[str, Any]:
    """{"queries": n, "screening": {...}, "reasoned": {...}[, "unseen": {...}]}: percentages of `REPORTED`, before and
    after the reasoner. Beyond the shortlist both rankings are screening's, so R@1000 is the same in both.

    `trained` are the labels that some training query has as gold labels, where known: queries with a gold label beyond
    these are also reported apart, as unseen.
    """
    cutoffs = tuple(k for k in CUTOFFS if k <= len(predictor.student.labels))
    screened, reasoned = predictor.rank_by_stage([query.text for query in queries], max(cutoffs), progress)
    gold = [query.targets for query in queries]
    report: dict[str, Any] = {"queries": len(queries)}
    report |= {"screening": _measure(screened, gold, cutoffs), "reasoned": _measure(reasoned, gold, cutoffs)}
    unseen = [] if trained is None else [place for place, own in enumerate(gold) if not trained >= set(own)]
    if unseen:
        found = _measure(reasoned[unseen], [gold[place] for place in unseen], cutoffs)
        report["unseen"] = {"queries": len(unseen), **found}
    return report


def _measure(ranked: Ints, gold: Sequence[tuple[int, ...]], cutoffs: tuple[int, ...]) -> dict[str, float]:
    found = metrics.evaluate(ranked, gold, cutoffs)
    return {name: round(found[name], 2) for name in REPORTED if name in found}
