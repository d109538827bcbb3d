"""What the commands print: JSON, tables of text, and a progress bar."""

from __future__ import annotations

import json
import os
import shlex
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from edgexl.base.errors import BadInput
from edgexl.base.files import check_output
from edgexl.base.progress import Progress, no_progress
from edgexl.cli.exits import GIVEN
from edgexl.cli.streams import print_line, printable, printable_json, takes_unicode, write_line
from edgexl.report.ledger import LEDGER_COLUMNS, gates_table, ledger_table

labels_file_option = click.option(
    "--labels-file", type=click.Path(path_type=Path), help="The label file. [default: BUNDLE.labels]"
)
device_option = click.option(
    "--device",
    default="local",
    show_default=True,
    help="Where: local, ssh://user@host[:port], adb[:SERIAL], emulated:TARGET.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON with stable keys.")
report_option = click.option(
    "--report", "page", metavar="FILE.html", type=click.Path(path_type=Path), help="Also write a page with plots."
)


def check_page(page: Path | None) -> None:
    """Raise `BadInput`, before anything that takes long, where the page of `report_option` cannot be written."""
    if page is not None:
        if page.suffix.lower() not in (".html", ".htm"):
            raise BadInput(f"{page} is to be a page; give --report a name that ends in .html.")
        check_output(page)


def command_line() -> str:
    """The command that runs, as a shell takes it."""
    return shlex.join(["edgexl", *click.get_current_context().meta.get(GIVEN, [])])


def print_json(value: Any) -> None:
    """Print one line of JSON. Refuses NaN and infinities, which are not JSON."""
    write_line(printable_json(json.dumps(value, ensure_ascii=not takes_unicode(sys.stdout), allow_nan=False)))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows under their columns' names; numbers stand to the right, and None is a dash."""
    body = [list(row) for row in rows]
    cells = [list(columns), *([_cell(value) for value in row] for row in body)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(columns))]
    right = [all(_is_number(row[column]) for row in body) for column in range(len(columns))]
    for line in cells:
        padded = (text.rjust(w) if r else text.ljust(w) for text, w, r in zip(line, widths, right, strict=True))
        print_line("  ".join(padded).rstrip())


def _is_number(value: Any) -> bool:
    """Whether a cell is a number, also one that its table has already written out, or stands for a missing one."""
    if isinstance(value, str):
        return value.replace(".", "", 1).isdigit()
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        if 0 < abs(value) < 0.005:
            return f"{value:.0e}"
        return f"{value:.2f}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{value:,}" if isinstance(value, int) else printable(str(value))


@contextmanager
def progress_bar(as_json: bool) -> Iterator[Progress]:
    """A `Progress` that draws a bar a step on standard error, or prints a line every ten seconds where that is no
    terminal and EDGEXL_PROGRESS is not "off"; nothing for JSON."""
    if as_json or sys.stderr is None:
        yield no_progress
        return
    if not sys.stderr.isatty():
        if os.environ.get("EDGEXL_PROGRESS") == "off":
            yield no_progress
            return
        with Lines() as lines:
            yield lines
        return
    # rich takes longer to import than many commands to run
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    )  # fmt: skip
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def show(name: str, done: int, total: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(printable(name))
            bars.update(tasks[name], completed=done, total=total)

        yield show


class Lines:
    """A `Progress` for logs: which step is done, how far it is and what is left of it, a line every `seconds` while the
    block runs, also during a step that tells nothing."""

    def __init__(self, seconds: float = 10.0) -> None:
        self._seconds, self._began = seconds, time.monotonic()
        self._step: tuple[str, int, int] | None = None
        self._first: tuple[int, float] = (
            0,
            self._began,
        )  # of the step: what was done when it was first told of, and when
        self._over = threading.Event()
        self._printer = threading.Thread(target=self._print, daemon=True)

    def __enter__(self) -> Lines:
        self._printer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._printer.join()

    def __call__(self, name: str, done: int, total: int) -> None:
        if self._step is None or self._step[0] != name or done < self._step[1]:
            self._first = done, time.monotonic()
        self._step = name, done, total

    def _left(self, done: int, total: int) -> str:
        """How long the rest of a step takes that goes on as it did; nothing where that cannot be told yet."""
        first, began = self._first
        if done <= first or done >= total:
            return ""
        seconds = (time.monotonic() - began) * (total - done) / (done - first)
        return f", {seconds:.0f} s left" if seconds < 100 else f", {seconds / 60:.0f} minutes left"

    def _print(self) -> None:
        while not self._over.wait(self._seconds):
            if self._step is not None:
                name, done, total = self._step
                far = f" {done:,} of {total:,}" if total > 1 else ""
                print_line(f"{time.monotonic() - self._began:6.0f} s  {name}{far}{self._left(done, total)}", err=True)


def print_ledger(rows: Sequence[dict[str, Any]]) -> None:
    """The table of a compile: one row a pass (`ledger_table`)."""
    table = ledger_table(rows)
    print_table(table.columns, table.rows)
    if LEDGER_COLUMNS["screening_P@1"] in table.columns:
        print_line("s: of screening alone")


def print_gates(gates: Sequence[dict[str, Any]]) -> None:
    """The gates' judgements; nothing where a recipe has none."""
    if gates:
        print_line()
        table = gates_table(gates)
        print_table(table.columns, table.rows)


def print_record(values: dict[str, Any], as_json: bool) -> None:
    """A recipe or a target: a line a key, its tables below it."""
    if as_json:
        print_json(values)
        return
    for name, value in values.items():
        if isinstance(value, dict):
            print_line(f"{name}:")
            for key, inner in value.items():
                if isinstance(inner, tuple) and inner and isinstance(inner[0], dict):
                    for number, each in enumerate(inner):
                        told = ", ".join(f"{part} {_plain(known)}" for part, known in each.items() if known)
                        print_line(f"  {'' if number else key:18}{told}")
                else:
                    print_line(f"  {key:18}{_plain(inner)}")
        else:
            print_line(f"{name:20}{_plain(value)}")


def _plain(value: Any) -> str:
    if value is None or value in ((), ""):
        return "-"
    if isinstance(value, tuple | list):
        return " ".join(map(str, value))
    return f"{value:,}" if type(value) is int else str(value)
