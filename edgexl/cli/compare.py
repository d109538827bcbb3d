"""The command compare: two bundles, side by side."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgexl.base.errors import BadInput, GateFailed, shorten
from edgexl.cli.output import (
    check_page,
    command_line,
    json_option,
    print_json,
    print_table,
    progress_bar,
    report_option,
)
from edgexl.cli.streams import print_line

if TYPE_CHECKING:
    from edgexl.use.compare import Comparison
    from edgexl.use.compare_answers import Answers, Change

PATH = click.Path(path_type=Path)
_WIDTH = 60


@click.command()
@click.argument("first", type=PATH)
@click.argument("second", type=PATH)
@click.argument("data", type=PATH, required=False)
@click.option("--queries", type=PATH, help="Instead of DATA: texts whose labels are known (CSV, JSON, ...).")
@click.option("--limit", type=click.IntRange(min=1), help="Only the first so many queries.")
@click.option(
    "--timed", type=click.IntRange(min=2), default=200, show_default=True, help="How many of the queries are timed."
)
@click.option(
    "--device", "devices", multiple=True, metavar="DEVICE",
    help="Time both there (local, ssh://..., adb); given twice, FIRST on the first and SECOND on the second.",
)  # fmt: skip
@click.option(
    "--fail-if-worse", metavar="LIMITS", help="Exit with 1 where SECOND is worse by more, such as P@1:0.5,p50:10%."
)
@click.option("--why", is_flag=True, help="Tell of each answer that changed by which labels, evidence and pass it did.")
@report_option
@json_option
def compare(
    first: Path,
    second: Path,
    data: Path | None,
    queries: Path | None,
    limit: int | None,
    timed: int,
    devices: tuple[str, ...],
    fail_if_worse: str | None,
    why: bool,
    page: Path | None,
    as_json: bool,
) -> None:
    """Compare two bundles: sizes, answers to queries whose labels are known, and times on this machine, in turns.

    DATA is what `edgexl eval` takes; without it, sizes and times alone are compared. Differences come with the interval
    that they lie in; LIMITS are by name: P@1, R@10, R@100, nDCG@5 (and screening_P@1, ...) in points, p50, p90 and
    stages in percent, bytes.

    \b
    edgexl compare old.exl new.exl --queries past.csv
    edgexl compare old.exl new.exl wordnet-data --fail-if-worse P@1:0.5,p50:10%
    edgexl compare old.exl new.exl --queries past.csv --why
    edgexl compare old.exl new.exl --queries past.csv --report differences.html
    edgexl compare a.exl a.exl --device ssh://pi@till --device ssh://pi@desk
    """
    from edgexl.device.open_device import open_device
    from edgexl.use.compare import compare, parse_limits

    if data is not None and queries is not None:
        raise BadInput("Give queries as DATA or as --queries, not as both.")
    check_page(page)
    if len(devices) > 2:
        raise BadInput("Give --device once for both bundles, or twice, once for each.")
    limits = parse_limits(fail_if_worse) if fail_if_worse else ()
    with progress_bar(as_json) as progress, contextlib.ExitStack() as stack:
        there = None
        if devices:
            opened = {name: stack.enter_context(open_device(name, progress)) for name in dict.fromkeys(devices)}
            there = opened[devices[0]], opened[devices[-1]]
        found = compare(first, second, data or queries, limit, timed, limits, progress, there, why)
    breaches = found.breaches(limits)
    if page is not None:
        from edgexl.use.reports.compare_page import write_compare_report

        write_compare_report(found, page, breaches, command_line())
    if as_json:
        print_json({**found.as_json(), "breaches": breaches})
    else:
        _tell(found)
    if breaches:
        raise GateFailed(f"{second} is worse than {first}: {'; '.join(breaches)}.")


def _tell(found: Comparison) -> None:
    print_line(f"first: {found.bundles[0]}; second: {found.bundles[1]}")
    if found.identical:
        print_line("They are the same file, byte for byte.")
    print_line()
    rows = [[name, a, b, f"{b - a:+,}"] for name, (a, b) in found.sizes.items() if a != b or name == "file"]
    print_table(("bytes that differ", "first", "second", "difference"), rows)
    if found.answers is not None:
        _tell_answers(found.answers)
        _tell_ledgers(found)
    print_line()
    if found.devices != ("host", "host"):
        print_line(f"first on {found.devices[0]}, second on {found.devices[1]}")
    print_table(
        ("ms", "p50 1st", "2nd", "p90 1st", "2nd", "ratio", "98% interval", ""),
        [
            [
                stage, *(f"{value:.3f}" for value in (*times.p50, *times.p90)), f"{times.ratio.value:.3f}",
                f"{times.ratio.low:.3f} to {times.ratio.high:.3f}", times.verdict,
            ]
            for stage, times in found.times.items()
        ],
    )  # fmt: skip


def _tell_answers(answers: Answers) -> None:
    from edgexl.use.compare_answers import tell

    print_line()
    gone = f"; {answers.left_out:,} name labels that the second lacks" if answers.left_out else ""
    print_line(f"{answers.queries:,} queries{gone}")
    print_table(
        ("", "first", "second", "difference", "95% interval", ""),
        [
            [name, f"{a:.2f}", f"{b:.2f}", f"{by.value:+.2f}", f"{by.low:+.2f} to {by.high:+.2f}", tell(by)]
            for name, (a, b, by) in answers.metrics.items()
        ],
    )
    print_line()
    for what, count, changes, by in (
        ("lost", answers.lost, answers.losses, answers.lost_by),
        ("gained", answers.gained, answers.gains, answers.gained_by),
    ):
        where = f"{count['screening']:,} at screening, {count['reasoning']:,} by reasoning"
        print_line(f"first answers {what} by the second: {sum(count.values()):,}: {where}")
        if by:
            print_table(("by", "answers"), list(by.items()))
        for change in changes:
            _tell_change(change, what)


def _tell_change(change: Change, what: str) -> None:
    where = f"at rank {change.rank}" if change.rank else "not on the shortlist"
    other = f"{change.instead} ({change.right} {where})"
    before, after = (change.right, other) if what == "lost" else (other, change.right)
    print_line(f"  {shorten(change.text, _WIDTH)}: {before} -> {after}")
    if change.why is not None:
        print_line(f"    {change.why.source}: {change.why.sentence}")


def _tell_ledgers(found: Comparison) -> None:
    rows = []
    for name, (a, b) in found.ledgers.items():
        if a != b:
            values = [side.get(metric) if side else None for metric in ("P@1", "R@100") for side in (a, b)]
            rows.append([name, *values])
    if rows:
        print_line()
        print_line("as their compiles measured them, after each pass that differs:")
        print_table(("pass", "P@1 first", "second", "R@100 first", "second"), rows)
