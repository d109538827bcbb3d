"""Which of two bundles answers better: both answer the same queries, whose labels are known, through the C runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from edgexl.base.arrays import Doubles, Ints
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.data import Query, metrics
from edgexl.runtime.binding import BundleHandle
from edgexl.use.compare_why import Changes, Sources, Why, count
from edgexl.use.intervals import Interval, mean_interval

METRICS = ("P@1", "R@10", "R@100", "nDCG@5")
Stage = Literal["screening", "reasoning"]
EXAMPLES = 6  # of each kind


@dataclass(frozen=True)
class Change:
    """A query that one bundle answers and the other does not: the right label that the one puts first, what the other
    puts there, where that has the right one (0: not on its shortlist), and at which stage it lost it; and `why`, where
    that was asked."""

    text: str
    right: str
    instead: str
    rank: int
    stage: Stage
    why: Why | None = None

    def as_json(self) -> dict[str, Any]:
        """The fields in JSON's types; `why` where it was asked."""
        found = {name: value for name, value in vars(self).items() if name != "why"}
        return found if self.why is None else {**found, "why": self.why.as_json()}


@dataclass(frozen=True)
class Answers:
    """`metrics` of both bundles in percent, of the whole and of screening alone (`screening_P@1`), with the second's
    less the first's; `gained` and `lost` queries of the second bundle, by the stage that does it, and examples; where
    it was asked why, all of them, and how many by what."""

    queries: int
    left_out: int
    metrics: dict[str, tuple[float, float, Interval]]
    gained: dict[Stage, int]
    lost: dict[Stage, int]
    gains: tuple[Change, ...]
    losses: tuple[Change, ...]
    gained_by: dict[str, int] | None = None
    lost_by: dict[str, int] | None = None

    def as_json(self) -> dict[str, Any]:
        """The keys of `answers` in what `edgexl compare --json` promises."""
        shown = {
            name: {"first": a, "second": b, "difference": by.value, "low": by.low, "high": by.high, "verdict": tell(by)}
            for name, (a, b, by) in self.metrics.items()
        }
        by = {} if self.gained_by is None else {"gained_by": self.gained_by, "lost_by": self.lost_by}
        return {
            "queries": self.queries,
            "left_out": self.left_out,
            "metrics": shown,
            "gained": dict(self.gained),
            "lost": dict(self.lost),
            "gains": [change.as_json() for change in self.gains],
            "losses": [change.as_json() for change in self.losses],
            **by,
        }


def tell(difference: Interval) -> str:
    """What a difference of metrics says of the second bundle."""
    if not difference.excludes(0.0):
        return "no difference"
    return "better" if difference.value > 0 else "worse"


def compare_answers(
    bundles: tuple[BundleHandle, BundleHandle],
    queries: Sequence[Query],
    progress: StageProgress = no_stage_progress,
    sources: Sources | None = None,
) -> Answers:
    """Compare by queries whose targets are the first bundle's label numbers. Queries that name a label which the second
    bundle does not have are left out. With `sources`, what the files differ in, each change is told with its cause."""
    numbers = _numbers_by_id(bundles[1])
    places = {target: numbers.get(bundles[0].label_id(target)) for query in queries for target in query.targets}
    asked = [
        query for query in queries if query.targets and all(places[target] is not None for target in query.targets)
    ]
    targets = (
        [query.targets for query in asked],
        [tuple(place for target in query.targets if (place := places[target]) is not None) for query in asked],
    )
    ranked: tuple[list[Ints], list[Ints]] = ([], [])
    screened: tuple[list[Ints], list[Ints]] = ([], [])
    for done, query in enumerate(asked, 1):
        for which, handle in enumerate(bundles):
            answer = handle.predict(query.text, k=1)
            ranked[which].append(answer.ranked)
            screened[which].append(answer.shortlist_labels.astype(np.int64))
        progress(done, len(asked))
    judged = {
        f"{prefix}{name}": tuple(_judge(name, of_both[which], targets[which]) for which in (0, 1))
        for prefix, of_both in (("", ranked), ("screening_", screened))
        for name in METRICS
    }
    shown = {
        name: (100 * float(a.mean()), 100 * float(b.mean()), _scale(mean_interval(b - a)))
        for name, (a, b) in judged.items()
    }
    explained = None if sources is None else Changes(bundles, sources)
    gains, losses = (_changes(bundles, asked, targets, ranked, winner, explained) for winner in (1, 0))
    shown_of_each = EXAMPLES if explained is None else None
    return Answers(
        len(asked),
        len(queries) - len(asked),
        shown,
        _count(gains),
        _count(losses),
        tuple(gains[:shown_of_each]),
        tuple(losses[:shown_of_each]),
        *(None if explained is None else _count_causes(some) for some in (gains, losses)),
    )


def _numbers_by_id(handle: BundleHandle) -> dict[str, int]:
    end = handle.labels_info().end
    there = (number for number in range(end) if handle.label_state(number) != "retired")
    return {handle.label_id(number): number for number in there}


def _judge(name: str, ranked: list[Ints], targets: Sequence[tuple[int, ...]]) -> Doubles:
    """[queries] of a metric, 0 to 1."""
    metric, depth = name.split("@")
    k = int(depth)
    table = np.full((len(ranked), k), -1, np.int64)
    for line, found in zip(table, ranked, strict=True):
        line[: min(k, len(found))] = found[:k]
    if metric == "nDCG":
        return metrics.ndcgs(table, targets, k)
    return metrics.precisions(table, targets, k) if metric == "P" else metrics.recalls(table, targets, k)


def _scale(interval: Interval) -> Interval:
    return Interval(100 * interval.value, 100 * interval.low, 100 * interval.high)


def _changes(
    bundles: tuple[BundleHandle, BundleHandle],
    queries: Sequence[Query],
    targets: tuple[list[tuple[int, ...]], list[tuple[int, ...]]],
    ranked: tuple[list[Ints], list[Ints]],
    winner: int,
    explained: Changes | None,
) -> list[Change]:
    """Queries that the `winner` alone answers, in order."""
    loser = 1 - winner
    found = []
    for query, right, known, first, second in zip(
        queries, targets[winner], targets[loser], ranked[winner], ranked[loser], strict=True
    ):
        if not len(first) or first[0] not in right or (len(second) and second[0] in known):
            continue
        places = np.flatnonzero(np.isin(second, known))
        rank = int(places[0]) + 1 if len(places) else 0
        instead = bundles[loser].label_text(int(second[0])) if len(second) else ""
        stage: Stage = "reasoning" if rank else "screening"
        why = None
        if explained is not None and len(second):
            right_id, wrong_id = bundles[winner].label_id(int(first[0])), bundles[loser].label_id(int(second[0]))
            why = explained.explain(query.text, right_id, wrong_id, loser)
        found.append(Change(query.text, bundles[winner].label_text(int(first[0])), instead, rank, stage, why))
    return found


def _count_causes(changes: list[Change]) -> dict[str, int]:
    return count([change.why for change in changes if change.why is not None])


def _count(changes: list[Change]) -> dict[Stage, int]:
    stages = [change.stage for change in changes]
    return {"screening": stages.count("screening"), "reasoning": stages.count("reasoning")}
