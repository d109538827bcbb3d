"""The comparison as Markdown and as a plot: means over seeds, and the difference with its interval by Welch's t."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from benchmarks.distillation.runs import DATA_SETS, METHODS, SIZES
from edgexl.report import Bar, BarChart, BarGroup
from edgexl.use.intervals import student_t

ALL_METHODS = (*METHODS, "zero-shot")
SHOWN = ("P@1", "P@5", "nDCG@5", "R@100")


def markdown(rows: Sequence[dict[str, Any]]) -> str:
    """Two tables: compiled students on their own data set, a row a method; float ones on the other's labels."""
    pairs = _pairs(rows)
    home = [line for data, size in pairs if data in DATA_SETS for line in _home(rows, data, size)]
    away = [_away(rows, data, size) for data, size in pairs if data not in DATA_SETS]
    return "\n".join(
        (
            *_head("data", "size", "method", "seeds", *SHOWN, "weights MB", "minutes"), *home,
            "\nMinutes are of processor time, training alone. A difference has its 95 % interval by Welch's t.\n",
            *_head("asked for the other's labels", "size", *SHOWN), *away,
            "\nMechanistic / standard / untrained MiniLM of the size, and the first two's difference.",
        )
    )  # fmt: skip


def _head(*columns: str) -> tuple[str, str]:
    return "| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)


def _home(rows: Sequence[dict[str, Any]], data: str, size: str) -> Iterator[str]:
    """A row a method, and the difference."""
    for method in METHODS:
        own = _of(rows, data, size, method)
        if own:
            values = [_spread([_metric(row, name) for row in own]) for name in SHOWN]
            weights = f"{np.mean([row['bytes']['weights'] for row in own]) / 1e6:.1f}"
            timed = [row["minutes"]["processor"] for row in own if "minutes" in row]
            minutes = f"{np.mean(timed):.0f}" if timed else "-"
            yield f"| {data} | {size} | {method} | {len(own)} | {' | '.join(values)} | {weights} | {minutes} |"
    differences = [_difference(rows, data, size, name) for name in SHOWN]
    if all(differences):
        yield f"| {data} | {size} | *difference* | | {' | '.join(differences)} | | |"


def _away(rows: Sequence[dict[str, Any]], data: str, size: str) -> str:
    """One row: the methods' means beside each other."""
    cells = []
    for name in SHOWN:
        found = [[_metric(row, name) for row in _of(rows, data, size, method)] for method in ALL_METHODS]
        means = " / ".join(f"{np.mean(values):.1f}" if values else "-" for values in found)
        difference = _difference(rows, data, size, name)
        cells.append(f"{means}, {difference}" if difference else means)
    return f"| {data} | {size} | {' | '.join(cells)} |"


def plot(rows: Sequence[dict[str, Any]]) -> str:
    """P@1 by size and method as a standalone SVG."""
    groups = []
    for data, size in _pairs(rows):
        bars = []
        for method in ALL_METHODS:
            values = [_metric(row, "P@1") for row in _of(rows, data, size, method)]
            if values:
                error = 2 * float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else 0.0
                mean = float(np.mean(values))
                bars.append(Bar(method, mean, mean - error, mean + error))
        groups.append(BarGroup(f"{data}, {size}", tuple(bars)))
    return BarChart("P@1 of compiled students", "percent", tuple(groups)).svg()


def _pairs(rows: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    known = {(row["data"], row["size"]) for row in rows}
    order = [*DATA_SETS, *(f"{a} to {b}" for a, b in (DATA_SETS, DATA_SETS[::-1]))]
    return sorted(known, key=lambda pair: (order.index(pair[0]), SIZES.index(pair[1])))


def _of(rows: Sequence[dict[str, Any]], data: str, size: str, method: str) -> list[dict[str, Any]]:
    return [row for row in rows if (row["data"], row["size"], row["method"]) == (data, size, method)]


def _metric(row: dict[str, Any], name: str) -> float:
    found: float = (row["bundle"] if "bundle" in row else row["float"]["reasoned"])[name]
    return found


def _spread(values: Sequence[float]) -> str:
    mean = f"{np.mean(values):.1f}"
    return mean if len(values) == 1 else f"{mean} ± {np.std(values, ddof=1):.1f}"


def _difference(rows: Sequence[dict[str, Any]], data: str, size: str, name: str) -> str:
    ours, theirs = ([_metric(row, name) for row in _of(rows, data, size, method)] for method in METHODS)
    if not ours or not theirs:
        return ""
    mean = f"{np.mean(ours) - np.mean(theirs):+.1f}"
    return mean if min(len(ours), len(theirs)) < 2 else f"{mean} ± {half_interval(ours, theirs):.1f}"


def half_interval(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Half of the 95 % interval of the difference of two means, by Welch's t; of two values each at least."""
    parts = [(float(np.var(values, ddof=1)) / len(values), len(values) - 1) for values in (ours, theirs)]
    variance = sum(part for part, _ in parts)
    if not variance:
        return 0.0
    freedom = variance**2 / sum(part**2 / degrees for part, degrees in parts)
    return student_t(max(1, int(freedom)), 0.95) * math.sqrt(variance)
