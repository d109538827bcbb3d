"""Making a bundle's live label set equal to a file of labels: what `edgexl labels sync` does.

A bundle knows its labels' ids and texts, and of labels that were added their aliases, too. What else of a compiled
label has changed since, only the file tells that it was compiled from (`was`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.progress import Progress, no_progress
from edgexl.data.label_set import LabelSet
from edgexl.data.tables.labels import read_labels
from edgexl.data.tables.roles import Wanted
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.use.labels import LabelStore

# A file that takes so many of the labels away is most likely another one's.
MOST_RETIRED = 0.5


@dataclass(frozen=True)
class Plan:
    """What has to change: labels to `add`, to `replace` and, by id, to `retire`; `same` stay as they are. `notes` say
    what cannot be seen or done."""

    add: tuple[NewLabel, ...]
    replace: tuple[NewLabel, ...]
    retire: tuple[str, ...]
    same: int
    notes: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """Counts, and the ids of what changes."""
        named = {"add": [label.id for label in self.add], "replace": [label.id for label in self.replace]}
        return {**named, "retire": list(self.retire), "same": self.same, "notes": list(self.notes)}


@dataclass(frozen=True)
class _Known:
    """What the bundle knows of a label: its text and, where it was added, its aliases."""

    text: str
    aliases: tuple[str, ...] | None


def sync_labels(
    bundle: Path,
    file: Path,
    columns: Wanted | None = None,
    language: str | None = None,
    was: Path | None = None,
    labels_file: Path | None = None,
    dry_run: bool = False,
    force: bool = False,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """Make the label set of `bundle` that of `file`; gives the keys of `labels sync --json`.

    What is changed first are texts, then labels come, then others go: where it is stopped, a second call does the rest.
    With `dry_run` nothing is changed. Raises `BadInput` where a file or the bundle is not sound, and where more than
    half of the labels would go, unless `force`.
    """
    wanted = read_labels(file, columns, language).label_set()
    before = read_labels(was, columns, language).label_set() if was is not None else None
    with open_bundle(bundle, labels_path=labels_file) as handle:
        store = LabelStore(handle, bundle, labels_file)
        known = _known_labels(store)
        plan = plan_sync(known, wanted, before)
        if not force and len(plan.retire) > MOST_RETIRED * len(known):
            raise BadInput(
                f"{file} lacks {len(plan.retire):,} of the {len(known):,} labels of {bundle}, which would be retired; "
                "give the file of this label set, or --force."
            )
        report: dict[str, Any] = {"bundle": os.fspath(bundle), "file": os.fspath(file), **plan.as_json()}
        changes: list[dict[str, Any]] = []
        if plan.replace and not dry_run:
            changes.append(store.add(plan.replace, replace=True, progress=progress))
        if plan.add and not dry_run:
            changes.append(store.add(plan.add, progress=progress))
        if plan.retire and not dry_run:
            changes.append(store.retire(plan.retire))
        doubt = next(({"durable": False, "warning": one["warning"]} for one in changes if "warning" in one), {})
        return report | {"labels": handle.labels_info().labels, "changed": bool(changes)} | doubt


def plan_sync(known: Mapping[str, _Known], wanted: LabelSet, was: LabelSet | None = None) -> Plan:
    """What makes the `known` labels, by id, the `wanted` ones; `was`: what the compiled ones were compiled from."""
    before = {} if was is None else dict(zip(was.ids, was.aliases, strict=True))
    add: list[NewLabel] = []
    replace: list[NewLabel] = []
    same = unseen = described = 0
    for uid, text, aliases, descriptions in zip(
        wanted.ids, wanted.texts, wanted.aliases, wanted.descriptions, strict=True
    ):
        label, there = NewLabel(uid, text, aliases), known.get(uid)
        had = before.get(uid) if there is None or there.aliases is None else there.aliases
        if there is not None and there.text == text and (had is None or set(had) == set(aliases)):
            same += 1
            unseen += had is None and bool(aliases)
            continue
        (add if there is None else replace).append(label)
        described += bool(descriptions)
    ids = set(wanted.ids)
    notes = []
    if unseen:
        notes.append(
            f"{unseen:,} labels have aliases, which a bundle does not hold: changes in them were not looked for; give "
            "the file that it was compiled from as --was."
        )
    if described:
        notes.append(
            f"{described:,} of the labels that change have descriptions, which labels that are added do not have; "
            "compile to have them."
        )
    return Plan(tuple(add), tuple(replace), tuple(uid for uid in known if uid not in ids), same, tuple(notes))


def _known_labels(store: LabelStore) -> dict[str, _Known]:
    """The labels of the current set, by id."""
    compiled = {label.id: _Known(label.text, None) for label in store.find("compiled")}
    return compiled | {label.id: _Known(label.text, label.aliases) for label in store.find("added")}
