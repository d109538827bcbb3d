"""Adding labels to a compiled bundle and retiring them: what `edgexl labels` does, and where its labels come from.

The bundle stays as it is. Changes are kept in a label file next to it (docs/format.md, "The label file"), which the
runtime writes and reads; all that a call is asked for is done, or nothing. The report of a change that is in force, but
that the system did not confirm to be on the disk, also has `durable`: False, and the sentence for that, `warning`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from edgexl.base.errors import BadInput, NotDurable, shorten
from edgexl.base.gzipped_lines import describe_wrong, read_lines
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.label_file import LabelFile, label_file_of, read_label_file_if_any
from edgexl.data.label_set import LabelSet
from edgexl.runtime.binding import BundleHandle, LabelState, NewLabel, open_bundle

Which = LabelState | Literal["all"]


@dataclass(frozen=True)
class ListedLabel:
    """A label of a bundle or its label file. `aliases` are told of added ones only: a bundle keeps no alias' text."""

    index: int
    id: str
    text: str
    aliases: tuple[str, ...]
    state: LabelState


def collect_labels(uid: str | None, text: str | None, aliases: Sequence[str], file: Path | None) -> list[NewLabel]:
    """The labels of a command line: one with its `uid`, `text` and `aliases`, or those of a `file`.

    A file holds JSON lines {"uid", "title"[, "aliases"]}, gzipped as lbl.json.gz or plain.
    Raises `BadInput` for anything else than one of the two, and for labels that are not well formed.
    """
    if file is not None:
        if uid is not None or aliases:
            raise BadInput("Give an id and a text, or a file of labels, not both.")
        found = LabelSet.load(file)
        described = next((uid for uid, texts in zip(found.ids, found.descriptions, strict=True) if texts), None)
        if described is not None:
            raise BadInput(
                f"{file}: the label {shorten(repr(described))} has a description, which a label that is added to a "
                "bundle cannot have; leave it out, or compile the label set."
            )
        return [NewLabel(*label) for label in zip(found.ids, found.texts, found.aliases, strict=True)]
    if uid is None or text is None:
        raise BadInput("Give an id and a text, or a file of labels with --file.")
    return [NewLabel(uid, text, tuple(aliases))]


def collect_ids(ids: Sequence[str], file: Path | None) -> list[str]:
    """The ids of a command line, and those ("uid") of a file of JSON lines. Raises `BadInput` where there are none."""
    given = list(ids)
    for number, record in read_lines(file) if file is not None else ():
        uid = record.get("uid")
        if not isinstance(uid, str):
            raise BadInput(
                f"{file}, line {number}: a label needs the string 'uid', but {describe_wrong(record, 'uid')}."
            )
        given.append(uid)
    if not given:
        raise BadInput("Give the ids of the labels, or a file of labels with --file.")
    return given


class WouldForget(BadInput):
    """A label was compiled with texts that a bundle does not hold, and that a label in its place would not have."""


