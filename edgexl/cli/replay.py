"""The command replay."""

from __future__ import annotations

import contextlib
from pathlib import Path

import click

from edgexl.cli.output import device_option, json_option, labels_file_option, print_json, progress_bar
from edgexl.cli.streams import print_line

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("receipts", type=PATH, nargs=-1, required=True)
@click.option("--bundle", type=PATH, required=True, help="The bundle that gave the answers.")
@click.option("--texts", type=PATH, required=True, help="The texts: one a line, in any order, or the file is one.")
@click.option("--key-file", type=PATH, required=True, help="The key under which the receipts were made.")
@click.option("--signer", metavar="PUB", help="Who must have signed them: a public key's file, or its line.")
@click.option("--overlay", "overlays", type=PATH, multiple=True, help="One that BUNDLE was open with; in order.")
@device_option
@labels_file_option
@json_option
def replay(
    receipts: tuple[Path, ...],
    bundle: Path,
    texts: Path,
    key_file: Path,
    signer: str | None,
    overlays: tuple[Path, ...],
    device: str,
    labels_file: Path | None,
    as_json: bool,
) -> int:
    """Check RECEIPTS, files that hold one or several: answer each text again, and compare all of the answer to the bit.
    The exit status is 1 where one differs. Labels that were added or retired must be as they were (--labels-file).

    \b
    edgexl replay day.exr --bundle tags.exl --texts day.txt --key-file key
    edgexl replay day.exr --bundle a.exl --texts a.txt --key-file key --device adb
    """
    from edgexl.bundle.signing import read_public_key
    from edgexl.device.open_device import open_device
    from edgexl.use.replay import replay as check

    who = read_public_key(signer) if signer else None
    with contextlib.ExitStack() as stack:
        progress = stack.enter_context(progress_bar(as_json))
        where = None if device == "local" else stack.enter_context(open_device(device, progress))
        told = list(check(receipts, bundle, texts, key_file, where, labels_file, who, progress, overlays))
    same = sum(not one.differs for one in told)
    wrong = [one for one in told if not one.holds(who is not None)]
    signatures = {kind: sum(one.signature == kind for one in told) for kind in ("holds", "does not hold", "none")}
    if as_json:
        print_json(
            {"bundle": str(bundle), "device": device, "same": same, "differ": len(told) - same,
             "signed": signatures["holds"] if who else None, "receipts": [one.as_json() for one in told]}
        )  # fmt: skip
        return int(bool(wrong))
    for one in wrong:
        said = [f"{one.why} (differs in {', '.join(one.differs)})"] if one.differs else []
        if who is not None and one.signature != "holds":
            said.append("it has no signature" if one.signature == "none" else "its signature does not hold")
        print_line(f"{one.file}, receipt {one.number}: {'; '.join(said)}")
    print_line(f"{same:,} of {len(told):,} receipts are the same to the bit ({device})")
    if who is not None:
        print_line(f"{signatures['holds']:,} of {len(told):,} are signed by key {who.name}")
    elif signatures["none"] < len(told):
        print_line(f"{len(told) - signatures['none']:,} have a signature, which was not checked: give --signer")
    return int(bool(wrong))
