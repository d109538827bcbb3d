"""A search for a budget as a page: what is possible, which point was taken, what was given up where, and which limit
costs most; then the compile itself."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgexl.base.progress import Progress, no_progress
from edgexl.report import Bar, BarChart, BarGroup, Paragraph, Scatter, Section, Table, Tile, page, write_text
from edgexl.report import Point as Dot
from edgexl.report.table import format_bytes
from edgexl.use.budget.forecast import Candidate
from edgexl.use.budget.limits import COSTS
from edgexl.use.budget.search import BudgetReport
from edgexl.use.reports.compile_page import make_compile_sections
from edgexl.use.reports.reproduce import make_reproduce_section

# Each cost's axis, and what it is divided by.
_AXES = {
    "ms": ("P@1 against time", "median of a query, ms", 1.0),
    "memory_bytes": ("P@1 against memory", "peak resident, MB", 1e6),
    "size_bytes": ("P@1 against size", "file, MB", 1e6),
}
# A plot of more cannot be read, and a table of them is not.
_MOST = 24


def write_budget_report(
    report: BudgetReport, path: str | os.PathLike[str], command: str = "", progress: Progress = no_progress
) -> None:
    """Write the page of a search to `path`, in one step."""
    shown = _choose(report)
    sections = [_possible(report, shown), _given_up(report)]
    if report.relaxations or report.taken is None:
        sections.append(_relaxed(report))
    bundles: list[Path] = []
    if report.report is not None:
        sections += make_compile_sections(report.report, progress)
        bundles = [report.report.path]
    sections.append(make_reproduce_section(command, bundles, {"times and memory of": report.measured_on}))
    name = report.report.path.name if report.report is not None else "Nothing fits"
    lead = f"Asked: {report.limits.sentence()}. Times and memory: {report.measured_on}."
    write_text(Path(path), page(f"{name}, to a budget", sections, "compile", lead, _tiles(report)))


def _tiles(report: BudgetReport) -> list[Tile]:
    now, known = report.measurements
    seen = Tile("Measured", f"{now + known}", f"candidates, {known} of them known from before")
    if report.taken is None:
        return [seen]
    found, limits = report.taken.figures, report.limits

    def against(limit: float | None, said: str) -> str:
        return "no limit" if limit is None else f"of {said}"

    tiles = [
        Tile("Time", f"{found.ms:.2f} ms", against(limits.ms, f"{limits.ms:g} ms" if limits.ms else "")),
        Tile(
            "Memory", format_bytes(found.memory_bytes),
            against(limits.memory_bytes, format_bytes(limits.memory_bytes or 0)),
        ),
        Tile("Size", format_bytes(found.size_bytes), against(limits.size_bytes, format_bytes(limits.size_bytes or 0))),
    ]  # fmt: skip
    if found.p_at_1 is not None:
        tiles.insert(0, Tile("P@1", f"{found.p_at_1:.1f}%", f"R@100 {found.recall or 0:.1f}%"))
    return [*tiles, seen]


def _choose(report: BudgetReport) -> dict[str, Candidate]:
    """The candidates that are shown, by short names: those that were made, and the front as far as there is room."""
    front = list(report.front)
    kept = {each.point: each for each in (*([report.taken] if report.taken else []), *report.verified)}
    room = max(2, _MOST - len(kept))
    for at in range(min(room, len(front))):
        each = front[round(at * (len(front) - 1) / max(1, min(room, len(front)) - 1))]
        kept.setdefault(each.point, each)
    ordered = sorted(kept.values(), key=lambda each: (each.figures.size_bytes, each.figures.ms))
    return {str(number): each for number, each in enumerate(ordered, 1)}


def _possible(report: BudgetReport, shown: dict[str, Candidate]) -> Section:
    taken = next((name for name, each in shown.items() if report.taken and each.point == report.taken.point), None)
    best = max((each.quality for each in shown.values()), default=0.0)
    # a screener that lost a layer answers next to nothing, and would press all others into a line
    drawn = {name: each for name, each in shown.items() if name == taken or each.quality >= best / 2}
    charts = []
    for cost, (title, label, unit) in _AXES.items():
        costs = {name: getattr(each.figures, cost) / unit for name, each in drawn.items()}
        dots = [Dot(name, costs[name], each.quality) for name, each in drawn.items()]
        most = getattr(report.limits, cost)
        charts.append(Scatter(title, label, "P@1, %", dots, taken, None if most is None else most / unit))
    rows = [
        (
            name, each.point.name, *map(_round, (each.figures.p_at_1, each.figures.recall, each.figures.ms)),
            _round(each.figures.memory_bytes / 1e6, 1), _round(each.figures.size_bytes / 1e6, 1),
            "taken" if name == taken else "made" if each.verified else "foretold",
        )
        for name, each in shown.items()
    ]  # fmt: skip
    columns = ("", "what is changed", "P@1", "R@100", "ms", "memory MB", "size MB", "")
    said = (
        f"Of {len(report.candidates):,} combinations, those that no other beats in all of P@1, time, memory and size, "
        "and those that were made. Each option was measured by itself, and combinations are foretold from these."
    )
    return Section("What is possible", (Paragraph(said), *charts, Table("The points", columns, rows)))


def _given_up(report: BudgetReport) -> Section:
    if report.taken is None:
        return Section("What was given up where", (Paragraph("Nothing was taken."),))
    if not report.given_up:
        return Section("What was given up where", (Paragraph("Nothing: the recipe as it is keeps the limits."),))
    rows = [
        (
            each.option.part, each.option.name, _round(each.p_at_1), _round(each.costs["ms"], 3),
            _round(each.costs["memory_bytes"] / 1e6), _round(each.costs["size_bytes"] / 1e6),
        )
        for each in report.given_up
    ]  # fmt: skip
    table = Table("Each change by itself", ("part", "change", "P@1", "ms", "memory MB", "size MB"), rows)
    lost: Sequence[BarGroup] = [
        BarGroup(each.option.name, [Bar("P@1", abs(min(0.0, each.p_at_1)))])
        for each in report.given_up
        if each.p_at_1 is not None and each.p_at_1 < 0
    ]
    chart = (BarChart("Points of P@1 that each change loses", "points", lost),) if lost else ()
    return Section("What was given up where", (*chart, table))


def _relaxed(report: BudgetReport) -> Section:
    if report.taken is None:
        return Section("What would fit", (Paragraph(report.advice(), notice=True),))
    rows = [(_name(each.name), each.sentence()) for each in report.relaxations]
    return Section("What more would give", (Table("", ("limit", "what it would allow"), rows),))


def _round(value: float | None, digits: int = 2) -> float | None:
    return None if value is None else round(value, digits)


def _name(limit: str) -> str:
    return COSTS.get(limit, "--min-recall")
