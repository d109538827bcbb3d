"""A teacher on the bench: its sample, its own shortlists, and its decisions over any others, queried once each."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from edgexl.base.arrays import Doubles
from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.data.label_set import LabelSet
from edgexl.distill.characterize.measures import Bootstrap, Judged, fit_temperature, judge
from edgexl.distill.characterize.neighbours import Neighbours
from edgexl.distill.characterize.sample import Sample
from edgexl.distill.teachers import BiEncoderTeacher, Ints, Teacher, TraceTeacher, TwoStageTeacher

# Queries handed to the teacher at once; it makes its own batches of them.
_BATCH = 256


@dataclass
class Bench:
    """What all measurements share.

    `ranking` [n,depth] and `scores` are phase one's own; `shortlist` is N, the length that is measured throughout.
    `none`: the teacher's logits are on a scale where 0 is 'none of these'. `temperature` holds the two fitted ones.
    """

    teacher: Teacher
    labels: LabelSet
    sample: Sample
    neighbours: Neighbours
    ranking: Ints
    scores: Doubles
    shortlist: int
    seed: int
    none: bool
    bootstrap: Bootstrap
    progress: Progress = no_progress
    temperature: dict[str, float] = field(default_factory=dict)
    # logits that do not depend on the rest of the list, by query x labels + label, sorted
    _pairs: tuple[Ints, Doubles] = field(default_factory=lambda: (np.empty(0, np.int64), np.empty(0)))

    def __post_init__(self) -> None:
        right = self.sample.is_gold(self.own)
        screening = self.scores[:, : self.shortlist]
        self.temperature = {
            "screening": fit_temperature(screening, right),
            "decision": fit_temperature(self.decided, right, self.none),
        }

    @property
    def own(self) -> Ints:
        """[n,N]: phase one's shortlists."""
        return self.ranking[:, : self.shortlist]

    @cached_property
    def decided(self) -> Doubles:
        """[n,N]: phase two over them, queried once."""
        return self.decide(self.own, "decide over its own shortlists")

    @property
    def repeats_itself(self) -> bool:
        """Whether the teacher only replays what it once said, so that it has no opinion of other shortlists."""
        return isinstance(self.teacher, TraceTeacher)

    def decide(self, lists: Ints, what: str) -> Doubles:
        """Phase two's logits [n,N] over `lists` [n,N]; -1 pads. `what` is for the progress bar."""
        if isinstance(self.teacher, BiEncoderTeacher):
            return self._decide_pairs(lists, what)
        return self._query(np.arange(len(self.sample)), lists, what)

    def judge(self, lists: Ints, logits: Doubles) -> Judged:
        """Judge a decision at the decision's temperature."""
        return judge(self.sample, lists, logits, self.temperature["decision"], self.none)

    def draw(self, purpose: int) -> np.random.Generator:
        """Chance for one purpose, the same whatever else is measured."""
        return np.random.default_rng((self.seed, purpose))

    def decide_by(self, student: Teacher, lists: Ints, what: str) -> Doubles:
        """The logits [n,N] over `lists` [n,N] of another than the teacher; -1 pads."""
        return self._query(np.arange(len(self.sample)), lists, what, student)

    def _query(self, rows: Ints, lists: Ints, what: str, other: Teacher | None = None) -> Doubles:
        teacher = other or self.teacher
        logits = np.full(lists.shape, -np.inf)
        for start in range(0, len(rows), _BATCH):
            batch = slice(start, start + _BATCH)
            texts = [self.sample.texts[row] for row in rows[batch]]
            logits[batch] = teacher.decide(texts, lists[batch]).numpy()
            self.progress(what, min(start + _BATCH, len(rows)), len(rows))
        logits[lists < 0] = -np.inf
        if np.isnan(logits).any() or np.isposinf(logits).any():
            raise BadInput(f"The teacher {teacher.provenance.get('source', '')} decides by numbers that are no "
                           "numbers (NaN or infinite); check its weights.")  # fmt: skip
        return logits

    def _decide_pairs(self, lists: Ints, what: str) -> Doubles:
        """`decide` of a teacher that looks at one label at a time: each (query, label) is queried once in a study."""
        keys = np.arange(len(lists), dtype=np.int64)[:, None] * len(self.labels) + lists
        known, values = self._pairs
        unknown = (lists >= 0) & ~np.isin(keys, known)
        if unknown.any():
            # packed to the left, so that what is known already is not queried again
            order = np.argsort(~unknown, axis=1, kind="stable")[:, : int(unknown.sum(1).max())]
            packed = np.take_along_axis(np.where(unknown, lists, -1), order, 1)
            rows = np.flatnonzero((packed >= 0).any(1))
            answers = self._query(rows, packed[rows], what)
            fresh = packed[rows] >= 0
            new_keys = (rows[:, None] * len(self.labels) + packed[rows])[fresh]
            known, values = np.concatenate([known, new_keys]), np.concatenate([values, answers[fresh]])
            sort = np.argsort(known)
            self._pairs = known, values = known[sort], values[sort]
        places = np.searchsorted(known, np.where(lists >= 0, keys, known[0] if len(known) else 0))
        found = values[places.clip(max=max(len(values) - 1, 0))] if len(values) else np.full(lists.shape, -np.inf)
        return np.where(lists >= 0, found, -np.inf)


def has_none(teacher: Teacher) -> bool:
    """Whether 0 on the scale of the teacher's logits means 'none of these' (see `ReasonerConfig.absence`)."""
    reasoner = teacher.reasoner if isinstance(teacher, TwoStageTeacher) else None
    return bool(getattr(getattr(reasoner, "config", None), "absence", False))
