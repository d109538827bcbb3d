"""Two bundles beside each other as a page: answers gained and lost, times, sizes, and where their compiles differ."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from edgexl.report import (
    Answer,
    Bar,
    BarChart,
    BarGroup,
    Example,
    Examples,
    Paragraph,
    Range,
    RangeChart,
    Section,
    Step,
    Table,
    Tile,
    Waterfall,
    page,
    write_text,
)
from edgexl.report.page import Part
from edgexl.report.table import Cell, format_bytes
from edgexl.use.compare import Comparison
from edgexl.use.compare_answers import Answers, Change, tell
from edgexl.use.compare_times import TOTAL, Times
from edgexl.use.reports.reproduce import make_reproduce_section

FIRST, SECOND = "first", "second"
_DRAWN = 0.005  # of the file: a smaller section's bar is not seen


def write_compare_report(
    found: Comparison, path: str | os.PathLike[str], breaches: Sequence[str] = (), command: str = ""
) -> None:
    """Write the page of a comparison to `path`, in one step. `breaches` are the limits that the second bundle is
    beyond, a sentence each; `command` is the command line that compared."""
    names = [Path(bundle).name for bundle in found.bundles]
    sections = [_answers(found.answers), *_examples(found.answers), _times(found.times), _sizes(found), _ledgers(found)]
    sections.append(make_reproduce_section(command, found.bundles))
    if breaches or found.identical:
        notices = [Paragraph(f"Beyond the limit {breach}.", notice=True) for breach in breaches]
        same = [Paragraph("They are the same file, byte for byte.")] if found.identical else []
        sections.insert(0, Section("Verdict", [*notices, *same]))
    lead = f"First: {names[0]}. Second: {names[1]}. Differences are the second less the first, ratios second by first."
    write_text(Path(path), page(f"{names[0]} and {names[1]}", sections, "compare", lead, _tiles(found)))


def _tiles(found: Comparison) -> list[Tile]:
    tiles = []
    if found.answers is not None:
        for name in ("P@1", "R@100"):
            first, second, by = found.answers.metrics[name]
            tiles.append(Tile(name, f"{by.value:+.2f} points", f"{first:.2f} to {second:.2f}: {tell(by)}"))
    total = found.times[TOTAL]
    first, second = total.p50
    tiles.append(
        Tile("Median query", f"{total.ratio.value - 1:+.1%}", f"{first:.2f} to {second:.2f} ms: {total.verdict}")
    )
    before, after = found.sizes["file"]
    tiles.append(Tile("Size", f"{after / before - 1:+.1%}", f"{format_bytes(before)} to {format_bytes(after)}"))
    return tiles


def _answers(answers: Answers | None) -> Section:
    title = "Answers gained and lost"
    if answers is None:
        said = (
            "No queries whose labels are known were given, so answers are not compared: give some as DATA or --queries."
        )
        return Section(title, (Paragraph(said),))
    gone = f"; {answers.left_out:,} more name labels that the second lacks" if answers.left_out else ""
    rows = [Range(_say(name), by.low, by.value, by.high, said=tell(by)) for name, (_, _, by) in answers.metrics.items()]
    numbers = [
        (_say(name), round(a, 2), round(b, 2), round(by.value, 2), f"{by.low:+.2f} to {by.high:+.2f}", tell(by))
        for name, (a, b, by) in answers.metrics.items()
    ]
    groups = [
        BarGroup(stage, [Bar("gained", float(answers.gained[stage])), Bar("lost", float(answers.lost[stage]))])
        for stage in answers.lost
    ]
    lost, gained = sum(answers.lost.values()), sum(answers.gained.values())
    parts: list[Part] = [
        Paragraph(
            f"Both answered {answers.queries:,} queries{gone}. The second puts a gold label first where the first did "
            f"not for {gained:,} of them, and no longer does for {lost:,}."
        ),
        RangeChart(
            "Differences of metrics", "points, second less first", rows, ("low", "from", "difference", "to", "high"),
            reference=0.0, note="With the 95% intervals that they lie in; what crosses the line may be chance.",
        ),
        BarChart(
            "By the stage that does it", "queries", groups,
            note="Screening: the bundle that has it wrong has no gold label on its shortlist. Reasoning: it has.",
        ),
        Table("Metrics in percent", ("", FIRST, SECOND, "difference", "95% interval", ""), numbers),
    ]  # fmt: skip
    return Section(title, parts)


def _say(name: str) -> str:
    stage, _, metric = name.rpartition("_")
    return f"{metric}, {stage}" if stage else metric


def _examples(answers: Answers | None) -> list[Section]:
    if answers is None:
        return []
    found = {"lost": answers.losses, "gained": answers.gains}
    return [
        Section(f"Examples of answers {what}", (Examples([_example(change, what) for change in changes]),))
        for what, changes in found.items()
        if changes
    ]


def _example(change: Change, what: str) -> Example:
    where = f"is at rank {change.rank}" if change.rank else "is not on the shortlist"
    wrong = SECOND if what == "lost" else FIRST
    right = Answer(change.right, FIRST if what == "lost" else SECOND, gold=True)
    other = Answer(change.instead or "no answer", wrong)
    said = f"In the {wrong}, {change.right} {where}: {change.stage} is to blame."
    return Example(change.text, [said], [right, other] if what == "lost" else [other, right])


def _times(times: dict[str, Times]) -> Section:
    rows = [
        Range(stage, each.ratio.low, each.ratio.value, each.ratio.high, said=each.verdict)
        for stage, each in times.items()
    ]
    groups = [
        BarGroup(stage, [Bar(name, round(value, 3)) for name, value in zip((FIRST, SECOND), each.p50, strict=True)])
        for stage, each in times.items()
    ]
    numbers: list[Sequence[Cell]] = [
        (
            stage, *(round(value, 4) for value in (*each.p50, *each.p90)), each.ratio.value,
            f"{each.ratio.low:.3f} to {each.ratio.high:.3f}", each.verdict,
        )
        for stage, each in times.items()
    ]  # fmt: skip
    columns = ("stage", "p50 first", "second", "p90 first", "second", "ratio", "98% interval", "")
    ratios = RangeChart(
        "How many times as long the second takes", "second / first", rows, ("low", "from", "ratio", "to", "high"),
        reference=1.0, note="With 98% intervals, of blocks of queries that both answer in turns on one core.",
    )  # fmt: skip
    return Section(
        "Times", (ratios, BarChart("Median by stage", "ms", groups), Table("Milliseconds", columns, numbers))
    )


def _sizes(found: Comparison) -> Section:
    sections = {name: both for name, both in found.sizes.items() if name != "file"}
    ordered = sorted(sections.items(), key=lambda pair: -max(pair[1]))
    groups = [BarGroup(name.replace("_", " "), [Bar(FIRST, a / 1e6), Bar(SECOND, b / 1e6)]) for name, (a, b) in ordered]
    rows = [(name.replace("_", " "), a, b, b - a) for name, (a, b) in [*ordered, ("file", found.sizes["file"])]]
    return Section(
        "Sizes by section",
        (BarChart("The larger sections", "MB", groups), Table("Bytes", ("section", FIRST, SECOND, "difference"), rows)),
    )


def _ledgers(found: Comparison) -> Section:
    """Waterfalls of one scale, side by side."""
    parts: list[Part] = []
    for metric in ("P@1", "R@100"):
        steps = [_steps(found, side, metric) for side in (0, 1)]
        moves = [step.value - each[0].value for each in steps for step in each]
        if all(steps):
            low, high = min(0.0, *moves), max(0.0, *moves)
            slack = 0.05 * (high - low) or 0.5
            parts += [
                Waterfall(f"{metric}: {name}", each, limits=(low - slack, high + slack))
                for name, each in zip((FIRST, SECOND), steps, strict=True)
            ]
    if not parts:
        return Section("Ledgers", (Paragraph("The compile of one of them measured no accuracy."),))
    said = "As their compiles measured them, each on its own queries. Blue is a gain, orange a loss."
    return Section("Ledgers", (Paragraph(said), *parts))


def _steps(found: Comparison, side: int, metric: str) -> list[Step]:
    rows = [(name, both[side] or {}) for name, both in found.ledgers.items()]
    return [Step(name, row[metric]) for name, row in rows if metric in row]
