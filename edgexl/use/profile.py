"""How long a bundle takes, stage by stage, and how much memory: measured by exl-bench on a device."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, DeviceError, EdgexlError, GateFailed
from edgexl.base.files import read_input
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.read import read_bundle
from edgexl.device.device import Device
from edgexl.device.local import this_machine

_ERRORS: dict[int, type[EdgexlError]] = {1: GateFailed, 2: BadInput, 3: DeviceError}


def profile(
    bundle: str | os.PathLike[str],
    queries: str | os.PathLike[str] | None = None,
    *,
    engine: str | None = None,
    threads: int = 1,
    runs: int = 200,
    device: Device | None = None,
    progress: Progress = no_progress,
    labels_file: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Answer `runs` queries on `device` (this machine) and return the stages' times in ms and the memory in bytes.

    `engine`: the one that the bundle must be made for. `queries` is a file with a text a line, taken in turn; without
    it the bundle's goldens are taken. `labels_file` keeps labels added and retired since the compile. Keys: device,
    timed (whether the times are the device's own: those of an emulated one are not), engine, threads, runs, stages,
    total, load_ms, first_ms, peak_resident_bytes, mapped_bytes. Raises `BadInput` for an unusable bundle or file,
    `DeviceError` where the tools or the engine are missing.
    """
    where = device or this_machine()
    checked = read_bundle(bundle)
    if engine not in (None, checked.manifest.get("engine")):
        raise BadInput(f"{bundle} is made for the engine {checked.manifest.get('engine')}, not for {engine}.")
    arguments = [where.push(Path(bundle)), "--runs", str(runs), "--threads", str(threads)]
    if queries is not None:
        arguments += ["--queries", where.push(_check_queries(Path(queries)))]
    if labels_file is not None:
        arguments += ["--labels-file", where.push(Path(labels_file))]
    progress("profile", 0, 1)
    done = where.run("exl-bench", arguments)
    progress("profile", 1, 1)
    if done.exit_code:
        raise _ERRORS.get(done.exit_code, DeviceError)(done.stderr.strip() or f"exl-bench ended with {done.exit_code}.")
    report: dict[str, Any] = json.loads(done.stdout)
    facts = where.facts()
    return {**report, "device": facts.name, "timed": facts.timed}


def _check_queries(path: Path) -> Path:
    if not read_input(path).strip():
        raise BadInput(f"{path} holds no query; give a file with a text a line.")
    return path
