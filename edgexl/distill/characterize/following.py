"""How closely a student goes its teacher's own way: what the paper's comparison of methods is about.

Not whether it is right, but whether its two phases do what the teacher's do: the same labels come into view as the
shortlist grows (focus), and, over the teacher's own shortlists, the same near misses stay likely (confusion). A student
that imitates final answers may be as often right and go another way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from edgexl.base.arrays import Bools, Doubles
from edgexl.distill.characterize.bench import Bench, has_none
from edgexl.distill.characterize.confusion import mark_near_misses
from edgexl.distill.characterize.focus import doubling
from edgexl.distill.characterize.measures import fit_temperature, probabilities
from edgexl.distill.teachers import Ints, Teacher


def measure_following(bench: Bench, students: Mapping[str, Teacher]) -> list[dict[str, Any]]:
    """A row a student, by its name: `focus`, `confusion` and the mean of both, `follows`, each in percent with an
    interval (`focus_interval`, ...); `by_length`, what the focus is the mean of; and `queries`, those that have near
    misses to compare.

    Focus at a length is the share of labels that both have among their first so many, over the lengths 1, 2, 4, ... N.
    Confusion is what both probabilities over the near misses of the teacher's shortlist have in common: each sums to 1
    over them at its own temperature, and of each label the smaller one counts. `flat` is what one would have that finds
    all near misses equally likely. The students must be over the bench's labels.
    """
    return [_follow(bench, name, student) for name, student in students.items()]


def _follow(bench: Bench, name: str, student: Teacher) -> dict[str, Any]:
    ranking, _ = student.screen(bench.sample.texts, bench.shortlist, bench.progress)
    lengths = doubling(bench.shortlist)
    shared = np.stack([share_in_common(bench.ranking[:, :length], ranking[:, :length]) for length in lengths], 1)
    focus = 100 * shared.mean(1)
    common, flat, some = _confused_alike(bench, student)
    confusion = 100 * common
    follows = np.where(some, (focus + confusion) / 2, focus)
    return {
        "name": name,
        "method": (student.provenance.get("recipe") or {}).get("method"),
        "queries": int(some.sum()),
        **_mean(bench, "focus", focus, np.ones_like(some)),
        **_mean(bench, "confusion", confusion, some),
        "flat": float(100 * flat[some].mean()) if some.any() else None,
        **_mean(bench, "follows", follows, some),
        "by_length": [
            {
                "length": length,
                "shared": float(100 * shared[:, at].mean()),
                "interval": bench.bootstrap.interval(100 * shared[:, at]),
            }
            for at, length in enumerate(lengths)
        ],
    }


def share_in_common(one: Ints, other: Ints) -> Doubles:
    """[n]: the share of the labels of lists `one` [n,k] that stand in lists `other` [n,k], too; -1 pads. 1 where `one`
    is empty."""
    found = np.array([len(set(a) & set(b) - {-1}) for a, b in zip(one.tolist(), other.tolist(), strict=True)])
    sizes = (one >= 0).sum(1)
    return np.where(sizes > 0, found / np.maximum(sizes, 1), 1.0)


def _confused_alike(bench: Bench, student: Teacher) -> tuple[Doubles, Doubles, Bools]:
    """[n]: what both have in common on near misses, what a flat decision would have in common with the teacher's, and
    where there are two near misses or more to compare."""
    near = mark_near_misses(bench)
    logits = bench.decide_by(student, bench.own, "decide over the teacher's shortlists")
    temperature = fit_temperature(logits, bench.sample.is_gold(bench.own), has_none(student))
    theirs = _among(bench.decided, near, bench.temperature["decision"])
    ours = _among(logits, near, temperature)
    some = np.asarray((near.sum(1) > 1) & (theirs.sum(1) > 0), dtype=np.bool_)
    even = near / np.maximum(near.sum(1), 1)[:, None]
    return np.minimum(theirs, ours).sum(1), np.minimum(theirs, even).sum(1), some


def _among(logits: Doubles, near: Bools, temperature: float) -> Doubles:
    """Probabilities over the near misses alone [n,N]."""
    return probabilities(np.where(near, logits, -np.inf), temperature)


def _mean(bench: Bench, name: str, values: Doubles, counted: Bools) -> dict[str, Any]:
    counted = np.asarray(counted, dtype=np.bool_)
    mean = float(values[counted].mean()) if counted.any() else None
    return {name: mean, f"{name}_interval": bench.bootstrap.interval(values, counted)}
