"""The label set: what a student chooses from, and what a bundle's index is built over.

A label has a stable external id, a text, any number of aliases (synonyms, training queries), which are other names of
it, and any number of descriptions, which say what it means. Labels are known by
their position everywhere inside edgexl and by their id outside. Calibration is bound to a label set by its hash.
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.base.gzipped_lines import describe_wrong, encode_line, is_unicode, read_lines, write_lines
from edgexl.bundle.strings import find_fault
from edgexl.report.summary import Shown, Summary, quote, say_count
from edgexl.report.table import Table

MOST_ALIASES = MOST_DESCRIPTIONS = 65_535
# A longer one is no description, but a document: its passages can be given one by one.
LARGEST_DESCRIPTION_BYTES = 1_000_000
# A description of so many labels tells none of them from the others.
MOST_DESCRIBED = 1000
_SHOWN = 5  # labels in a notebook


@dataclass(frozen=True, repr=False)
class LabelSet(Shown):
    """Labels in order: `ids[i]` (unique), `texts[i]` (not empty), `aliases[i]` and `descriptions[i]` (both empty where
    there are none).

    Each id, text and alias is 1 to 65,535 bytes of UTF-8 without NUL, and a label has at most 65,535 aliases: what the
    runtime takes in `exl_new_label`. A description has at most 1,000,000 bytes, and at most 1,000 labels share one.
    Raises `BadInput` naming the first label that is wrong. `aliases` and `descriptions` may be left out altogether.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...] = ()
    descriptions: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        for name in ("ids", "texts", "aliases", "descriptions"):
            object.__setattr__(self, name, _as_tuple(name, getattr(self, name)))
        for name in ("aliases", "descriptions"):
            if not getattr(self, name):
                object.__setattr__(self, name, ((),) * len(self.ids))
        if not len(self.ids) == len(self.texts) == len(self.aliases) == len(self.descriptions):
            raise BadInput(
                f"A label set needs one text, one tuple of aliases and one of descriptions an id; "
                f"found {len(self.ids)} ids, {len(self.texts)} texts, {len(self.aliases)} tuples of aliases, "
                f"{len(self.descriptions)} of descriptions."
            )
        if not self.ids:
            raise BadInput("The label set is empty; a student needs at least one label.")
        for name in ("aliases", "descriptions"):
            lists = getattr(self, name)
            if not all(type(some) is tuple for some in lists):
                object.__setattr__(self, name, tuple(_as_tuple(name, some) for some in lists))
        seen: dict[str, int] = {}
        for index, (uid, text, aliases) in enumerate(zip(self.ids, self.texts, self.aliases, strict=True)):
            _check_label(index, uid, text, aliases)
            if (first := seen.setdefault(uid, index)) != index:
                raise BadInput(f"Labels {first} and {index} share the id {shorten(repr(uid))}; ids must be unique.")
        self._check_descriptions()

    def _check_descriptions(self) -> None:
        described: Counter[str] = Counter()
        for index, (uid, descriptions) in enumerate(zip(self.ids, self.descriptions, strict=True)):
            if descriptions:
                _check_descriptions(f"Label {index} (id {shorten(repr(uid))})", descriptions)
                described.update(set(descriptions))
        for text, count in described.most_common(1):
            if count > MOST_DESCRIBED:
                raise BadInput(
                    f"The description {shorten(repr(text))} stands at {count:,} labels, so it tells none of them from "
                    f"the others; remove it (at most {MOST_DESCRIBED:,} labels may share one)."
                )

    def __len__(self) -> int:
        return len(self.ids)

    def _summary(self) -> Summary:
        some = ", ".join(quote(text, 20) for text in self.texts[:3]) + (", ..." if len(self) > 3 else "")
        labels = say_count(len(self), "label")
        extra = {"alias": sum(map(len, self.aliases)), "description": sum(map(len, self.descriptions))}
        said = [say_count(number, name) for name, number in extra.items() if number]
        rows = [
            (uid, text, "; ".join(aliases), "; ".join(descriptions))
            for uid, text, aliases, descriptions in zip(
                self.ids[:_SHOWN], self.texts[:_SHOWN], self.aliases[:_SHOWN], self.descriptions[:_SHOWN], strict=True
            )
        ]
        first = f", the first {_SHOWN}" if len(self) > _SHOWN else ""
        caption = "; ".join([labels + first, *said])
        table = Table(caption, ("id", "text", "aliases", "descriptions"), rows)
        return Summary("; ".join([f"{labels}: {some}", *said]), tables=(table,))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LabelSet:
        """Read gzipped JSON lines {"uid", "title"[, "aliases"][, "content"][, "descriptions"]}; further keys are passed
        over. `content`, where it is not empty, is the first description. Raises `BadInput`."""
        ids, texts, aliases, descriptions = [], [], [], []
        for number, record in read_lines(path):
            uid, title, more = record.get("uid"), record.get("title"), record.get("aliases", [])
            if not isinstance(uid, str) or not isinstance(title, str):
                wrong = describe_wrong(record, "uid", "title")
                raise BadInput(f"{path}, line {number}: a label needs the strings 'uid' and 'title', but {wrong}.")
            if not isinstance(more, list) or not all(isinstance(alias, str) for alias in more):
                raise BadInput(f"{path}, line {number}: 'aliases' must be a list of strings.")
            content, described = record.get("content") or "", record.get("descriptions", [])
            if not isinstance(content, str):
                raise BadInput(f"{path}, line {number}: a label's 'content' must be a string.")
            if not isinstance(described, list) or not all(isinstance(one, str) for one in described):
                raise BadInput(f"{path}, line {number}: 'descriptions' must be a list of strings.")
            descriptions.append((content, *described) if content.strip() else tuple(described))
            ids.append(uid)
            texts.append(title)
            aliases.append(tuple(more))
        try:
            return cls(tuple(ids), tuple(texts), tuple(aliases), tuple(descriptions))
        except BadInput as error:
            raise BadInput(f"{path}: {error}") from None

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write what `load` reads; the same labels give the same bytes."""
        write_lines(path, self._records())

    def sha256(self) -> str:
        """Hex digest over the canonical JSON lines, independent of how they are compressed."""
        return self._sha256

    @cached_property
    def _sha256(self) -> str:
        digest = hashlib.sha256()
        for record in self._records():
            digest.update(encode_line(record))
        return digest.hexdigest()

    def _records(self) -> Iterator[dict[str, Any]]:
        for uid, text, aliases, descriptions in zip(self.ids, self.texts, self.aliases, self.descriptions, strict=True):
            record: dict[str, Any] = {"uid": uid, "title": text}
            if aliases:
                record["aliases"] = list(aliases)
            if descriptions:
                record["descriptions"] = list(descriptions)
            yield record


def _check_label(index: int, uid: str, text: str, aliases: tuple[str, ...]) -> None:
    for what, value in (("id", uid), ("text", text), *(("alias", alias) for alias in aliases)):
        if not isinstance(value, str):
            raise BadInput(
                f"Label {index} (id {uid!r:.60}) has the {what} {value!r:.60}, which is no string; give strings."
            )
    if not uid:
        raise BadInput(f"Label {index} ({shorten(repr(text))}) has an empty id; give each label a stable, unique id.")
    if fault := find_fault(uid):
        raise BadInput(f"Label {index}: its id {shorten(repr(uid))} {fault}.")
    if not text.strip():
        raise BadInput(f"Label {index} (id {shorten(repr(uid))}) has an empty text; give it one or remove it.")
    if fault := find_fault(text):
        raise BadInput(f"Label {index} (id {shorten(repr(uid))}): its text {shorten(repr(text))} {fault}.")
    if len(aliases) > MOST_ALIASES:
        raise BadInput(
            f"Label {index} (id {shorten(repr(uid))}) has {len(aliases):,} aliases; at most {MOST_ALIASES:,} fit."
        )
    for alias in aliases:
        if not alias.strip():
            raise BadInput(f"Label {index} (id {shorten(repr(uid))}) has an empty alias; remove it.")
        if fault := find_fault(alias):
            raise BadInput(f"Label {index} (id {shorten(repr(uid))}): its alias {shorten(repr(alias))} {fault}.")


def _check_descriptions(label: str, descriptions: tuple[str, ...]) -> None:
    if len(descriptions) > MOST_DESCRIPTIONS:
        raise BadInput(f"{label} has {len(descriptions):,} descriptions; at most {MOST_DESCRIPTIONS:,} fit.")
    for text in descriptions:
        if not isinstance(text, str):
            raise BadInput(f"{label} has the description {text!r:.60}, which is no string; give strings.")
        if not text.strip():
            raise BadInput(f"{label} has an empty description; remove it.")
        if "\0" in text:
            raise BadInput(f"{label}: its description {shorten(repr(text))} holds a NUL; remove that.")
        if not is_unicode(text):
            raise BadInput(
                f"{label}: its description {shorten(repr(text))} holds half of a surrogate pair; correct it."
            )
        if (size := len(text.encode())) > LARGEST_DESCRIPTION_BYTES:
            raise BadInput(
                f"{label}: its description {shorten(repr(text))} has {size:,} bytes, and at most "
                f"{LARGEST_DESCRIPTION_BYTES:,} fit; give its passages as descriptions of their own."
            )


def _as_tuple(name: str, values: Any) -> tuple[Any, ...]:
    """A list, an array or another iterable of strings as a tuple; one string is none, though it can be iterated."""
    if isinstance(values, tuple):
        return values
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise BadInput(f"A label set's {name} are given as {type(values).__name__}; give a list or tuple of strings.")
    return tuple(values)
