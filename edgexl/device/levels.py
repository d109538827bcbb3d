"""Levels of memory out of what a core reads a second from regions of growing size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from edgexl.target import Level, LevelName

# Rates that fall by less than this are those of one level.
_FALL = 0.75
_CACHES: tuple[LevelName, ...] = ("L1", "L2", "L3")


def fold(read: Sequence[tuple[int, float]], caches: Mapping[LevelName, int], memory_bytes: int) -> tuple[Level, ...]:
    """Levels of `read` (bytes of a region, GB/s; growing) by the sizes of the `caches` that a core has.

    A cache's rate is the median of regions that take at most half of it, so that what else lies there does no harm;
    DRAM's that of the largest region, where this is larger than all caches. Without `caches`, a level ends where the
    rate falls.
    """
    if not caches:
        return _find_levels(read, memory_bytes)
    levels, below = [], 0
    for name in _CACHES:
        size = caches.get(name, 0)
        if size <= below:
            continue
        inside = [(bytes_, rate) for bytes_, rate in read if below < bytes_ <= size]
        half = [each for each in inside if each[0] <= size // 2] or inside[:1]
        levels.append(Level(name, size, _middle(half) if half else 0.0))
        below = size
    beyond = [rate for bytes_, rate in read if bytes_ > below]
    if memory_bytes > below:
        levels.append(Level("DRAM", memory_bytes, beyond[-1] if beyond else 0.0))
    return tuple(levels)


def _find_levels(read: Sequence[tuple[int, float]], memory_bytes: int) -> tuple[Level, ...]:
    runs: list[list[tuple[int, float]]] = []
    for point in read:
        if runs and point[1] >= _FALL * max(rate for _, rate in runs[-1]):
            runs[-1].append(point)
        else:
            runs.append([point])
    # a single size between two levels is partly in each of them
    whole = [run for at, run in enumerate(runs) if len(run) > 1 or at in (0, len(runs) - 1)]
    while len(whole) > len(_CACHES) + 1:  # the two that differ least are one
        falls = [_middle(after) / _middle(before) for before, after in pairwise(whole)]
        at = falls.index(max(falls))
        whole[at : at + 2] = [whole[at] + whole[at + 1]]
    levels = [Level(name, run[-1][0], _middle(run)) for name, run in zip(_CACHES, whole[:-1], strict=False)]
    if whole and memory_bytes > (levels[-1].size_bytes if levels else 0):
        levels.append(Level("DRAM", memory_bytes, whole[-1][-1][1]))
    return tuple(levels)


def _middle(run: Sequence[tuple[int, float]]) -> float:
    return sorted(rate for _, rate in run)[len(run) // 2]
