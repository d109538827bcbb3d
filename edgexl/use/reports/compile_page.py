"""A compile as a page: what each pass cost, what the bundle is made of, how good its answers are, and how to make it
again."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgexl.base.errors import GateFailed
from edgexl.base.progress import Progress, no_progress
from edgexl.bundle.layout import Kind, part_of
from edgexl.bundle.read import read_bundle
from edgexl.report import (
    Bar,
    BarChart,
    BarGroup,
    Folded,
    Paragraph,
    Piece,
    Section,
    Step,
    Table,
    Tile,
    Treemap,
    Waterfall,
    page,
    write_text,
)
from edgexl.report.ledger import gates_table, ledger_table
from edgexl.report.page import Part
from edgexl.report.summary import say_count
from edgexl.report.table import format_bytes
from edgexl.use.reports.accuracy import measure_accuracy
from edgexl.use.reports.reproduce import make_reproduce_section

if TYPE_CHECKING:
    from edgexl.compiler import CompileReport

_SHORT = 80  # characters of a fact that the page shows
Ledger = Sequence[Mapping[str, Any]]


def write_compile_report(
    report: CompileReport,
    path: str | os.PathLike[str],
    command: str = "",
    progress: Progress = no_progress,
) -> None:
    """Write the page of a compile to `path`, in one step. The bundle answers the queries once more that the ledger was
    measured on; `command` is the command line that compiled it."""
    ledger = [row.as_json() for row in report.ledger]
    manifest = read_bundle(report.path, verify=False).manifest
    sections = make_compile_sections(report, progress)
    facts = {"label set (SHA-256)": str(manifest["label_set_sha256"]), **_say_source(manifest.get("provenance") or {})}
    sections.append(make_reproduce_section(command, [report.path], facts))
    recipe, target = manifest["recipe"]["name"], manifest["target"]["name"]
    lead = f"{say_count(manifest['labels'], 'label')}, compiled by the recipe {recipe} for {target}."
    if told := dict(report.facts.get("held_out") or {}).get("measured_on"):
        lead += f" {told}"
    elif report.queries:
        lead += f" Figures are of {len(report.queries):,} held-out queries."
    title = f"{report.path.name}, compiled"
    write_text(Path(path), page(title, sections, "compile", lead, _tiles(report, ledger)))


def write_stopped_report(failed: GateFailed, name: str, path: str | os.PathLike[str], command: str = "") -> None:
    """Write the page of a compile of a bundle called `name` that a gate stopped: what was measured until then."""
    sections = [Section("What stopped it", (Paragraph(str(failed), notice=True),))]
    if failed.ledger:
        sections.append(_ledger(failed.ledger, {}))
    sections.append(Section("Gates", (gates_table(failed.gates),)))
    sections.append(make_reproduce_section(command, []))
    passed = sum(bool(gate["passed"]) for gate in failed.gates)
    tiles = [Tile("Gates passed", f"{passed} of {len(failed.gates)}, and no more were judged")]
    write_text(Path(path), page(f"{name}, stopped by a gate", sections, "compile", "No bundle was written.", tiles))


def make_compile_sections(report: CompileReport, progress: Progress = no_progress) -> list[Section]:
    """What a compile's passes cost, what the file is made of, how good its answers are, and what it was compiled by."""
    bundle = read_bundle(report.path, verify=False)
    sections = [_ledger([row.as_json() for row in report.ledger], report.facts), make_size_section(report.sections)]
    if report.queries:
        sections += measure_accuracy(bundle, report.queries, progress).sections
    else:
        sections.append(Section("How good its answers are", (Paragraph(_NO_QUERIES),)))
    return [*sections, _gates(report), _settings(bundle.manifest)]


_NO_QUERIES = (
    "The student has no evaluation queries, so nothing is known of its answers: give it some, or compile labels with "
    "--queries."
)


def _tiles(report: CompileReport, ledger: Ledger) -> list[Tile]:
    last, passed = ledger[-1], sum(gate.passed for gate in report.gates)
    tiles = []
    for key in ("P@1", "R@100"):
        if last[key] is not None:
            tiles.append(Tile(key, f"{last[key]:.1f}%", f"screening {last[f'screening_{key}']:.1f}%"))
    tiles.append(Tile("Size", format_bytes(report.bytes), say_count(len(report.sections), "section")))
    tiles.append(Tile("Gates passed", f"{passed} of {len(report.gates)}"))
    tiles.append(Tile("Compiled in", f"{report.seconds:.0f} s"))
    return tiles


