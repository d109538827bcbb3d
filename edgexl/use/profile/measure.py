"""Runs exl-bench on a device, as often as the questions need, and puts its reports together."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, DeviceError, EdgexlError, GateFailed
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.read import read_bundle
from edgexl.device.device import Device
from edgexl.device.local import LocalDevice, this_machine
from edgexl.use.profile.busy import warn_of_others
from edgexl.use.profile.instructions import count_instructions
from edgexl.use.profile.limits import add_limits
from edgexl.use.profile.queries import read_texts

_ERRORS: dict[int, type[EdgexlError]] = {1: GateFailed, 2: BadInput, 3: DeviceError}
# Rows from which threads that share a scan are worth a sweep, as edgexl.h has it.
_LARGE = 100_000
_SWEEP_S = 600.0


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
    core: str | None = "auto",
    operations: bool = False,
    samples: bool = False,
    sweep: bool = False,
    seconds: int = 0,
    baseline: bool = False,
) -> dict[str, Any]:
    """Answer `runs` queries on `device` (this machine) and return times in ms and memory in bytes.

    `queries` is a file of texts (a text a line, or any table that `edgexl data show` reads) or a data set's directory,
    whose held-out queries are taken, in turn; without it, the bundle's goldens. `engine`: the one that the bundle must
    be made for; `threads`: its threads. `labels_file` keeps labels added and retired since the compile. `core`: the
    core's number on the device, "auto" for its fastest, None for any; more than one thread runs on any.

    Always there: device, timed, engine, kernel, threads, runs, core, stages and total (min_ms, p50_ms, p90_ms, p99_ms),
    load_ms, first_ms, peak_resident_bytes, mapped_bytes, memory, faults, cached_percent, queries_per_s, busy (with a
    `warning` or None), cold (load_ms and first_ms after the system was asked to let the file go).

    An emulated device is not timed, and has none of these that are times: its stages, total and operations have
    min_instructions to p99_instructions (`edgexl.use.profile.instructions`).

    On demand: `operations` (each operation of the native plan with time, MACs, bytes and its share of the core's
    limit; with limits), `samples` (each time of each stage), `throughput` (with `sweep`: 1, 2, 4, ... sessions side by
    side, and threads that share a scan), sustained and energy_mj_per_query (with `seconds`), `baseline`
    (edgexl.use.profile.baseline, on this machine alone).

    Raises `BadInput` for an unusable bundle or file, `DeviceError` where the tools or the engine are missing.
    """
    where = device or this_machine()
    facts = where.facts()
    opened = read_bundle(bundle)
    if engine not in (None, opened.manifest.get("engine")):
        raise BadInput(f"{bundle} is made for the engine {opened.manifest.get('engine')}, not for {engine}.")
    if baseline and not isinstance(where, LocalDevice):
        raise BadInput("What people would use instead is timed on this machine alone; leave --device or --baseline.")
    asked = read_texts(Path(queries), opened) if queries is not None else None
    with tempfile.TemporaryDirectory() as folder:
        arguments = [where.push(Path(bundle)), "--threads", str(threads)]
        if labels_file is not None:
            arguments += ["--labels-file", where.push(Path(labels_file))]
        if asked is not None:
            texts = Path(folder) / "queries.txt"
            texts.write_text("".join(f"{text}\n" for text in asked), encoding="utf-8")
            arguments += ["--queries", where.push(texts)]
        bench = _Bench(where, arguments, progress, 1 + facts.timed * (1 + operations + sweep) + baseline)
        pinned = ["--core", core] if core is not None and threads == 1 and facts.timed else []
        wanted = [*pinned, "--runs", str(runs)]
        wanted += ["--operations"] * operations + ["--samples"] * samples
        report = bench.run([*wanted, *(["--seconds", str(seconds)] if seconds else [])], 600 + 2 * seconds)
        report |= {"device": facts.name, "cpu": facts.cpu, "timed": facts.timed}
        if not facts.timed:
            return count_instructions(report)
        report["busy"]["warning"] = warn_of_others(report["busy"])
        cold = bench.run([*pinned, "--runs", "1", "--warmup", "0", "--cold"])
        report["cold"] = {key: cold[key] for key in ("load_ms", "first_ms", "cached_percent", "faults")}
        if operations and "operations" in report:
            limits = bench.run_limits([*pinned, "--file", arguments[0]])
            add_limits(report, limits)
        if sweep:
            report |= _sweep(bench, runs, facts.cores, opened.parameters.rows)
        if baseline:
            from edgexl.use.profile.baseline import time_baseline

            report["baseline"] = time_baseline(Path(bundle), asked, runs)
            bench.tick()
    return report


class _Bench:
    """exl-bench with the same bundle, again and again; `steps` of them are told to `progress`."""

    def __init__(self, device: Device, arguments: Sequence[str], progress: Progress, steps: int) -> None:
        self._device, self._arguments = device, arguments
        self._progress, self._done, self._steps = progress, 0, steps
        progress("profile", 0, steps)

    def run(self, more: Sequence[str], timeout_s: float = _SWEEP_S) -> dict[str, Any]:
        report = self._report([*self._arguments, *more], timeout_s)
        self.tick()
        return report

    def run_quietly(self, more: Sequence[str]) -> dict[str, Any]:
        """A run that is no step of its own."""
        return self._report([*self._arguments, *more], _SWEEP_S)

    def run_limits(self, arguments: Sequence[str]) -> dict[str, Any]:
        report = self._report(["--limits", *arguments], _SWEEP_S)
        self.tick()
        return report

    def tick(self) -> None:
        self._done += 1
        self._progress("profile", self._done, max(self._done, self._steps))

    def _report(self, arguments: Sequence[str], timeout_s: float) -> dict[str, Any]:
        done = self._device.run("exl-bench", arguments, timeout_s=timeout_s)
        if done.exit_code:
            said = done.stderr.strip() or f"exl-bench ended with {done.exit_code}."
            raise _ERRORS.get(done.exit_code, DeviceError)(said)
        report: dict[str, Any] = json.loads(done.stdout)
        return report


def _sweep(bench: _Bench, runs: int, cores: int, rows: int) -> dict[str, Any]:
    """Sessions side by side, and where the index is large, threads that share its scan."""
    counts = sorted({1, *(1 << i for i in range(cores.bit_length()) if 1 << i <= cores), cores})
    found: dict[str, Any] = {"throughput": []}
    for count in counts:
        told = bench.run_quietly(["--runs", str(runs), "--sessions", str(count)])
        total = told["total"]
        found["throughput"].append(
            {
                "sessions": count,
                "queries_per_s": told["queries_per_s"],
                "p50_ms": total["p50_ms"],
                "p99_ms": total["p99_ms"],
                "peak_resident_bytes": told["peak_resident_bytes"],
            }
        )
    if rows >= _LARGE and cores > 1:
        found["scan"] = []
        for count in counts:
            told = bench.run_quietly(["--runs", str(runs), "--scan-threads", str(count)])
            scan, total = told["stages"]["scan"], told["total"]
            found["scan"].append({"threads": count, "scan_ms": scan["p50_ms"], "p50_ms": total["p50_ms"]})
    bench.tick()
    return found
