"""What the API's requests hold: a dataclass each, from which bodies are checked and the OpenAPI document is written."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, get_type_hints

from edgexl.base import toml
from edgexl.base.errors import BadInput, kind_of, shorten

T = TypeVar("T")

MOST_TEXTS = 256  # of one request: about a second of one thread
MOST_EXPLAINED = 32
MOST_CHANGED = 1000  # labels of one request: some seconds of encoding
MOST_LISTED = 1000


def say(description: str, example: Any = None, default: Any = dataclasses.MISSING) -> Any:
    """A field with the sentence, and the example, that the OpenAPI document has of it."""
    return dataclasses.field(default=default, metadata={"description": description, "example": example})


def read(fields: Any, cls: type[T]) -> T:
    """The request that a JSON value is. Raises `BadInput` for what `cls` does not know, lacks, or has otherwise."""
    if not isinstance(fields, dict):
        raise BadInput(f"The body is {kind_of(fields)}; send a JSON object.")
    return toml.build(fields, cls, "The request")


def read_query(parameters: dict[str, str], cls: type[T]) -> T:
    """The same of a URL's parameters, whose numbers are written out."""
    hints = get_type_hints(cls)
    fields: dict[str, Any] = {}
    for name, value in parameters.items():
        fields[name] = value
        if hints.get(name) is int:
            if not (value.isascii() and value.isdigit() and len(value) < 20):
                raise BadInput(f"The parameter {name} is {shorten(repr(value))}; give a whole number.")
            fields[name] = int(value)
    return toml.build(fields, cls, "The request")


@dataclass(frozen=True)
class Nothing:
    """No fields."""


@dataclass(frozen=True)
class Predict:
    """A text, or several, and how many labels to answer with."""

    text: str | None = say("The text to answer.", "the fear of spiders", None)
    texts: tuple[str, ...] | None = say(f"Instead of `text`: up to {MOST_TEXTS} texts.", None, None)
    k: int | None = say("At most so many labels, up to the bundle's shortlist. [5]", 5, None)
    threshold: float | Literal["own"] | None = say(
        'Only labels at least this probable, 0 to 1; "own" is the bundle\'s threshold.', None, None
    )
    coverage: float | None = say(
        "Instead of k labels the smallest set that holds a gold label this often, above 0 and up to 1.", None, None
    )
    windows: int | None = say(
        "In how many windows a long text is read at most; 1 cuts it. By default as the bundle says.", None, None
    )
    screening: int = say("Also so many of the labels that screening put first.", None, 0)

    def __post_init__(self) -> None:
        if (self.text is None) == (self.texts is None):
            raise ValueError("give either 'text' or 'texts'")
        if self.texts is not None and not 0 < len(self.texts) <= MOST_TEXTS:
            raise ValueError(f"'texts' has {len(self.texts)} items; give 1 to {MOST_TEXTS}")
        if self.k is not None and self.k < 1:
            raise ValueError(f"k is {self.k}; give at least 1")
        if isinstance(self.threshold, float) and not 0 <= self.threshold <= 1:
            raise ValueError(f'threshold is {self.threshold:g}; give a number from 0 to 1, or "own"')
        if self.coverage is not None and not 0 < self.coverage <= 1:
            raise ValueError(f"coverage is {self.coverage:g}; give a number above 0 and up to 1")
        if self.windows is not None and self.windows < 1:
            raise ValueError(f"windows is {self.windows}; give at least 1")
        if self.screening < 0:
            raise ValueError(f"screening is {self.screening}; give at least 0")


@dataclass(frozen=True)
class Explain:
    """A text, and labels whose way through both stages is wanted."""

    text: str = say("The text.", "the fear of spiders")
    labels: tuple[str, ...] = say(f"Up to {MOST_EXPLAINED} labels, each by its id or text.", ["arachnophobia"])

    def __post_init__(self) -> None:
        if not 0 < len(self.labels) <= MOST_EXPLAINED:
            raise ValueError(f"'labels' has {len(self.labels)} items; give 1 to {MOST_EXPLAINED}")


@dataclass(frozen=True)
class Added:
    """A label to add, or to put in the place of the one with its id."""

    id: str = say("An id that the set does not have, or, to replace, has.", "N1")
    text: str = say("Its text.", "watering can")
    aliases: tuple[str, ...] = say("Other texts that find it.", ["to water flowers"], ())


@dataclass(frozen=True)
class AddLabels:
    """Labels to add: all or none of them."""

    labels: tuple[Added, ...] = say(
        f"1 to {MOST_CHANGED} labels.", [{"id": "N1", "text": "watering can", "aliases": ["to water flowers"]}]
    )
    replace: bool = say("Put them in the place of the labels with their ids.", None, False)

    def __post_init__(self) -> None:
        if not 0 < len(self.labels) <= MOST_CHANGED:
            raise ValueError(f"'labels' has {len(self.labels)} items; give 1 to {MOST_CHANGED}")


@dataclass(frozen=True)
class AddAliases:
    """More texts that find a label."""

    label: str = say("The label, by its id or text.", "N1")
    aliases: tuple[str, ...] = say("The texts.", ["a jug for the garden"])
    forget_compiled: bool = say(
        "Go on where the label was compiled with aliases or descriptions, which are lost.", None, False
    )

    def __post_init__(self) -> None:
        if not 0 < len(self.aliases) <= MOST_CHANGED:
            raise ValueError(f"'aliases' has {len(self.aliases)} items; give 1 to {MOST_CHANGED}")


@dataclass(frozen=True)
class RetireLabels:
    """Labels to take out of the set: all or none of them."""

    ids: tuple[str, ...] = say(f"The ids of 1 to {MOST_CHANGED} labels.", ["N1"])

    def __post_init__(self) -> None:
        if not 0 < len(self.ids) <= MOST_CHANGED:
            raise ValueError(f"'ids' has {len(self.ids)} items; give 1 to {MOST_CHANGED}")


@dataclass(frozen=True)
class ListLabels:
    """Which labels, and the page of them."""

    state: Literal["added", "retired", "compiled", "all"] = say("Which labels.", None, "added")
    start: int = say("The index to begin at: of the page before, `next`.", None, 0)
    limit: int = say(f"How many labels at most, up to {MOST_LISTED}.", None, 100)

    def __post_init__(self) -> None:
        _check_limit(self.limit)


@dataclass(frozen=True)
class CompleteLabels:
    """A text that labels' texts begin with."""

    prefix: str = say("The beginning of a label's text; case does not count.", "arach")
    limit: int = say(f"How many labels at most, up to {MOST_LISTED}.", None, 10)

    def __post_init__(self) -> None:
        _check_limit(self.limit)


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MOST_LISTED:
        raise ValueError(f"limit is {limit}; give 1 to {MOST_LISTED}")