def draw_ledger(ledger: Ledger, key: str, title: str, limits: tuple[float, float] | None = None) -> Waterfall | None:
    """What each pass did to a column of the ledger; None where it was not measured."""
    steps = [Step(str(row["pass"]), float(row[key])) for row in ledger if row.get(key) is not None]
    return Waterfall(title, steps, "bytes" if key == "bytes" else "points", limits) if steps else None


def _ledger(ledger: Ledger, facts: Mapping[str, Any]) -> Section:
    parts: list[Part] = []
    columns = {
        "P@1": "P@1 after each pass", "screening_P@1": "P@1 of screening alone", "R@100": "R@100 of the shortlist",
        "bytes": "Bytes after each pass",
    }  # fmt: skip
    measured = any(row.get("P@1") is not None for row in ledger)
    parts.append(Paragraph(_LEDGER if measured else f"{_NO_QUERIES} The ledger shows bytes and seconds alone."))
    parts += [chart for key, title in columns.items() if (chart := draw_ledger(ledger, key, title)) is not None]
    seconds = [BarGroup(str(row["pass"]), [Bar("seconds", float(row["seconds"]))]) for row in ledger]
    parts.append(BarChart("Seconds of each pass", "s", seconds, note="Without what measuring the ledger took."))
    parts.append(ledger_table([dict(row) for row in ledger], "Ledger (s: of screening alone)"))
    if cut := facts.get("queries_that_are_descriptions"):
        gone = sum(dict(cut).values())
        parts.append(Paragraph(f"{gone:,} queries that are descriptions of their labels word for word were left out."))
    return Section("Where accuracy and bytes went", parts)


_LEDGER = (
    "The float student comes first; each pass is measured on the same queries, the last one by the runtime, as on a "
    "device. Blue is a gain, orange a loss."
)


def make_size_section(sizes: Mapping[str, int]) -> Section:
    """What a file is made of, by section."""
    kinds = {kind.name.lower(): part_of(kind) for kind in Kind}
    pieces = [Piece(name.replace("_", " "), kinds.get(name, "rest"), size) for name, size in sizes.items()]
    by_kind: dict[str, int] = {}
    for piece in pieces:
        by_kind[piece.kind] = by_kind.get(piece.kind, 0) + piece.bytes
    ordered = sorted(by_kind.items(), key=lambda pair: -pair[1])
    groups = [BarGroup(kind, [Bar("MB", size / 1e6)]) for kind, size in ordered]
    return Section(
        "What the file is made of", (Treemap("Size by section", pieces), BarChart("Size by kind", "MB", groups))
    )


def _gates(report: CompileReport) -> Section:
    rows = [gate.as_json() for gate in report.gates]
    return Section("Gates", (gates_table(rows) if rows else Paragraph("The recipe has no gate."),))


def _settings(manifest: Mapping[str, Any]) -> Section:
    tables = {name: _flatten(manifest[name.lower()]) for name in ("Recipe", "Target")}
    return Section(
        "Recipe and target", [Folded(f"{name} {manifest[name.lower()]['name']}", tables[name]) for name in tables]
    )


def _flatten(table: Mapping[str, Any]) -> Table:
    rows: list[tuple[str, str]] = []
    for key, value in table.items():
        inner = value.items() if isinstance(value, Mapping) else ()
        rows += [(f"{key}.{name}", _say(setting)) for name, setting in inner] or [(key, _say(value))]
    return Table("", ("setting", "value"), [row for row in rows if row[1]])


def _say(value: Any) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


def _say_source(provenance: Mapping[str, Any]) -> dict[str, str]:
    """What is short of where the student is from; licence texts and recipes are in the manifest."""
    short = {key: _say(value) for key, value in provenance.items() if isinstance(value, str | int | float)}
    return {f"student: {key.replace('_', ' ')}": said for key, said in short.items() if 0 < len(said) <= _SHORT}
