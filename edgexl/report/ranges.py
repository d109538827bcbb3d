"""Ranges: where values lie and how far they scatter, a row each: whiskers, a box for the middle of them, and a mark."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edgexl.report import svg
from edgexl.report.axis import Axis, Scale, axis_over, tick_text
from edgexl.report.table import Table

_ROW = 25.0


@dataclass(frozen=True)
class Range:
    """A row: the whiskers from `low` to `high`, the mark at `middle`, where known a box from `start` to `end`, and what
    is said beside it."""

    name: str
    low: float
    middle: float
    high: float
    start: float | None = None
    end: float | None = None
    said: str = ""


@dataclass(frozen=True)
class RangeChart(svg.Chart):
    """`rows` over one axis. `names` are those of low, start, middle, end, high in the table; `reference` is a value
    that all are compared with, and is drawn as a line."""

    title: str
    value_label: str
    rows: Sequence[Range]
    names: tuple[str, str, str, str, str] = ("low", "from", "middle", "to", "high")
    reference: float | None = None
    scale: Scale = "linear"
    note: str = ""

    def table(self) -> Table:
        """The numbers: a row a range."""
        rows = [(row.name, row.low, row.start, row.middle, row.end, row.high) for row in self.rows]
        kept = [place for place in range(6) if any(row[place] is not None for row in rows)]
        columns = ("", *self.names)
        return Table("", [columns[place] for place in kept], [[row[place] for place in kept] for row in rows])

    def draw(self, standalone: bool) -> str:
        drawn, top = svg.heading(self.title, standalone)
        if not self.rows:
            return svg.say_nothing(self.title, drawn, top, standalone)
        wrapped = [svg.wrap(row.name, 0.34 * svg.WIDTH) for row in self.rows]
        left = max(svg.widest(line for name in wrapped for line in name) + 10, 20.0)
        said = svg.widest(row.said for row in self.rows)
        right = svg.WIDTH - max(14.0, said + 6)
        ends = [value for row in self.rows for value in (row.low, row.high)]
        zero = () if self.scale != "linear" or self.reference is not None else (0.0,)
        axis = axis_over(
            [*ends, *zero, *(() if self.reference is None else (self.reference,))], left, right, self.scale
        )
        bottom = top + _ROW * len(self.rows) + 4
        for tick in axis.ticks:
            drawn.append(svg.line(axis.at(tick), top, axis.at(tick), bottom, faint=True))
            drawn.append(svg.label(axis.at(tick), bottom + 18, tick_text(tick), "middle", quiet=True))
        if self.reference is not None:
            drawn.append(svg.line(axis.at(self.reference), top, axis.at(self.reference), bottom))
        for place, (row, name) in enumerate(zip(self.rows, wrapped, strict=True)):
            drawn += _draw_row(row, name, axis, top + _ROW * (place + 0.5), left)
        drawn.append(svg.label((left + right) / 2, bottom + 37, self.value_label, "middle", quiet=True))
        return svg.svg(self.title, bottom + 44, drawn, standalone)


def _draw_row(row: Range, name: Sequence[str], axis: Axis, y: float, left: float) -> list[str]:
    first = y + 4.5 - svg.FONT * 0.55 * (len(name) - 1)
    drawn = [svg.label(left - 8, first + svg.FONT * 1.1 * at, line, "end") for at, line in enumerate(name)]
    low, middle, high = (axis.at(value) for value in (row.low, row.middle, row.high))
    tip = escape(f"{row.name}: {row.said}" if row.said else row.name)
    drawn.append(svg.line(low, y, high, y))
    drawn += [svg.line(x, y - 4, x, y + 4) for x in (low, high)]
    if row.start is not None and row.end is not None:
        start, end = axis.at(row.start), axis.at(row.end)
        drawn.append(svg.box(start, y - 7, max(end - start, 1.5), 14, svg.colour(0)))
        drawn.append(
            f'<rect class="ink" x="{svg.number(middle - 1.5)}" y="{svg.number(y - 9)}" width="3" height="18" '
            f'fill="{svg.INK}"><title>{tip}</title></rect>'
        )
    else:
        drawn.append(svg.mark(0, middle, y, row.said or row.name))
    drawn.append(svg.label(svg.WIDTH, y + 4.5, row.said, "end"))
    return drawn
