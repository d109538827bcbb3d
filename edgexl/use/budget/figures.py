"""What a candidate bundle costs and how good it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from edgexl.base.arrays import Bools


@dataclass(frozen=True)
class Figures:
    """`p_at_1` and `recall` (R@100) in percent on the evaluation queries, None where there are none, and `hits`, which
    of these have a right label first, a bit each in hexadecimal; the file's `size_bytes`; `memory_bytes`, the peak
    resident of exl-bench; `stages`, the median of each in ms, and `ms`, that of a query."""

    p_at_1: float | None
    recall: float | None
    size_bytes: int
    memory_bytes: int
    stages: Mapping[str, float]
    ms: float
    hits: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"stages": dict(self.stages)}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> Figures:
        """What `as_json` has made. Raises `KeyError`, `TypeError` or `ValueError` for anything else."""
        return cls(
            _number(told["p_at_1"]),
            _number(told["recall"]),
            int(told["size_bytes"]),
            int(told["memory_bytes"]),
            {str(name): float(ms) for name, ms in told["stages"].items()},
            float(told["ms"]),
            str(told["hits"]),
        )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)


def pack_hits(right: Bools) -> str:
    """`Figures.hits` of what is right [queries]."""
    return np.packbits(right).tobytes().hex()


def count_changes(before: Figures, after: Figures) -> tuple[int, int]:
    """How many queries `after` has gained and lost."""
    was, now = (np.unpackbits(np.frombuffer(bytes.fromhex(each.hits), np.uint8)) for each in (before, after))
    if len(was) != len(now):
        return 0, 0
    return int((now > was).sum()), int((was > now).sum())
