"""Rates of reading, folded into levels of memory."""

from __future__ import annotations

from edgexl.device.levels import fold
from edgexl.target import Level

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
# As a server core was measured: 32 KiB, 1 MiB and 32 MiB of cache.
READ = [
    (16 * KIB, 227.5), (32 * KIB, 219.9), (64 * KIB, 117.8), (128 * KIB, 118.0), (256 * KIB, 118.1), (512 * KIB, 107.6),
    (MIB, 96.9), (2 * MIB, 100.6), (4 * MIB, 100.5), (8 * MIB, 97.9), (16 * MIB, 74.5), (32 * MIB, 38.5),
    (64 * MIB, 23.7), (128 * MIB, 22.6), (256 * MIB, 22.1),
]  # fmt: skip


def test_by_the_caches_that_are_known() -> None:
    levels = fold(READ, {"L1": 32 * KIB, "L2": MIB, "L3": 32 * MIB}, 8 * GIB)
    assert levels == (
        Level("L1", 32 * KIB, 227.5), Level("L2", MIB, 118.0), Level("L3", 32 * MIB, 100.5),
        Level("DRAM", 8 * GIB, 22.1),
    )  # fmt: skip


def test_what_was_not_reached_is_not_known() -> None:
    levels = fold(READ, {"L1": 8 * KIB, "L3": 512 * MIB}, GIB)
    assert levels[0] == Level("L1", 8 * KIB)
    assert levels[-1] == Level("DRAM", GIB)


def test_without_caches_a_level_ends_where_the_rate_falls() -> None:
    levels = fold(READ, {}, 8 * GIB)
    assert [(level.name, level.size_bytes) for level in levels] == [
        ("L1", 32 * KIB), ("L2", 8 * MIB), ("DRAM", 8 * GIB),
    ]  # fmt: skip
    assert [level.gb_per_s for level in levels] == [227.5, 107.6, 22.1]


def test_one_rate_for_all_is_one_level() -> None:
    assert fold([(bytes_, 5.0) for bytes_, _ in READ], {}, GIB) == (Level("DRAM", GIB, 5.0),)
    assert fold([], {}, GIB) == ()


def test_more_falls_than_levels() -> None:
    steps = [(KIB << at, 100 / 2 ** (at // 2)) for at in range(14)]
    levels = fold(steps, {}, GIB)
    assert [level.name for level in levels] == ["L1", "L2", "L3", "DRAM"]
    assert [level.size_bytes for level in levels] == sorted(level.size_bytes for level in levels)
