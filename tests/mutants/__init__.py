"""Small faults, put one at a time into the code that decides answers: do the tests that cover a line see it go wrong?

`python -m tests.mutants --language python --count 30 --seed 1` draws faults at random, tries each against the tests
that cover its line, and says which of them no test saw. Results add up over time in the user's cache. A language is a
module of this package that has `find_faults` and `try_faults`; what they hand over is below.
"""

from __future__ import annotations

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass

# What a fault may cost: its covering tests, quickest first, until one fails or this much time of a CPU is gone. On a
# machine that others use too, a lower one makes a sample shorter, and finds no more than this one does.
BUDGET_SECONDS = float(os.environ.get("EDGEXL_MUTANTS_BUDGET", "60"))


@dataclass(frozen=True)
class Fault:
    """One small change of one file: the text `before` at the bytes `begin` to `end` becomes `after`.

    path: from the repository's root; line: where `begin` is, from 1; function: its name, with those that hold it; kind:
    in a word or two what is changed, as "comparison".
    """

    path: str
    line: int
    begin: int
    end: int
    function: str
    kind: str
    before: str
    after: str

    def apply(self, source: bytes) -> bytes:
        """The file's bytes with the fault in them."""
        return source[: self.begin] + self.after.encode() + source[self.end :]


@dataclass(frozen=True)
class Outcome:
    """What became of a fault.

    seen: whether a test failed, or hung; by: that test, or None; tests: how many were run; covering: how many there
    are; seconds: what it took; note: more to know, as "hung".
    """

    fault: Fault
    seen: bool
    by: str | None
    tests: int
    covering: int
    seconds: float
    note: str = ""


def choose_faults(faults: Sequence[Fault], count: int, seed: int) -> list[Fault]:
    """`count` of the faults: places in the source uniformly, without repetition, and of each place's faults one."""
    places: dict[tuple[str, int, int], list[Fault]] = {}
    for fault in faults:
        places.setdefault((fault.path, fault.begin, fault.end), []).append(fault)
    draw = random.Random(seed)
    chosen = draw.sample(sorted(places), min(count, len(places)))
    return [draw.choice(sorted(places[place], key=lambda fault: fault.after)) for place in chosen]
