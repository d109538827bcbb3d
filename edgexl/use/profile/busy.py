"""Whether something else used the machine while it was measured, and a sentence about it."""

from __future__ import annotations

from collections.abc import Mapping

# Percent of the time, and of the median, beyond which a figure is not to be trusted. On a quiet machine a pinned
# process waits for less than 1 % of its time, and the medians of five parts of 200 queries lie within some 5 %.
_WAITED, _STOLEN, _SPREAD = 3.0, 1.0, 15.0


def warn_of_others(busy: Mapping[str, float | None]) -> str | None:
    """The warning, of exl-bench's `busy`; None for a quiet machine."""
    found = []
    if (waited := busy.get("waited_percent")) is not None and waited > _WAITED:
        found.append(f"the process waited for its core {waited:.0f} % of the time")
    if (stolen := busy.get("steal_percent")) is not None and stolen > _STOLEN:
        found.append(f"{stolen:.0f} % of the time went to other virtual machines")
    if (spread := busy.get("spread_percent")) is not None and spread > _SPREAD:
        found.append(f"the medians of five parts of the run lie {spread:.0f} % apart")
    if not found:
        return None
    queue = busy.get("run_queue")
    others = f" (some {queue:.0f} other processes ran)" if queue is not None and queue >= 1 else ""
    return f"The machine was busy{others}: {'; '.join(found)}. Trust the minima, or measure again."
