"""Commands that send what changed: diff makes a patch of two bundles, patch applies it."""

from __future__ import annotations

import dataclasses
from functools import partial
from pathlib import Path
from typing import Any

import click

from edgexl.base.errors import BadInput
from edgexl.cli.output import json_option, labels_file_option, print_json, progress_bar
from edgexl.cli.sign import ask_password, least_version_option, password_option, public_keys_option
from edgexl.cli.streams import print_line
from edgexl.report.table import format_bytes

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("old", type=PATH)
@click.argument("new", type=PATH)
@click.option("-o", "--out", type=PATH, required=True, help="The patch to write.")
@click.option("--key", type=PATH, help="The file of a secret key: sign the patch, into OUT.minisig.")
@password_option
@json_option
def diff(old: Path, new: Path, out: Path, key: Path | None, password_file: Path | None, as_json: bool) -> None:
    """Write the patch that makes the bundle NEW of the bundle OLD.

    \b
    edgexl diff tags.exl tags-2.exl -o tags-2.exlp
    edgexl diff tags.exl tags-2.exl -o tags-2.exlp --key shop.key
    """
    from edgexl.use.diff import write_patch

    if password_file and key is None:
        raise BadInput("A password is a key's; give --key, too.")
    made = write_patch(old, new, out)
    signed: dict[str, Any] = {}
    if key is not None:
        from edgexl.use.sign import sign

        signed = {"signature": sign(out, key, lambda: ask_password(password_file))["path"]}
    if as_json:
        print_json(made.as_json() | signed)
        return
    share = 100 * made.patch_bytes / made.new_bytes
    print_line(f"{out}: {format_bytes(made.patch_bytes)}, {share:.2f} % of {format_bytes(made.new_bytes)}")
    print_line(f"changed: {', '.join(made.changed)}")
    if signed:
        print_line(f"{signed['signature']}: its signature")


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("patch", type=PATH)
@click.option("-o", "--out", type=PATH, help="Where the new bundle is written. [default: in BUNDLE's place]")
@click.option("--no-self-test", is_flag=True, help="Do not have the new bundle reproduce its recorded answers first.")
@public_keys_option
@least_version_option
@click.option("--signed-patch", is_flag=True, help="With --key: PATCH itself must be signed, in PATCH.minisig.")
@labels_file_option
@json_option
def patch(
    bundle: Path,
    patch: Path,
    out: Path | None,
    no_self_test: bool,
    keys: tuple[str, ...],
    least_version: int,
    signed_patch: bool,
    labels_file: Path | None,
    as_json: bool,
) -> None:
    """Make the new bundle of BUNDLE and the patch PATCH, in BUNDLE's place: either all of it or nothing. Labels that
    were added to BUNDLE or retired stay so. With --key the new bundle must be signed by one of these keys, and so must
    PATCH where PATCH.minisig is there.

    \b
    edgexl patch tags.exl tags-2.exlp
    edgexl patch tags.exl tags-2.exlp --key shop.pub
    """
    from edgexl.runtime.patches import update_bundle

    with progress_bar(as_json) as progress:
        report = update_bundle(
            bundle, patch, out, engine=not no_self_test, labels_path=labels_file, progress=partial(progress, "update"),
            keys=keys, least_version=least_version, signed_patch=signed_patch,
        )  # fmt: skip
    if as_json:
        print_json(dataclasses.asdict(report))
        return
    print_line(f"{out or bundle}: {format_bytes(report.new_bytes)}{_labels(report.added, report.retired)}")


def _labels(added: int, retired: int) -> str:
    return f"; of its labels {added:,} stay added and {retired:,} retired" if added or retired else ""
