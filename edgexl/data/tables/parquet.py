"""Parquet files, by pyarrow, which is an extra."""

from __future__ import annotations

from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.data.tables.content import Content
from edgexl.data.tables.table import Table


def read_parquet(content: Content) -> Table:
    """A table of a Parquet file. Raises `BadInput` where pyarrow is missing, the file is damaged, or holds no row."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise BadInput(
            f"{content.path} is Parquet, which pyarrow reads, and that is not installed; pip install 'edgexl[tables]', "
            "or save the table as CSV."
        ) from None
    try:
        table = parquet.read_table(pyarrow.BufferReader(content.raw))
        cells: list[list[Any]] = [column.to_pylist() for column in table.columns]
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        reason = shorten(" ".join(str(error).split()), 160)
        raise BadInput(f"{content.path} is not a sound Parquet file ({reason}); fetch or save it again.") from None
    if not table.num_rows:
        raise BadInput(f"{content.path} holds no row; give a row a label.")
    names = [str(name) for name in table.column_names]
    doubled = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if doubled is not None:
        raise BadInput(f"{content.path}: two columns are named '{shorten(doubled)}'; give each a name of its own.")
    rows = [list(row) for row in zip(*cells, strict=True)]
    return Table(content.path, "Parquet", tuple(names), rows, list(range(1, len(rows) + 1)), "row")
