"""Accepts what a proof kit brought back (`edgexl ship --accept FILE`): the package and the bundle are those that are
shipped, by their hashes, and every vector was answered to the bit. What else it says is its owner's word."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgexl.base.errors import BadInput, shorten
from edgexl.base.files import read_input
from edgexl.base.strict_json import parse_object
from edgexl.device.probe import read_probe
from edgexl.ship.product import Product
from edgexl.ship.proof import FORMAT
from edgexl.ship.ship import Shipped

_MOST_BYTES = 16 << 20
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(frozen=True)
class Proof:
    """What an owner proved: that a package answered all vectors on a device. `date`: as 2026-11-30; `tools`: what built
    and ran it, a line each."""

    path: Path
    platform: str
    package: str
    package_sha256: str
    date: str
    device: str
    tools: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """The proof as `ship --json` tells it."""
        return {"date": self.date, "device": self.device, "tools": list(self.tools)}


def read_proof(path: Path, product: Product) -> Proof:
    """Read what a kit of this product brought back. Raises `BadInput` where it is none, is of another bundle, or lacks
    a vector or has another answer to one."""
    told = _parse(path)
    if told["bundle_sha256"] != product.sha256:
        raise BadInput(f"{path} is of another bundle than {product.file}; make a kit of this one, and run that.")
    _check_vectors(path, told["vectors"], product.vectors.decode().splitlines())
    system = read_probe("\n".join(told["system"]))
    if system is None or not _DATE.fullmatch(told["date"]):
        raise BadInput(f"{path} does not tell when and where the kit ran; run it again.")
    return Proof(
        path, told["platform"], told["package"], told["package_sha256"], told["date"], shorten(system.name),
        tuple(shorten("".join(filter(str.isprintable, each))) for each in told["tools"]),
    )  # fmt: skip


def assign_proofs(proofs: Sequence[Proof], shipped: Sequence[Shipped]) -> dict[Path, list[Proof]]:
    """The proofs of each file that was shipped. Raises `BadInput` where one is of no such file, or of another one of
    the same name."""
    paths = {each.path.name: each.path for each in shipped}
    found: dict[Path, list[Proof]] = {}
    for proof in proofs:
        package = paths.get(proof.package)
        if package is None:
            raise BadInput(
                f"{proof.path} is of {shorten(proof.package)}, which was not packed here: give its --platform, or "
                "none, and the kit's --name and --version."
            )
        if hashlib.sha256(read_input(package)).hexdigest() != proof.package_sha256:
            raise BadInput(
                f"{proof.path} is of another {package.name} than the one that was packed here; give the options that "
                "the kit was made with, or make a new kit with --proof."
            )
        found.setdefault(package, []).append(proof)
    return found


def _parse(path: Path) -> dict[str, Any]:
    """The object of a result, of which each part has its kind."""
    try:
        told = parse_object(read_input(path, _MOST_BYTES))
    except ValueError as error:
        raise BadInput(f"{path} is not what a proof kit writes: {error}; run the kit again.") from None
    if told.get("proof") != FORMAT:
        raise BadInput(f"{path} is not what a proof kit of this edgexl writes; make a new kit with --proof.")
    for key in ("platform", "package", "package_sha256", "bundle_sha256", "date"):
        if not isinstance(told.get(key), str):
            raise BadInput(f"{path} does not tell its {key}; run the kit again.")
    for key in ("tools", "system", "vectors"):
        if not isinstance(told.get(key), list) or not all(isinstance(each, str) for each in told[key]):
            raise BadInput(f"{path} does not tell its {key}; run the kit again.")
    return told


def _check_vectors(path: Path, answered: Sequence[str], recorded: Sequence[str]) -> None:
    lines = {line.partition("\t")[0]: line for line in answered}
    for line in recorded:
        text = line.partition("\t")[0]
        if text not in lines:
            raise BadInput(
                f"{path} lacks the vector {shorten(text)!r}, and {len(lines)} of {len(recorded)} are there; run the "
                "kit again."
            )
        if lines[text] != line:
            raise BadInput(
                f"{path} has another answer to the vector {shorten(text)!r} than was recorded: the package does not "
                "answer there as it does here, or the file was changed."
            )
    if len(answered) != len(recorded):
        raise BadInput(f"{path} has {len(answered)} vectors, and there are {len(recorded)}; run the kit again.")
