"""The faults that are put into Python: what is changed, what is passed over, and which tests are a line's."""

from __future__ import annotations

import ast
import fnmatch
from pathlib import Path

import pytest

from tests.mutants import choose_faults, equivalent
from tests.mutants.python_faults import LEFT_OUT, MODULES, covered_lines, faults_of

SOURCE = '''"""Words of a module: 1 + 1."""

from typing import Protocol

LIMIT = 3
Numbers = list[int]


class Shape(Protocol):
    size: int = 4


def find(values: list[int], most: int = LIMIT, deep: bool = False) -> int:
    """The first 2 of them."""
    assert most > 0, "not 5"
    for value in values[1:]:
        if value < most and not deep:
            raise ValueError(f"{value + 1} is too small for {6}")
        progress(value, 7)
        if value in values:
            continue
    return min(values) + most
'''


def changes(source: str = SOURCE) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for fault in faults_of("edgexl/x.py", source):
        found.setdefault(fault.before, set()).add(fault.after)
    return found


def test_what_decides_is_changed_and_words_types_and_progress_are_not() -> None:
    found = changes()
    assert found["3"] == {"4", "2"}
    assert found["False"] == {"True"}
    assert found["1:"] == {"1 + 1:", ":"}
    assert found["1"] == {"2", "0"}
    assert found["value < most"] == {"(value <= most)", "(value >= most)"}
    assert found["value < most and not deep"] == {
        "(value < most or not deep)", "(value < most)", "(not deep)", "(not (value < most and (not deep)))",
    }  # fmt: skip
    assert found["not deep"] == {"deep"}
    assert found["value in values"] == {"(value not in values)"}
    assert found["continue"] == {"break", "pass"}
    assert found["min(values)"] == {"max(values)"}
    assert found["min(values) + most"] == {"(min(values) - most)"}
    assert found["return min(values) + most"] == {"return min(values)"}
    assert found['raise ValueError(f"{value + 1} is too small for {6}")'] == {"pass"}
    for passed in ("4", "2", "5", "6", "7", "most > 0", "value + 1", "list[int]", "progress(value, 7)"):
        assert passed not in found


def test_each_fault_is_one_change_that_can_be_read() -> None:
    for fault in faults_of("edgexl/x.py", SOURCE):
        changed = fault.apply(SOURCE.encode()).decode()
        assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(SOURCE))
        assert SOURCE.splitlines()[fault.line - 1] != changed.splitlines()[fault.line - 1]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1 - values[0]", {"values[0]": set(), "0": {"1"}}),
        ("x = 1 - values[-1]", {"-1": {"0"}}),
        ("x = a.sum(axis=1)", {"a.sum(axis=1)": {"a.sum()", "a.max(axis=1)"}}),
        ("x = -y", {"-y": {"y"}}),
        ("x = 0.5", {"0.5": {"1.0", "0.25"}}),
        ("f(a, b)", {"f(a, b)": {"f(b, a)", "pass"}}),
        ("x[0] = 1", {"x[0] = 1": {"pass"}}),
        ("x = [y for y in z if y]", {"y": {"True"}}),
        ("x = g(y, strict=True)", {"True": set(), "g(y, strict=True)": set()}),
        ("x = g(y, stable=True)", {"True": {"False"}, "g(y, stable=True)": {"g(y)"}}),
        ("x = sorted(y)", {"sorted(y)": {"list(y)", "y"}}),
    ],
)
def test_faults_by_kind(before: str, after: dict[str, set[str]]) -> None:
    found = changes(before + "\n")
    for text, wanted in after.items():
        assert found.get(text, set()) == wanted


def test_every_module_that_is_named_is_there() -> None:
    """So that one that moves is not forgotten."""
    root = Path(__file__).parents[2]
    paths = [str(path.relative_to(root)) for path in (root / "edgexl").rglob("*.[pch]*") if path.is_file()]
    named = {*MODULES, *LEFT_OUT, *(path for path, *_ in equivalent._EQUIVALENT)}
    assert [name for name in sorted(named) if not fnmatch.filter(paths, name)] == []


def test_the_same_seed_draws_the_same_faults_and_no_place_twice() -> None:
    faults = faults_of("edgexl/x.py", SOURCE)
    once, again = (choose_faults(faults, 8, 1) for _ in range(2))
    assert once == again != choose_faults(faults, 8, 2)
    assert len({(fault.begin, fault.end) for fault in once}) == 8
    assert len(choose_faults(faults, 999, 1)) == len({(fault.begin, fault.end) for fault in faults})


def test_the_lines_of_a_fault() -> None:
    """A statement's own; a function's body for its defaults; the whole file for what is run at import."""
    lines = {fault.before: covered_lines(SOURCE, fault) for fault in faults_of("edgexl/x.py", SOURCE)}
    count = len(SOURCE.splitlines())
    assert lines["3"] == range(1, count + 1)
    assert lines["False"] == range(14, count + 1)
    assert lines["value < most"] == range(17, 18)
    assert lines["min(values)"] == range(22, 23)
