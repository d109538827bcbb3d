"""Bar charts: horizontal bars in named groups, so that long names stay readable, with optional error bars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from edgexl.report import svg
from edgexl.report.axis import Axis, axis_over, tick_text
from edgexl.report.table import Cell, Table, format_cell

_BAR, _GAP = 16.0, 11.0
_RIGHT = 54.0  # room for the value beside the longest bar


@dataclass(frozen=True)
class Bar:
    """One bar: the `series` it belongs to, its value (None: not measured), and where known its interval."""

    series: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class BarGroup:
    """Bars that stand together under one name."""

    name: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class BarChart(svg.Chart):
    """Groups of horizontal bars from zero. `note` says how to read it; `limits` fixes the ends of the value axis."""

    title: str
    value_label: str
    groups: Sequence[BarGroup]
    limits: tuple[float, float] | None = None
    note: str = ""

    def table(self) -> Table:
        """The numbers: a row a bar."""
        rows: list[list[Cell]] = [
            [group.name, bar.series, bar.value, bar.low, bar.high] for group in self.groups for bar in group.bars
        ]
        return Table("", ("group", "series", self.value_label, "low", "high"), rows)

    def draw(self, standalone: bool) -> str:
        series = list(dict.fromkeys(bar.series for group in self.groups for bar in group.bars))
        drawn, top = svg.heading(self.title, standalone)
        names, height = svg.legend(series, top, boxes=True)
        drawn += names
        top += height + 6
        wrapped = [svg.wrap(group.name, 0.36 * svg.WIDTH) for group in self.groups]
        left = max(svg.widest(line for name in wrapped for line in name) + 10, 20.0)
        axis = axis_over(_ends(self.groups), left, svg.WIDTH - _RIGHT, "linear", self.limits)
        heights = [
            max(_BAR * len(group.bars), svg.FONT * 1.2 * len(name)) + _GAP
            for group, name in zip(self.groups, wrapped, strict=True)
        ]
        bottom = top + sum(heights) + 4
        for tick in axis.ticks:
            drawn.append(svg.line(axis.at(tick), top, axis.at(tick), bottom, faint=True))
            drawn.append(svg.label(axis.at(tick), bottom + 18, tick_text(tick), "middle", quiet=True))
        y = top
        for group, name, tall in zip(self.groups, wrapped, heights, strict=True):
            drawn += _group(group, name, series, axis, y, tall, left)
            y += tall
        drawn.append(svg.line(axis.at(_zero(axis)), top, axis.at(_zero(axis)), bottom))
        drawn.append(svg.label((left + svg.WIDTH - _RIGHT) / 2, bottom + 38, self.value_label, "middle", quiet=True))
        return svg.svg(self.title, bottom + 46, drawn, standalone)


def _ends(groups: Sequence[BarGroup]) -> Iterator[float]:
    """What the axis must hold: zero, every bar and every interval."""
    yield 0.0
    for group in groups:
        for bar in group.bars:
            yield from (end for end in (bar.value, bar.low, bar.high) if end is not None)


def _zero(axis: Axis) -> float:
    return min(max(0.0, axis.low), axis.high)


def _group(
    group: BarGroup, name: Sequence[str], series: Sequence[str], axis: Axis, top: float, tall: float, left: float
) -> list[str]:
    middle = top + tall / 2
    first = middle - svg.FONT * 0.6 * (len(name) - 1) + 5
    drawn = [svg.label(left - 8, first + svg.FONT * 1.2 * row, text, "end") for row, text in enumerate(name)]
    y = middle - _BAR * len(group.bars) / 2
    for bar in group.bars:
        drawn += _bar(group.name, bar, series.index(bar.series), axis, y)
        y += _BAR
    return drawn


def _bar(group: str, bar: Bar, place: int, axis: Axis, y: float) -> list[str]:
    middle = y + _BAR / 2
    start = axis.at(_zero(axis))
    if bar.value is None or not math.isfinite(bar.value):
        return [svg.label(start + 5, middle + 5, "not measured")]
    end = axis.at(min(max(bar.value, axis.low), axis.high))
    tip = f"{group}, {bar.series}: {format_cell(float(bar.value))}"
    drawn = [svg.box(min(start, end), y + 1.5, abs(end - start), _BAR - 3, svg.colour(place), tip)]
    right = max(start, end)
    if bar.low is not None and bar.high is not None and math.isfinite(bar.low) and math.isfinite(bar.high):
        low, high = axis.at(max(bar.low, axis.low)), axis.at(min(bar.high, axis.high))
        drawn.append(svg.line(low, middle, high, middle))
        drawn += [svg.line(x, middle - 4, x, middle + 4) for x in (low, high)]
        right = max(right, high)
    drawn.append(svg.label(right + 5, middle + 5, format_cell(float(bar.value))))
    return drawn
