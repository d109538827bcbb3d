"""Sources that packages carry, with what is the product's own in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def fill_template(path: Path, facts: Mapping[str, str]) -> bytes:
    """A source with each key of `facts`, such as "{name}", replaced by its value, one after the other."""
    text = path.read_text(encoding="utf-8")
    for key, value in facts.items():
        text = text.replace(key, value)
    return text.encode()
