"""What all kinds of charts are drawn with: colours, marks, legend and the frame of an SVG.

The drawing is our own: plotting libraries either bring megabytes of script into every page, which a phone has to load
and a content security policy to allow, or, as SVG without script, neither names for screen readers nor a dark form.

A chart stands on pages (whose style sheet sets the ink by class) and as a file of its own, where nobody knows the
background: the ink is then a grey, and the series' colours are mid-tones, that keep a contrast of at least 3 to 1 on
white and on near-black. Series also differ by mark, for those who do not tell the colours apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from html import escape

from edgexl.report.table import Table

WIDTH = 440  # SVG units; a phone shows it at four fifths, and 13 units of text are still read there
FONT = 13
# How wide characters are, in units of the font's size: those of DejaVu Sans, the widest of the fonts that pages name,
# for it depends on the reader's system which one is taken.
_NARROW, _HALF, _WIDE, _WIDEST = "iljI|.,:;'!", ' tfr()[]-/\\"', "mwMWQO&+<>=\N{MINUS SIGN}", "@%\N{EM DASH}"
_BOLDER = 1.12
COLOURS = ("#2f7fd8", "#d9622b", "#1f9e73", "#b05fc4", "#b0851a", "#d6568c", "#5c8a9e", "#8a7a5c")
INK = "#767c85"


def colour(series: int) -> str:
    """The colour of the `series`-th series; they repeat after eight."""
    return COLOURS[series % len(COLOURS)]


def number(value: float) -> str:
    """A coordinate, short."""
    return f"{value:.1f}".rstrip("0").rstrip(".")


def measure(text: str, bold: bool = False) -> float:
    """How wide a text is at most, in SVG units."""
    widths = ((_NARROW, 0.34), (_HALF, 0.42), (_WIDE, 0.97), (_WIDEST, 1.03))
    known = {character: width for characters, width in widths for character in characters}
    usual = sum(known.get(character, 0.78 if character.isupper() else 0.64) for character in text)
    return FONT * usual * (_BOLDER if bold else 1.0)


def widest(lines: Iterable[str]) -> float:
    """The width of the widest of some texts; 0 without any."""
    return max(map(measure, lines), default=0.0)


def label(
    x: float, y: float, text: str, anchor: str = "start", bold: bool = False, turn: bool = False, quiet: bool = False
) -> str:
    """A text at (x, y); `turn` writes it upwards, a `quiet` one steps back, as the ticks of an axis do."""
    kind = "quiet" if quiet else "ink"
    extra = ' font-weight="600"' if bold else ""
    extra += f' transform="rotate(-90 {number(x)} {number(y)})"' if turn else ""
    place = f'x="{number(x)}" y="{number(y)}" text-anchor="{anchor}"'
    return f'<text class="{kind}" fill="{INK}" {place}{extra}>{escape(text)}</text>'


def line(x1: float, y1: float, x2: float, y2: float, faint: bool = False) -> str:
    """A line of the frame; `faint` ones are the grid."""
    places = f'x1="{number(x1)}" y1="{number(y1)}" x2="{number(x2)}" y2="{number(y2)}"'
    kind, opacity = ("grid", 0.25) if faint else ("rule", 0.8)
    return f'<line class="{kind}" stroke="{INK}" stroke-opacity="{opacity}" {places}/>'


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


def box(x: float, y: float, width: float, height: float, fill: str, tip: str = "", radius: float = 2) -> str:
    """A filled rectangle; `tip` is shown to a resting pointer."""
    places = f'x="{number(x)}" y="{number(y)}" width="{number(max(width, 0))}" height="{number(height)}"'
    told = f"<title>{escape(tip)}</title>" if tip else ""
    return f'<rect {places} rx="{number(radius)}" fill="{fill}">{told}</rect>'


def legend(names: Sequence[str], top: float, boxes: bool = False) -> tuple[list[str], float]:
    """(the drawn legend, its height): names with their marks, or `boxes` of their colours, in as many lines as they
    need. One series needs none."""
    if len(names) < 2:
        return [], 0.0
    drawn: list[str] = []
    x, y = 2.0, top + 12
    for place, name in enumerate(names):
        width = 16 + measure(name) + 14
        if x > 2 and x + width > WIDTH:
            x, y = 2.0, y + 19
        shown = box(x, y - 9, 9, 9, colour(place)) if boxes else mark(place, x + 5, y - 5, name)
        drawn += [shown, label(x + 15, y, name)]
        x += width
    return drawn, y - top + 10


def wrap(text: str, width: float) -> list[str]:
    """`text` in lines of at most `width` units, broken between words, and in longer words after a hyphen, a full stop
    or an underscore."""
    lines: list[str] = []
    for word in text.split():
        pieces = [word] if measure(word) <= width else re.findall(r"[^-_.]*[-_.]|[^-_.]+$", word)
        for place, piece in enumerate(pieces):
            joined = f"{lines[-1]}{'' if place else ' '}{piece}" if lines else ""
            if joined and measure(joined) <= width:
                lines[-1] = joined
            else:
                lines.append(piece)
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


def say_nothing(title: str, drawn: Sequence[str], top: float, standalone: bool) -> str:
    """The SVG element of a chart that has nothing to show."""
    return svg(title, top + 30, [*drawn, label(2, top + 18, "nothing was measured", quiet=True)], standalone)


def heading(title: str, standalone: bool) -> tuple[list[str], float]:
    """(the drawn title, its height); on a page the figure's caption says it."""
    if not standalone:
        return [], 4.0
    lines = wrap(title, WIDTH - 24)
    return [label(12, 20 + 19 * row, text, bold=True) for row, text in enumerate(lines)], 12.0 + 19 * len(lines)


class Chart:
    """A chart as a file of its own and as a part of a page; each kind draws itself, and says its numbers.

    `note` says how to read it."""

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
            f"<figure><figcaption>{escape(self.title)}</figcaption>\n{said}{self.draw(standalone=False)}"
            f"<details><summary>The numbers</summary>\n{self.table().html()}</details></figure>"
        )
