"""What someone says of an encoder besides its name. Light: a command's options become one before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from edgexl.base.errors import BadInput

Pooling = Literal["mean", "cls", "max", "weighted", "sqrt", "last"]
POOLINGS: tuple[Pooling, ...] = get_args(Pooling)


@dataclass(frozen=True)
class EncoderReading:
    """`dims`: dimensions that its vectors keep; None: all. `pooling`: how a vector is made of token states; None: as
    the model says, or else the mean."""

    dims: int | None = None
    pooling: Pooling | None = None

    def __post_init__(self) -> None:
        if self.dims is not None and self.dims < 1:
            raise BadInput(f"An encoder's vectors cannot keep {self.dims} dimensions; give 1 at least.")
        if self.pooling is not None and self.pooling not in POOLINGS:
            raise BadInput(f"There is no pooling '{self.pooling:.20}'; it is one of {', '.join(POOLINGS)}.")

    def refuse(self, of: str) -> None:
        """Raise `BadInput` where anything is said of `of`, of which nothing can be chosen."""
        if self != AS_IT_IS:
            raise BadInput(f"Dimensions and pooling can be chosen of a model, not of {of}; leave them out.")


AS_IT_IS = EncoderReading()
OF_A_STUDENT = "a student, which was trained as it is"
