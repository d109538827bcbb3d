"""Commands that change a bundle's label set without a compile: labels add, replace, sync, retire, list, compact."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from edgexl.base.errors import NotDurable
from edgexl.cli.columns import label_columns
from edgexl.cli.output import json_option, labels_file_option, print_json, print_table, progress_bar
from edgexl.cli.streams import print_line

if TYPE_CHECKING:
    from edgexl.use.labels import Which

PATH = click.Path(path_type=Path)
_STATES = ("added", "retired", "compiled", "all")
_SYNCED = {"add": "added", "replace": "replaced", "retire": "retired"}
_SHOWN = 5  # ids of a kind
_file = click.option("--file", type=PATH, help="JSON lines of labels, gzipped (as lbl.json.gz) or plain.")


@click.group()
def labels() -> None:
    """Add labels to a bundle, retire or replace them, without compiling it again.

    The bundle stays as it is; changes are kept in a file next to it.
    """


def _takes_labels(command: Callable[..., None]) -> Callable[..., None]:
    """The arguments of a command that is given labels: one of them, or a file of many."""
    alias_help = "Another text that finds the label; may be given repeatedly."
    for parameter in (
        json_option,
        labels_file_option,
        _file,
        click.option("--alias", "aliases", multiple=True, help=alias_help),
        click.argument("text", required=False),
        click.argument("id", required=False),
        click.argument("bundle", type=PATH),
    ):
        command = parameter(command)
    return command


@labels.command()
@_takes_labels
@click.option(
    "--forget-compiled", is_flag=True, help="Of a label that is given aliases: go on where it was compiled with others."
)
def add(**given: Any) -> None:
    """Add the label ID with its TEXT to BUNDLE's label set, or all labels of a file. Without TEXT, the label that has
    the ID, or this text, gets more aliases.

    \b
    edgexl labels add tags.exl P-77 "walnut coffee table" --alias "tea table"
    edgexl labels add tags.exl P-12 --alias "thing to put tea on"
    """
    forget = given.pop("forget_compiled")
    if given["id"] is not None and given["text"] is None and given["aliases"] and given["file"] is None:
        _add_aliases(given["bundle"], given["id"], given["aliases"], given["labels_file"], forget, given["as_json"])
        return
    _add(**given, replace=False)


@labels.command()
@_takes_labels
def replace(**given: Any) -> None:
    """Give the label ID of BUNDLE's label set another TEXT and other aliases, or all labels of a file.

    \b
    edgexl labels replace tags.exl P-77 "oak coffee table"
    """
    _add(**given, replace=True)


def _add_aliases(
    bundle: Path, label: str, aliases: tuple[str, ...], labels_file: Path | None, forget_compiled: bool, as_json: bool
) -> None:
    from edgexl.use.labels import add_aliases

    report = add_aliases(bundle, label, aliases, labels_file, forget_compiled)
    more = f"{len(aliases):,} more {'aliases' if len(aliases) > 1 else 'alias'}"
    _tell(report, as_json, f"{label} has {more}, in {report['ms']:.0f} ms")


def _add(
    bundle: Path,
    id: str | None,
    text: str | None,
    aliases: tuple[str, ...],
    file: Path | None,
    labels_file: Path | None,
    as_json: bool,
    replace: bool,
) -> None:
    from edgexl.use.labels import add_labels, collect_labels

    with progress_bar(as_json) as progress:
        report = add_labels(bundle, collect_labels(id, text, aliases, file), replace, labels_file, progress)
    done = "replaced" if replace else "added"
    line = f"{report['added']:,} {done} in {report['ms']:.0f} ms; {bundle} has {report['labels']:,} labels now"
    _tell(report, as_json, line)


@labels.command()
@click.argument("bundle", type=PATH)
@click.argument("labels", type=PATH)
@click.option("--was", type=PATH, help="What BUNDLE was compiled from, to see which aliases have changed since.")
@click.option("--dry-run", is_flag=True, help="Say what would change, and change nothing.")
@click.option("--force", is_flag=True, help="Also where more than half of the labels would go.")
@label_columns
@labels_file_option
@json_option
def sync(
    bundle: Path,
    labels: Path,
    was: Path | None,
    dry_run: bool,
    force: bool,
    labels_file: Path | None,
    as_json: bool,
    **columns: Any,
) -> None:
    """Make BUNDLE's label set that of the file LABELS, as `edgexl compile` reads it: add what is new, replace what has
    another text, retire what is gone.

    \b
    edgexl labels sync tags.exl labels.csv --dry-run
    edgexl labels sync tags.exl labels.csv --was labels-of-last-week.csv
    """
    from edgexl.data.tables.roles import Wanted
    from edgexl.use.sync_labels import sync_labels

    wanted = Wanted(columns["id"], columns["text"], columns["aliases"], columns["descriptions"])
    with progress_bar(as_json) as progress:
        report = sync_labels(
            bundle, labels, wanted, columns["language"], was, labels_file, dry_run, force, progress
        )  # fmt: skip
    if as_json:
        _tell(report, True, "")
        return
    for what, said in (("add", "would be added"), ("replace", "would be replaced"), ("retire", "would be retired")):
        if dry_run and report[what]:
            more = ", ..." if len(report[what]) > _SHOWN else ""
            print_line(f"{len(report[what]):,} {said}: {', '.join(report[what][:_SHOWN])}{more}")
    for note in report["notes"]:
        print_line(note)
    counts = ", ".join(f"{len(report[what]):,} {said}" for what, said in _SYNCED.items())
    done = "" if dry_run else f"; {bundle} has {report['labels']:,} labels now"
    _tell(report, False, f"{counts}, {report['same']:,} as they were{done}")


@labels.command()
@click.argument("bundle", type=PATH)
@click.argument("ids", nargs=-1)
@_file
@labels_file_option
@json_option
def retire(bundle: Path, ids: tuple[str, ...], file: Path | None, labels_file: Path | None, as_json: bool) -> None:
    """Take the labels IDS, or all of a file, out of BUNDLE's label set.

    \b
    edgexl labels retire tags.exl P-77 P-12
    """
    from edgexl.use.labels import collect_ids, retire_labels

    report = retire_labels(bundle, collect_ids(ids, file), labels_file)
    _tell(report, as_json, f"{report['retired']:,} retired; {bundle} has {report['labels']:,} labels now")


@labels.command("list")
@click.argument("bundle", type=PATH)
@click.option("--state", type=click.Choice(_STATES), default="added", show_default=True, help="Which labels.")
@labels_file_option
@json_option
def list_(bundle: Path, state: str, labels_file: Path | None, as_json: bool) -> None:
    """List the labels that were added to BUNDLE. The JSON lines, in a file, are what `labels add` reads.

    \b
    edgexl labels list tags.exl --json > added.jsonl
    """
    from edgexl.use.labels import list_labels

    found = list_labels(bundle, cast("Which", state), labels_file)
    if as_json:
        for label in found:
            record = dataclasses.asdict(label)
            print_json({"uid": record.pop("id"), "title": record.pop("text")} | record)
        return
    rows = ((label.index, label.id, label.text, "; ".join(label.aliases), label.state) for label in found)
    print_table(("index", "id", "text", "aliases", "state"), rows)


@labels.command()
@click.argument("bundle", type=PATH)
@labels_file_option
@json_option
def compact(bundle: Path, labels_file: Path | None, as_json: bool) -> None:
    """Rewrite BUNDLE's label file without labels that were added and retired again; the others are renumbered.

    \b
    edgexl labels compact tags.exl
    """
    from edgexl.use.labels import compact_labels

    report = compact_labels(bundle, labels_file)
    line = f"{report['dropped']:,} dropped; {report['file_bytes_before']:,} bytes became {report['file_bytes']:,}"
    _tell(report, as_json, line)


def _tell(report: dict[str, Any], as_json: bool, line: str) -> None:
    """Say what was done. Raises `NotDurable` after that where it may not last, for the exit status."""
    if as_json:
        print_json(report)
    else:
        print_line(line)
    if "warning" in report:
        raise NotDurable(report["warning"])
