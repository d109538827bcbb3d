"""The last section of every page: the command, and what it ran on."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

from edgexl import __version__
from edgexl.device.local import this_machine
from edgexl.report import Code, Paragraph, Section, Table
from edgexl.report.page import Part
from edgexl.report.table import format_bytes

# What a compile's figures depend on, besides edgexl itself.
PACKAGES = ("numpy", "onnxruntime", "onnx", "torch", "tokenizers", "scipy", "scikit-learn")


def make_reproduce_section(
    command: str, bundles: Sequence[str | os.PathLike[str]], facts: Mapping[str, str] | None = None
) -> Section:
    """How to make the page again: the `command`, this machine and its versions, the `bundles`' hashes, more `facts`."""
    machine = this_machine().facts()
    rows = [
        ("edgexl", __version__),
        ("Python", platform.python_version()),
        *((name, version) for name in PACKAGES if (version := _version(name))),
        ("made on", f"{machine.cpu}, {machine.cores} cores, {platform.system()} {platform.release()}"),
        *(facts or {}).items(),
    ]
    files = [(Path(bundle).name, format_bytes(Path(bundle).stat().st_size), _hash(Path(bundle))) for bundle in bundles]
    parts: list[Part] = [Code(command)] if command else []
    if files:
        parts.append(Table("Files", ("file", "size", "SHA-256"), files))
    parts.append(Table("Versions", ("", ""), rows))
    return Section("How to reproduce this", parts)


def say_same_bytes() -> Paragraph:
    """Why a hash is worth comparing."""
    return Paragraph("The same inputs and versions give the same bytes, on this machine and on others.")


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
