"""What edgexl wants of a teacher: its two phases, each on its own, over one label set.

A teacher is opened for a label set (`open_teacher`), and labels are numbers into it. Phase one is `screen` (its own
shortlist) and `score` (its opinion of candidates that somebody else chose); phase two is `decide`, over any shortlist
at all, so that the phases can be taken apart, exchanged and measured.

Two conventions hold for every array of labels: -1 pads, and a score of minus infinity means "no opinion" (of a pad, of
a label that a trace does not mention, of a text that it does not hold). Every other number is finite: a teacher whose
output is not says so with `BadInput` rather than hand it on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from tokenizers import Tokenizer
from torch import Tensor

from edgexl.base.arrays import Floats, Ints
from edgexl.base.progress import Progress, no_progress


class Teacher(Protocol):
    """Two phases over a label set. Tensors come back on the CPU; the work is done on the device it was opened for.

    `identity` is the sha256 (hex) of everything that the answers depend on, weights or trace file and label set, for
    caches and checkpoints. `provenance` names the source, and the licence where it is known. `tokenizer` is the
    WordPiece tokenizer that students of this teacher start from, None where it has none (traces).
    """

    # Read-only, so that frozen dataclasses are teachers too.
    @property
    def identity(self) -> str: ...

    @property
    def provenance(self) -> dict[str, Any]: ...

    @property
    def tokenizer(self) -> Tokenizer | None: ...

    def vectors(self, texts: Sequence[str], progress: Progress = no_progress) -> Tensor | None:
        """Unit vectors [n,w] in fp16, kept on disk by content; None where the teacher has none (traces)."""
        ...

    def screen(self, texts: Sequence[str], depth: int, progress: Progress = no_progress) -> tuple[Ints, Floats]:
        """Phase one: the teacher's own shortlist for each text, best first, and its scores; both [n,depth].

        Where it knows fewer labels than `depth`, labels are padded with -1 and scores with minus infinity.
        """
        ...

    def score(self, texts: Sequence[str], candidates: Ints) -> Tensor:
        """Phase one's scores [n,C] in fp32 of given candidates [n,C], of the same scale as `screen`'s."""
        ...

    def decide(self, texts: Sequence[str], shortlists: Ints) -> Tensor:
        """Phase two: final logits [n,N] in fp32 over shortlists [n,N], which need not be the teacher's own."""
        ...
