"""The row labels section: which labels an alias row points to (rows below `labels` are the labels themselves)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from edgexl.base.errors import BadInput
from edgexl.base.ragged import Ragged

Table = npt.NDArray[np.uint32]


def pack_row_labels(labels_of_alias: Ragged) -> bytes:
    """The section for alias rows in order, each with its labels (at least one)."""
    assert labels_of_alias.lengths.all()
    assert labels_of_alias.starts[-1] < 1 << 32
    return labels_of_alias.starts.astype("<u4").tobytes() + labels_of_alias.values.astype("<u4").tobytes()


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
