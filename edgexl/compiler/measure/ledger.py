"""The ledger: where accuracy, bytes and seconds went, one row a pass.

Passes are measured by the reference pipeline, on ONNX Runtime; the last row, `verify`, is what the C runtime answers.
To add a column, add a field to `Accuracy` (which `measure_accuracy` in yardstick.py fills in) or to `LedgerRow`, its
key to `LedgerRow.as_json` and to `LEDGER_COLUMNS` in edgexl/report/ledger.py.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Accuracy:
    """Percentages 0 to 100 on the evaluation queries, of the whole and of its screening alone; R@100 within the
    shortlist. None where there are no queries.

    `shares` holds what each query adds to a percentage, 0 to 1, float64 [queries], for those that gates judge.
    """

    p_at_1: float | None = None
    r_at_100: float | None = None
    ndcg_at_5: float | None = None
    shares: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict, repr=False, compare=False)
    screening_p_at_1: float | None = None
    screening_r_at_100: float | None = None
    screening_ndcg_at_5: float | None = None

    def pack(self) -> dict[str, Any]:
        """For JSON, the shares with it."""
        return asdict(self) | {"shares": {name: values.tolist() for name, values in self.shares.items()}}

    @classmethod
    def unpack(cls, packed: dict[str, Any]) -> Accuracy:
        """What `pack` made."""
        return cls(**packed | {"shares": {name: np.array(values) for name, values in packed["shares"].items()}})


@dataclass(frozen=True)
class LedgerRow:
    """What the product was after a pass: the `seconds` that the pass took, the `bytes` that a bundle of it would
    have.
    """

    name: str
    seconds: float
    bytes: int
    accuracy: Accuracy

    def as_json(self, seconds: bool = True) -> dict[str, Any]:
        """The row with the keys of `inspect --json`. Bundles hold no seconds: the same inputs give the same bytes."""
        return {
            "pass": self.name,
            "seconds": round(self.seconds, 3) if seconds else None,
            "bytes": self.bytes,
            "P@1": self.accuracy.p_at_1,
            "R@100": self.accuracy.r_at_100,
            "nDCG@5": self.accuracy.ndcg_at_5,
            "screening_P@1": self.accuracy.screening_p_at_1,
            "screening_R@100": self.accuracy.screening_r_at_100,
            "screening_nDCG@5": self.accuracy.screening_ndcg_at_5,
        }


def largest_loss(ledger: tuple[LedgerRow, ...], measure: str) -> str:
    """The pass after which `measure` (a field of `Accuracy`) fell the most: the stage to blame for a failed gate."""
    values = [(row.name, getattr(row.accuracy, measure)) for row in ledger]
    losses = [(before - after, name) for (_, before), (name, after) in itertools.pairwise(values)]
    return max(losses, default=(0.0, values[-1][0]))[1]
