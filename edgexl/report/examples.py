"""Examples: a few texts with what was answered to each, as cards that stand side by side where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from edgexl.base.errors import shorten

_TEXT, _ANSWER = 240, 80


@dataclass(frozen=True)
class Answer:
    """A line of an example: a text, what is said beside it, and whether it is a gold one."""

    text: str
    said: str = ""
    gold: bool = False

    def html(self) -> str:
        """A list item; a gold answer is told by more than its colour."""
        mark = "\N{CHECK MARK} " if self.gold else ""
        kind = ' class="gold"' if self.gold else ""
        return (
            f"<li{kind}><span>{mark}{escape(shorten(self.text, _ANSWER))}</span><span>{escape(self.said)}</span></li>"
        )


@dataclass(frozen=True)
class Example:
    """A text, sentences on what became of it, and its answers in order."""

    text: str
    said: Sequence[str]
    answers: Sequence[Answer]

    def html(self) -> str:
        """A card."""
        said = "".join(f"<p>{escape(sentence)}</p>" for sentence in self.said)
        answers = f"<ol>{''.join(answer.html() for answer in self.answers)}</ol>" if self.answers else ""
        return f"<li><h3>{escape(shorten(self.text, _TEXT))}</h3>{said}{answers}</li>"


@dataclass(frozen=True)
class Examples:
    """Cards, in order."""

    items: Sequence[Example]

    def html(self) -> str:
        """A list of them."""
        return f'<ul class="examples">{"".join(item.html() for item in self.items)}</ul>'
