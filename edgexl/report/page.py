"""The page: sections of paragraphs, tables and charts in one HTML file that needs nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Protocol

# Readers' colours, a measure that a phone can show, and charts in the page's ink (see `edgexl.report.svg`).
_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1d2126; --quiet: #5b636d; --rule: #d5dae0; --box: #f5f7f9; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171b; --ink: #e6e9ed; --quiet: #a3abb5; --rule: #363c44; --box: #1c2026; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 1rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.25rem; margin-top: 2.5rem; }
nav ul { padding-left: 1.2rem; } a { color: inherit; }
figure { margin: 1.5rem 0; } figcaption { font-weight: 600; margin-bottom: .4rem; }
figure p { color: var(--quiet); margin: .2rem 0 .4rem; }
.chart { display: block; width: 100%; height: auto; }
.chart .ink { fill: var(--ink); } .chart .rule { stroke: var(--ink); }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .4rem; }
th, td { text-align: left; padding: .3rem .7rem .3rem 0; border-bottom: 1px solid var(--rule); overflow-wrap: normal;
  vertical-align: top; } td.number { text-align: right; white-space: nowrap; }
summary { cursor: pointer; color: var(--quiet); }
details { background: var(--box); border-radius: .4rem; padding: .4rem .7rem; }
@media print { details { display: none; } }
"""


class Part(Protocol):
    """Anything with HTML of its own: `Paragraph`, `Table`, `LineChart`, `BarChart`."""

    def html(self) -> str:
        """The part's HTML."""
        ...


@dataclass(frozen=True)
class Paragraph:
    """Plain text; it is escaped."""

    text: str

    def html(self) -> str:
        """The paragraph."""
        return f"<p>{escape(self.text)}</p>"


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it, in order."""

    title: str
    parts: Sequence[Part]


def page(title: str, sections: Sequence[Section]) -> str:
    """The whole HTML page. It loads and runs nothing, and tells the browser so; the same input, the same text."""
    contents = "".join(
        f'<li><a href="#part-{place}">{escape(each.title)}</a></li>' for place, each in enumerate(sections, 1)
    )
    body = "\n".join(_section(place, each) for place, each in enumerate(sections, 1))
    navigation = f'<nav aria-label="Contents"><ul>{contents}</ul></nav>\n' if len(sections) > 2 else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{navigation}{body}\n</main>\n</body>\n</html>\n"
    )


def _section(place: int, section: Section) -> str:
    parts = "\n".join(part.html() for part in section.parts)
    head = f'<h2 id="head-{place}">{escape(section.title)}</h2>'
    return f'<section id="part-{place}" aria-labelledby="head-{place}">\n{head}\n{parts}\n</section>'
