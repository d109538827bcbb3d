"""What is shipped: a bundle under a name and a version, with what its packages say of it."""

from __future__ import annotations

import hashlib
import keyword
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput
from edgexl.base.files import read_input
from edgexl.bundle.read import read_bundle
from edgexl.bundle.signing import read_public_key
from edgexl.report.table import format_bytes
from edgexl.runtime.binding import open_bundle
from edgexl.ship.vectors import make_vectors

_NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_VENDOR = re.compile(r"[^<>\n]+ <[^<>\s]+@[^<>\s]+>")
_MOST_NOTICES = 1 << 20
_VERSION = re.compile(r"\d+\.\d+\.\d+")


@dataclass(frozen=True)
class Product:
    """A bundle to be shipped. `example` is a text that it answers, `answer` the id of the first label then; `license`
    is an SPDX expression for model and data, "NOASSERTION" where nobody said; `notices`: what they want to be said;
    `vendor`: who packs it, with an address; `vectors`: what every binding answers. With `keys`, lines of public keys,
    its packages open no bundle but one that one of these has signed, as `least_version` or a later one."""

    name: str
    version: str
    bundle: bytes
    manifest: dict[str, Any]
    format: str
    labels: int
    label_set_sha256: str
    vectors: bytes
    example: str
    answer: str
    license: str
    notices: str
    support: str
    vendor: str
    keys: tuple[str, ...] = ()
    least_version: int = 0

    @property
    def title(self) -> str:
        """Name and version as file names have them."""
        return f"{self.name}-{self.version}"

    @property
    def module(self) -> str:
        """The name that Python imports."""
        return self.name.replace("-", "_")

    @property
    def file(self) -> str:
        """The bundle's file name."""
        return f"{self.name}.exl"

    @property
    def sha256(self) -> str:
        """Of the bundle's bytes."""
        return hashlib.sha256(self.bundle).hexdigest()

    @property
    def summary(self) -> str:
        """A line that says what it is."""
        return f"{self.labels:,} labels, {format_bytes(len(self.bundle))}"


def open_product(
    bundle: Path,
    name: str | None = None,
    version: str = "1.0.0",
    license: str = "NOASSERTION",
    notices: Path | None = None,
    support: str = "",
    vendor: str = "unknown <root@localhost>",
    keys: Sequence[str | os.PathLike[str]] = (),
) -> Product:
    """Read a bundle and what is to be said of it. `name`: by default the file's; `support`: until when; `vendor`: a
    name with an address; `keys`: public keys that are to have signed it, and what its packages open later.

    Raises `BadInput` for a bundle that is none, is for ONNX Runtime or holds no golden, and for a name or a version
    that a platform would refuse; `NotTrusted` where none of the keys has signed it.
    """
    name = re.sub(r"[^a-z0-9]+", "-", bundle.stem.lower()).strip("-") if name is None else name
    if not _NAME.fullmatch(name) or len(name) < 2 or len(name) > 64:
        raise BadInput(f"{name!r} is no name for packages; give --name, small letters, digits and single hyphens.")
    module = name.replace("-", "_")
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module == "edgexl":
        raise BadInput(f"Python has a module {module} already; give another --name.")
    if not _VERSION.fullmatch(version):
        raise BadInput(f"{version!r} is no version; give three numbers, as 1.0.0.")
    if not _VENDOR.fullmatch(vendor):
        raise BadInput(f"{vendor!r} is no vendor; give a name with an address, as 'Jane Doe <jane@example.org>'.")
    opened = read_bundle(bundle)
    engine = opened.manifest.get("engine")
    if engine != "native":
        raise BadInput(f"{bundle} is made for the engine {engine}; packages hold bundles for the native one.")
    texts = [golden.text for golden in opened.goldens.items if golden.text.isprintable() and golden.text.strip()]
    if not texts:
        raise BadInput(f"{bundle} holds no golden, by which a package is tried; compile it with queries.")
    example = min(texts, key=lambda text: ("'" in text, len(text.split()) < 3, len(text), text))
    lines = tuple(read_public_key(key).line for key in keys)
    if lines and not opened.signature:
        raise BadInput(f"{bundle} holds no signature for the keys to check; `edgexl sign` stores one in it.")
    with open_bundle(bundle, compiled_only=True, keys=lines) as handle:
        least_version = handle.info.signed_version
        answer = handle.predict(example, k=1).labels[0].id
    said = read_input(notices, _MOST_NOTICES).decode("utf-8", "replace") if notices else ""
    sizes = opened.parameters
    return Product(
        name, version, read_input(bundle), opened.manifest, f"{opened.major}.{opened.minor}", sizes.labels,
        sizes.label_set_sha256.hex(), make_vectors(bundle), example, answer, license, said, support, vendor,
        lines, least_version,
    )  # fmt: skip
