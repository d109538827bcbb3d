"""A text is read once, in bounded time, whatever it is and however long: 10 MB of one code point are answered."""

from __future__ import annotations

import contextlib
import time

import pytest

from edgexl.base.errors import BadInput
from edgexl.runtime.binding import open_bundle
from tests.runtime.tiny_bundle import build

LONG = 10_000_000
MOST_SECONDS = 20  # of a machine that is busy; it takes a hundredth


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory):
    path = build(aliases=True, native=True, lexical=True, windows=5).write(tmp_path_factory.mktemp("texts") / "b.exl")
    with open_bundle(path) as handle:
        yield handle


@pytest.mark.parametrize(
    "unit",
    ["a", " ", "\n", "\u0301", "é", "\U0001f600", "\u202e", "\u200f", "\ufdfa", "가", "\ufffd", "[MASK]", "red "],
    ids=ascii,
)
def test_one_unit_repeated(unit: str, bundle) -> None:
    text = unit * (LONG // len(unit.encode()))
    begun = time.monotonic()
    with contextlib.suppress(BadInput):  # where nothing of it is a token
        assert all(0 <= label.probability <= 1 for label in bundle.predict(text).labels)
    assert time.monotonic() - begun < MOST_SECONDS


def test_bidirectional_controls_change_nothing_but_the_tokens(bundle) -> None:
    """They may stand anywhere; the label that is shown is the bundle's own, never a piece of the text."""
    text = "\u202ered\u202c \u2066river\u2069 \u200e"
    shown = {label.text for label in bundle.predict(text).labels}
    assert all(
        control not in name for name in shown for control in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    )
