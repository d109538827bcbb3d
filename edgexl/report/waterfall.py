"""Waterfalls: how a value comes about step by step, a bar for each change, and one for what is left at the end."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from edgexl.report import svg
from edgexl.report.axis import Axis, axis_over, tick_text
from edgexl.report.table import Table, format_bytes

Unit = Literal["points", "bytes"]
_ROW, _BAR = 22.0, 13.0
# Columns to the right of the bars: the change, and the value after it.
_COLUMNS = {"points": (58.0, 58.0), "bytes": (76.0, 72.0)}
_GAIN, _LOSS = svg.colour(0), svg.colour(1)


@dataclass(frozen=True)
class Step:
    """A step and the `value` after it."""

    name: str
    value: float


@dataclass(frozen=True)
class Waterfall(svg.Chart):
    """The first of `steps` is where it begins; the bars of the others are their changes.

    Points are drawn as differences from the first value, which are small beside it; bytes from zero. `limits` fixes the
    ends of that axis, so that two charts can be compared."""

    title: str
    steps: Sequence[Step]
    unit: Unit = "points"
    limits: tuple[float, float] | None = None
    note: str = ""

    def table(self) -> Table:
        """The numbers: a row a step."""
        rows = [
            (step.name, self._whole(step.value), self._whole(change))
            for step, change in zip(self.steps, self._changes(), strict=True)
        ]
        return Table("", ("step", f"{self.unit} after it", "change"), rows)

    def draw(self, standalone: bool) -> str:
        drawn, top = svg.heading(self.title, standalone)
        if not self.steps:
            return svg.say_nothing(self.title, drawn, top, standalone)
        longest = max(svg.measure(step.name, bold=True) for step in self.steps) + 12
        change_width, value_width = _COLUMNS[self.unit]
        left, right = min(longest, 0.34 * svg.WIDTH), svg.WIDTH - change_width - value_width
        base = self.steps[0].value if self.unit == "points" else 0.0
        values = [step.value - base for step in self.steps]
        axis = axis_over((0.0, *values), left, right, "linear", self.limits)
        top += 16
        heads = ((svg.WIDTH - value_width, "change"), (svg.WIDTH, "after it"))
        drawn += [svg.label(x, top - 4, text, "end", quiet=True) for x, text in heads]
        bottom = top + _ROW * len(values) + 4
        for tick in _few(axis):
            drawn.append(svg.line(axis.at(tick), top, axis.at(tick), bottom, faint=True))
            drawn.append(svg.label(axis.at(tick), bottom + 17, self._tick(tick), "middle", quiet=True))
        for place, (step, change) in enumerate(zip(self.steps, self._changes(), strict=True)):
            drawn += self._row(step, change, values, place, axis, top + _ROW * place, left)
        drawn.append(svg.line(axis.at(0.0), top, axis.at(0.0), bottom))
        said = f"points beside {self.steps[0].name}" if self.unit == "points" else ""
        if said:
            drawn.append(svg.label((left + right) / 2, bottom + 36, said, "middle", quiet=True))
        return svg.svg(self.title, bottom + (44 if said else 25), drawn, standalone)

    def _row(
        self, step: Step, change: float | None, values: Sequence[float], place: int, axis: Axis, y: float, left: float
    ) -> list[str]:
        middle = y + _ROW / 2
        is_end = change is None or place == len(values) - 1
        drawn = [svg.label(left - 8, middle + 4.5, step.name, "end", bold=is_end)]
        now = axis.at(values[place])
        if change is None:
            if now != axis.at(0.0):
                drawn.append(_bar(axis.at(0.0), now, y, svg.INK, f"{step.name}: {self._said(step.value)}"))
        else:
            before = axis.at(values[place - 1])
            worse = change > 0 if self.unit == "bytes" else change < 0
            tip = f"{step.name}: {self._signed(change)}, {self._said(step.value)} after it"
            drawn.append(svg.line(before, y - _ROW / 2 + _BAR / 2, before, middle - _BAR / 2, faint=True))
            if change:
                drawn.append(_bar(before, now, y, _LOSS if worse else _GAIN, tip))
            else:
                drawn.append(svg.line(now, middle - _BAR / 2, now, middle + _BAR / 2))
        right = svg.WIDTH - _COLUMNS[self.unit][1]
        said = "" if change is None else self._signed(change)
        drawn.append(svg.label(right, middle + 4.5, said, "end", quiet=not change))
        drawn.append(svg.label(svg.WIDTH, middle + 4.5, self._said(step.value), "end", bold=is_end))
        return drawn

    def _changes(self) -> list[float | None]:
        pairs = itertools.pairwise(self.steps)
        return [None, *(after.value - before.value for before, after in pairs)][: len(self.steps)]

    def _whole(self, value: float | None) -> float | int | None:
        return value if value is None or self.unit == "points" else round(value)

    def _said(self, value: float) -> str:
        return f"{value:.2f}" if self.unit == "points" else format_bytes(round(value))

    def _signed(self, change: float) -> str:
        if not change:
            return "0"
        if self.unit == "points":
            return f"{change:+.2f}".replace("-", "\N{MINUS SIGN}")
        return ("+" if change > 0 else "\N{MINUS SIGN}") + format_bytes(abs(round(change)))

    def _tick(self, tick: float) -> str:
        if self.unit == "bytes":
            return format_bytes(round(tick)).replace(".0 ", " ") if tick else "0"
        return f"+{tick_text(tick)}" if tick > 0 else tick_text(tick).replace("-", "\N{MINUS SIGN}")


def _bar(start: float, end: float, y: float, fill: str, tip: str) -> str:
    width = max(abs(end - start), 1.5)  # a small change is still to be seen
    return svg.box(min(start, end), y + (_ROW - _BAR) / 2, width, _BAR, fill, tip)


def _few(axis: Axis) -> tuple[float, ...]:
    """At most four ticks, the zero among them: the bars have little room."""
    every = -(-len(axis.ticks) // 4)
    zero = axis.ticks.index(0.0) if 0.0 in axis.ticks else 0
    return tuple(tick for place, tick in enumerate(axis.ticks) if (place - zero) % every == 0)
