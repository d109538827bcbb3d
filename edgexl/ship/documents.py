"""What every package carries beside its programs: licences, notices, and a bill of materials (CycloneDX 1.6)."""

from __future__ import annotations

import contextlib
import hashlib
import json
import uuid
from pathlib import Path
from typing import Any

from edgexl import __version__
from edgexl.base.errors import BadInput
from edgexl.base.shipped import shipped_folder
from edgexl.runtime.toolchain import zig_directory
from edgexl.ship.product import Product

# What Zig links into programs: the name, its licence by SPDX, and where Zig keeps the text.
LINKED = {
    "musl": ("MIT", "lib/libc/musl/COPYRIGHT"),
    "wasi-libc": ("MIT AND Apache-2.0 WITH LLVM-exception", "lib/libc/wasi/LICENSE"),
    "compiler-rt": ("MIT", "LICENSE"),
    "mingw-w64": ("ZPL-2.1", "lib/libc/mingw/COPYING"),
}


def licenses() -> dict[str, bytes]:
    """edgexl's own LICENSE and NOTICE. Raises `BadInput` where this edgexl was installed without them."""
    from importlib.metadata import PackageNotFoundError, distribution

    beside = shipped_folder("students").parent
    found: dict[str, bytes] = {}
    for name in ("LICENSE", "NOTICE"):
        path = beside / name
        if not path.is_file():  # of an installed package
            with contextlib.suppress(PackageNotFoundError, StopIteration):
                path = Path(next(file for file in distribution("edgexl").files or [] if file.name == name).locate())
        if not path.is_file():
            raise BadInput(f"This edgexl was installed without its {name}; install it again.")
        found[name] = path.read_bytes()
    return found


def write_notices(linked: tuple[str, ...], product: Product | None = None) -> bytes:
    """edgexl's notices, those of what was `linked` (names of `LINKED`), and those of a product's model and data."""
    parts = [licenses()["NOTICE"].decode()]
    for name in linked:
        license, place = LINKED[name]
        text = (zig_directory() / place).read_text(encoding="utf-8", errors="replace")
        parts.append(f"{'-' * 80}\n{name} ({license}) is linked into the programs or libraries here:\n\n{text}")
    if product is not None and product.notices:
        parts.append(f"{'-' * 80}\nThe bundle {product.file}:\n\n{product.notices}")
    return "\n".join(part.rstrip() + "\n" for part in parts).encode()


def write_bill(product: Product, platform: str, linked: tuple[str, ...]) -> bytes:
    """The bill of materials: the runtime, what was `linked` into it, the model and its data. No time is in it."""
    provenance = product.manifest.get("provenance") or {}
    model = f"model:{product.name}"
    components: list[dict[str, Any]] = [
        {
            "type": "library", "bom-ref": "edgexl", "name": "edgexl", "version": __version__,
            "licenses": [{"license": {"id": "Apache-2.0"}}], "purl": f"pkg:pypi/edgexl@{__version__}",
        },
        *({
            "type": "library", "bom-ref": name, "name": name, "licenses": [_license(LINKED[name][0])],
        } for name in linked),
        {
            "type": "machine-learning-model", "bom-ref": model, "name": product.name, "version": product.version,
            "hashes": [{"alg": "SHA-256", "content": product.sha256}], "licenses": [_license(product.license)],
            "description": f"edgexl bundle {product.file}, format {product.format}, {product.summary}",
            "modelCard": _model_card(product),
            "properties": [
                {"name": f"edgexl:{key}", "value": value if isinstance(value, str) else json.dumps(value)}
                for key, value in sorted(provenance.items()) if key != "recipe"
            ],
        },
        {
            "type": "data", "bom-ref": f"labels:{product.name}", "name": f"{product.name} label set",
            "hashes": [{"alg": "SHA-256", "content": product.label_set_sha256}],
            "licenses": [_license(product.license)],
            "data": [{"type": "dataset", "name": "labels", "description": f"{product.labels:,} labels"}],
        },
    ]  # fmt: skip
    bill: dict[str, Any] = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application", "bom-ref": "package", "name": f"{product.name}-{platform}",
                "version": product.version,
            },
            "tools": {"components": [{"type": "application", "name": "edgexl ship", "version": __version__}]},
        },
        "components": components,
        "dependencies": [
            {"ref": "package", "dependsOn": ["edgexl", model]},
            {"ref": "edgexl", "dependsOn": list(linked)},
            {"ref": model, "dependsOn": [f"labels:{product.name}"]},
        ],
    }  # fmt: skip
    digest = hashlib.sha256(json.dumps(bill, sort_keys=True).encode()).hexdigest()
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, digest)}"
    return (json.dumps(bill, indent=1, ensure_ascii=False) + "\n").encode()


def _license(expression: str) -> dict[str, Any]:
    if expression == "NOASSERTION":
        return {"license": {"name": "not stated: give --license to edgexl ship"}}
    return {"expression": expression}


def _model_card(product: Product) -> dict[str, Any]:
    ledger = product.manifest.get("ledger") or [{}]
    metrics = [(name, value) for name, value in ledger[-1].items() if name in ("P@1", "R@100", "nDCG@5")]
    card: dict[str, Any] = {"modelParameters": {"task": "extreme multi-label text classification"}}
    if measured := [{"type": name, "value": str(value)} for name, value in metrics if value is not None]:
        card["quantitativeAnalysis"] = {"performanceMetrics": measured}
    return card
