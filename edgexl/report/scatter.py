"""Scatter plots of what is possible: what each point costs against how good it is, the front of those that no other
beats in both, and the one that was taken."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from edgexl.report import svg
from edgexl.report.axis import Axis, Scale, axis_over
from edgexl.report.frame import BELOW, RIGHT, draw_frame, left_of, say_nothing, y_axis_over
from edgexl.report.table import Table, format_cell

_HEIGHT = 250.0
_FRONT, _TAKEN = svg.colour(0), svg.colour(1)


@dataclass(frozen=True)
class Point:
    """A named point: what it costs (`x`, the less the better), how good it is (`y`, the more the better)."""

    name: str
    x: float
    y: float


def find_front(points: Sequence[Point]) -> list[Point]:
    """The points that no other beats: none costs as little and is better, or is as good and costs less. By cost."""
    front: list[Point] = []
    for point in sorted(points, key=lambda each: (each.x, -each.y)):
        if not front or point.y > front[-1].y:
            front.append(point)
    return front


@dataclass(frozen=True)
class Scatter(svg.Chart):
    """`points`, their front as a line with names, and the one called `taken`. `most`: the highest cost that was
    allowed."""

    title: str
    x_label: str
    y_label: str
    points: Sequence[Point]
    taken: str | None = None
    most: float | None = None
    x_scale: Scale = "linear"
    note: str = ""

    def table(self) -> Table:
        """The numbers: a row a point, the front first."""
        front = find_front(self.points)
        rest = sorted((point for point in self.points if point not in front), key=lambda each: each.x)
        rows = [(point.name, point.x, point.y, self._role(point, front)) for point in [*front, *rest]]
        return Table("", ("point", self.x_label, self.y_label, ""), rows)

    def _role(self, point: Point, front: Sequence[Point]) -> str:
        if point.name == self.taken:
            return "taken"
        return "on the front" if point in front else ""

    def draw(self, standalone: bool) -> str:
        drawn, top = svg.heading(self.title, standalone)
        front = find_front(self.points)
        others = bool(len(self.points) - len(front))
        names, height = _legend(bool(front), others, any(point.name == self.taken for point in self.points), top)
        drawn += names
        costs = [*(point.x for point in self.points), *(() if self.most is None else (self.most,))]
        y_axis = y_axis_over((point.y for point in self.points), top + height, _HEIGHT)
        x_axis = axis_over(costs, left_of(y_axis), RIGHT, self.x_scale)
        drawn += draw_frame(x_axis, y_axis, self.x_label, self.y_label)
        if not self.points:
            drawn.append(say_nothing(x_axis, y_axis))
        if self.most is not None:
            drawn += _limit(x_axis.at(self.most), y_axis)
        corners = _stairs(front)
        if len(corners) > 1:
            places = " ".join(f"{svg.number(x_axis.at(x))},{svg.number(y_axis.at(y))}" for x, y in corners)
            drawn.append(f'<polyline points="{places}" fill="none" stroke="{_FRONT}" stroke-width="1.5"/>')
        taken = [(x_axis.at(point.x), y_axis.at(point.y)) for point in self.points]
        room = _Room(taken, x_axis, y_axis)
        for point, (x, y) in zip(self.points, taken, strict=True):
            if point not in front and point.name != self.taken:
                drawn.append(_dot(x, y, 3, "none", self._tip(point)))
        # the names that matter most get the room: the point taken, then the front from its ends inwards
        named = sorted(front, key=lambda each: min(front.index(each), len(front) - 1 - front.index(each)))
        chosen = [point for point in self.points if point.name == self.taken]
        for point in front:
            if point.name != self.taken:
                drawn.append(_dot(x_axis.at(point.x), y_axis.at(point.y), 4, _FRONT, self._tip(point)))
        for point in chosen:
            drawn.append(_diamond(x_axis.at(point.x), y_axis.at(point.y), self._tip(point)))
        for point in dict.fromkeys([*chosen, *named]):
            drawn += room.place(x_axis.at(point.x), y_axis.at(point.y), point.name, point.name == self.taken)
        return svg.svg(self.title, y_axis.start + BELOW, drawn, standalone)

    def _tip(self, point: Point) -> str:
        return f"{point.name}: {format_cell(float(point.y))} at {format_cell(float(point.x))}"


class _Room:
    """Where names may stand: on no point and on no other name."""

    def __init__(self, points: Sequence[tuple[float, float]], x_axis: Axis, y_axis: Axis) -> None:
        self._left, self._top, self._bottom = x_axis.start, y_axis.end, y_axis.start
        self._taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in points]

    def place(self, x: float, y: float, name: str, bold: bool) -> list[str]:
        """The name beside its point, where there is room; the table has them all."""
        width = svg.measure(name, bold)
        for left, base, anchor, at in self._tried(x, y, width):
            spot = (left, base - 11, left + width, base + 3)
            inside = self._left < left and left + width < svg.WIDTH and self._top < base - 8 and base < self._bottom - 3
            if inside and not any(_overlap(spot, other) for other in self._taken):
                self._taken.append(spot)
                return [svg.label(at, base, name, anchor, bold=bold)]
        return []

    def _tried(self, x: float, y: float, width: float) -> Iterator[tuple[float, float, str, float]]:
        """(left end, base line, anchor, x of the anchor): below right first, where nothing better can be."""
        for base in (y + 16, y + 4.5, y - 8, y + 30, y - 22):
            yield x + 8, base, "start", x + 8
            yield x - 8 - width, base, "end", x - 8
            yield x - width / 2, base, "middle", x


def _limit(at: float, y_axis: Axis) -> list[str]:
    line = (
        f'<line class="rule" stroke="{svg.INK}" stroke-dasharray="4 4" x1="{svg.number(at)}" '
        f'y1="{svg.number(y_axis.end)}" x2="{svg.number(at)}" y2="{svg.number(y_axis.start)}"/>'
    )
    return [line, svg.label(at - 5, y_axis.start - 7, "limit", "end", quiet=True)]


def _overlap(one: tuple[float, float, float, float], other: tuple[float, float, float, float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _stairs(front: Sequence[Point]) -> list[tuple[float, float]]:
    """The front as a line: a cost buys what the best point below it reaches."""
    corners: list[tuple[float, float]] = []
    for point in front:
        if corners:
            corners.append((point.x, corners[-1][1]))
        corners.append((point.x, point.y))
    return corners


def _dot(x: float, y: float, radius: float, fill: str, tip: str) -> str:
    stroke = f' class="rule" stroke="{svg.INK}"' if fill == "none" else ""
    place = f'cx="{svg.number(x)}" cy="{svg.number(y)}" r="{svg.number(radius)}"'
    return f'<circle {place} fill="{fill}"{stroke}><title>{escape(tip)}</title></circle>'


def _diamond(x: float, y: float, tip: str = "") -> str:
    corners = " ".join(f"{svg.number(x + dx)},{svg.number(y + dy)}" for dx, dy in ((0, -7), (7, 0), (0, 7), (-7, 0)))
    return f'<polygon points="{corners}" fill="{_TAKEN}"><title>{escape(tip)}</title></polygon>'


def _legend(front: bool, others: bool, taken: bool, top: float) -> tuple[list[str], float]:
    drawn, x = [], 2.0
    y = top + 12
    shown = (
        ("taken", taken, _diamond(0, 0)), ("the front", front, _dot(0, 0, 4, _FRONT, "")),
        ("others measured", others, _dot(0, 0, 3, "none", "")),
    )  # fmt: skip
    for name, there, drawing in shown:
        if there:
            drawn.append(f'<g transform="translate({svg.number(x + 7)} {svg.number(y - 5)})">{drawing}</g>')
            drawn.append(svg.label(x + 18, y, name))
            x += 18 + svg.measure(name) + 16
    return drawn, 22.0 if drawn else 0.0
