"""What `edgexl ship --check` found, as a page: sizes by part, and what stands in the way."""

from __future__ import annotations

from collections.abc import Sequence

from edgexl.report import Paragraph, Section, Table, Tile, page
from edgexl.report.table import format_bytes
from edgexl.ship.check import Checked

PARTS = ("bundle", "libraries", "tools", "sources and papers")


def check_page(directory: str, packages: Sequence[Checked]) -> str:
    """The HTML page of `packages`, which lie in `directory`."""
    findings = [finding for package in packages for finding in package.findings]
    faults = sum(finding.kind == "fault" for finding in findings)
    sizes = Table(
        "Bytes, unpacked but for the package itself",
        ("package", "packed", *PARTS, "faults", "warnings"),
        [
            (each.package, format_bytes(each.file_bytes), *(format_bytes(each.parts[part]) for part in PARTS),
             *(sum(finding.kind == kind for finding in each.findings) for kind in ("fault", "warning")))
            for each in packages
        ],
    )  # fmt: skip
    told = Table(
        "", ("package", "file", "", "what is to be done"), [(f.package, f.file, f.kind, f.sentence) for f in findings]
    )
    tiles = (
        Tile("Packages", str(len(packages))),
        Tile("Faults", str(faults), "fail where they are installed"),
        Tile("Warnings", str(len(findings) - faults), "may be refused by a host, or asked about"),
    )
    found = told if findings else Paragraph("Nothing stands in the way.")
    sections = (Section("Sizes", (sizes,)), Section("What was found", (found,)))
    return page(f"Packages in {directory}", sections, "ship", "What is installed where, and what will be said.", tiles)
