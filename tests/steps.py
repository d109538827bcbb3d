"""A `Progress` that remembers what it was told, and whether a person could follow it."""

from __future__ import annotations

from itertools import pairwise


class StageProgress:
    """`told`: for each name what was done at each call, and of how much."""

    def __init__(self) -> None:
        self.told: dict[str, list[tuple[int, int]]] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        self.told.setdefault(what, []).append((done, total))

    def assert_whole(self) -> None:
        """Assert that each name's steps grow to the end of their number, as often as they begin anew."""
        for what, steps in self.told.items():
            for (done, total), (following, number) in pairwise([*steps, (0, 0)]):
                goes_on = number == total and following >= done
                assert done == total or (done < total and (goes_on or done == 0)), (what, steps)
            assert steps[-1][0] > 0, (what, steps)
