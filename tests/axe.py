"""axe-core, which finds what keeps people from using a page who cannot see it, or use no mouse."""

from __future__ import annotations

import json
import tarfile

from edgexl.base.fetch import Package, fetch
from tests.serve.browser import Page

PACKAGE = Package(
    client="npm",
    name="axe-core",
    version="4.14.1",
    file_name="axe-core-4.14.1.tgz",
    sha256="e6b0ce02b84d892e2e33e403485e7f3d6c29e2be6df65daf44d89ba564139745",
)


def read_axe() -> str:
    """Its script. Raises `BadInput` where npm or the network is missing."""
    with tarfile.open(fetch(PACKAGE), "r:gz") as tar:
        stream = tar.extractfile("package/axe.min.js")
        assert stream is not None
        return stream.read().decode("utf-8")


def find_violations(page: Page, script: str) -> list[str]:
    """All rules that a page breaks, best practices among them, each with its first elements."""
    page.evaluate(f"{script};1")
    found = page.evaluate(
        "axe.run(document, {resultTypes: ['violations']}).then(({violations}) => violations.map((one) =>"
        " [one.id, one.help, ...one.nodes.slice(0, 3).map((node) => node.html)]))"
    )
    return [json.dumps(one) for one in found]
