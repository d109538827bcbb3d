"""The command profile: what a bundle takes, on which device."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgexl.base.errors import BadInput
from edgexl.base.files import check_output
from edgexl.cli.output import (
    check_page,
    command_line,
    device_option,
    json_option,
    labels_file_option,
    print_json,
    print_table,
    progress_bar,
    report_option,
)
from edgexl.cli.streams import print_line

PATH = click.Path(path_type=Path)
_TIMES = ("min_ms", "p50_ms", "p90_ms", "p99_ms")
_COUNTS = ("min_instructions", "p50_instructions", "p90_instructions", "p99_instructions")
_SHOWN_OPERATIONS = 15


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("queries", type=PATH, required=False)
@device_option
@click.option("--runs", type=click.IntRange(min=1), default=200, show_default=True, help="Timed queries.")
@click.option(
    "--core", default="auto", show_default=True, help="The core to stay on: a number, auto (the fastest), any."
)
@click.option("--threads", type=click.IntRange(1, 256), default=1, show_default=True, help="Of the engine.")
@click.option("--engine", type=click.Choice(["native", "ort"]), help="Refuse a bundle made for another one.")
@click.option("--operations", is_flag=True, help="Also each operation, beside what the core could do at most.")
@click.option("--sweep", is_flag=True, help="Also with more sessions side by side, and more threads that scan.")
@click.option("--seconds", type=click.IntRange(1, 86_400), help="Then go on for so long, and tell how times drift.")
@click.option("--baseline", is_flag=True, help="Also sentence-transformers, faiss and a cross-encoder, in turns.")
@click.option("--csv", "csv_file", type=PATH, help="Write the operations as CSV.")
@click.option("--trace", type=PATH, help="Write a trace for ui.perfetto.dev or chrome://tracing.")
@report_option
@click.option("--kit", type=PATH, help="Write an archive (.tar.gz) to run on a device that is not in reach.")
@labels_file_option
@json_option
def profile(
    bundle: Path,
    queries: Path | None,
    device: str,
    runs: int,
    core: str,
    threads: int,
    engine: str | None,
    operations: bool,
    sweep: bool,
    seconds: int | None,
    baseline: bool,
    csv_file: Path | None,
    trace: Path | None,
    page: Path | None,
    kit: Path | None,
    labels_file: Path | None,
    as_json: bool,
) -> None:
    """Time BUNDLE on a device, stage by stage, and tell its memory.

    QUERIES are a text a line, a table with such a column, or a data set's directory; without them the bundle's own
    goldens are taken. A device by SSH needs Linux, 64 bits, and a key that the client finds; nothing stays there. What
    is emulated is not timed: its instructions are counted.

    \b
    edgexl profile tags.exl
    edgexl profile tags.exl past.csv --device ssh://pi@till --report till.html
    edgexl profile tags.exl --kit kit.tar.gz
    """
    if kit is not None:
        others = {
            "--device": device != "local", "--core": core != "auto", "--threads": threads != 1, "--engine": engine,
            "--csv": csv_file, "--trace": trace, "--report": page, "--labels-file": labels_file,
            "--sweep": sweep, "--seconds": seconds, "--baseline": baseline,
        }  # fmt: skip
        _write_kit(bundle, queries, runs, kit, [name for name, given in others.items() if given], as_json)
        return
    from edgexl.device.open_device import EMULATED, open_device
    from edgexl.use.profile import profile
    from edgexl.use.profile.write import write_csv, write_trace
    from edgexl.use.reports.profile_page import write_profile_report

    check_page(page)
    for file in (csv_file, trace):
        if file is not None:
            check_output(file)
    if device.startswith(EMULATED) and any((sweep, seconds, baseline, csv_file, trace, page)):
        raise BadInput("An emulated device has no times; leave --sweep, --seconds, --csv, --trace and --report.")
    if baseline and device != "local":
        raise BadInput("What people would use instead is timed on this machine alone; leave --device or --baseline.")
    everything = page is not None or trace is not None
    with progress_bar(as_json) as progress, open_device(device, progress) as where:
        report = profile(
            bundle, queries, engine=engine, threads=threads, runs=runs, device=where, progress=progress,
            labels_file=labels_file, core=None if core == "any" else core,
            operations=operations or csv_file is not None or everything, samples=everything, sweep=sweep,
            seconds=seconds or 0, baseline=baseline,
        )  # fmt: skip
    if csv_file is not None:
        write_csv(report, csv_file)
    if trace is not None:
        write_trace(report, trace)
    if page is not None:
        write_profile_report(report, page, bundle, command_line())
    if as_json:
        print_json(report)
        return
    _tell(report)
    for file in (csv_file, trace, page):
        if file is not None:
            print_line(f"{file} is written")


def _write_kit(bundle: Path, queries: Path | None, runs: int, kit: Path, others: list[str], as_json: bool) -> None:
    from edgexl.use.kit import FOLDER, RESULT, write_kit

    if others:
        raise BadInput(f"A kit measures stages and operations where it runs; leave out {', '.join(others)}.")
    with progress_bar(as_json) as progress:
        write_kit(bundle, kit, queries, runs, progress)
    if as_json:
        print_json({"kit": str(kit), "bytes": kit.stat().st_size})
        return
    print_line(f"{kit}: unpack it on the device, run `sh {FOLDER}/run.sh` there, and bring back {RESULT};")
    print_line(f"`edgexl targets detect --from {RESULT} -o mine.toml` makes a target of it")


def _tell(report: dict[str, Any]) -> None:
    on = f", core {report['core']}" if report.get("core") is not None else ""
    print_line(
        f"{report['device']} ({report['cpu']}{on}): {report['runs']:,} queries, engine {report['engine']}, "
        f"{report['kernel']} kernels"
    )
    stages = {**report["stages"], "total": report["total"]}
    if not report["timed"]:
        print_line("emulated: thousands of instructions, which repeat; times would say nothing of the device")
        print_line()
        counts = ([stage, *(f"{counts[key] / 1e3:,.1f}" for key in _COUNTS)] for stage, counts in stages.items())
        print_table(("stage", "min", "p50", "p90", "p99"), counts)
        _tell_counted(report)
        return
    if report["busy"]["warning"]:
        print_line(report["busy"]["warning"])
    print_line()
    rows = ([stage, *(f"{times[column]:.3f}" for column in _TIMES)] for stage, times in stages.items())
    print_table(("stage", *_TIMES), rows)
    print_line()
    print_line(f"open {report['load_ms']:.1f} ms; open and first answer {report['first_ms']:.1f} ms")
    if cold := report.get("cold"):
        cached = cold["cached_percent"]
        if cached is not None and cached < 50:
            print_line(f"from the disk: open {cold['load_ms']:.1f} ms; and first answer {cold['first_ms']:.1f} ms")
        else:
            print_line("the system keeps the file in memory whatever it is told: no cold start was measured")
    _tell_memory(report)
    _tell_operations(report)
    _tell_more(report)


def _tell_counted(report: dict[str, Any]) -> None:
    operations = sorted(report.get("operations") or (), key=lambda each: -each["p50_instructions"])
    if not operations:
        return
    whole = sum(each["p50_instructions"] for each in operations)
    print_line()
    print_table(
        ("operation", "", "shape", "k instructions", "share %", "M MAC"),
        [
            [
                f"{each['graph']} {each['number']}", f"{each['kind']} {each['function']}".strip(), each["shape"],
                f"{each['p50_instructions'] / 1e3:,.1f}", f"{100 * each['p50_instructions'] / whole:.1f}",
                f"{each['macs'] / 1e6:.2f}",
            ]
            for each in operations[:_SHOWN_OPERATIONS]
        ],
    )  # fmt: skip


def _tell_memory(report: dict[str, Any]) -> None:
    mb, memory = 1e6, report["memory"]
    parts = ""
    if memory["anonymous_bytes"] is not None and memory["file_bytes"] is not None:
        parts = f": {memory['anonymous_bytes'] / mb:.1f} its own, {memory['file_bytes'] / mb:.1f} pages of files"
    print_line(f"resident {(memory['resident_bytes'] or report['peak_resident_bytes']) / mb:.1f} MB{parts}")
    faults = report["faults"]["runs"]
    print_line(
        f"peak resident {report['peak_resident_bytes'] / mb:.1f} MB, mapped {report['mapped_bytes'] / mb:.1f} MB; "
        f"{faults['minor']:,} page faults while it ran, {faults['major']:,} of them read the disk"
    )


def _tell_operations(report: dict[str, Any]) -> None:
    operations = sorted(report.get("operations") or (), key=lambda each: -each["p50_ms"])
    if not operations:
        return
    whole = sum(each["p50_ms"] for each in operations)
    shown = operations[:_SHOWN_OPERATIONS]
    print_line()
    print_table(
        ("operation", "", "shape", "us", "share %", "M MAC", "KB", "of limit %", "bound by"),
        [
            [
                f"{each['graph']} {each['number']}", f"{each['kind']} {each['function']}".strip(), each["shape"],
                f"{1e3 * each['p50_ms']:.1f}", f"{100 * each['p50_ms'] / whole:.1f}", f"{each['macs'] / 1e6:.2f}",
                f"{each['bytes'] / 1e3:.0f}", _percent(each.get("share_of_limit")), each.get("bounds", "-"),
            ]
            for each in shown
        ],
    )  # fmt: skip
    if len(operations) > len(shown):
        rest = sum(each["p50_ms"] for each in operations[_SHOWN_OPERATIONS:])
        print_line(f"and {len(operations) - len(shown)} more, {1e3 * rest:.0f} us together; --csv has all")
    if limits := report.get("limits"):
        print_line(
            f"a core's limit here: {limits['int8_gmacs']:.0f} GMAC/s in int8, {limits['f32_gmacs']:.0f} in float"
        )


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f}"


def _tell_more(report: dict[str, Any]) -> None:
    for key, columns in (
        ("throughput", ("sessions", "queries_per_s", "p50_ms", "p99_ms")),
        ("scan", ("threads", "scan_ms", "p50_ms")),
        ("sustained", ("s", "p50_ms", "mhz", "celsius")),
    ):
        if rows := report.get(key):
            print_line()
            print_table(columns, [[row[column] for column in columns] for row in rows])
    if (energy := report.get("energy_mj_per_query")) is not None:
        print_line(f"energy of the whole machine: {energy:.3g} mJ a query")
    if beside := report.get("baseline"):
        print_line()
        print_line(
            f"{beside['name']}: {beside['p50_ms']:.0f} ms a query, {beside['ratio']:.0f} times as long as this bundle "
            f"in the same turns ({beside['bundle_p50_ms']:.2f} ms)"
        )
