"""The command that packs a bundle for platforms: ship."""

from __future__ import annotations

from pathlib import Path

import click

from edgexl.base.errors import BadInput, GateFailed
from edgexl.cli.output import check_page, json_option, print_json, print_table, progress_bar, report_option
from edgexl.cli.streams import print_line

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("bundle", type=_PATH, required=False)
@click.option(
    "--platform",
    "platforms",
    multiple=True,
    help="c-source, linux-x86-64, linux-arm64, linux-armhf, python, web; may be repeated.  [default: all]",
)
@click.option("-o", "--out", type=_PATH, help="The directory to write into.")
@click.option("--check", "checked", type=_PATH, help="Look into the packages of a directory instead.")
@click.option("--name", help="What the packages are called.  [default: the bundle's file name]")
@click.option("--version", default="1.0.0", show_default=True, help="The packages' version.")
@click.option("--license", default="NOASSERTION", help="Of model and data, as SPDX writes it.")
@click.option("--notices", type=_PATH, help="A file of what model and data want to be said.")
@click.option("--support", default="", help="Until when the packages are supported, as 2028-12-31.")
@click.option("--vendor", default="unknown <root@localhost>", help="Who packs it: Jane Doe <jane@example.org>.")
@report_option
@json_option
def ship(
    bundle: Path | None,
    platforms: tuple[str, ...],
    out: Path | None,
    checked: Path | None,
    name: str | None,
    version: str,
    license: str,
    notices: Path | None,
    support: str,
    vendor: str,
    page: Path | None,
    as_json: bool,
) -> None:
    """Pack BUNDLE with its runtime, as platforms install it; or look into packages for what would fail there.

    \b
    edgexl ship words.exl --platform linux-arm64 -o packages
    edgexl ship --check packages
    """
    if checked is not None:
        if bundle is not None or out is not None:
            raise BadInput("--check looks into packages that there are; leave BUNDLE and -o out.")
        _check(checked, page, as_json)
        return
    if page is not None:
        raise BadInput("--report is a page of what --check finds; give --check DIR with it.")
    if bundle is None or out is None:
        raise BadInput("Give the BUNDLE to pack, and -o with the directory to write into; or --check DIR.")
    from edgexl.ship.product import open_product
    from edgexl.ship.ship import ship

    product = open_product(bundle, name, version, license, notices, support, vendor)
    with progress_bar(as_json) as progress:
        shipped = ship(product, platforms, out, progress)
    if as_json:
        print_json({"name": product.name, "version": product.version, "files": [each.as_json() for each in shipped]})
        return
    print_table(("platform", "file", "bytes"), [(each.platform, each.path.name, each.file_bytes) for each in shipped])


def _check(directory: Path, page: Path | None, as_json: bool) -> None:
    """Tell what was found, and raise `GateFailed` where something is wrong."""
    from edgexl.base.files import write_text
    from edgexl.ship.check import check_packages
    from edgexl.ship.check_page import check_page as make_page

    check_page(page)
    packages = check_packages(directory)
    if page is not None:
        write_text(page, make_page(directory.name, packages))
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
             *(sum(finding.kind == kind for finding in each.findings) for kind in ("fault", "warning")))
            for each in packages
        ]  # fmt: skip
        print_table(("package", "bytes", "unpacked, beside the bundle", "faults", "warnings"), rows)
        for finding in findings:
            print_line(f"{finding.kind}: {finding.package}: {finding.file and finding.file + ': '}{finding.sentence}")
    if faults := [finding for finding in findings if finding.kind == "fault"]:
        raise GateFailed(f"{len(faults)} faults; the first: {faults[0].package}: {faults[0].sentence}.")
