"""What a method of distillation is: how each stage hears of teacher and data, and what it is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import nn

from edgexl.data import Query
from edgexl.distill.recipe import ReasoningTable, ScreeningTable
from edgexl.distill.stages.reasoning import LabelTables, Shortlists
from edgexl.distill.stages.screening import HardRows, ScreeningData
from edgexl.distill.stages.training import Losses
from edgexl.distill.teachers.teaching import Lessons
from edgexl.student.reasoner import ListwiseReasoner

LossesAt = Callable[[int], Losses]


class ScreeningLosses(Protocol):
    """The losses of stage one, by step."""

    def __call__(
        self, screener: nn.Module, data: ScreeningData, table: ScreeningTable, hard: HardRows, seed: int
    ) -> LossesAt: ...


class ReasoningLosses(Protocol):
    """The losses of stage two, by step."""

    def __call__(
        self, screener: nn.Module, reasoner: ListwiseReasoner, data: Shortlists, tables: LabelTables,
        table: ReasoningTable, shortlist: int, seed: int,
    ) -> LossesAt: ...  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A method, by the name that recipes give it.

    `needs_teacher`: the data alone teaches nothing. `knows_gold_labels`: queries made of label texts teach, too.
    `hear` adds the teacher's opinion of the queries, where there is a teacher, to what the screener learns from.
    `mines`: the rows that the screener mistakes for gold ones come into its pools. `teachers_shortlists`: the reasoner
    learns from the teacher's own shortlists, not from those of the student's screener. `compresses`: it meets no label
    vector as the screener made it.
    """

    name: str
    needs_teacher: bool
    knows_gold_labels: bool
    hear: Callable[[ScreeningData, Lessons | None, Sequence[Query]], ScreeningData]
    screening_losses: ScreeningLosses
    mines: bool
    teachers_shortlists: bool
    compresses: bool
    reasoning_losses: ReasoningLosses
