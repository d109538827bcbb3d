"""The label set: what a student chooses from, and what a bundle's index is built over.

A label has a stable external id, a text, and any number of aliases (synonyms, training queries). Labels are known by
their position everywhere inside edgexl and by their id outside. Calibration is bound to a label set by its hash.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from edgexl.errors import BadInput
from edgexl.gzlines import encode_line, is_unicode, read_lines, write_lines


@dataclass(frozen=True)
class LabelSet:
    """Labels in order: `ids[i]` (unique), `texts[i]` (not empty) and `aliases[i]` (empty where there are none).

    Raises `BadInput` naming the first label that is wrong. `aliases` may be left out altogether.
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    aliases: tuple[tuple[str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not self.aliases:
            object.__setattr__(self, "aliases", ((),) * len(self.ids))
        if not len(self.ids) == len(self.texts) == len(self.aliases):
            raise BadInput(
                f"A label set needs one text and one tuple of aliases an id; "
                f"found {len(self.ids)} ids, {len(self.texts)} texts, {len(self.aliases)} tuples of aliases."
            )
        if not self.ids:
            raise BadInput("The label set is empty; a student needs at least one label.")
        seen: dict[str, int] = {}
        for index, (uid, text, aliases) in enumerate(zip(self.ids, self.texts, self.aliases, strict=True)):
            if not uid:
                raise BadInput(f"Label {index} ({text!r}) has an empty id; give each label a stable, unique id.")
            if (first := seen.setdefault(uid, index)) != index:
                raise BadInput(f"Labels {first} and {index} share the id {uid!r}; ids must be unique.")
            if not text.strip():
                raise BadInput(f"Label {index} (id {uid!r}) has an empty text; give it one or remove it.")
            if not all(alias.strip() for alias in aliases):
                raise BadInput(f"Label {index} (id {uid!r}) has an empty alias; remove it.")
            if not all(map(is_unicode, (uid, text, *aliases))):
                raise BadInput(f"Label {index} (id {uid!r}) holds half of a surrogate pair; correct its text.")

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> LabelSet:
        """Read gzipped JSON lines {"uid", "title"[, "aliases"]}; further keys are passed over. Raises `BadInput`."""
        ids, texts, aliases = [], [], []
        for number, record in read_lines(path):
            uid, title, more = record.get("uid"), record.get("title"), record.get("aliases", [])
            if not isinstance(uid, str) or not isinstance(title, str):
                raise BadInput(f"{path}, line {number}: a label needs the strings 'uid' and 'title'.")
            if not isinstance(more, list) or not all(isinstance(alias, str) for alias in more):
                raise BadInput(f"{path}, line {number}: 'aliases' must be a list of strings.")
            ids.append(uid)
            texts.append(title)
            aliases.append(tuple(more))
        try:
            return cls(tuple(ids), tuple(texts), tuple(aliases))
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
        for uid, text, aliases in zip(self.ids, self.texts, self.aliases, strict=True):
            record: dict[str, Any] = {"uid": uid, "title": text}
            if aliases:
                record["aliases"] = list(aliases)
            yield record
