"""Commands that send what changed: diff makes a patch of two bundles, patch applies it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path

import click

from edgexl.cli.output import json_option, labels_file_option, print_json, progress_bar
from edgexl.cli.sign import public_keys_option
from edgexl.cli.streams import print_line
from edgexl.report.table import format_bytes

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@click.option("-o", "--out", type=PATH, required=True, help="The patch to write.")
@json_option
def diff(old: Path, new: Path, out: Path, as_json: bool) -> None:
    """Write the patch that makes the bundle NEW of the bundle OLD.

    \b
    edgexl diff tags.exl tags-2.exl -o tags-2.exlp
    """
    from edgexl.use.diff import write_patch

    made = write_patch(old, new, out)
    if as_json:
        print_json(made.as_json())
        return
    share = 100 * made.patch_bytes / made.new_bytes
    print_line(f"{out}: {format_bytes(made.patch_bytes)}, {share:.2f} % of {format_bytes(made.new_bytes)}")
    print_line(f"changed: {', '.join(made.changed)}")


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("patch", type=PATH)
@click.option("-o", "--out", type=PATH, help="Where the new bundle is written. [default: in BUNDLE's place]")
@click.option("--no-self-test", is_flag=True, help="Do not have the new bundle reproduce its recorded answers first.")
@public_keys_option
@click.option("--least-version", type=int, default=0, help="With --key: refuse what was signed with one below this.")
@labels_file_option
@json_option
def patch(
    bundle: Path,
    patch: Path,
    out: Path | None,
    no_self_test: bool,
    keys: tuple[str, ...],
    least_version: int,
    labels_file: Path | None,
    as_json: bool,
) -> None:
    """Make the new bundle of BUNDLE and the patch PATCH, in BUNDLE's place: either all of it or nothing. Labels that
    were added to BUNDLE or retired stay so. With --key the new bundle must be signed by one of these keys.

    \b
    edgexl patch tags.exl tags-2.exlp
    edgexl patch tags.exl tags-2.exlp --key shop.pub
    """
    from edgexl.runtime.patches import update_bundle

    with progress_bar(as_json) as progress:
        report = update_bundle(
            bundle, patch, out, engine=not no_self_test, labels_path=labels_file, progress=partial(progress, "update"),
            keys=keys, least_version=least_version,
        )  # fmt: skip
    if as_json:
        print_json(dataclasses.asdict(report))
        return
    print_line(f"{out or bundle}: {format_bytes(report.new_bytes)}{_labels(report.added, report.retired)}")


def _labels(added: int, retired: int) -> str:
    return f"; of its labels {added:,} stay added and {retired:,} retired" if added or retired else ""
