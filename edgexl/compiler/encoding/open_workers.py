"""Opening the workers that the command line names."""

from __future__ import annotations

import os

from edgexl.base.errors import BadInput
from edgexl.compiler.encoding.workers import LocalWorkers, Workers


def open_workers(named: str) -> Workers:
    """The workers that `--workers` names: "local" (all cores), a number of threads, "ray://HOST:PORT", or "ray" (the
    cluster that RAY_ADDRESS names, else one started on this machine). Raises `BadInput`."""
    if named == "local":
        return LocalWorkers(os.cpu_count() or 1)
    if named.isdecimal() and 1 <= int(named) <= 1024:
        return LocalWorkers(int(named))
    if named == "ray" or named.startswith("ray://"):
        # Ray is large, and an extra
        from edgexl.compiler.encoding.ray_workers import RayWorkers

        return RayWorkers(None if named == "ray" else named)
    raise BadInput(
        f"There are no workers '{named}'; give local, a number of threads (1 to 1024), ray or ray://HOST:PORT."
    )