@dataclass(frozen=True)
class LabelStore:
    """The label set of an open bundle, and the file of its changes (`labels_file`; default: the bundle's path and
    ".labels"). Threads may share it as they share the handle."""

    handle: BundleHandle
    bundle: Path
    labels_file: Path | None = None

    def add(
        self, labels: Sequence[NewLabel], replace: bool = False, progress: Progress = no_progress
    ) -> dict[str, Any]:
        """Add labels, or `replace` those with their ids; gives the keys of `labels add --json`.

        Raises `BadInput` where an id is in the set already (or is not, to `replace`), or a label cannot be encoded,
        `DeviceError` where the engine is missing or the label file cannot be written.
        """
        began = time.perf_counter()
        first, warning = _change(lambda: self.handle.add_labels(labels, replace, partial(progress, "encode")))
        ms = 1000 * (time.perf_counter() - began)
        changed = {"added": len(labels), "retired": len(labels) if replace else 0, "first_index": first, "ms": ms}
        return self._report(warning) | changed

    def add_aliases(
        self, label: str, aliases: Sequence[str], known: Sequence[str] | None = None, forget_compiled: bool = False
    ) -> dict[str, Any]:
        """Give a label, by its id or text, more aliases; the keys of `labels add --json`.

        The runtime knows no way to add a row to a label, so it is replaced by one with its id, its text, the new
        aliases and those that it had: of a label that was added they are in the label file, of a compiled one only
        whoever compiled it has them (`known`). Raises `WouldForget` where it was compiled with aliases that are not
        given, or with descriptions, which no label that is added has, unless `forget_compiled`.
        """
        index = self.handle.find_label(label)
        had = next((one.aliases for one in self.find("added", index) if one.index == index), None)
        uid, text = self.handle.label_id(index), self.handle.label_text(index)
        if had is None and not forget_compiled:
            way = self.handle.explain(text, index)
            lost = {"aliases": known is None and way.alias_score is not None, "descriptions": way.description_score}
            if told := " and ".join(name for name, score in lost.items() if score not in (None, False)):
                raise WouldForget(
                    f"The label {uid} was compiled with {told}, which a bundle cannot give to the label that takes its "
                    "place; compile the label set with the new alias, or say that these may be forgotten "
                    "(--forget-compiled, 'forget_compiled')."
                )
        all_aliases = tuple(dict.fromkeys([*(had or known or ()), *aliases]))
        return self.add([NewLabel(uid, text, all_aliases)], replace=True)

    def retire(self, ids: Sequence[str]) -> dict[str, Any]:
        """Take labels out of the set; gives the keys of `labels retire --json`. Raises `BadInput` where one is
        missing."""
        _, warning = _change(lambda: self.handle.retire_labels(ids))
        return self._report(warning) | {"retired": len(ids)}

    def compact(self) -> dict[str, Any]:
        """Rewrite the label file without labels that were added and retired again; gives the keys of `labels compact
        --json`. The other added labels get new indices."""
        before = self.handle.labels_info()
        _, warning = _change(self.handle.compact_labels)
        return self._report(warning) | {"dropped": before.retired_added, "file_bytes_before": before.file_bytes}

    def find(self, which: Which = "added", start: int = 0) -> Iterator[ListedLabel]:
        """The labels that were added (or all in another state) from index `start` on, by index."""
        found = read_label_file_if_any(self.labels_file or label_file_of(self.bundle))
        compiled = self.handle.info.labels
        retired = set(found.retired_compiled) if found else set()
        indices: Iterable[int] = sorted(retired) if which == "retired" else range(start, compiled)
        for index in indices if which != "added" else ():
            state: LabelState = "retired" if index in retired else "compiled"
            if which in (state, "all") and index >= start:
                yield ListedLabel(index, self.handle.label_id(index), self.handle.label_text(index), (), state)
        yield from _list_added(found, which, start)

    def _report(self, warning: str | None) -> dict[str, Any]:
        info = self.handle.labels_info()
        doubt = {} if warning is None else {"durable": False, "warning": warning}
        return doubt | {
            "bundle": os.fspath(self.bundle),
            "labels_file": os.fspath(self.labels_file or label_file_of(self.bundle)),
            "labels": info.labels,
            "generation": info.generation,
            "file_bytes": info.file_bytes,
        }


def add_labels(
    bundle: Path,
    labels: Sequence[NewLabel],
    replace: bool = False,
    labels_file: Path | None = None,
    progress: Progress = no_progress,
) -> dict[str, Any]:
    """`LabelStore.add` of a bundle file."""
    with open_bundle(bundle, labels_path=labels_file) as handle:
        return LabelStore(handle, bundle, labels_file).add(labels, replace, progress)


def add_aliases(
    bundle: Path,
    label: str,
    aliases: Sequence[str],
    labels_file: Path | None = None,
    forget_compiled: bool = False,
) -> dict[str, Any]:
    """`LabelStore.add_aliases` of a bundle file."""
    with open_bundle(bundle, labels_path=labels_file) as handle:
        store = LabelStore(handle, bundle, labels_file)
        return store.add_aliases(label, aliases, forget_compiled=forget_compiled)


def retire_labels(bundle: Path, ids: Sequence[str], labels_file: Path | None = None) -> dict[str, Any]:
    """`LabelStore.retire` of a bundle file."""
    with open_bundle(bundle, labels_path=labels_file, engine=False) as handle:
        return LabelStore(handle, bundle, labels_file).retire(ids)


def compact_labels(bundle: Path, labels_file: Path | None = None) -> dict[str, Any]:
    """`LabelStore.compact` of a bundle file."""
    with open_bundle(bundle, labels_path=labels_file, engine=False) as handle:
        return LabelStore(handle, bundle, labels_file).compact()


def list_labels(bundle: Path, which: Which = "added", labels_file: Path | None = None) -> Iterator[ListedLabel]:
    """`LabelStore.find` of a bundle file. Labels that were added are told from the label file alone, so also when the
    bundle was compiled anew since. Raises `BadInput` where a file is not sound.
    """
    if which == "added":
        yield from _list_added(read_label_file_if_any(labels_file or label_file_of(bundle)), which)
        return
    with open_bundle(bundle, labels_path=labels_file, engine=False) as handle:
        yield from LabelStore(handle, bundle, labels_file).find(which)


def _list_added(found: LabelFile | None, which: Which, start: int = 0) -> Iterator[ListedLabel]:
    for label in found.added if found else ():
        state: LabelState = "retired" if label.retired else "added"
        if which in (state, "all") and label.index >= start:
            yield ListedLabel(label.index, label.id, label.text, label.aliases, state)


def _change(change: Callable[[], int | None]) -> tuple[int | None, str | None]:
    """What a change gives, and a sentence where it is in force but may not last."""
    try:
        return change(), None
    except NotDurable as error:
        return error.first, str(error)
