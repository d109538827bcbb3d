"""What `edgexl ship` wrote, or `--check` found, as a page: sizes by part, where it answered, what hosts say."""

from __future__ import annotations

from collections.abc import Sequence

from edgexl.report import Bar, BarChart, BarGroup, Paragraph, Section, Table, Tile, page
from edgexl.report.page import Part
from edgexl.report.table import Cell, format_bytes
from edgexl.ship.accept import Proof
from edgexl.ship.check import PARTS, Checked, Hosted
from edgexl.ship.judge import Judged
from edgexl.ship.product import Product
from edgexl.ship.trial import Trial

_MOST_PLACES = 3


def checked_page(directory: str, packages: Sequence[Checked]) -> str:
    """The HTML page of `packages`, which lie in `directory`."""
    tiles = (Tile("Packages", str(len(packages))), *_counts(packages))
    sections = (_sizes(packages), _hosts(packages), _found(packages))
    return page(f"Packages in {directory}", sections, "ship", "What is installed where, and what will be said.", tiles)


def shipped_page(product: Product, judged: Sequence[Judged]) -> str:
    """The HTML page of what was shipped."""
    # a Debian package of a bundle is written once for all processors
    packages = list({each.shipped.path: each.checked for each in judged if each.checked is not None}.values())
    trials = [(each.shipped.platform, each.shipped.path.name, each.trial) for each in judged if each.trial is not None]
    proofs = [(each.shipped.platform, each.shipped.path.name, proof) for each in judged for proof in each.proofs]
    answered = sum(trial.outcome == "answered" for _, _, trial in trials)
    tiles = (
        Tile("Packages", str(len(packages)), f"the bundle has {format_bytes(len(product.bundle))}"),
        Tile("Answered here", f"{answered} of {len(trials)}", "the others were looked into") if trials else Tile(
            "Answered here", "none", "they were not run"),
        *((Tile("Proved by owners", str(len({name for _, name, _ in proofs})), "on their devices"),) if proofs else ()),
        *_counts(packages),
    )  # fmt: skip
    answers = (*((_trials(trials),) if trials else ()), *((_proofs(proofs),) if proofs else ()))
    sections = (_sizes(packages), *answers, _hosts(packages), _found(packages))
    return page(product.title, sections, "ship", f"{product.summary}, packed for where it runs.", tiles)


def _counts(packages: Sequence[Checked]) -> tuple[Tile, Tile]:
    faults, warnings = (sum(each.count(kind) for each in packages) for kind in ("fault", "warning"))
    return (
        Tile("Faults", str(faults), "fail where they are installed"),
        Tile("Warnings", str(warnings), "may be refused by a host, or asked about"),
    )


def _sizes(packages: Sequence[Checked]) -> Section:
    table = Table(
        "Bytes, unpacked but for the package itself",
        ("package", "packed", *PARTS),
        [(each.package, format_bytes(each.file_bytes), *(format_bytes(each.parts[part]) for part in PARTS))
         for each in packages],
    )  # fmt: skip
    chart = BarChart(
        "Beside the bundle, unpacked",
        "kB",
        [
            BarGroup(
                each.package, [Bar(part, round(each.parts[part] / 1000, 1)) for part in PARTS[1:] if each.parts[part]]
            )
            for each in packages
        ],
        note="Libraries: shared, static, or WebAssembly. An app takes one of them along.",
    )
    return Section("Sizes", (table, chart))


def _trials(trials: Sequence[tuple[str, str, Trial]]) -> Section:
    rows: list[list[Cell]] = []
    for platform, package, trial in trials:
        answered = f"{trial.answered} of {trial.goldens}" if trial.goldens else trial.outcome
        rows.append([platform, package, answered, trial.how if trial.outcome == "answered" else trial.why])
    return Section("Where it answered", (Table("", ("platform", "package", "goldens", "how, or why not"), rows),))


def _proofs(proofs: Sequence[tuple[str, str, Proof]]) -> Section:
    rows: list[list[Cell]] = [
        [platform, package, proof.date, proof.device, "; ".join(proof.tools)] for platform, package, proof in proofs
    ]
    table = Table("All vectors to the bit", ("platform", "package", "date", "device", "by"), rows)
    return Section("Proved by its owner", (table,))


def _hosts(packages: Sequence[Checked]) -> Section:
    """Of each host the largest file that it gets."""
    largest: dict[str, tuple[str, Hosted]] = {}
    for package in packages:
        for each in package.hosted:
            if each.host.name not in largest or each.file_bytes > largest[each.host.name][1].file_bytes:
                largest[each.host.name] = each.file or package.package, each
    if not largest:
        return Section("What hosts say", (Paragraph("No host of these packages limits their sizes."),))
    rows: list[list[Cell]] = []
    for name, (file, each) in largest.items():
        said = "takes it" if each.file_bytes <= each.host.most_bytes else each.host.sentence
        rows.append([name, file, format_bytes(each.file_bytes), format_bytes(each.host.most_bytes), said])
    table = Table("", ("host", "largest file for it", "size", "at most", "what it says"), rows)
    return Section("What hosts say", (table,))


def _found(packages: Sequence[Checked]) -> Section:
    said: dict[tuple[str, str], list[str]] = {}
    for each in (finding for package in packages for finding in package.findings):
        place = f"{each.package}: {each.file}" if each.file else each.package
        said.setdefault((each.kind, each.sentence), []).append(place)
    rows: list[list[Cell]] = []
    for (kind, sentence), places in sorted(said.items()):  # faults come first
        others = [f"{len(places) - _MOST_PLACES} others"] if len(places) > _MOST_PLACES else []
        rows.append([kind, sentence, ", ".join(places[:_MOST_PLACES] + others)])
    parts: tuple[Part, ...] = (Table("", ("", "what is to be done", "where"), rows),)
    return Section("What was found", parts if rows else (Paragraph("Nothing stands in the way."),))
