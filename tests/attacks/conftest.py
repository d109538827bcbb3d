"""Attacks as programs: one file an idea, whose first paragraph is the sentence that it defends. The forged bundles have
their hashes right, as who can write the file can write those."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from edgexl.base.errors import EdgexlError
from edgexl.bundle.layout import Kind
from edgexl.bundle.write import write_bundle
from edgexl.runtime.binding import Prediction, open_bundle
from tests.runtime.tiny_bundle import build

Forge = Callable[..., Path]


@pytest.fixture(scope="session")
def sound() -> dict[Kind, bytes]:
    """The sections of a small bundle with everything in it."""
    return build(aliases=True, native=True, descriptions=100, lexical=True).sections


@pytest.fixture
def forge(sound: dict[Kind, bytes], tmp_path: Path) -> Forge:
    """A bundle in which a section has other numbers: `forge(Kind.X, (offset, format, number), ...)`, or is other bytes:
    `forge(Kind.X, content)`."""

    def forge_(kind: Kind, *changes: tuple[int, str, float] | bytes) -> Path:
        content = bytearray(sound[kind])
        for change in changes:
            if isinstance(change, bytes):
                content = bytearray(change)
            else:
                struct.pack_into("<" + change[1], content, change[0], change[2])
        path = tmp_path / "forged.exl"
        write_bundle(path, {**sound, kind: bytes(content)})
        return path

    return forge_


def refused(path: Path, *words: str) -> None:
    """The bundle is refused by one sentence that has all `words`, at open or by the first query."""
    with pytest.raises(EdgexlError) as error, open_bundle(path) as bundle:
        bundle.predict("red river")
    said = str(error.value)
    assert said.count("\n") == 0, said
    assert all(word in said for word in words), said


def answers(path: Path, text: str = "red river") -> Prediction:
    """What a bundle that is let in answers."""
    with open_bundle(path) as bundle:
        return bundle.predict(text)
