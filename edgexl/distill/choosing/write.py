"""A recipe as TOML, with the reason of each value beside it: what is edited next."""

from __future__ import annotations

import json
import os
import re
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any

from edgexl.base.files import write_text
from edgexl.distill.choosing.choose import Chosen
from edgexl.distill.recipe import FilesTable

_HEAD = """\
# Made by `edgexl distill`. Edit it and run
#     edgexl distill {name} -o OTHER
# What each key means: `python -c "import edgexl.distill.recipe as r; help(r)"`
"""
# Keys that say something even where they are what a recipe has without them.
_ALWAYS = ("steps", "batch", "learning_rate", "shortlist", "reasoning_share")


_COMMENTED = re.compile(r"(\w+) = .*?  # (.+)")


def read_reasons(path: Path) -> dict[str, str]:
    """What `write_recipe` wrote beside the values; nothing of other files."""
    reasons, table = {}, ""
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("["):
            table = line.strip("[] ") + "."
        elif found := _COMMENTED.fullmatch(line):
            reasons[table + found[1]] = found[2]
    return reasons


def write_recipe(chosen: Chosen, path: Path) -> None:
    """Write the recipe to `path`, with the paths of its files as seen from there."""
    write_text(path, format_recipe(chosen, path))


def format_recipe(chosen: Chosen, path: Path) -> str:
    """The TOML text. Of values that a recipe has anyway, those without a reason are left out."""
    recipe, reasons = chosen.recipe, chosen.reasons
    lines, tables = [_HEAD.format(name=path.name)], []
    for each in fields(recipe):
        value = getattr(recipe, each.name)
        if isinstance(value, FilesTable):
            value = value.moved(lambda file: _relative(file, path.parent))
        if is_dataclass(value):
            inner = _table(value, each.name, reasons)
            if inner:
                tables += ["", f"[{each.name}]", *inner]
        elif value is not None and (value != each.default or each.name == "seed"):
            lines.append(_line(each.name, value, reasons.get(each.name, "")))
    return "\n".join([*lines, *tables]) + "\n"


def _table(table: Any, name: str, reasons: dict[str, str]) -> list[str]:
    lines = []
    for each in fields(table):
        value, reason = getattr(table, each.name), reasons.get(f"{name}.{each.name}", "")
        default = each.default_factory() if each.default_factory is not MISSING else each.default
        if is_dataclass(value) or value is None or (value == default and not reason and each.name not in _ALWAYS):
            continue
        lines.append(_line(each.name, value, reason))
    return lines


def _line(name: str, value: Any, reason: str) -> str:
    said = f"{name} = {_value(value)}"
    return f"{said:28}  # {reason}" if reason else said


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _relative(file: str, folder: Path) -> str:
    """A path as seen from a folder; on another drive as it is."""
    try:
        return Path(os.path.relpath(file, folder)).as_posix()
    except ValueError:
        return str(Path(file).absolute())
