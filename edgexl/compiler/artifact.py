"""What flows through the compiler: one immutable value that every pass reads and returns with something added."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from edgexl.base.arrays import Floats
from edgexl.bundle.calibration import Calibration
from edgexl.bundle.doubts import NO_DOUBTS, Doubts
from edgexl.bundle.goldens import Goldens
from edgexl.bundle.layout import Kind
from edgexl.compiler.measure.gates import Verdict
from edgexl.compiler.measure.heard import Heard
from edgexl.compiler.measure.ledger import Accuracy, LedgerRow
from edgexl.compiler.measure.reference import Blend
from edgexl.compiler.recipe import Recipe
from edgexl.data import Query
from edgexl.index import LabelIndex
from edgexl.index.rows import Rows
from edgexl.student.contract import Shapes, screening_weight
from edgexl.student.student import Student
from edgexl.target import Target

_LESS_DESCRIBED = 0.1


@dataclass(frozen=True)
class Graphs:
    """The two graphs as serialised ONNX models. `label_encoder` is the float screener for many texts of one length."""

    screener: bytes
    reasoner: bytes
    label_encoder: bytes


@dataclass(frozen=True)
class Plans:
    """What the native engine runs: each graph's plan and weights, as sections of a bundle; without bytes where the
    reasoner is left out."""

    screener: bytes
    screener_weights: bytes
    reasoner: bytes
    reasoner_weights: bytes


# A part that a pass adds: None until then, whatever its type says. A pass reads those that it declares to need.
_LATER: Any = None


@dataclass(frozen=True)
class Artifact:
    """A student on its way to a bundle.

    `rows` are the texts of the index, `vectors` [rows, D] their vectors in the index's space, which is the student's
    space times `rotation` [D,D] (None where they are the same); `graphs` speak the index's space as soon as it is
    there, a text is read in at most so many `windows`, and `blend` says what logits are made of. `engine` runs the
    graphs on the device; for the native one there are `plans`. `answered` is what the C runtime reached with the packed
    bundle. `facts` are for the manifest; `heard` is what earlier passes asked already.
    """

    student: Student
    recipe: Recipe
    target: Target
    shapes: Shapes
    rows: Rows
    graphs: Graphs = _LATER
    engine: Literal["native", "ort"] = _LATER
    plans: Plans | None = None
    vectors: Floats = _LATER
    rotation: Floats | None = None
    index: LabelIndex = _LATER
    windows: int = 1
    blend: Blend = _LATER
    calibration: Calibration = _LATER
    doubts: Doubts = NO_DOUBTS
    goldens: Goldens = _LATER
    answered: Accuracy = _LATER
    sections: dict[Kind, bytes] = _LATER
    facts: dict[str, Any] = field(default_factory=dict)
    ledger: tuple[LedgerRow, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    heard: Heard = field(default_factory=Heard, compare=False, repr=False)

    def has(self, part: str) -> bool:
        """Whether a part is there."""
        return getattr(self, part) is not None

    @property
    def reasoner(self) -> bytes | None:
        """The reasoner's graph; None where the blend leaves it out."""
        return None if self.has("blend") and self.blend.reasoner == 0 else self.graphs.reasoner

    def can_judge_descriptions(self, queries: Sequence[Query]) -> bool:
        """Whether the gold labels of queries are described about as often as all labels. Where they are not, as where
        the queries are descriptions that were held out, all that descriptions do on them is to lead to other labels."""
        described = self.rows.described
        of_gold = [bool(described[list(query.targets)].any()) for query in queries if query.targets]
        return bool(of_gold) and bool(np.mean(of_gold) >= described.mean() - _LESS_DESCRIBED)

    @property
    def own_blend(self) -> Blend:
        """What the student's own logits are made of: a reasoner that corrects screening brings the latter's weight."""
        return Blend(1.0, screening_weight(self.student.reasoner))

    @property
    def is_small(self) -> bool:
        """Whether every query rescores the whole label set, as then it tells little of labels that are added later."""
        return len(self.student.labels) < max(self.recipe.index.overfetch, self.shapes.shortlist)
