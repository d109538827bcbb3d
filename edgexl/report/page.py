"""The page: a band, a title with its key figures, and sections of parts, in one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from pathlib import Path
from typing import Protocol

from edgexl import __version__

# The playground's icon (edgexl/serve/page/icon.svg); beside the name it says nothing of its own.
_ICON = (
    '<svg aria-hidden="true" viewBox="0 0 32 32" width="20" height="20"><rect width="32" height="32" rx="7" '
    'fill="#1f6f5c"/><path d="M7 10h18M7 16h11M7 22h5" stroke="#fff" stroke-width="3" stroke-linecap="round"/></svg>'
)
# Fewer sections are seen at a glance.
_LISTED = 3


class Part(Protocol):
    """Anything with HTML of its own: a `Paragraph`, a `Table`, a chart."""

    def html(self) -> str:
        """The part's HTML."""
        ...


@dataclass(frozen=True)
class Paragraph:
    """Plain text; it is escaped. A `notice` is set off, for what a reader must know before the figures."""

    text: str
    notice: bool = False

    def html(self) -> str:
        """The paragraph."""
        kind = ' class="notice"' if self.notice else ""
        return f"<p{kind}>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Code:
    """Commands, as they are typed."""

    text: str

    def html(self) -> str:
        """The lines, in a box that scrolls sideways where the page is narrow."""
        return f'<pre tabindex="0" role="group" aria-label="Command"><code>{escape(self.text)}</code></pre>'


@dataclass(frozen=True)
class Folded:
    """A part that few readers want: it opens at a click or a key."""

    title: str
    part: Part

    def html(self) -> str:
        """The title, and the part under it."""
        return f'<details class="folded"><summary>{escape(self.title)}</summary>{self.part.html()}</details>'


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in order."""

    title: str
    parts: Sequence[Part]


@dataclass(frozen=True)
class Tile:
    """A key figure at the head of a page: its name, the figure as people read it, and what else belongs to it."""

    name: str
    value: str
    note: str = ""

    def html(self) -> str:
        """A group of a description list."""
        note = f'<dd class="note">{escape(self.note)}</dd>' if self.note else ""
        return f"<div><dt>{escape(self.name)}</dt><dd>{escape(self.value)}</dd>{note}</div>"


def page(title: str, sections: Sequence[Section], kind: str = "", lead: str = "", tiles: Sequence[Tile] = ()) -> str:
    """The whole HTML page. `kind` is what all such pages are ("compile"), `lead` a sentence under the title.

    It loads and runs nothing, and tells the browser so; the same input gives the same text."""
    body = "\n".join(_section(place, each) for place, each in enumerate(sections, 1))
    listed = len(sections) >= _LISTED
    frame, contents = ("frame with-contents", _contents(sections)) if listed else ("frame", "")
    told = f"<span>{escape(kind)}</span>" if kind else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_style()}</style>\n</head>\n<body>\n"
        '<a class="skip" href="#content">Go to the content</a>\n'
        f'<header class="band">{_ICON}<b>edgexl</b>{told}</header>\n'
        f'<div class="{frame}">\n{contents}'
        f'<main id="content">\n{_head(title, lead, tiles)}\n{body}\n</main>\n'
        f"<footer>Made by edgexl {escape(__version__)}. This page loads nothing and runs nothing.</footer>\n"
        "</div>\n</body>\n</html>\n"
    )


@cache
def _style() -> str:
    folder = Path(__file__).parent
    return "".join((folder / name).read_text(encoding="utf-8") for name in ("tokens.css", "page.css"))


def _contents(sections: Sequence[Section]) -> str:
    items = "".join(
        f'<li><a href="#part-{place}">{escape(each.title)}</a></li>' for place, each in enumerate(sections, 1)
    )
    return f'<nav aria-labelledby="contents"><h2 id="contents">On this page</h2><ol>{items}</ol></nav>\n'


def _head(title: str, lead: str, tiles: Sequence[Tile]) -> str:
    told = f"<h1>{escape(title)}</h1>"
    told += f'\n<p class="lead">{escape(lead)}</p>' if lead else ""
    return told + (f'\n<dl class="tiles">{"".join(tile.html() for tile in tiles)}</dl>' if tiles else "")


def _section(place: int, section: Section) -> str:
    parts = "\n".join(part.html() for part in section.parts)
    head = f'<h2 id="head-{place}">{escape(section.title)}</h2>'
    return (
        f'<section id="part-{place}" aria-labelledby="head-{place}">\n{head}\n<div class="parts">\n{parts}\n</div>\n'
        "</section>"
    )
