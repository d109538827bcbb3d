"""What a bundle says of itself: sizes from its sections, the rest from its manifest; checked, not believed."""

from __future__ import annotations

import os
from typing import Any

from edgexl.bundle.read import read_bundle
from edgexl.errors import BadInput

_FROM_MANIFEST = ("shapes", "engine", "recipe", "target", "ledger", "gates")


def inspect(path: str | os.PathLike[str], self_test: bool = False) -> dict[str, Any]:
    """The bundle's format, bytes a section, labels, shapes, engine, recipe, target, ledger and gates.

    Every section's hash is checked. `self_test` also runs its goldens through the C runtime on this machine, under the
    key `self_test`. Raises `BadInput` for a file that is no sound bundle, `GateFailed` where a golden's answer differs.
    """
    bundle = read_bundle(path, verify=True)
    missing = [key for key in _FROM_MANIFEST if key not in bundle.manifest]
    if missing:
        raise BadInput(f"{bundle.path}: the manifest lacks '{missing[0]}'; compile the bundle again.")
    report: dict[str, Any] = {
        "format": f"{bundle.major}.{bundle.minor}",
        "bytes": {**{entry.name: entry.length for entry in bundle.entries}, "total": bundle.file_bytes},
        "labels": bundle.parameters.labels,
        **{key: bundle.manifest[key] for key in _FROM_MANIFEST},
    }
    if self_test:
        from edgexl.runtime.binding import open_bundle

        with open_bundle(path, compiled_only=True) as handle:
            report["self_test"] = handle.self_test()
    return report
