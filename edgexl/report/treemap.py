"""Treemaps: parts of a whole as areas, those of a kind in one colour, largest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edgexl.report import svg
from edgexl.report.table import Percent, Table, format_bytes

_HEIGHT = 270.0
_GAP = 1.5
Area = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True)
class Piece:
    """A part: its name, the `kind` that gives it its colour, and its size in bytes."""

    name: str
    kind: str
    bytes: int


@dataclass(frozen=True)
class Treemap(svg.Chart):
    """`pieces` of a file as areas; small ones have no name in the drawing, and all are in the table."""

    title: str
    pieces: Sequence[Piece]
    note: str = ""

    def table(self) -> Table:
        """The numbers: a row a piece, largest first."""
        whole = sum(piece.bytes for piece in self.pieces)
        ordered = sorted(self.pieces, key=lambda piece: -piece.bytes)
        rows = [(piece.name, piece.kind, piece.bytes, Percent(piece.bytes / whole)) for piece in ordered]
        return Table("", ("part", "kind", "bytes", "share"), rows)

    def draw(self, standalone: bool) -> str:
        drawn, top = svg.heading(self.title, standalone)
        ordered = sorted((piece for piece in self.pieces if piece.bytes > 0), key=lambda piece: -piece.bytes)
        if not ordered:
            return svg.say_nothing(self.title, drawn, top, standalone)
        kinds = list(dict.fromkeys(piece.kind for piece in ordered))
        names, height = svg.legend(kinds, top, boxes=True)
        drawn += names
        top += height
        sizes = [float(piece.bytes) for piece in ordered]
        for piece, area in zip(ordered, _squarify(sizes, (0.0, top, float(svg.WIDTH), _HEIGHT)), strict=True):
            drawn += _tile(piece, area, kinds.index(piece.kind))
        return svg.svg(self.title, top + _HEIGHT, drawn, standalone)


def _tile(piece: Piece, area: Area, kind: int) -> list[str]:
    x, y, width, height = area
    tip = f"{piece.name} ({piece.kind}): {format_bytes(piece.bytes)}"
    # ink on a tint is read in light and in dark; the edge keeps the full colour
    places = f'x="{svg.number(x + _GAP / 2)}" y="{svg.number(y + _GAP / 2)}"'
    size = f'width="{svg.number(max(width - _GAP, 0.4))}" height="{svg.number(max(height - _GAP, 0.4))}"'
    fill = svg.colour(kind)
    drawn = [
        f'<rect {places} {size} rx="2" fill="{fill}" fill-opacity="0.22" stroke="{fill}"><title>{escape(tip)}'
        "</title></rect>"
    ]
    lines = [*svg.wrap(piece.name, width - 20), format_bytes(piece.bytes)]
    for shown in (lines, lines[:-1]):
        wide = max(svg.measure(line, bold=True) for line in shown)
        if wide <= width - 10 and 16 * len(shown) + 6 <= height:
            ends = len(shown) - (1 if shown is lines else 0)
            return drawn + [
                svg.label(x + 7, y + 17 + 16 * row, line, bold=row < ends) for row, line in enumerate(shown)
            ]
    return drawn


def _squarify(sizes: Sequence[float], area: Area) -> list[Area]:
    """An area for each of the `sizes`, largest first, as square as they get (Bruls, Huizing and van Wijk, 2000)."""
    x, y, width, height = area
    whole, found, begin = sum(sizes), list[Area](), 0
    while begin < len(sizes):
        scale = width * height / whole
        short = min(width, height)
        end = begin + 1
        while end < len(sizes) and _worst(sizes[begin : end + 1], scale, short) <= _worst(
            sizes[begin:end], scale, short
        ):
            end += 1
        row = sizes[begin:end]
        deep = sum(row) * scale / short
        along = 0.0
        for size in row:
            long = size * scale / deep
            found.append((x, y + along, deep, long) if width >= height else (x + along, y, long, deep))
            along += long
        if width >= height:
            x, width = x + deep, width - deep
        else:
            y, height = y + deep, height - deep
        whole, begin = whole - sum(row), end
    return found


def _worst(row: Sequence[float], scale: float, short: float) -> float:
    """The most that a side of the row's areas is longer than the other."""
    deep = sum(row) * scale / short
    return max(max(deep * deep / (size * scale), size * scale / (deep * deep)) for size in row)
