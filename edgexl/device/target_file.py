"""Writes a target as the TOML file that `load_target` reads, with a comment beside what was measured."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from edgexl.target import Target


def write_target(target: Target, notes: Mapping[str, str], device: str) -> str:
    """The file's text. `notes`: a comment above a field, by its name; fields that keep their default are left out."""
    plain: list[str] = []
    tables: list[str] = []
    for field in sorted(dataclasses.fields(target), key=lambda field: field.name not in ("name", "description")):
        value = getattr(target, field.name)
        if field.default is not dataclasses.MISSING and value == field.default:
            continue
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            tables += ["", *_comment(notes, field.name), f"[{field.name}]", *_lines(value, notes)]
        else:
            plain += [*_comment(notes, field.name), f"{field.name} = {_value(value)}"]
    head = [f"# Measured by `edgexl targets detect` on {device}; lower what an application may not take."]
    return "\n".join([*head, *plain, *tables]) + "\n"


def _lines(table: Any, notes: Mapping[str, str]) -> list[str]:
    lines: list[str] = []
    for field in dataclasses.fields(table):
        value = getattr(table, field.name)
        lines += _comment(notes, field.name)
        if field.default is dataclasses.MISSING or value != field.default:
            lines.append(f"{field.name} = {_value(value)}")
    return lines


def _comment(notes: Mapping[str, str], name: str) -> list[str]:
    return [f"# {notes[name]}"] if name in notes else []


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return f"{value:_}" if value >= 10_000 else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, str):
        # what JSON escapes, TOML reads, but for the one control character that JSON leaves as it is
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = (
            f"{field.name} = {_value(getattr(value, field.name))}"
            for field in dataclasses.fields(value)
            if field.default is dataclasses.MISSING or getattr(value, field.name) != field.default
        )
        return f"{{ {', '.join(pairs)} }}"
    if value and dataclasses.is_dataclass(value[0]):
        return "[\n" + "".join(f"  {_value(each)},\n" for each in value) + "]"
    return f"[{', '.join(map(_value, value))}]"
