"""A profile in files that other programs open: operations as CSV, and a trace for Perfetto or chrome://tracing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.files import write_text

OPERATION_COLUMNS = (
    "graph", "number", "kind", "function", "shape", "min_ms", "p50_ms", "p90_ms", "macs", "bytes", "limit_ms",
    "share_of_limit", "bounds",
)  # fmt: skip
_GRAPH_OF = {"encode": "screener", "reason": "reasoner"}
# Queries of a trace: more of them than anyone looks at only make the file large.
_MOST_TRACED = 200


def write_csv(report: Mapping[str, Any], path: Path) -> None:
    """The operations, a row each. Raises `BadInput` where the engine tells of none."""
    operations = report.get("operations")
    if not operations:
        raise BadInput(f"The engine {report['engine']} does not tell what its operations take; leave out --csv.")
    text = io.StringIO()
    table = csv.DictWriter(text, OPERATION_COLUMNS, lineterminator="\n")
    table.writeheader()
    table.writerows({name: operation.get(name) for name in OPERATION_COLUMNS} for operation in operations)
    write_text(path, text.getvalue())


def write_trace(report: Mapping[str, Any], path: Path) -> None:
    """Trace events (https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU): each query with
    its stages one after the other, and on a row of its own the median query with its operations."""
    events: list[dict[str, Any]] = [
        _named("process_name", 1, 0, f"edgexl on {report['device']}"),
        _named("thread_name", 1, 1, "queries"),
        _named("thread_name", 1, 2, "the median of each stage and operation"),
    ]
    events += _queries(report.get("samples") or {})
    events += _medians(report)
    for row in report.get("sustained") or ():
        values = {key: row[key] for key in ("p50_ms", "mhz", "celsius") if row.get(key) is not None}
        events += [
            {"name": key, "ph": "C", "pid": 1, "ts": 1e6 * row["s"], "args": {key: value}}
            for key, value in values.items()
        ]
    facts = {key: report.get(key) for key in ("device", "cpu", "engine", "kernel", "core")}
    write_text(path, json.dumps({"displayTimeUnit": "ms", "otherData": facts, "traceEvents": events}) + "\n")


def _named(what: str, process: int, thread: int, name: str) -> dict[str, Any]:
    return {"name": what, "ph": "M", "pid": process, "tid": thread, "args": {"name": name}}


def _slice(name: str, category: str, thread: int, begin_ms: float, ms: float, **more: Any) -> dict[str, Any]:
    """A complete event; its clock counts microseconds."""
    times = {"ts": round(1e3 * begin_ms, 3), "dur": round(1e3 * ms, 3)}
    return {"name": name, "cat": category, "ph": "X", "pid": 1, "tid": thread, **times, "args": more}


def _queries(samples: Mapping[str, list[float]]) -> list[dict[str, Any]]:
    events, clock = [], 0.0
    for run in range(min(len(samples.get("total", ())), _MOST_TRACED)):
        events.append(_slice(f"query {run + 1}", "query", 1, clock, samples["total"][run]))
        begin = clock
        for stage, times in samples.items():
            if stage != "total" and times[run] > 0:
                events.append(_slice(stage, "stage", 1, begin, times[run]))
                begin += times[run]
        clock = max(begin, clock + samples["total"][run])
    return events


def _medians(report: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The stages' medians side by side, and within each the operations of its graph, made to fit where they do not."""
    events, clock = [], 0.0
    for stage, times in report["stages"].items():
        length = times["p50_ms"]
        if length <= 0:
            continue
        events.append(_slice(stage, "stage", 2, clock, length))
        graph = [each for each in report.get("operations") or () if each["graph"] == _GRAPH_OF.get(stage)]
        whole, begin = sum(each["p50_ms"] for each in graph), clock
        fit = min(1.0, length / whole) if whole > 0 else 1.0
        for each in graph:
            facts = {key: each.get(key) for key in OPERATION_COLUMNS if key not in ("graph", "kind")}
            name = f"{each['kind']} {each['function']}".strip()
            events.append(_slice(name, "operation", 2, begin, fit * each["p50_ms"], **facts))
            begin += fit * each["p50_ms"]
        clock += length
    return events
