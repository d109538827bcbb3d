"""Phase two, confusion: how near misses fall away and margins widen between phase one's order and the decision."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np

from edgexl.base.arrays import Bools, Doubles
from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.layers import cut_reasoner, layer_count
from edgexl.distill.characterize.measures import Judged, judge, probabilities
from edgexl.distill.teachers import TwoStageTeacher

# The near misses of a query: so many of phase one's best labels that are not right.
NEAR_MISSES = 10
MARGIN_EDGES = tuple(step / 10 for step in range(11))
CONFUSED_PAIRS = 20


def measure_confusion(bench: Bench) -> dict[str, Any]:
    """The keys `mass`, `margins`, `by_layer` (None for a teacher without a layered reasoner) and `pairs`."""
    decided = bench.judge(bench.own, bench.decided)
    return {
        "near_misses": NEAR_MISSES,
        "mass": measure_mass(bench),
        "margins": measure_margins(bench, decided),
        "by_layer": by_layer(bench),
        "pairs": find_confused_pairs(bench),
    }


def mark_near_misses(bench: Bench) -> Bools:
    """[n,N]: which labels of phase one's shortlists are near misses."""
    wrong = (bench.own >= 0) & ~bench.sample.is_gold(bench.own)
    return np.asarray(wrong & (np.cumsum(wrong, 1) <= NEAR_MISSES), dtype=np.bool_)


def _find_held(bench: Bench) -> Bools:
    """[n]: whether the shortlist holds a gold label."""
    return np.asarray(bench.sample.is_gold(bench.own).any(1), dtype=np.bool_)


def measure_mass(bench: Bench) -> dict[str, Any]:
    """Probability on gold labels, near misses, all others and 'none', before and after phase two.

    Means over the queries whose shortlist holds a gold label (`queries` of them), since only there a decision can be
    right.
    """
    shares = {
        "screening": probabilities(bench.scores[:, : bench.shortlist], bench.temperature["screening"]),
        "decision": probabilities(bench.decided, bench.temperature["decision"], bench.none),
    }
    held = _find_held(bench)
    return {"queries": int(held.sum()), **{stage: _mass(bench, of_stage, held) for stage, of_stage in shares.items()}}


def _mass(bench: Bench, shares: Doubles, held: Bools) -> dict[str, Any] | None:
    if not held.any():
        return None
    right, near = bench.sample.is_gold(bench.own), mark_near_misses(bench)
    parts = {"gold": right, "near_misses": near, "rest": ~right & ~near}
    values = {name: np.where(which, shares, 0.0).sum(1) for name, which in parts.items()}
    left = 1.0 - shares.sum(1)
    values["none"] = np.where(left > 1e-9, left, 0.0)  # what is less is rounding
    means: dict[str, Any] = {name: float(value[held].mean()) for name, value in values.items()}
    means["interval"] = {name: bench.bootstrap.interval(value, held) for name, value in values.items()}
    return means


def measure_margins(bench: Bench, decided: Judged) -> dict[str, Any]:
    """How far the best label's probability is ahead of the second's, where the best is right and where it is wrong:
    `median`, and the share of the queries in each tenth (`shares`), None where there is no such query.
    """
    right = decided.hit > 0
    found: dict[str, Any] = {"edges": list(MARGIN_EDGES)}
    for name, which in (("right", right), ("wrong", ~right & (decided.best >= 0))):
        values = decided.margin[which]
        counts = np.histogram(values.clip(0, 1), MARGIN_EDGES)[0]
        found[name] = {
            "queries": len(values),
            "median": float(np.median(values)) if len(values) else None,
            "shares": [float(count / len(values)) for count in counts] if len(values) else None,
        }
    return found


def by_layer(bench: Bench) -> list[dict[str, Any]] | None:
    """The decision read after each layer of the reasoner, at one temperature: 0 = before any layer.

    Besides the usual row, the probability on gold labels and near misses where the shortlist holds a gold label.
    """
    teacher = bench.teacher
    if not isinstance(teacher, TwoStageTeacher) or not layer_count(teacher.reasoner):
        return None
    held = _find_held(bench)
    rows = []
    for layer in range(layer_count(teacher.reasoner) + 1):
        logits = np.full(bench.own.shape, -np.inf)
        short = cut_reasoner(teacher, layer)
        for start in range(0, len(bench.sample), 256):
            batch = slice(start, start + 256)
            logits[batch] = short.decide(bench.sample.texts[batch], bench.own[batch]).numpy()
            bench.progress(f"read layer {layer} of the reasoner", start, len(bench.sample))
        temperature = bench.temperature["decision"]
        judged = judge(bench.sample, bench.own, logits, temperature, bench.none)
        on = _mass(bench, probabilities(logits, temperature, bench.none), held)
        rows.append(judged.row(f"after layer {layer}", bench.bootstrap, layer=layer, mass=on))
    return rows


def find_confused_pairs(bench: Bench) -> list[dict[str, Any]]:
    """The most confused pairs of a gold label in the shortlist and the wrong one that was put first.

    By how often, then by the wrong label's mean probability (`probability`).
    """
    shares = probabilities(bench.decided, bench.temperature["decision"], bench.none)
    right = bench.sample.is_gold(bench.own)
    judged = bench.judge(bench.own, bench.decided)
    found: dict[tuple[int, int], list[float]] = defaultdict(list)
    for row in np.flatnonzero((judged.hit == 0) & (judged.best >= 0) & right.any(1)):
        # of several gold labels, the one that the teacher itself thinks most likely
        gold = int(bench.own[row, int(np.argmax(np.where(right[row], shares[row], -1.0)))])
        found[gold, int(judged.best[row])].append(float(judged.top[row]))
    ranked = sorted(found.items(), key=lambda each: (-len(each[1]), -np.mean(each[1]), each[0]))[:CONFUSED_PAIRS]
    return [
        {
            "gold": {"id": bench.labels.ids[gold], "text": bench.labels.texts[gold]},
            "chosen": {"id": bench.labels.ids[chosen], "text": bench.labels.texts[chosen]},
            "queries": len(values),
            "probability": float(np.mean(values)),
        }
        for (gold, chosen), values in ranked
    ]
