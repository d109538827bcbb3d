"""A profile as a page: what `edgexl profile --json` tells, in plots. What a profile does not have is left out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgexl.report import (
    Bar,
    BarChart,
    BarGroup,
    Folded,
    Histogram,
    LineChart,
    Paragraph,
    Range,
    RangeChart,
    Section,
    Series,
    Table,
    Tile,
    page,
    write_text,
)
from edgexl.report.histogram import count_values
from edgexl.report.page import Part
from edgexl.report.summary import say_count
from edgexl.report.table import Percent, format_bytes
from edgexl.use.reports.reproduce import make_reproduce_section

Report = Mapping[str, Any]
_PERCENTILES = ("min_ms", "p50_ms", "p90_ms", "p99_ms")
_DRAWN_OPERATIONS = 12
_STILL_CACHED = 5.0  # percent of the file: more, and what is called cold is not
_MEMORY = {
    "mapped_bytes": "mapped: the file and all it brings",
    "peak_resident_bytes": "resident at the peak",
    "resident_bytes": "resident after the run",
    "file_bytes": "of that, pages of files",
    "anonymous_bytes": "of that, the process's own",
}


def write_profile_report(
    report: Report,
    path: str | os.PathLike[str],
    bundle: str | os.PathLike[str] | None = None,
    command: str = "",
) -> None:
    """Write the page of a profile, as `edgexl.use.profile.profile` gives it, to `path`, in one step. `bundle` is the
    file that was profiled, `command` the command line that did it."""
    write_text(Path(path), make_profile_page(report, bundle, command))


def make_profile_page(report: Report, bundle: str | os.PathLike[str] | None = None, command: str = "") -> str:
    """The HTML."""
    found = [
        _stages(report), _operations(report), _limits(report), _sessions(report), _memory(report), _sustained(report),
        _beside(report),
    ]  # fmt: skip
    sections = [section for section in found if section is not None]
    facts = {key: str(report[key]) for key in ("device", "cpu", "engine", "kernel") if report.get(key)}
    sections.append(make_reproduce_section(command, [bundle] if bundle is not None else [], facts))
    name = Path(bundle).name if bundle is not None else "A bundle"
    threads = report.get("threads")
    parts = [f"{report['runs']:,} queries", f"engine {report['engine']}"]
    parts += [f"{kernel} kernels"] if (kernel := report.get("kernel")) else []
    parts += [say_count(threads, "thread")] if isinstance(threads, int) else []
    return page(f"{name} on {report['device']}", sections, "profile", f"{', '.join(parts)}.", _tiles(report))


def _tiles(report: Report) -> list[Tile]:
    total, memory, cold = report["total"], report.get("memory") or {}, report.get("cold")
    first = f"open {_ms(report['load_ms'])}"
    first += f"; {_ms(cold['first_ms'])} without page cache" if cold and _is_cold(cold) else ""
    own = f"{format_bytes(memory['anonymous_bytes'])} anonymous" if memory.get("anonymous_bytes") else ""
    tiles = [
        Tile("Median query", _ms(total["p50_ms"]), f"p90 {_ms(total['p90_ms'])}, p99 {_ms(total['p99_ms'])}"),
        Tile("Open and first answer", _ms(report["first_ms"]), first),
        Tile("Peak resident", format_bytes(memory.get("peak_resident_bytes") or report["peak_resident_bytes"]), own),
    ]
    if sweep := _sweep(report):
        best = max(sweep, key=lambda row: float(row["queries_per_s"]))
        tiles.append(Tile("Queries a second", f"{best['queries_per_s']:,.0f}", say_count(best["sessions"], "session")))
    if energy := report.get("energy_mj_per_query"):
        tiles.append(Tile("Energy a query", f"{energy:.3g} mJ"))
    return tiles


def _is_cold(cold: Report) -> bool:
    """Whether the system let the file go when it was asked to."""
    return float(cold.get("cached_percent") or 0) < _STILL_CACHED


def _sweep(report: Report) -> list[Mapping[str, Any]]:
    return report.get("throughput") or []


def _stages(report: Report) -> Section:
    parts: list[Part] = []
    if not report.get("timed", True):
        parts.append(Paragraph("This device is emulated: its times say nothing of a real one.", notice=True))
    busy = report.get("busy") or {}
    if busy.get("warning"):
        parts.append(Paragraph(str(busy["warning"]), notice=True))
    stages, total = report["stages"], report["total"]
    medians = sum(times["p50_ms"] for times in stages.values())
    parts.append(
        Paragraph(
            f"The stages' medians add up to {_ms(medians)}, {medians / total['p50_ms']:.0%} of the median of whole "
            "queries."
        )
    )
    rows = [_range(name, times) for name, times in stages.items()]
    parts.append(
        RangeChart(
            "Time by stage", "ms", rows, ("min", "p50", "p50 (mark)", "p90", "p99"),
            note="The mark is the median, the box reaches to p90, the whiskers from the least to p99.",
        )
    )  # fmt: skip
    parts.append(_distribution(report))
    numbers = [
        (
            name,
            *(round(float(times[key]), 4) for key in _PERCENTILES),
            Percent(times["p50_ms"] / medians) if medians else None,
        )
        for name, times in stages.items()
    ]
    whole = ("total", *(round(float(total[key]), 4) for key in _PERCENTILES), None)
    columns = ("stage", "min ms", "p50 ms", "p90 ms", "p99 ms", "share of medians")
    parts.append(Table("Stages", columns, [*numbers, whole]))
    if len(busy) > (1 if "warning" in busy else 0):
        rows_of_busy = [(_words(key), value) for key, value in busy.items() if key != "warning" and value is not None]
        parts.append(Table("How busy the machine was", ("", ""), rows_of_busy))
    return Section("Where the time goes", parts)


def _range(name: str, times: Mapping[str, float]) -> Range:
    low, middle, end, high = (float(times[key]) for key in _PERCENTILES)
    return Range(name, low, middle, max(high, end), middle, end, f"{middle:.3f}")


def _distribution(report: Report) -> Part:
    total = report["total"]
    samples = (report.get("samples") or {}).get("total")
    if not samples:
        return RangeChart(
            "Time of whole queries", "ms", [_range("total", total)], ("min", "p50", "p50 (mark)", "p90", "p99")
        )
    low, high = min(samples), max(float(total["p99_ms"]) * 1.1, float(total["p50_ms"]) * 1.5)
    edges, counts = count_values(samples, low, high)
    lines = {name: float(total[f"{name}_ms"]) for name in ("p50", "p90", "p99")}
    beyond = sum(sample > high for sample in samples)
    said = f"{beyond} of them took longer than the axis reaches, up to {_ms(max(samples))}." if beyond else ""
    return Histogram("Time of whole queries", "ms", "queries", edges, counts, lines, said)


def _operations(report: Report) -> Section | None:
    operations = report.get("operations")
    if not operations:
        return None
    ordered = sorted(operations, key=lambda each: -each["p50_ms"])
    whole = sum(each["p50_ms"] for each in operations)
    drawn = ordered[:_DRAWN_OPERATIONS]
    has_limits = any(each.get("limit_ms") is not None for each in operations)
    groups = []
    for each in drawn:
        bars = [Bar("measured (p50)", float(each["p50_ms"]))]
        if each.get("limit_ms") is not None:
            bars.append(Bar("the device's limit", float(each["limit_ms"])))
        groups.append(BarGroup(_name(each), bars))
    kinds: dict[str, float] = {}
    for each in operations:
        kinds[each["kind"]] = kinds.get(each["kind"], 0.0) + each["p50_ms"]
    by_kind = [BarGroup(kind, [Bar("p50", ms)]) for kind, ms in sorted(kinds.items(), key=lambda pair: -pair[1])]
    share = sum(each["p50_ms"] for each in drawn) / whole if whole else 0.0
    limit = (
        "The limit is what the operation would take if it did nothing but its products, or but read its bytes, as fast "
        "as the device can; whichever takes longer."
    )
    rows = [
        (
            each["graph"], each["number"], each["kind"], each.get("shape", ""), each.get("function") or "",
            float(each["p50_ms"]), each.get("macs"), each.get("bytes"), each.get("limit_ms"),
            None if each.get("share_of_limit") is None else Percent(each["share_of_limit"]), each.get("bounds") or "",
        )
        for each in ordered
    ]  # fmt: skip
    columns = (
        "graph", "number", "kind", "shape", "function", "p50 ms", "multiply-adds", "bytes", "limit ms", "of the limit",
        "bound by",
    )  # fmt: skip
    kept = [place for place in range(len(columns)) if any(row[place] not in (None, "") for row in rows)]
    parts: list[Part] = [
        BarChart(
            f"The {len(drawn)} operations that take longest", "ms", groups,
            note=f"{share:.0%} of all operations' time. {limit if has_limits else ''}".strip(),
        ),
        BarChart("Time by kind of operation", "ms", by_kind),
        Folded(
            f"All {len(rows)} operations",
            Table("", [columns[place] for place in kept], [[row[place] for place in kept] for row in rows]),
        ),
    ]  # fmt: skip
    return Section("Operations of the graphs", parts)


def _name(operation: Mapping[str, Any]) -> str:
    return " ".join(str(operation[key]) for key in ("graph", "number", "kind") if operation.get(key) is not None)


def _limits(report: Report) -> Section | None:
    limits = report.get("limits")
    if not limits or not limits.get("read"):
        return None
    sizes = [row["bytes"] / 1024 for row in limits["read"]]
    speeds = [float(row["gb_per_s"]) for row in limits["read"]]
    names = {"int8_gmacs": "int8 products (GMAC/s)", "f32_gmacs": "float products (GMAC/s)"}
    rows = [(said, float(limits[key])) for key, said in names.items() if limits.get(key)]
    if limits.get("file_mb_per_s"):
        rows.append(("reading a file (MB/s)", float(limits["file_mb_per_s"])))
    parts: list[Part] = [
        LineChart(
            "Reading so many bytes again and again", "KiB", "GB/s", [Series("GB/s", sizes, speeds)], "log2",
            note="The steps are the caches' ends.",
        ),
        Table("At most", ("", ""), rows),
    ]  # fmt: skip
    return Section("What one core can do", parts)


def _sessions(report: Report) -> Section | None:
    sweep, scan = _sweep(report), report.get("scan") or []
    if not sweep:
        return None
    counts = [row["sessions"] for row in sweep]
    speeds = [float(row["queries_per_s"]) for row in sweep]
    alone = speeds[0] / counts[0]
    times = [
        Series(name, counts, [float(row[f"{name}_ms"]) for row in sweep])
        for name in ("p50", "p99")
        if all(row.get(f"{name}_ms") is not None for row in sweep)
    ]
    parts: list[Part] = [
        LineChart(
            "Queries a second", "sessions side by side", "queries a second",
            [
                Series("measured", counts, speeds),
                Series("as many times one session", counts, [alone * count for count in counts], guide=True),
            ],
            limits=(0.0, 1.05 * max(alone * counts[-1], *speeds)),
            note="The dashed line: as many times what one session answers.",
        ),
        LineChart("Time of a query meanwhile", "sessions side by side", "ms", times),
    ]  # fmt: skip
    if scan:
        threads = [row["threads"] for row in scan]
        series = [
            Series(said, threads, [float(row[key]) for row in scan])
            for key, said in (("scan_ms", "scan"), ("p50_ms", "whole query"))
        ]
        parts.append(LineChart("Threads that share one query's scan", "threads", "p50 (ms)", series))
    return Section("Sessions side by side", parts)


def _memory(report: Report) -> Section:
    memory = {**{key: report.get(key) for key in _MEMORY}, **(report.get("memory") or {})}
    known = {key: int(memory[key]) for key in _MEMORY if memory.get(key) is not None}
    groups = [BarGroup(_MEMORY[key], [Bar("MB", count / 1e6)]) for key, count in known.items()]
    note = "Pages of files are the system's to take back when memory is short."
    times = [("open", float(report["load_ms"])), ("open and first answer", float(report["first_ms"]))]
    said = ""
    if cold := report.get("cold"):
        if _is_cold(cold):
            times += [("open, without page cache", cold.get("load_ms")), ("and first answer", cold.get("first_ms"))]
        else:
            said = f"The system kept {cold['cached_percent']:.0f}% of the file cached: no cold start was measured."
    parts: list[Part] = [
        BarChart("Memory", "MB", groups, note=note),
        BarChart("The first answer", "ms", [BarGroup(name, [Bar("ms", ms)]) for name, ms in times], note=said),
    ]
    return Section("Memory and the first answer", parts)


def _sustained(report: Report) -> Section | None:
    rows = report.get("sustained")
    if not rows:
        return None
    seconds = [float(row["s"]) for row in rows]
    first, last = float(rows[0]["p50_ms"]), float(rows[-1]["p50_ms"])
    said = f"The median went from {_ms(first)} to {_ms(last)} ({last / first - 1:+.1%})." if first else ""
    parts: list[Part] = [
        LineChart(
            "Time of a query, second by second", "s", "p50 (ms)",
            [Series("p50", seconds, [float(row["p50_ms"]) for row in rows])], note=said,
        )
    ]  # fmt: skip
    for key, title, unit in (("mhz", "Clock", "MHz"), ("celsius", "Temperature", "°C")):
        values = [row.get(key) for row in rows]
        if any(value is not None for value in values):
            parts.append(LineChart(title, "s", unit, [Series(title, seconds, values)]))
    return Section("A long run", parts)


def _beside(report: Report) -> Section | None:
    baseline = report.get("baseline")
    if not baseline:
        return None
    own = float(baseline.get("bundle_p50_ms") or report["total"]["p50_ms"])
    name, theirs = str(baseline["name"]), float(baseline["p50_ms"])
    stages = [BarGroup(stage, [Bar("p50", float(ms))]) for stage, ms in (baseline.get("stages") or {}).items()]
    parts: list[Part] = [
        Paragraph(f"{name}: {theirs / own:.1f} times as long for half of the queries, in the same turns."),
        BarChart("Median of whole queries", "ms", [BarGroup("this bundle", [Bar("p50", own)]),
                                                   BarGroup(name, [Bar("p50", theirs)])]),
    ]  # fmt: skip
    if stages:
        parts.append(BarChart(f"Stages of {name}", "ms", stages))
    return Section("Beside what one would use instead", parts)


def _words(key: str) -> str:
    return key.replace("_percent", " (%)").replace("_", " ")


def _ms(value: float) -> str:
    """A time as people read it: 0.42 ms, 1.87 ms, 24.1 ms, 1.2 s."""
    if value >= 1000:
        return f"{value / 1000:.3g} s"
    return f"{value:.3g} ms" if value >= 1 else f"{value:.2f} ms"
