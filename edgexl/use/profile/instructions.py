"""The profile of an emulated device: instructions, never times.

Its exl-bench has a clock that counts a million instructions as a millisecond (edgexl/runtime/counting).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PER_MS = 1_000_000
_KEPT = (
    "device", "cpu", "timed", "engine", "kernel", "threads", "scan_threads", "runs", "core", "sessions", "mapped_bytes",
)  # fmt: skip
_TIMES = ("min_ms", "p50_ms", "p90_ms", "p99_ms")


def count_instructions(report: Mapping[str, Any]) -> dict[str, Any]:
    """exl-bench's report with whole instructions in the place of times, and without what the emulator alone explains:
    its memory, its page faults, how busy it was."""
    found = {key: report[key] for key in _KEPT if key in report}
    found["stages"] = {stage: _count(times) for stage, times in report["stages"].items()}
    found["total"] = _count(report["total"])
    if "operations" in report:
        found["operations"] = [
            {key: value for key, value in each.items() if key not in _TIMES} | _count(each)
            for each in report["operations"]
        ]
    return found


def _count(times: Mapping[str, float]) -> dict[str, int]:
    return {key.replace("_ms", "_instructions"): round(_PER_MS * times[key]) for key in _TIMES if key in times}
