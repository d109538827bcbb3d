"""The Extreme Classification Repository's raw layout: the one format in which edgexl meets data sets.

A data set is a directory of three gzipped JSON lines files, read as published:

    lbl.json.gz   a label a line: uid, title[, content][, aliases][, descriptions]
    trn.json.gz   a training query a line: uid, title[, content], target_ind[, target_rel]
    tst.json.gz   a test query a line, the same

and, where a query can also be a label (a product, an article), a text file of "query label" numbers a line, pairs that
are trivially right or wrong and must be taken out of rankings before they are judged:

    filter_labels_train.txt, filter_labels_test.txt

`target_ind` counts lines of lbl.json.gz from 0. A label's content describes it; `aliases` and `descriptions`, lists of
strings, are edgexl's own additions; `target_rel` is passed over, since a label is either right or not. Queries are
streamed: only the label set is held in memory.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from edgexl.base.directories import entries, settle_directory, write_directory
from edgexl.base.errors import BadInput
from edgexl.base.files import open_input, write_text
from edgexl.base.gzipped_lines import describe_wrong, is_unicode, read_lines, write_lines
from edgexl.base.progress import Progress, no_progress, track
from edgexl.base.sealed import SEAL_FILE
from edgexl.data.label_set import LabelSet

Split = Literal["trn", "tst"]
_EXCLUDED_FILES: dict[Split, str] = {"trn": "filter_labels_train.txt", "tst": "filter_labels_test.txt"}
# What the runtime counts labels in.
_MOST_LABELS = 1 << 32
LABELS_FILE, QUERY_FILES, ABOUT_FILE = "lbl.json.gz", ("trn.json.gz", "tst.json.gz"), "ABOUT.txt"
# All that `write_dataset` writes, and the seal of a data set in the cache.
_FILES = (LABELS_FILE, *QUERY_FILES, ABOUT_FILE, SEAL_FILE)


@dataclass(frozen=True, slots=True)
class Query:
    """A text and its gold labels, as indices into a label set. `line`: where a file holds it, from 1.

    Published data sets hold queries without text. They are read as they are, and whoever uses them says what becomes
    of them; `has_text` finds them.
    """

    uid: str
    text: str
    targets: tuple[int, ...]
    line: int = field(default=0, compare=False)

    @property
    def has_text(self) -> bool:
        """Whether there is more than white space in it."""
        return bool(self.text.strip())

    def name(self, path: str | os.PathLike[str] = "") -> str:
        """How an error sentence names the query: its uid, and the line of the file `path` that it was read from."""
        uid = repr(self.uid) if len(self.uid) <= 60 else f"{self.uid[:60]!r}..."
        return f"{os.fspath(path)}, line {self.line}: the query {uid}" if path and self.line else f"the query {uid}"


def spell_queries(queries: Iterable[Query]) -> str:
    """Texts and gold labels in one string, for a hash of all that they are."""
    return json.dumps([[query.text, query.targets] for query in queries])


@dataclass(frozen=True)
class Dataset:
    """A directory in the raw layout. `content`: a query's text is title and content, not the title alone."""

    directory: Path
    content: bool = False

    @cached_property
    def labels(self) -> LabelSet:
        """The labels of lbl.json.gz, in its order."""
        return LabelSet.load(self.directory / LABELS_FILE)

    def queries(self, split: Split) -> Iterator[Query]:
        """Stream a split in the order of its file. Raises `BadInput` at the first line that is wrong."""
        return read_queries(self.directory / f"{split}.json.gz", label_count=len(self.labels), content=self.content)

    def excluded(self, split: Split) -> npt.NDArray[np.int64]:
        """The (query, label) pairs [pairs, 2] to take out of rankings of a split; none where it has no such file."""
        path = self.directory / _EXCLUDED_FILES[split]
        if not path.is_file():
            return np.zeros((0, 2), dtype=np.int64)
        pairs = []
        with open_input(path) as stream, TextIOWrapper(stream, "utf-8", "replace") as lines:
            for number, line in enumerate(lines, 1):
                fields = line.split()
                if not fields:
                    continue
                # 9 digits: more than any query or label, and safely an int64
                if len(fields) != 2 or not all(re.fullmatch("[0-9]{1,9}", field) for field in fields):
                    raise BadInput(f"{path}, line {number}: expected the number of a query and the number of a label.")
                query, label = map(int, fields)
                if label >= len(self.labels):
                    raise BadInput(f"{path}, line {number}: label {label} is out of range ({len(self.labels)} labels).")
                pairs.append((query, label))
        return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def open_dataset(directory: str | os.PathLike[str], content: bool = False) -> Dataset:
    """Open a data set in the raw layout; `content` appends each query's content to its title.

    Raises `BadInput` where the directory or one of its three files is missing. Lines are checked as they are read.
    """
    path = settle_directory(directory, _FILES)
    missing = [name for name in (LABELS_FILE, *QUERY_FILES) if not (path / name).is_file()]
    if missing:
        raise BadInput(
            f"{path} is not a data set: {', '.join(missing)} missing; "
            "expected lbl.json.gz, trn.json.gz and tst.json.gz in the Extreme Classification Repository's raw layout."
        )
    return Dataset(path, content)


