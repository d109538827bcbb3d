"""The command that puts labels of one's own over a bundle: overlay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from edgexl.base.errors import BadInput
from edgexl.cli.columns import label_columns, query_columns
from edgexl.cli.output import json_option, print_json, progress_bar
from edgexl.cli.sign import ask_password, password_option
from edgexl.cli.streams import print_line

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("labels", type=PATH)
@click.option("-o", "--out", type=PATH, required=True, help="The overlay to write, such as own.exlo.")
@click.option("--queries", type=PATH, help="Texts whose labels are known, to calibrate with (CSV, JSON, ...).")
@query_columns
@click.option("--key", type=PATH, help="The file of a secret key to sign with.")
@password_option
@click.option("--version", type=int, default=0, help="A number that grows: apps may refuse what is below theirs.")
@click.option("--comment", default="", help="A line of your own, which is signed, too.")
@label_columns
@json_option
def overlay(
    bundle: Path,
    labels: Path,
    out: Path,
    queries: Path | None,
    query_text: str | None,
    query_labels: tuple[str, ...],
    key: Path | None,
    password_file: Path | None,
    version: int,
    comment: str,
    as_json: bool,
    **columns: Any,
) -> None:
    """Make an overlay of the file LABELS, as `edgexl compile` reads it: labels of your own over BUNDLE, which stays
    as it is. Whoever opens the bundle may give overlays, and leaves them away again.

    \b
    edgexl overlay words.exl own.csv -o own.exlo
    edgexl overlay words.exl own.csv -o own.exlo --queries past.csv
    edgexl overlay words.exl own.csv -o own.exlo --key shop.key --version 3
    """
    from edgexl.data.tables.roles import Wanted
    from edgexl.use.overlay import QuerySource, Signer, write_overlay

    if key is None and (version or comment):
        raise BadInput("A version and a comment are signed; give a secret key, too (--key).")
    wanted = Wanted(columns["id"], columns["text"], columns["aliases"], columns["descriptions"])
    with progress_bar(as_json) as progress:
        report = write_overlay(
            bundle,
            labels,
            out,
            QuerySource(queries, query_text, query_labels) if queries else None,
            Signer(key, lambda: ask_password(password_file), version, comment) if key else None,
            wanted,
            columns["language"],
            progress,
        )
    if as_json:
        print_json(report)
        return
    print_line(f"{out}: {report['labels']:,} labels with {report['rows']:,} texts, {report['bytes']:,} bytes")
    if report["replaced"]:
        print_line(f"{report['replaced']:,} of them have ids of labels of {bundle}, in whose place they stand")
    if report["described"]:
        print_line(f"{report['described']:,} have descriptions, which find them as aliases do")
    print_line(_say_calibration(report, bundle))
    if report["key"]:
        print_line(f"signed by key {report['key']}" + (f", version {report['version']}" if report["version"] else ""))


def _say_calibration(report: dict[str, Any], bundle: Path) -> str:
    fitted = report["calibration"]
    if fitted is None:
        return f"calibrated by {bundle}, until there are queries of its own (--queries)"
    return (
        f"calibrated by its own {fitted['queries']:,} queries, {fitted['found_percent']} % of which have a right label "
        "on their shortlist"
    )
