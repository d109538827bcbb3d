"""Which students edgexl ships, told without loading one: this needs no torch."""

from __future__ import annotations

from pathlib import Path


def available_students() -> dict[str, Path]:
    """The students that edgexl ships: name -> directory."""
    package = Path(__file__).resolve().parents[1]
    found: dict[str, Path] = {}
    # An installed edgexl carries recipes/ inside the package; a checkout has it beside the package.
    for root in (package.parent / "recipes" / "students", package / "recipes" / "students"):
        if root.is_dir():
            found |= {path.parent.name: path.parent for path in sorted(root.glob("*/student.json"))}
    return found
