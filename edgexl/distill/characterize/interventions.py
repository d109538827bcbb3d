"""Each phase isolated by intervention: shortlists exchanged, phases removed, and what either adds on its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.focus import doubling
from edgexl.distill.characterize.measures import Judged, judge
from edgexl.distill.teachers import BiEncoderTeacher, Ints

# Decisions are swept up to here: a reasoner's time grows with the square of the length, and a device has no time for
# more. A cross-encoder takes milliseconds a label.
LONGEST_SWEEP, LONGEST_CROSS_ENCODER_SWEEP = 512, 256


def measure_interventions(bench: Bench) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """(the measured rows, the complementarity of the phases).

    Traces cannot be queried again: of them, only what can be read off the trace is measured, without complementarity.
    """
    outcomes = dict(_outcomes(bench))
    as_it_is = outcomes["as it is"][0]
    confident = float(np.median(as_it_is.top[as_it_is.hit > 0])) if as_it_is.hit.any() else None
    rows = []
    for name, (judged, more) in outcomes.items():
        extra = dict(more)
        if confident is not None:
            # a wrong answer that looks like a right one: more probable than half of the right ones
            extra["confident_share"] = float((judged.top > confident).mean())
            extra["confident_from"] = confident
        rows.append(judged.row(name, bench.bootstrap, **extra))
    return rows, _complementarity(bench, {name: judged for name, (judged, _) in outcomes.items()})


def _outcomes(bench: Bench) -> Iterator[tuple[str, tuple[Judged, dict[str, Any]]]]:
    """Name of the intervention, what came of it, further keys of its row."""
    decided = bench.judge(bench.own, bench.decided)
    yield "as it is", (decided, _measure_recall(bench, bench.own))
    by_screening = judge(bench.sample, bench.own, bench.scores[:, : bench.shortlist], bench.temperature["screening"])
    yield "reasoner removed", (by_screening, {})
    chance = bench.draw(2).random(bench.own.shape)
    shuffled = np.take_along_axis(bench.own, np.argsort(chance, axis=1), 1)
    judged = _decide(bench, shuffled, "decide over shuffled shortlists")
    yield "order shuffled", (judged, {"same_best_share": float((judged.best == decided.best).mean())})
    if bench.repeats_itself:
        return
    for name, lists in (
        ("gold removed", without_gold(bench)),
        ("oracle shortlist", with_gold(bench, bench.own)),
        ("near misses only", with_gold(bench, bench.neighbours.labels[:, : bench.shortlist])),
        ("random labels", with_gold(bench, random_lists(bench))),
        ("random labels without gold put in", random_lists(bench)),
    ):
        yield name, (_decide(bench, lists, f"decide: {name}"), _measure_recall(bench, lists))


def sweep_lengths(bench: Bench) -> list[dict[str, Any]]:
    """The decision over phase one's shortlists of each length; `R@N` is the length's own recall, in percent.

    The longest comes first, so that a teacher that looks at one label at a time is queried about each once.
    """
    crossed = isinstance(bench.teacher, BiEncoderTeacher) and bench.teacher.judge is not None
    most = LONGEST_CROSS_ENCODER_SWEEP if crossed else LONGEST_SWEEP
    longest = min(bench.ranking.shape[1], max(most, bench.shortlist))
    rows = []
    for length in reversed(doubling(longest)):
        lists = bench.ranking[:, :length]
        judged = _decide(bench, lists, f"decide over {length} labels")
        recall = _measure_recall(bench, lists)
        rows.append(judged.row(f"shortlist of {length}", bench.bootstrap, length=length, **recall))
    return rows[::-1]


def without_gold(bench: Bench) -> Ints:
    """[n,N]: phase one's best labels that are not right; shorter lists are padded."""
    wrong = (bench.ranking >= 0) & ~bench.sample.is_gold(bench.ranking)
    order = np.argsort(~wrong, axis=1, kind="stable")[:, : bench.shortlist]
    return np.where(np.take_along_axis(wrong, order, 1), np.take_along_axis(bench.ranking, order, 1), -1)


def with_gold(bench: Bench, lists: Ints) -> Ints:
    """[n,N]: all gold labels (N at most), then the best of `lists` [n,M] that are not right."""
    width = bench.shortlist
    wrong = (lists >= 0) & ~bench.sample.is_gold(lists)
    kept = np.where(wrong, lists, -1)
    joined = np.concatenate([bench.sample.gold, kept], axis=1)
    order = np.argsort(joined < 0, axis=1, kind="stable")[:, :width]
    return np.take_along_axis(joined, order, 1)


def random_lists(bench: Bench) -> Ints:
    """[n,N] labels at random, none twice in a list."""
    draw = bench.draw(3)
    count, width = len(bench.labels), min(bench.shortlist, len(bench.labels))
    lists = np.full((len(bench.sample), bench.shortlist), -1, dtype=np.int64)
    for row in lists:
        row[:width] = draw.choice(count, width, replace=False, shuffle=True)
    return lists


def _decide(bench: Bench, lists: Ints, what: str) -> Judged:
    return bench.judge(lists, bench.decide(lists, what))


def _measure_recall(bench: Bench, lists: Ints) -> dict[str, float]:
    """R@N in percent: the share of gold labels that the lists hold."""
    return {"R@N": float(100 * (bench.sample.is_gold(lists).sum(1) / bench.sample.sizes).mean())}


def _complementarity(bench: Bench, outcomes: dict[str, Judged]) -> dict[str, Any] | None:
    """What each phase gains, and where queries are lost.

    Arms: neither (random labels and gold, in random order), phase one alone (its shortlist in its order), phase two
    alone (a decision over random labels and gold), together. `interaction` = together - one - two + neither. The table
    counts queries by whether the shortlist holds a gold label, and whether phase two is right once it does (for the
    others: with the gold labels put in).
    """
    if bench.repeats_itself:
        return None
    lists = with_gold(bench, random_lists(bench))
    chance = np.where(lists >= 0, bench.draw(4).random(lists.shape), -np.inf)
    arms = {
        "neither": judge(bench.sample, lists, chance, 1.0),
        "phase_one": outcomes["reasoner removed"],
        "phase_two": outcomes["random labels"],
        "together": outcomes["as it is"],
    }
    found: dict[str, Any] = {name: arm.row(name, bench.bootstrap) for name, arm in arms.items()}
    found["interaction"] = {}
    for key, values in (("P@1", {n: a.hit for n, a in arms.items()}), ("nDCG@5", {n: a.gain for n, a in arms.items()})):
        difference = 100 * (values["together"] - values["phase_one"] - values["phase_two"] + values["neither"])
        found["interaction"][key] = {
            "mean": float(difference.mean()),
            "interval": bench.bootstrap.interval(difference),
        }
    held = bench.sample.is_gold(bench.own).any(1)
    oracle = outcomes["oracle shortlist"].hit > 0
    right = np.where(held, outcomes["as it is"].hit > 0, oracle)
    found["table"] = {
        "in_shortlist_right": int((held & right).sum()),
        "in_shortlist_wrong": int((held & ~right).sum()),
        "missed_right_if_put_in": int((~held & right).sum()),
        "missed_wrong_if_put_in": int((~held & ~right).sum()),
    }
    return found
