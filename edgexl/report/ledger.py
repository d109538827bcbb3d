"""The ledger and the gates as tables, of the rows that `inspect --json` has: in a terminal as in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from edgexl.report.table import Table

# A column of the ledger's table by its key; one with an s is of screening alone.
LEDGER_COLUMNS = {
    "pass": "pass", "seconds": "seconds", "bytes": "bytes", "P@1": "P@1", "R@100": "R@100", "nDCG@5": "nDCG@5",
    "screening_P@1": "s P@1", "screening_R@100": "s R@100", "screening_nDCG@5": "s nDCG@5",
}  # fmt: skip
_GATE = ("name", "value", "margin", "threshold", "passed")


def ledger_table(rows: Sequence[dict[str, Any]], caption: str = "") -> Table:
    """The table of a compile: one row a pass. A bundle remembers no seconds, nor does a student without evaluation
    queries say what its screening answers: such columns are left out."""
    optional = [key for key, name in LEDGER_COLUMNS.items() if key != name or key == "seconds"]
    missing = {key for key in optional if all(row.get(key) is None for row in rows)}
    columns = {key: name for key, name in LEDGER_COLUMNS.items() if key not in missing}
    return Table(caption, list(columns.values()), [[row.get(key) for key in columns] for row in rows])


def gates_table(gates: Sequence[dict[str, Any]], caption: str = "") -> Table:
    """The gates' judgements."""
    return Table(caption, ("gate", *_GATE[1:]), [[gate.get(key) for key in _GATE] for gate in gates])
