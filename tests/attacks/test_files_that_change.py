"""With `copy=True` a bundle answers as it was opened, whatever becomes of the file: cut, overwritten or removed. A
mapped one stays as it is where another file takes its name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgexl.runtime.binding import open_bundle
from tests.runtime.tiny_bundle import build


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return build(aliases=True, native=True).write(tmp_path / "b.exl")


@pytest.mark.parametrize("how", ["cut", "emptied", "overwritten", "removed"])
def test_of_a_copy(how: str, path: Path) -> None:
    with open_bundle(path, copy=True) as bundle:
        expected = [(label.id, label.logit) for label in bundle.predict("red river").labels]
        if how == "cut":
            os.truncate(path, 20_000)
        elif how == "emptied":
            os.truncate(path, 0)
        elif how == "overwritten":
            path.write_bytes(b"\xff" * path.stat().st_size)
        else:
            path.unlink()
        assert [(label.id, label.logit) for label in bundle.predict("red river").labels] == expected
        assert bundle.label_text(299)


def test_a_mapped_one_whose_name_another_takes(path: Path) -> None:
    with open_bundle(path) as bundle:
        expected = [(label.id, label.logit) for label in bundle.predict("red river").labels]
        other = path.with_name("other.exl")
        other.write_bytes(b"nothing")
        os.replace(other, path)
        assert [(label.id, label.logit) for label in bundle.predict("red river").labels] == expected
