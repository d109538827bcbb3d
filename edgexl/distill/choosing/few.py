"""A student where past queries are too few to distill one: the encoder as it is, or adapted to the labels, whichever is
better on held-out folds; a compile fits the weights of words and the probabilities."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from edgexl.base.progress import Progress, no_progress
from edgexl.compiler.from_files import Read
from edgexl.data.held_out import hold_out
from edgexl.data.split import text_hash
from edgexl.predict.adapt import LEAST_QUERIES, adapt
from edgexl.student.reasoner import ScreeningReasoner
from edgexl.student.student import Student

# Of the queries that adapting has not seen, so many tell something.
_EVERY_THIRD = 3


def make_of_few(
    read: Read, progress: Progress = no_progress, log: Callable[[str], None] = print
) -> tuple[Student, dict[str, object]]:
    """(the student, what was done: `passes` of adapting, and figures `before` and `after`)."""
    student = Student.from_encoder(read.sources.encoder, read.labels)
    queries = sorted(
        (query for query in read.queries if query.targets and query.has_text), key=lambda one: text_hash(one.text)
    )
    done: dict[str, object] = {"passes": 0, "before": {}, "after": {}}
    kept = [query for place, query in enumerate(queries) if place % _EVERY_THIRD == _EVERY_THIRD - 1]
    learned = [query for place, query in enumerate(queries) if place % _EVERY_THIRD != _EVERY_THIRD - 1]
    if isinstance(student.reasoner, ScreeningReasoner) and len(learned) >= LEAST_QUERIES:
        found = adapt(student, learned, 0, progress)
        done = {"passes": found.passes, "before": found.before, "after": found.after}
        gains = ", ".join(f"{name} {found.before[name]:.1f} -> {found.after[name]:.1f}" for name in found.before)
        if found.passes:
            log(f"adapting the encoder is kept, on held-out folds: {gains}")
            return dataclasses.replace(found.student, calibration=tuple(kept), evaluation=tuple(kept)), done
        log("adapting the encoder gains nothing beyond chance on held-out folds, so it stays as it is")
    else:
        log(
            f"the encoder is taken as it is: adapting takes {LEAST_QUERIES * 3 // 2} queries, and a model that has no "
            "reasoner of its own"
        )
    held_out = hold_out(read.labels, tuple(queries))
    ready = dataclasses.replace(student, calibration=held_out.calibration, evaluation=held_out.evaluation)
    return ready, done
