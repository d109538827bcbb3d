"""The cells section: which rows of a large index a query scans, as docs/format.md, "Cells section", has it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgexl.base.errors import BadInput

Table = npt.NDArray[np.uint32]
Buffer = bytes | memoryview
CENTROID_BITS = 8


@dataclass(frozen=True, eq=False)
class Cells:
    """`starts` [cells + 1]: the places of each cell among the coarse codes; `rows` [rows]: the row at each place;
    `centroids`: fine codes of 8 bits of `dims` dimensions a cell. A query scans its `probes` best cells, but for those
    whose score is more than `margin` below the best one's.
    """

    starts: Table
    rows: Table
    centroids: Buffer
    dims: int
    probes: int
    margin: float

    @property
    def count(self) -> int:
        """How many cells there are."""
        return len(self.starts) - 1

    def pack(self) -> bytes:
        """The section's bytes."""
        return self.starts.astype("<u4").tobytes() + self.rows.astype("<u4").tobytes() + bytes(self.centroids)


def unpack_cells(section: Buffer, cells: int, rows: int, dims: int) -> tuple[Table, Table, Buffer]:
    """(starts, rows, centroids) of a section. Raises `BadInput` when it is malformed."""
    tables = 4 * (cells + 1 + rows)
    if len(section) != tables + cells * (2 + dims * CENTROID_BITS // 8):
        raise BadInput(f"The bundle's cells have {len(section)} bytes, which is not what its parameters ask for.")
    words = np.frombuffer(section[:tables], "<u4")
    starts, at = words[: cells + 1], words[cells + 1 :]
    if starts[0] != 0 or int(starts[-1]) != rows or not bool((starts[1:] > starts[:-1]).all()):
        raise BadInput("The bundle's cells do not hold every row once.")
    if int(at.max()) >= rows:
        raise BadInput("The bundle's cells name a row that is not there.")
    return starts, at, section[tables:]
