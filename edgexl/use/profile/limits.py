"""What a core could do at most (exl-bench --limits), beside what each operation took: the roofline.

Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009. An operation can take no less than its multiply-adds at the
highest rate of its kind, nor less than its bytes at the rate of a cache that they all fit in.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

_INT8 = ("linear_int8", "linear_blocks")


def add_limits(report: dict[str, Any], limits: Mapping[str, Any]) -> None:
    """Write the limits into a report, and into each of its operations limit_ms, share_of_limit (1: it could not be any
    faster) and what `bounds` it, "compute" or "memory"."""
    report["limits"] = dict(limits)
    for operation in report["operations"]:
        rate = limits["int8_gmacs"] if operation["kind"] in _INT8 else limits["f32_gmacs"]
        compute = operation["macs"] / 1e6 / rate
        memory = operation["bytes"] / 1e6 / bandwidth(limits["read"], operation["bytes"])
        limit = max(compute, memory)
        operation |= {
            "limit_ms": round(limit, 9),
            "share_of_limit": round(min(1.0, limit / operation["p50_ms"]), 4) if operation["p50_ms"] > 0 else None,
            "bounds": "compute" if compute >= memory else "memory",
        }


def bandwidth(read: Sequence[Mapping[str, float]], count: float) -> float:
    """GB/s at which so many bytes are read again and again, between the sizes that were measured."""
    sizes = [math.log2(row["bytes"]) for row in read]
    rates = [row["gb_per_s"] for row in read]
    at = math.log2(max(count, 1))
    if at <= sizes[0]:
        return rates[0]
    for low, high, slow, fast in zip(sizes, sizes[1:], rates, rates[1:], strict=False):
        if at <= high:
            return slow + (fast - slow) * (at - low) / (high - low)
    return rates[-1]
