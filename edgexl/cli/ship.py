"""The command that packs a bundle for platforms: ship."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgexl.base.errors import BadInput, GateFailed
from edgexl.cli.output import check_page, json_option, print_json, print_table, progress_bar, report_option
from edgexl.cli.streams import print_line

if TYPE_CHECKING:
    from edgexl.ship.judge import Judged
    from edgexl.ship.product import Product

_PATH = click.Path(path_type=Path)
_WIDEST = 36  # of the names in the table, which then has 80 columns
_MOST_NAMED = 4


@click.command()
@click.argument("bundle", type=_PATH, required=False)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    help="c-source, linux-x86-64, linux-arm64, linux-armhf, python, java, android, android-aar, apple, rust, web; may "
    "be repeated.  [default: all that this machine has the tools for]",
)
@click.option("-o", "--out", type=_PATH, help="The directory to write into.")
@click.option(
    "--proof",
    "kits",
    multiple=True,
    help="Instead: a kit by which an owner of the tools or the device proves packages there: android, apple, c-source, "
    "java, linux-x86-64, linux-arm64, linux-armhf, macos, python, rust, web, windows; may be repeated.",
)
@click.option("--accept", "results", multiple=True, type=_PATH, help="What a kit brought back; may be repeated.")
@click.option("--check", "checked", type=_PATH, help="Look into the packages of a directory instead.")
@click.option("--name", help="What the packages are called.  [default: the bundle's file name]")
@click.option("--version", default="1.0.0", show_default=True, help="The packages' version.")
@click.option("--license", default="NOASSERTION", help="Of model and data, as SPDX writes it.")
@click.option("--notices", type=_PATH, help="A file of what model and data want to be said.")
@click.option("--support", default="", help="Until when the packages are supported, as 2028-12-31.")
@click.option("--no-try", "untried", is_flag=True, help="Do not run the packages that this machine can run.")
@click.option(
    "--key",
    "keys",
    metavar="PUB",
    multiple=True,
    help="A public key: the packages open only what it, or another one given, has signed.",
)
@click.option("--vendor", default="unknown <root@localhost>", help="Who packs it: Jane Doe <jane@example.org>.")
@report_option
@json_option
def ship(
    bundle: Path | None,
    platforms: tuple[str, ...],
    out: Path | None,
    kits: tuple[str, ...],
    results: tuple[Path, ...],
    checked: Path | None,
    name: str | None,
    version: str,
    license: str,
    notices: Path | None,
    support: str,
    untried: bool,
    keys: tuple[str, ...],
    vendor: str,
    page: Path | None,
    as_json: bool,
) -> None:
    """Pack BUNDLE with its runtime, as platforms install it; or look into packages for what would fail there.

    Each package answers the bundle's goldens, where this machine can run it, and is looked into. Exit status 1: one of
    them does not answer, or has a fault.

    \b
    edgexl ship words.exl --platform linux-arm64 -o packages
    edgexl ship words.exl --key shop.pub --platform web -o packages
    edgexl ship words.exl --proof android -o kits
    edgexl ship words.exl -o packages --accept result.json
    edgexl ship --check packages
    """
    check_page(page)
    if checked is not None:
        if bundle is not None or out is not None or kits or results:
            raise BadInput("--check looks into packages that there are; leave BUNDLE, -o, --proof and --accept out.")
        _check(checked, page, as_json)
        return
    if bundle is None or out is None:
        raise BadInput("Give the BUNDLE to pack, and -o with the directory to write into; or --check DIR.")
    if kits and (platforms or results or page is not None):
        raise BadInput("--proof writes kits, and no packages; leave --platform, --accept and --report out.")
    from edgexl.base.files import write_text
    from edgexl.ship.accept import assign_proofs, read_proof
    from edgexl.ship.check_page import shipped_page
    from edgexl.ship.judge import judge
    from edgexl.ship.product import open_product
    from edgexl.ship.ship import lacking, ship

    product = open_product(bundle, name, version, license, notices, support, vendor, keys)
    if kits:
        _write_kits(product, kits, out, as_json)
        return
    proofs = [read_proof(path, product) for path in results]
    with progress_bar(as_json) as progress:
        shipped = ship(product, platforms, out, progress)
        judged = judge(shipped, not untried, progress, assign_proofs(proofs, shipped))
    if page is not None:
        write_text(page, shipped_page(product, judged))
    not_made = {} if platforms else lacking()
    if as_json:
        print_json({
            "name": product.name, "version": product.version, "bundle_bytes": len(product.bundle),
            "files": [each.as_json() for each in judged], "not_made": not_made,
        })  # fmt: skip
    else:
        _print_judged(product, judged)
        for platform, sentence in not_made.items():
            _print_wrapped(f"not made: {platform}: {sentence}")
    _fail_with([(each.shipped.path.name, fault) for each in judged for fault in each.faults])


def _write_kits(product: Product, names: Sequence[str], out: Path, as_json: bool) -> None:
    from edgexl.ship.proof import RESULT, write_kits

    with progress_bar(as_json) as progress:
        kits = write_kits(product, names, out, progress)
    if as_json:
        print_json({"kits": [kit.as_json() for kit in kits]})
        return
    for kit in kits:
        commands = " or ".join(f"`{command}`" for command in kit.commands)
        _print_wrapped(
            f"{kit.folder}: it takes {kit.needs} Run {commands} in it there, bring back {RESULT}, and give that to "
            "edgexl ship --accept."
        )


def _print_judged(product: Product, judged: Sequence[Judged]) -> None:
    """A table of 80 columns, without what the names of all packages begin with, and what is to be said below it."""
    _print_wrapped(f"{product.title}: {product.summary}. Sizes are in kB; beside: unpacked, without the bundle.")
    rows, last = [], ""
    for each in judged:
        if each.checked is not None:
            name = "" if each.shipped.platform == last else each.shipped.platform
            last = each.shipped.platform
            beside = round(each.checked.beside_bytes / 1000)
            rows.append((name, _short(each, product), round(each.shipped.file_bytes / 1000), beside, _outcome(each)))
    print_table(("platform", "file", "size", "beside", "answered"), rows)
    said: dict[str, list[str]] = {}
    for each in judged:
        name = _short(each, product)
        for proof in each.proofs:
            said.setdefault(f"proved by its owner: {proof.date}, {proof.device}", []).append(name)
        if each.trial is not None and each.trial.outcome == "not run" and not each.proofs:
            said.setdefault(f"checked, not run: {each.trial.why}", []).append(name)
        for finding in each.checked.findings if each.checked else ():
            if finding.kind == "warning":
                said.setdefault(f"warning: {finding.sentence}", []).append(name)
        for fault in each.faults:
            said.setdefault(f"fault: {fault}", []).append(name)
    for sentence, names in said.items():
        files = list(dict.fromkeys(names))
        where = ", ".join(files) if len(files) <= _MOST_NAMED else f"{len(files)} files, which --json and --report name"
        _print_wrapped(f"{sentence}: {where}")


def _print_wrapped(text: str) -> None:
    for line in textwrap.wrap(text, 80, subsequent_indent="  ", break_on_hyphens=False):
        print_line(line)


def _short(judged: Judged, product: Product) -> str:
    """A file's name without the product's, and at most `_WIDEST` characters of it."""
    name = judged.shipped.path.name.removeprefix(f"{product.title}-")
    name = name.removeprefix(f"{product.module}-{product.version}-")
    half = (_WIDEST - 3) // 2
    return name if len(name) <= _WIDEST else f"{name[:half]}...{name[-half:]}"


def _outcome(judged: Judged) -> str:
    if judged.faults:
        return "fault"
    if judged.proofs and (judged.trial is None or judged.trial.outcome == "not run"):
        return "proved"
    if judged.trial is None:
        return "not tried"
    return f"{judged.trial.answered} of {judged.trial.goldens}" if judged.trial.goldens else judged.trial.outcome


def _fail_with(faults: Sequence[tuple[str, str]]) -> None:
    """Raise `GateFailed` where there are faults: a file's name and a sentence each."""
    if faults:
        count = f"{len(faults)} faults; the first" if len(faults) > 1 else "A fault"
        raise GateFailed(f"{count}: {faults[0][0]}: {faults[0][1]}.")


def _check(directory: Path, page: Path | None, as_json: bool) -> None:
    """Tell what was found, and raise `GateFailed` where something is wrong."""
    from edgexl.base.files import write_text
    from edgexl.ship.check import check_packages
    from edgexl.ship.check_page import checked_page

    packages = check_packages(directory)
    if page is not None:
        write_text(page, checked_page(directory.name, packages))
    findings = [finding for package in packages for finding in package.findings]
    if as_json:
        print_json({
            "packages": [
                {"package": each.package, "bytes": each.file_bytes, "beside_bytes": each.beside_bytes}
                for each in packages
            ],
            "findings": [finding.as_json() for finding in findings],
        })  # fmt: skip
    else:
        rows = [
            (each.package, each.file_bytes, each.beside_bytes,
             each.count("fault"), each.count("warning"))
            for each in packages
        ]  # fmt: skip
        print_table(("package", "bytes", "unpacked, beside the bundle", "faults", "warnings"), rows)
        for finding in findings:
            print_line(f"{finding.kind}: {finding.package}: {finding.file and finding.file + ': '}{finding.sentence}")
    _fail_with([(each.package, each.sentence) for each in findings if each.kind == "fault"])
