"""A table of a page: text cells to the left, numbers to the right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_LONG = 40  # characters of a text that wants room to be read in
Cell = str | int | float | None


class Percent(float):
    """A share from 0 to 1, which a table shows in percent."""


def format_bytes(count: int) -> str:
    """A size as people read it: 812 bytes, 35.4 kB, 60.1 MB."""
    for unit, name in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= unit:
            return f"{count / unit:.1f} {name}"
    return f"{count} bytes"


def format_cell(value: Cell) -> str:
    """A cell as people read it: four significant digits, thousands apart, a dash for what was not measured."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Percent):
        return f"{100 * value:.1f}%"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else value


@dataclass(frozen=True)
class Table:
    """`rows` of as many cells as there are `columns`; None is shown as a dash. `caption` may be empty."""

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]

    def __post_init__(self) -> None:
        wrong = [row for row in self.rows if len(row) != len(self.columns)]
        if wrong:
            raise ValueError(f"a row of '{self.caption}' has {len(wrong[0])} cells for {len(self.columns)} columns")

    def html(self) -> str:
        """The table, in a box that scrolls sideways where the page is narrow."""
        caption = f"<caption>{escape(self.caption)}</caption>" if self.caption else ""
        head = "".join(self._head(place) for place in range(len(self.columns)))
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>\n" for row in self.rows)
        box = f'<div class="wide" tabindex="0" role="group" aria-label="{escape(self.caption or "Table")}">'
        named = f"<thead><tr>{head}</tr></thead>\n" if any(self.columns) else ""
        return f"{box}<table>{caption}{named}<tbody>{body}</tbody></table></div>"

    def _head(self, place: int) -> str:
        texts = any(isinstance(row[place], str) for row in self.rows)
        column = self.columns[place]
        kind = "" if texts or not self.rows else ' class="number"'
        return f'<th scope="col"{kind}>{escape(column)}</th>' if column else f"<td{kind}></td>"


def _cell(value: Cell) -> str:
    kind = ' class="number"'
    if isinstance(value, str):
        kind = ' class="long"' if len(value) > _LONG else ""
    return f"<td{kind}>{escape(format_cell(value))}</td>"