def read_queries(
    path: str | os.PathLike[str], label_count: int | None = None, content: bool = False
) -> Iterator[Query]:
    """Stream the queries of one file.

    `label_count`, where given, is what every target must stay below. Raises `BadInput` naming file and line.
    """
    for number, record in read_lines(path):
        yield _query(record, number, f"{path}, line {number}", label_count, content)


def write_queries(path: str | os.PathLike[str], queries: Iterable[Query]) -> None:
    """Write queries in the raw layout; the same queries give the same bytes."""
    write_lines(path, map(_record, queries))


def write_dataset(
    directory: str | os.PathLike[str],
    labels: LabelSet,
    trn: Sequence[Query],
    tst: Sequence[Query],
    about: str,
    progress: Progress = no_progress,
) -> Dataset:
    """Write a data set as one step: `directory` holds all of it or is as it was before.

    `about` (source, licence, acknowledgement) becomes ABOUT.txt. An older data set there is replaced; a directory that
    holds anything else is refused with `BadInput`.
    """
    target = Path(directory)
    refuse_foreign_files(target)
    with write_directory(target, _FILES) as staging:
        labels.save(staging / LABELS_FILE)
        for name, queries in zip(QUERY_FILES, (trn, tst), strict=True):
            write_queries(staging / name, track(queries, f"write {name}", progress))
        write_text(staging / ABOUT_FILE, about)
    return open_dataset(target)


def refuse_foreign_files(target: Path) -> None:
    """Raise `BadInput` where a data set cannot be written to `target` without replacing something that is none."""
    if not target.exists():
        return
    if not target.is_dir():
        raise BadInput(f"{target} is a file; give a directory for the data set.")
    foreign = sorted(entries(target) - set(_FILES))
    if foreign:
        raise BadInput(f"{target} holds files that are not a data set's ({foreign[0]}); give a new or empty directory.")


def _record(query: Query) -> dict[str, Any]:
    return {
        "uid": query.uid,
        "title": query.text,
        "content": "",
        "target_ind": list(query.targets),
        "target_rel": [1.0] * len(query.targets),
    }


def _query(record: dict[str, Any], line: int, where: str, label_count: int | None, content: bool) -> Query:
    for key in ("uid", "title", "target_ind"):
        if key not in record:
            raise BadInput(f"{where}: the key '{key}' is missing; a query needs uid, title and target_ind.")
    uid, title, targets = record["uid"], record["title"], record["target_ind"]
    more = record.get("content", "") if content else ""
    if not isinstance(uid, str) or not isinstance(title, str) or not isinstance(more, str):
        wrong = describe_wrong({"content": "", **record}, "uid", "title", "content")
        raise BadInput(f"{where}: uid, title and content must be strings, but {wrong}.")
    if not is_unicode(uid) or not is_unicode(title) or not is_unicode(more):
        raise BadInput(f"{where}: the text holds half of a surrogate pair; correct it.")
    # bool is an int to Python, never a target to us
    if not isinstance(targets, list) or not all(type(target) is int for target in targets):
        raise BadInput(f"{where}: target_ind must be a list of whole numbers.")
    relevances = record.get("target_rel")
    if relevances is not None and (not isinstance(relevances, list) or len(relevances) != len(targets)):
        raise BadInput(f"{where}: target_rel must be a list as long as target_ind ({len(targets)}).")
    for target in targets:
        if target < 0 or target >= (_MOST_LABELS if label_count is None else label_count):
            limit = "" if label_count is None else f"; the data set has {label_count} labels, numbered from 0"
            raise BadInput(f"{where}: target {_short(target)} is out of range{limit}.")
    return Query(uid, f"{title} {more}".strip() if more else title, tuple(targets), line)


def _short(number: int) -> str:
    """A number's digits, or how large it is where nobody would read them."""
    return str(number) if abs(number) < 1 << 64 else f"of {number.bit_length()} bits"
