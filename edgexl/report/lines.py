"""Line charts: several series over one x axis, each with an optional band of uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape

from edgexl.report import svg
from edgexl.report.axis import Axis, Scale, axis_over
from edgexl.report.frame import BELOW, RIGHT, draw_frame, left_of, say_nothing, y_axis_over
from edgexl.report.table import Cell, Table, format_cell

MARKED_POINTS = 40  # more than these in a series, and marks would hide its line
DRAWN_POINTS = 400  # and no screen shows more than these
_HEIGHT = 205.0


@dataclass(frozen=True)
class Series:
    """A named line: `y` over `x`, as many of each, and where known the interval `low`..`high` of each y.

    None (or a number that is not finite) in `y` leaves a gap. A `guide` is nothing measured, but what to compare with.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    low: Sequence[float | None] | None = None
    high: Sequence[float | None] | None = None
    guide: bool = False

    def __post_init__(self) -> None:
        if (self.low is None) != (self.high is None):
            raise ValueError(f"the series '{self.name}' has one end of its intervals only")
        for values in (self.y, self.low, self.high):
            if values is not None and len(values) != len(self.x):
                raise ValueError(f"the series '{self.name}' has {len(values)} values for {len(self.x)} places")

    def thin(self) -> Series:
        """At most about DRAWN_POINTS points, evenly picked, the last always among them."""
        every = max(1, math.ceil(len(self.x) / DRAWN_POINTS))
        keep = sorted({*range(0, len(self.x), every), len(self.x) - 1} - {-1})

        def pick(values: Sequence[float | None] | None) -> list[float | None] | None:
            return None if values is None else [values[place] for place in keep]

        y = [self.y[place] for place in keep]
        return Series(self.name, [self.x[place] for place in keep], y, pick(self.low), pick(self.high), self.guide)


@dataclass(frozen=True)
class LineChart(svg.Chart):
    """Several `series` over one x axis. `note` says how to read it; `limits` fixes the ends of the y axis."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    x_scale: Scale = "linear"
    y_scale: Scale = "linear"
    limits: tuple[float, float] | None = None
    note: str = ""

    def table(self) -> Table:
        """The numbers: a row for each x, a column for each series (thinned as drawn), intervals in brackets."""
        series = [each.thin() for each in self.series]
        places = sorted({x for each in series for x in each.x})
        columns = []
        for each in series:
            at = {x: place for place, x in enumerate(each.x)}
            columns.append([_describe(each, at.get(x)) for x in places])
        rows: list[list[Cell]] = [[x, *cells] for x, *cells in zip(places, *columns, strict=True)]
        return Table("", (self.x_label, *(each.name for each in series)), rows)

    def draw(self, standalone: bool) -> str:
        series = [each.thin() for each in self.series]
        drawn, top = svg.heading(self.title, standalone)
        names, height = svg.legend([each.name for each in series if not each.guide], top)
        drawn += names
        values = (value for each in series for value in (*each.y, *(each.low or ()), *(each.high or ())))
        known = (value for value in values if value is not None)
        y_axis = y_axis_over(known, top + height, _HEIGHT, self.y_scale, self.limits)
        x_axis = self._x_axis(series, left_of(y_axis))
        drawn += draw_frame(x_axis, y_axis, self.x_label, self.y_label)
        if not any(_finite(y) for each in self.series for y in each.y):
            drawn.append(say_nothing(x_axis, y_axis))
        for each in series:
            if each.guide:
                drawn.append(_guide(each, x_axis, y_axis))
        for place, each in enumerate(each for each in series if not each.guide):
            drawn += _line(place, each, x_axis, y_axis)
        return svg.svg(self.title, y_axis.start + BELOW, drawn, standalone)

    def _x_axis(self, series: Sequence[Series], left: float) -> Axis:
        axis = axis_over((x for each in series for x in each.x), left, RIGHT, self.x_scale)
        if self.x_scale != "linear":
            return axis
        axis = _tight(axis, series)  # lines may end at the frame; only the ticks need round numbers
        if all(float(x).is_integer() for each in series for x in each.x):  # there is no half a layer or step
            axis = replace(axis, ticks=tuple(tick for tick in axis.ticks if tick == int(tick)))
        return axis


def _tight(axis: Axis, series: Sequence[Series]) -> Axis:
    places = [x for each in series for x in each.x if math.isfinite(x)]
    if not places or min(places) == max(places):
        return axis
    return axis_over((), axis.start, axis.end, "linear", (min(places), max(places)))


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _describe(series: Series, place: int | None) -> Cell:
    if place is None:
        return None
    value, low, high = series.y[place], series.low, series.high
    if low is None or high is None or not _finite(value):
        return value
    return f"{format_cell(value)} ({format_cell(low[place])} to {format_cell(high[place])})"


def _guide(series: Series, x_axis: Axis, y_axis: Axis) -> str:
    points = [(x, y) for x, y in zip(series.x, series.y, strict=True) if y is not None]
    places = _places(points, x_axis, y_axis)
    return (
        f'<polyline class="rule" points="{places}" fill="none" stroke="{svg.INK}" stroke-dasharray="4 4">'
        f"<title>{escape(series.name)}</title></polyline>"
    )


def _line(place: int, series: Series, x_axis: Axis, y_axis: Axis) -> list[str]:
    """Band, line and marks of one series; gaps part the line."""
    colour = svg.colour(place)
    drawn: list[str] = []
    if series.low is not None and series.high is not None:
        band = [
            (x, low, high)
            for x, low, high in zip(series.x, series.low, series.high, strict=True)
            if low is not None and high is not None and math.isfinite(low) and math.isfinite(high)
        ]
        edge = [(x, low) for x, low, _ in band] + [(x, high) for x, _, high in reversed(band)]
        if len(band) > 1:
            drawn.append(f'<polygon points="{_places(edge, x_axis, y_axis)}" fill="{colour}" fill-opacity="0.16"/>')
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in zip(series.x, series.y, strict=True):
        if y is not None and math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    for run in runs:
        if len(run) > 1:
            places = _places(run, x_axis, y_axis)
            drawn.append(
                f'<polyline points="{places}" fill="none" stroke="{colour}" stroke-width="2" stroke-linejoin="round"/>'
            )
    if len(series.x) <= MARKED_POINTS:
        for x, y in (point for run in runs for point in run):
            tip = f"{series.name}: {format_cell(float(y))} at {format_cell(x)}"
            drawn.append(svg.mark(place, x_axis.at(x), y_axis.at(y), tip))
    return drawn


def _places(points: Sequence[tuple[float, float]], x_axis: Axis, y_axis: Axis) -> str:
    return " ".join(f"{svg.number(x_axis.at(x))},{svg.number(y_axis.at(y))}" for x, y in points)
