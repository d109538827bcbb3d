"""The README of a package: what it is, the lines to the first answer, what is in it, licences and support."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from edgexl import __version__
from edgexl.ship import vectors
from edgexl.ship.product import Product


@dataclass(frozen=True)
class Section:
    """A heading, with a text of Markdown below it."""

    heading: str
    text: str


def code(language: str, *lines: str) -> str:
    """A block of code; tests run it as it stands."""
    return "\n".join((f"```{language}", *lines, "```"))


def shell_text(product: Product) -> str:
    """The example's text as a word of a shell's."""
    return shlex.quote(product.example)


def proof_section(product: Product, kit: str) -> Section:
    """How it is proved where its packager's machine cannot run it."""
    return Section(
        "Is it proved where you are?",
        f"`edgexl ship {product.file} --proof {kit} -o kits` makes a folder with this package and one command. That "
        f"builds it on your machine, has it answer the texts of `{vectors.NAME}`, compares ids and probabilities to "
        "the bit, and writes a file, which `edgexl ship --accept` shows beside the package.",
    )


def write_readme(product: Product, platform: str, needs: str, sections: tuple[Section, ...]) -> bytes:
    """The page. `needs`: what must be there before the first line runs."""
    support = (
        f"This package is supported until {product.support}."
        if product.support
        else "Its vendor has named no end of support: ask before you build on it."
    )
    license = product.license if product.license != "NOASSERTION" else "not stated by the packager"
    parts = [
        f"# {product.name} {product.version} for {platform}",
        f"Text in, labels out: {product.summary}, in one file that edgexl {__version__} answers from. {needs}",
        *(f"## {section.heading}\n\n{section.text}" for section in sections),
        f"## Licence\n\nThe runtime is under the Apache License 2.0 (`LICENSE`, `NOTICE`). Model and data: {license}. "
        "`sbom.cdx.json` lists all that is in here, with hashes.",
        f"## Support\n\n{support} Of edgexl itself only the latest release is mended.",
    ]
    return ("\n\n".join(parts) + "\n").encode()
