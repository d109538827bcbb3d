"""Reading a model's JSON, and the two kinds of refusal: what is damaged, and what is sound but not edgexl's to run."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.strict_json import parse_line, read_json


class ForeignModel(BadInput):
    """A sound model that needs something which edgexl's own modules do not have; the sentence names it."""


def read_table(path: Path) -> dict[str, Any]:
    """A file's JSON object; an empty one where there is no such file. Raises `BadInput` for anything else."""
    if not path.exists():
        return {}
    table = read_json(path, reader=parse_line)  # tokenizers without a limit say 10^30 tokens
    if not isinstance(table, dict):
        raise BadInput(f"{path} holds {type(table).__name__} where a JSON object is expected.")
    return table


def inside(directory: Path, name: Any, said_by: Path) -> Path:
    """The path of a file or folder that a model's JSON names. Raises `BadInput` for one outside its directory."""
    path = PurePosixPath(name) if isinstance(name, str) else None
    if path is None or path.is_absolute() or ".." in path.parts or "\\" in str(name) or "\0" in str(name):
        raise BadInput(f"{said_by} names {name!r:.80}, which is no file inside {directory}.")
    return directory / path


def as_size(path: Path, key: str, value: Any, least: int = 1) -> int:
    """A whole number of a model's JSON. Raises `BadInput`."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value < 1 << 31:
        raise BadInput(f"{path}: '{key}' is {value!r:.40}; expected a whole number from {least} to {(1 << 31) - 1}.")
    return value
