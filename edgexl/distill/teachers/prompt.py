"""What a language model is queried with, and how its answer becomes a trace.

It is told to write labels down as they come to its mind, a line each, and below the line "Final:" those that it
settles on: the two phases, in the order in which reasoning models go through them. Names are mapped onto the label set
by their exact text, case and white space aside; what maps onto nothing is kept aside.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgexl.data.label_set import LabelSet

Messages = list[dict[str, str]]

# A label set up to this size is shown whole; of a larger one, so many labels to show how they are written.
SHOWN_WHOLE, SHOWN_AS_EXAMPLES = 300, 20
_TASK = """You choose the labels that fit a text, out of a fixed set of labels. First write down up to {shortlist} \
labels that might fit, as they come to your mind, one a line after a dash. Then write the line "Final:" and below it, \
in the same way, only the labels that do fit, the best first. Write each label exactly as the set has it, and nothing \
else in its line."""
# One answered example: small models follow a form that they have seen, and large ones lose nothing by it.
_EXAMPLE = ("Labels:\n- kitten\n- tractor\n- puppy\n- dog\n\nText: a young dog", "- dog\n- puppy\n\nFinal:\n- puppy")
_SETTLE = 'Now write the line "Final:" and below it only those of your labels that do fit the text, the best first.'
# "Final:", "**Final labels**", "## Final answer: this"; not "- final", which is an item
_FINAL = re.compile(r"(?:#+\s*|\*\*|__)?final(?:\s+(?:answer|labels?|choices?))?\s*(?:\*\*|__)?\s*(?::(.*))?$", re.I)
_ITEM = re.compile(r"\s*(?:[-*•]|\d{1,3}[.)])\s+(.+)")
_DECORATION = " \t\"'`*_.,;\u201c\u201d\u2018\u2019"  # the last four are curly quotes
# "label - because" (with any dash), "label: because", "label (because)"
_AFTERTHOUGHT = re.compile("\\s+[-\u2013\u2014]\\s+|:\\s+|\\s+\\(")


@dataclass(frozen=True)
class Answer:
    """Label numbers in the order in which they came up, the final ones, and the names that are no labels."""

    shortlist: tuple[int, ...]
    labels: tuple[int, ...]
    unmatched: tuple[str, ...]


class Questionnaire:
    """Makes prompts over a label set, and reads answers to them. `shortlist`: how many labels are asked for at most."""

    def __init__(self, labels: LabelSet, shortlist: int = 20) -> None:
        self._labels = labels
        self._task = _TASK.format(shortlist=shortlist)
        self._exact = {text: number for number, text in reversed(list(enumerate(labels.texts)))}
        self._folded: dict[str, int] = {}
        for number, text in enumerate(labels.texts):
            self._folded.setdefault(_fold(text), number)
        for number, aliases in enumerate(labels.aliases):
            for alias in aliases:
                self._folded.setdefault(_fold(alias), number)

    def messages(self, text: str, candidates: Sequence[int] | None = None) -> Messages:
        """The conversation that asks for labels of `text`, showing the label numbers `candidates` where given."""
        question, answer = _EXAMPLE
        return [
            {"role": "system", "content": self._task},
            {"role": "user", "content": question},
            {"role": "assistant", "content": answer},
            {"role": "user", "content": f"{self._choice(candidates)}\n\nText: {text}"},
        ]

    def messages_to_settle(self, messages: Messages, content: str, reasoning: str | None) -> Messages | None:
        """The conversation that asks for the final ones among the labels listed; None where that is not needed."""
        answer = self.read(content, reasoning)
        if answer.labels or not answer.shortlist:
            return None
        listed = "\n".join(f"- {self._labels.texts[number]}" for number in answer.shortlist)
        return [*messages, {"role": "assistant", "content": listed}, {"role": "user", "content": _SETTLE}]

    def _choice(self, candidates: Sequence[int] | None) -> str:
        texts = self._labels.texts
        if candidates is not None:
            return _list("Labels:", (texts[number] for number in candidates))
        if len(texts) <= SHOWN_WHOLE:
            return _list("Labels:", texts)
        some = texts[:: len(texts) // SHOWN_AS_EXAMPLES][:SHOWN_AS_EXAMPLES]
        return _list(f"The set has {len(texts):,} labels, too many to show. Some, to show how they are written:", some)

    def read(self, content: str, reasoning: str | None = None) -> Answer:
        """Find the labels in an answer; `reasoning` is what the model wrote before it, where that comes apart."""
        lines = content.splitlines()
        ends = [place for place, line in enumerate(lines) if _FINAL.match(line.strip())]
        cut = ends[-1] if ends else len(lines)
        listed = [*(reasoning or "").splitlines(), *lines[:cut]]
        settled: list[str] = []
        if ends:
            inline = (_FINAL.match(lines[cut].strip()) or [""])[1] or ""
            settled = [*self._inline_items(inline), *lines[cut + 1 :]]
        unmatched: dict[str, None] = {}
        final = list(dict.fromkeys(self._numbers(settled, unmatched)))
        shortlist = dict.fromkeys([*self._numbers(listed, unmatched), *final])
        return Answer(tuple(shortlist), tuple(final), tuple(unmatched))

    def _inline_items(self, inline: str) -> list[str]:
        """What stands behind "Final:" on its own line: a label, or several with commas between."""
        name = inline.strip(_DECORATION)
        if not name:
            return []
        names = [name] if self._number(name) is not None else inline.split(",")
        return [f"- {part}" for part in names if part.strip(_DECORATION)]

    def _numbers(self, lines: Iterable[str], unmatched: dict[str, None]) -> Iterator[int]:
        """The labels that lines name. An item that names none goes to `unmatched`; any other line is prose."""
        for line in lines:
            item = _ITEM.match(line)
            name = (item[1] if item else line).strip(_DECORATION)
            number = self._number(name)
            if number is None and item:
                number = self._number(_AFTERTHOUGHT.split(name)[0].strip(_DECORATION))
            if number is not None:
                yield number
            elif item and name:
                unmatched[name] = None

    def _number(self, name: str) -> int | None:
        return self._exact.get(name, self._folded.get(_fold(name)))


def _fold(name: str) -> str:
    return " ".join(name.casefold().split())


def _list(title: str, texts: Iterable[str]) -> str:
    return "\n".join([title, *(f"- {text}" for text in texts)])
