"""How good the float student is on held-out queries, by stage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from edgexl.data import Query, metrics
from edgexl.student.predict import StudentPredictor

# P@1, P@5, nDCG@5 and R@10/100/1000 are what students are judged by.
CUTOFFS = (1, 5, 10, 100, 1000)
REPORTED = ("P@1", "P@5", "nDCG@5", "R@10", "R@100", "R@1000")


def evaluate_student(
    predictor: StudentPredictor,
    queries: Sequence[Query],
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """{"queries": n, "screening": {...}, "reasoned": {...}}: percentages of `REPORTED`, before and after the reasoner.

    Beyond the shortlist both rankings are screening's, so R@1000 is the same in both.
    """
    count = len(predictor.student.labels)
    cutoffs = tuple(k for k in CUTOFFS if k <= count)
    rankings = predictor.rank_by_stage([query.text for query in queries], max(cutoffs), progress)
    report: dict[str, Any] = {"queries": len(queries)}
    for stage, ranked in zip(("screening", "reasoned"), rankings, strict=True):
        judged = metrics.evaluate(ranked, [query.targets for query in queries], cutoffs)
        report[stage] = {name: round(judged[name], 2) for name in REPORTED if name in judged}
    return report
