"""How long work tells its caller how far it is: a plain function, so that nothing below the command line draws."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

# (what is being done, steps done, steps in all)
Progress = Callable[[str, int, int], None]
# The same of one stage: (done, total).
StageProgress = Callable[[int, int], None]
_T = TypeVar("_T")


def no_progress(_name: str, _done: int, _total: int) -> None:
    """The `Progress` of a caller that shows none."""


def no_stage_progress(_done: int, _total: int) -> None:
    """The `StageProgress` of a caller that shows none."""


def track(items: Sequence[_T], name: str, progress: Progress, every: int = 1000) -> Iterator[_T]:
    """Yield `items`, telling `progress` after each `every` of them and at the end."""
    for done, item in enumerate(items):
        if done % every == 0:
            progress(name, done, len(items))
        yield item
    progress(name, len(items), len(items))
