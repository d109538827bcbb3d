"""The row labels section: which labels an alias row points to (rows below `labels` are the labels themselves)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from edgexl.errors import BadInput

Table = npt.NDArray[np.uint32]


def pack_row_labels(labels_of_alias: Sequence[Sequence[int]]) -> bytes:
    """The section for alias rows in order, each with its labels (at least one)."""
    assert all(labels_of_alias)
    start = np.cumsum([0, *map(len, labels_of_alias)])
    flat = [label for labels in labels_of_alias for label in labels]
    return start.astype("<u4").tobytes() + np.asarray(flat, "<u4").tobytes()


def unpack_row_labels(section: bytes, rows: int, labels: int) -> tuple[Table, Table]:
    """(start [rows - labels + 1], label [start[-1]]) of a section. Raises `BadInput` when it is malformed."""
    aliases = rows - labels
    if len(section) % 4 or len(section) < 4 * (aliases + 1):
        raise BadInput("The bundle's row labels are cut off.")
    words = np.frombuffer(section, "<u4")
    start, label = words[: aliases + 1], words[aliases + 1 :]
    ascending = start[0] == 0 and bool((start[1:] > start[:-1]).all()) and int(start[-1]) == len(label)
    if not ascending or (len(label) and int(label.max()) >= labels):
        raise BadInput("The bundle's row labels do not ascend, or name a label that is not there.")
    return start, label
