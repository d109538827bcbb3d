"""Options of the command compile that ask for a budget, and what it then prints."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgexl.base.errors import BadInput
from edgexl.cli.output import print_table
from edgexl.cli.streams import print_line

if TYPE_CHECKING:
    from edgexl.target import Target
    from edgexl.use.budget.forecast import Candidate
    from edgexl.use.budget.limits import Limits
    from edgexl.use.budget.search import BudgetReport

_NAMES = ("max_ms", "max_memory", "max_size", "min_recall", "usual_budget", "device")
_COLUMNS = ("P@1", "R@100", "ms", "memory MB", "size MB")


def budget_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options; the command takes them as keywords, of which `take_budget` makes a `Budget`."""
    for option in reversed(
        (
            click.option(
                "--max-ms", type=float, help="Search for the best bundle that answers in so many ms (median)."
            ),
            click.option("--max-memory", metavar="BYTES", help="... whose peak resident memory is at most that: 30MB."),
            click.option("--max-size", metavar="BYTES", help="... whose file has at most so many bytes: 25MB."),
            click.option("--min-recall", type=float, help="... whose R@100 is at least that, in percent."),
            click.option("--budget", "usual_budget", is_flag=True, help="... what the target says is usually asked."),
            click.option(
                "--device", help="Measure them there: ssh://user@host[:port], adb[:SERIAL].  [default: local]"
            ),
        )
    ):
        command = option(command)
    return command


class Budget:
    """What `budget_options` were given; false where none was."""

    def __init__(self, options: dict[str, Any]) -> None:
        from edgexl.use.budget.limits import Limits, read_bytes

        memory, size = options["max_memory"], options["max_size"]
        self._limits = Limits(
            options["max_ms"],
            None if memory is None else read_bytes(memory, "--max-memory"),
            None if size is None else read_bytes(size, "--max-size"),
            options["min_recall"],
        )
        self._usual = bool(options["usual_budget"])
        self.device: str | None = options["device"]

    def __bool__(self) -> bool:
        from edgexl.use.budget.limits import Limits

        return self._usual or self._limits != Limits()

    def limits(self, target: Target) -> Limits:
        """What is asked of bundles for a target. Raises `BadInput` where that is nothing."""
        from edgexl.use.budget.limits import Limits

        limits = self._limits.or_usual(target) if self._usual else self._limits
        if limits == Limits():
            raise BadInput(f"The target {target.name} says of no budget; give --max-ms, --max-memory or --max-size.")
        return limits


def take_budget(options: dict[str, Any]) -> Budget:
    """A `Budget` of the options, which are taken out of all `options` of a command. Raises `BadInput`."""
    return Budget({name: options.pop(name) for name in _NAMES})


def print_budget(report: BudgetReport, out: Path) -> None:
    """What the search found, in 80 columns."""
    print_line(f"asked: {report.limits.sentence()}; times and memory: {report.measured_on}")
    print_line()
    print_line("what no other beats (* is taken, v was made and measured, the rest is foretold):")
    taken = None if report.taken is None else report.taken.point
    shown = _some(report)
    marks = ["*" if each.point == taken else "v" if each.verified else "" for each in shown]
    rows = [[f"{mark}{number}", *_cells(each)] for number, (mark, each) in enumerate(zip(marks, shown, strict=True), 1)]
    print_table(("", *_COLUMNS), rows)
    print_line()
    for number, each in enumerate(shown, 1):
        _print_wrapped(each.point.name, f"{number:3}  ", " " * 5)
    if report.taken is None:
        return
    for name, each in report.shipped.items():
        if each.point != taken:
            _print_wrapped(f"the recipe {name} beside it: {', '.join(_said(each))}")
    if report.given_up:
        print_line()
        print_line("what was given up where, each by itself:")
        print_table(
            ("part", "P@1", "ms", "memory MB", "size MB", "option"),
            [
                [
                    each.option.part, _signed(each.p_at_1, 2), _signed(each.costs["ms"], 3),
                    _signed(each.costs["memory_bytes"] / 1e6, 1), _signed(each.costs["size_bytes"] / 1e6, 1),
                    each.option.name,
                ]
                for each in report.given_up
            ],
        )  # fmt: skip
    if report.relaxations:
        print_line()
        for relaxation in report.relaxations:
            _print_wrapped(relaxation.sentence())
    print_line()
    now, known = report.measurements
    print_line(f"{now} candidates measured, {known} known from before, in {report.seconds:.0f} s")
    print_line(f"{out}: {', '.join(_said(report.taken))}")


_SHOWN = 12


def _print_wrapped(text: str, first: str = "", then: str = "  ") -> None:
    """A sentence, in lines of 80 columns."""
    for line in textwrap.wrap(text, 79, initial_indent=first, subsequent_indent=then):
        print_line(line)


def _some(report: BudgetReport) -> list[Candidate]:
    """The front with the point that is taken; of a long one what was made, and others evenly between these."""
    points = {each.point: each for each in (*report.front, *([report.taken] if report.taken else []))}
    front = sorted(points.values(), key=lambda each: (each.figures.size_bytes, each.figures.ms))
    if len(front) <= _SHOWN:
        return front
    taken = None if report.taken is None else report.taken.point
    kept = {at for at, each in enumerate(front) if each.verified or each.point == taken}
    free = max(0, _SHOWN - len(kept))
    kept |= {round(at * (len(front) - 1) / max(1, free - 1)) for at in range(free)}
    return [front[at] for at in sorted(kept)]


def _cells(candidate: Candidate) -> list[str]:
    found = candidate.figures
    return [
        _percent(found.p_at_1), _percent(found.recall), f"{found.ms:.2f}", f"{found.memory_bytes / 1e6:.1f}",
        f"{found.size_bytes / 1e6:.1f}",
    ]  # fmt: skip


def _said(candidate: Candidate) -> list[str]:
    found = candidate.figures
    said = [] if found.p_at_1 is None else [f"P@1 {found.p_at_1:.2f}", f"R@100 {found.recall or 0:.2f}"]
    return [
        *said, f"{found.ms:.2f} ms", f"{found.memory_bytes / 1e6:.1f} MB of memory", f"{found.size_bytes:,} bytes",
    ]  # fmt: skip


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _signed(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:+.{digits}f}"
