"""What both kinds of chart are drawn with: colours, marks, legend and the frame of an SVG.

A chart stands on pages (whose style sheet sets the ink by class) and as a file of its own, where nobody knows the
background: the ink is then a grey, and the series' colours are mid-tones, that keep a contrast of at least 3 to 1 on
white and on near-black. Series also differ by mark, for those who do not tell the colours apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from edgexl.report.table import Table

WIDTH = 520  # SVG units; a phone shows it at two thirds, and 14 units of text are still read there
FONT = 14
CHARACTER = 7.4  # a character's usual width at that size; a safe guess, since no fonts are measured here
COLOURS = ("#2f7fd8", "#d9622b", "#1f9e73", "#b05fc4", "#b0851a", "#d6568c", "#5c8a9e", "#8a7a5c")
INK = "#767c85"


def colour(series: int) -> str:
    """The colour of the `series`-th series; they repeat after eight."""
    return COLOURS[series % len(COLOURS)]


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def label(x: float, y: float, text: str, anchor: str = "start", bold: bool = False, turn: bool = False) -> str:
    """A text at (x, y); `turn` writes it upwards."""
    extra = ' font-weight="600"' if bold else ""
    extra += f' transform="rotate(-90 {number(x)} {number(y)})"' if turn else ""
    place = f'x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"'
    return f'<text class="ink" fill="{INK}" {place}{extra}>{escape(text)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, faint: bool = False) -> str:
    """A line of the frame; `faint` ones are the grid."""
    places = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
    return f'<line class="rule" stroke="{INK}" stroke-opacity="{0.25 if faint else 0.8}" {places}/>'


def mark(series: int, x: float, y: float, tip: str = "") -> str:
    """A point's mark: circle, square, triangle or diamond by series; `tip` is shown to a resting pointer."""
    tag, places = "polygon", ""
    if series % 4 == 0:
        tag, places = "circle", f'cx="{number(x)}" cy="{number(y)}" r="3.4"'
    elif series % 4 == 1:
        tag, places = "rect", f'x="{number(x - 3)}" y="{number(y - 3)}" width="6" height="6"'
    else:
        triangle, diamond = ((0, -4), (4, 3), (-4, 3)), ((0, -4.4), (4.4, 0), (0, 4.4), (-4.4, 0))
        corners = triangle if series % 4 == 2 else diamond
        places = f'points="{" ".join(f"{number(x + dx)},{number(y + dy)}" for dx, dy in corners)}"'
    return f'<{tag} {places} fill="{colour(series)}"><title>{escape(tip)}</title></{tag}>'


def legend(names: Sequence[str], top: float) -> tuple[list[str], float]:
    """(the drawn legend, its height): names with their marks, in as many lines as they need. One series needs none."""
    if len(names) < 2:
        return [], 0.0
    drawn: list[str] = []
    x, y = 12.0, top + 12
    for place, name in enumerate(names):
        width = 18 + CHARACTER * len(name) + 16
        if x > 12 and x + width > WIDTH:
            x, y = 12.0, y + 20
        drawn += [mark(place, x + 4, y - 5, name), label(x + 16, y, name)]
        x += width
    return drawn, y - top + 12


def wrap(text: str, width: float) -> list[str]:
    """`text` in lines of at most `width` units where its words allow that."""
    lines: list[str] = []
    for word in text.split():
        if lines and (len(lines[-1]) + 1 + len(word)) * CHARACTER <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines or [""]


def svg(title: str, height: float, drawn: Sequence[str], standalone: bool) -> str:
    """The SVG element. Standalone, it is a file: it names its namespace and size, and carries the title visibly."""
    size = f'width="{WIDTH * 1.4:.0f}" height="{height * 1.4:.0f}"'
    own = f'xmlns="http://www.w3.org/2000/svg" {size} ' if standalone else ""
    body = "\n".join(drawn)
    return (
        f'<svg {own}class="chart" role="img" aria-label="{escape(title)}" viewBox="0 0 {WIDTH} {number(height)}" '
        f'font-family="system-ui, -apple-system, \'Segoe UI\', Roboto, sans-serif" font-size="{FONT}">\n'
        f"<title>{escape(title)}</title>\n{body}\n</svg>\n"
    )


def heading(title: str, standalone: bool) -> tuple[list[str], float]:
    """(the drawn title, its height); on a page the figure's caption says it."""
    if not standalone:
        return [], 4.0
    lines = wrap(title, WIDTH - 24)
    return [label(12, 20 + 19 * row, text, bold=True) for row, text in enumerate(lines)], 12.0 + 19 * len(lines)


class Chart:
    """A chart as a file of its own and as a part of a page; each kind draws itself, and says its numbers."""

    title: str
    note: str

    def draw(self, standalone: bool) -> str:
        """The SVG element, as `svg` makes it."""
        raise NotImplementedError

    def table(self) -> Table:
        """The numbers."""
        raise NotImplementedError

    def svg(self) -> str:
        """The chart as an SVG file of its own, readable on white and on dark."""
        return self.draw(standalone=True)

    def html(self) -> str:
        """A figure of a page: caption, drawing, a sentence on how to read it, and its numbers folded away below."""
        said = f"<p>{escape(self.note)}</p>\n" if self.note else ""
        return (
            f"<figure><figcaption>{escape(self.title)}</figcaption>\n{self.draw(standalone=False)}{said}"
            f"<details><summary>The numbers</summary>\n{self.table().html()}</details></figure>"
        )
