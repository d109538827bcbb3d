"""Which of two bundles is the faster one on this machine: both answer the same texts in turns.

A turn is a block of texts, which each bundle answers several times, the one that begins changing with every round. A
text's time is its least, which other work on the machine lengthens last; a block gives one ratio of both bundles' sums,
and the blocks, minutes apart from each other in what else goes on, say how far to trust their mean.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Doubles
from edgexl.base.progress import StageProgress, no_stage_progress
from edgexl.runtime.binding import BundleHandle
from edgexl.use.intervals import Interval, mean_interval

BLOCK, ROUNDS = 10, 6
# Of a hundred comparisons of a bundle with itself this leaves two, and what is less than a hundredth is no difference.
CONFIDENCE, LEAST = 0.98, 0.01
TOTAL = "total"


@dataclass(frozen=True)
class Times:
    """A stage's times in ms over all texts, of both bundles, and how many times as long the second one takes."""

    p50: tuple[float, float]
    p90: tuple[float, float]
    ratio: Interval

    @property
    def verdict(self) -> str:
        """Of the second bundle."""
        if not self.ratio.excludes(1.0) or abs(self.ratio.value - 1) < LEAST:
            return "no difference"
        return "slower" if self.ratio.value > 1 else "faster"

    def as_json(self) -> dict[str, Any]:
        return {
            "p50_ms": list(self.p50),
            "p90_ms": list(self.p90),
            "ratio": self.ratio.value,
            "low": self.ratio.low,
            "high": self.ratio.high,
            "verdict": self.verdict,
        }


def compare_times(
    bundles: tuple[BundleHandle, BundleHandle],
    texts: Sequence[str],
    rounds: int = ROUNDS,
    progress: StageProgress = no_stage_progress,
) -> dict[str, Times]:
    """The times of each stage that takes any, and of all of them (`total`), on one core. At least two texts."""
    size = min(BLOCK, max(1, len(texts) // 2))
    blocks = [texts[begin : begin + size] for begin in range(0, len(texts), size)]
    least: list[list[dict[str, float]]] = [[], []]
    with one_core():
        for handle in bundles:
            for text in texts[:size]:
                handle.predict(text)  # pages and caches are warm
        for number, block in enumerate(blocks):
            found = _time_block(bundles, block, rounds, number)
            for of_bundle, of_block in zip(least, found, strict=True):
                of_bundle.extend(of_block)
            progress(number + 1, len(blocks))
    return judge_times(least, list(range(0, len(texts), size)))


def judge_times(least: list[list[dict[str, float]]], starts: list[int]) -> dict[str, Times]:
    """Of each stage that takes any time. `least`: [bundles][texts], each stage's least time; `starts`: where blocks of
    texts begin."""
    stages = [stage for stage in least[0][0] if any(times[stage] > 0 for times in least[0])]
    return {stage: _judge(stage, least, starts) for stage in stages}


def _time_block(
    bundles: tuple[BundleHandle, BundleHandle], block: Sequence[str], rounds: int, number: int
) -> list[list[dict[str, float]]]:
    """[bundles][texts]: each stage's least time."""
    found: list[list[dict[str, float]]] = [[{} for _ in block], [{} for _ in block]]
    for round_ in range(rounds):
        order = (0, 1) if (round_ + number) % 2 == 0 else (1, 0)
        for which in order:
            for place, text in enumerate(block):
                ms, known = bundles[which].predict(text).ms, found[which][place]
                for stage, time in ms.items():
                    known[stage] = min(time, known.get(stage, time))
    for of_bundle in found:
        for times in of_bundle:
            times[TOTAL] = sum(time for stage, time in times.items() if stage != TOTAL)
    return found


def _judge(stage: str, least: list[list[dict[str, float]]], starts: list[int]) -> Times:
    values: list[Doubles] = [np.array([times[stage] for times in of_bundle]) for of_bundle in least]
    sums = [np.add.reduceat(each, starts) for each in values]
    logs = mean_interval(np.log(np.maximum(sums[1], 1e-9) / np.maximum(sums[0], 1e-9)), CONFIDENCE)
    ratio = Interval(*(float(np.exp(min(limit, 700))) for limit in (logs.value, logs.low, logs.high)))
    p50, p90 = ((float(np.quantile(values[0], q)), float(np.quantile(values[1], q))) for q in (0.5, 0.9))
    return Times(p50, p90, ratio)


@contextlib.contextmanager
def one_core() -> Iterator[None]:
    """The process stays on one of its cores, where the system can say so."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
