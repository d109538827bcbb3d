"""What an object says of itself: a line in a terminal, and small tables in a notebook.

A class that is `Shown` gives a `Summary`; `repr` and `_repr_html_` come of it. The HTML loads nothing, and has the ink
and the paper of the notebook that it stands in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from edgexl.base.errors import shorten
from edgexl.report.table import Cell, Table, format_cell

# Longer texts are no use in a table of a notebook.
_LONGEST = 300
_STYLE = (
    ".edgexl table{border-collapse:collapse;margin:.3em 0;color:inherit;background:none;"
    "font-variant-numeric:tabular-nums}"
    ".edgexl caption{text-align:left;font-weight:600;color:inherit;padding:.2em 0;white-space:nowrap}"
    ".edgexl :is(th,td){text-align:left;vertical-align:top;padding:.15em 1em .15em 0;color:inherit;"
    "border:0;border-bottom:1px solid rgba(128,128,128,.4);max-width:40em;overflow-wrap:anywhere}"
    ".edgexl .number{text-align:right;white-space:nowrap}.edgexl .wide{overflow-x:auto}"
    ".edgexl summary{cursor:pointer}"
)


@dataclass(frozen=True)
class Summary:
    """`line` is for a terminal. A notebook has `facts`, names with their values, then `tables`; `folded` ones open at a
    click."""

    line: str
    facts: Mapping[str, Cell] = field(default_factory=dict)
    tables: Sequence[Table] = ()
    folded: Sequence[Table] = ()

    def html(self, title: str) -> str:
        """The tables under a title, everything in them escaped."""
        parts = []
        if self.facts:
            rows = "".join(
                f'<tr><th scope="row">{escape(name)}</th><td>{escape(format_cell(_short(value)))}</td></tr>\n'
                for name, value in self.facts.items()
            )
            parts.append(f'<div class="wide" tabindex="0"><table><tbody>{rows}</tbody></table></div>')
        parts += [table.html() for table in map(_shorten, self.tables)]
        for table in map(_shorten, self.folded):
            bare = Table("", table.columns, table.rows)
            parts.append(f"<details><summary>{escape(table.caption)}</summary>{bare.html()}</details>")
        body = "\n".join(parts)
        return f'<div class="edgexl"><style>{_STYLE}</style>\n<div><b>{escape(title)}</b></div>\n{body}\n</div>'


class Shown:
    """An object that prints well."""

    def _summary(self) -> Summary:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._summary().line})"

    def _repr_html_(self) -> str:
        """For notebooks."""
        return self._summary().html(type(self).__name__)


def quote(text: str, most: int = 40) -> str:
    """A text within a line: its blanks single, its end left off where it is long."""
    return repr(shorten(" ".join(text.split()), most))


def say_count(number: int, name: str) -> str:
    """So many of something: "1 label", "2 aliases"."""
    plural = name if number == 1 else f"{name}es" if name.endswith("s") else f"{name}s"
    return f"{number:,} {plural}"


def _shorten(table: Table) -> Table:
    rows = [[_short(cell) for cell in row] for row in table.rows]
    return Table(table.caption, table.columns, rows)


def _short(cell: Cell) -> Cell:
    return shorten(cell, _LONGEST) if isinstance(cell, str) else cell
