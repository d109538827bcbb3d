"""The built-in kinds of screeners: a further one is a file here, and a place in `KINDS`."""

from __future__ import annotations

from torch import nn

from edgexl.student.screeners.kind import ScreenerKind, Texts
from edgexl.student.screeners.ngrams import NGRAMS
from edgexl.student.screeners.transformer import TRANSFORMER

KINDS: tuple[ScreenerKind, ...] = (TRANSFORMER, NGRAMS)


def kind_of(screener: nn.Module) -> ScreenerKind:
    """The kind of a screener; that of any module for a user's own."""
    return next((kind for kind in KINDS if isinstance(screener, kind.module)), ScreenerKind())


def kind_named(name: str) -> ScreenerKind:
    """The kind that recipes call so. Raises `ValueError` where there is none."""
    for kind in KINDS:
        if kind.name == name:
            return kind
    raise ValueError(f"screener is '{name}'; it must be one of {', '.join(kind.name for kind in KINDS)}")


__all__ = ["KINDS", "ScreenerKind", "Texts", "kind_named", "kind_of"]
