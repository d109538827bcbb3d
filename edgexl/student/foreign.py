"""Whether a student can be written to a directory, told without PyTorch."""

from __future__ import annotations

from pathlib import Path

from edgexl.base.directories import entries
from edgexl.base.errors import BadInput


def refuse_foreign_directory(target: Path) -> None:
    """Raise `BadInput` where a student cannot be written to `target` without replacing something that is none."""
    if target.exists() and not (target / "student.json").is_file() and (target.is_file() or entries(target)):
        raise BadInput(f"{target} holds something that is not a student; give a new or empty directory.")
