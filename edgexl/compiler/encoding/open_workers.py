"""Opening the workers that the command line names."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edgexl.base.errors import BadInput

if TYPE_CHECKING:
    from edgexl.compiler.encoding.workers import Workers


def open_workers(named: str) -> Workers:
    """The workers that `--workers` names: "local" (all cores), a number of threads, "ray://HOST:PORT", or "ray" (the
    cluster that RAY_ADDRESS names, else one started on this machine). Raises `BadInput`."""
    check_workers(named)
    if named == "ray" or named.startswith("ray://"):
        # Ray is large, and an extra
        from edgexl.compiler.encoding.ray_workers import RayWorkers

        return RayWorkers(None if named == "ray" else named)
    from edgexl.compiler.encoding.workers import LocalWorkers

    return LocalWorkers((os.cpu_count() or 1) if named == "local" else int(named))


def check_workers(named: str) -> None:
    """Raise `BadInput` where `open_workers` knows no such workers, without loading an engine."""
    counted = named.isdecimal() and 1 <= int(named) <= 1024
    if not (counted or named in ("local", "ray") or named.startswith("ray://")):
        raise BadInput(
            f"There are no workers '{named}'; give local, a number of threads (1 to 1024), ray or ray://HOST:PORT."
        )
