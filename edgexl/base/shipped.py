"""The files that edgexl ships: recipes, targets and students, found by name.

An installed package carries their folders inside itself; a checkout has them beside it, and is known by its
pyproject.toml. A folder of the same name that another distribution has put beside an installed package is not
looked at.
"""

from __future__ import annotations

import itertools
import re
from pathlib import Path

from edgexl.base import toml
from edgexl.base.errors import BadInput

_PACKAGE = Path(__file__).resolve().parents[1]


def shipped_folder(name: str) -> Path:
    """Where edgexl's own folder `name` ("recipes/compile", "targets", ...) is; it need not exist."""
    inside = _PACKAGE / name
    return _PACKAGE.parent / name if not inside.is_dir() and (_PACKAGE.parent / "pyproject.toml").is_file() else inside


def shipped_files(folder: str) -> dict[str, Path]:
    """The TOML files that edgexl ships in `folder`: name -> path, sorted."""
    return {path.stem: path for path in sorted(shipped_folder(folder).glob("*.toml"))}


def head_comment(path: Path) -> str:
    """The first sentence of the comment that a TOML file begins with, without its end; nothing where there is none."""
    lines = itertools.takewhile(lambda line: line.startswith("#"), path.read_text(encoding="utf-8").splitlines())
    text = " ".join(line.lstrip("# ").strip() for line in lines)
    return re.split(r"[.:;] ", f"{text} ", maxsplit=1)[0]


def available_students() -> dict[str, Path]:
    """The students that edgexl ships: name -> directory, sorted."""
    return {path.parent.name: path.parent for path in sorted(shipped_folder("students").glob("*/student.json"))}


def find_student(name: str) -> Path | None:
    """Where a student is, given its directory or the name of a shipped one; None for anything else."""
    if (Path(name) / "student.json").is_file():
        return Path(name)
    return None if Path(name).is_dir() else available_students().get(name)


def find_toml(source: str | Path, folder: str, what: str) -> Path:
    """A TOML file by path or by the name of a shipped one in `folder`; `what` it is goes into the error sentence."""
    path = Path(source)
    if path.suffix == ".toml" or path.is_file():
        if not path.is_file():
            raise BadInput(f"There is no {what} at {path}; give the path of a TOML file or a shipped {what}'s name.")
        return path
    known = shipped_files(folder)
    if str(source) not in known:
        raise BadInput(f"There is no {what} '{source}'{toml.nearest(str(source), list(known))}")
    return known[str(source)]
