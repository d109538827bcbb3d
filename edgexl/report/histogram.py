"""Histograms: how often values lie where, as columns, with lines at values that matter."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from edgexl.report import svg
from edgexl.report.axis import axis_over
from edgexl.report.frame import BELOW, RIGHT, draw_frame, left_of, y_axis_over
from edgexl.report.table import Table, format_cell

_HEIGHT = 190.0
BINS = 32


@dataclass(frozen=True)
class Histogram(svg.Chart):
    """`counts` between the `edges`, one more than counts. `lines` are names of values, as p50 is."""

    title: str
    value_label: str
    count_label: str
    edges: Sequence[float]
    counts: Sequence[float]
    lines: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    def table(self) -> Table:
        """The numbers: a row a column."""
        rows = list(zip(self.edges, self.edges[1:], self.counts, strict=False))
        return Table("", ("from", "to", self.count_label), rows)

    def draw(self, standalone: bool) -> str:
        drawn, top = svg.heading(self.title, standalone)
        lift = 14.0 if self.lines else 0.0  # the lines' names stand between
        y_axis = y_axis_over((0.0, *self.counts), top + lift, _HEIGHT)
        x_axis = axis_over((), left_of(y_axis), RIGHT, "linear", (self.edges[0], self.edges[-1]))
        drawn += draw_frame(x_axis, y_axis, self.value_label, self.count_label, lift)
        bottom = y_axis.start
        for low, high, count in zip(self.edges, self.edges[1:], self.counts, strict=False):
            if count:
                left, right, y = x_axis.at(low), x_axis.at(high), y_axis.at(count)
                tip = f"{format_cell(float(low))} to {format_cell(float(high))}: {format_cell(count)}"
                drawn.append(svg.box(left + 0.5, y, right - left - 1, bottom - y, svg.colour(0), tip, radius=1))
        drawn += self._named_lines(x_axis.at, y_axis.end, bottom)
        return svg.svg(self.title, bottom + BELOW, drawn, standalone)

    def _named_lines(self, at: Callable[[float], float], top: float, bottom: float) -> list[str]:
        drawn, last = [], -math.inf
        for name, value in self.lines.items():
            if not self.edges[0] <= value <= self.edges[-1]:
                continue
            x = at(value)
            drawn.append(svg.line(x, top, x, bottom))
            if x - last > svg.measure(name) + 4:
                drawn.append(svg.label(x, top - 5, name, "middle"))
                last = x
        return drawn


def count_values(values: Sequence[float], low: float, high: float, bins: int = BINS) -> tuple[list[float], list[int]]:
    """(edges, counts) of the values from low to high; those beyond are counted at the ends."""
    width = (high - low) / bins or 1.0
    counts = [0] * bins
    for value in values:
        counts[min(max(int((value - low) / width), 0), bins - 1)] += 1
    return [low + width * place for place in range(bins + 1)], counts
