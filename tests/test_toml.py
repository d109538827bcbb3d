"""Strict TOML: what is written is what is meant, or the sentence says what is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from edgexl import toml
from edgexl.errors import BadInput


@dataclass(frozen=True)
class Inner:
    bits: Literal[4, 8] = 4
    scheme: Literal["fp32", "int8"] = "int8"
    scale: float = 1.0


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner = field(default_factory=Inner)
    ks: tuple[int, ...] = (1, 5)
    limit: int | None = None
    keep: bool = True

    def __post_init__(self) -> None:
        if not self.ks:
            raise ValueError("'ks' is empty; give at least one")


def read(tmp_path: Path, text: str) -> Outer:
    path = tmp_path / "a.toml"
    path.write_text(text)
    return toml.load(path, Outer)


def test_reads_nested_tables_lists_and_defaults(tmp_path: Path) -> None:
    got = read(tmp_path, 'name = "x"\nks = [1, 3]\nlimit = 7\n[inner]\nbits = 8\nscale = 2\n')
    assert got == Outer("x", Inner(8, "int8", 2.0), (1, 3), 7)
    assert isinstance(got.inner.scale, float)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('name = "x"\nlimitt = 1', "unknown key 'limitt'; did you mean 'limit'"),
        ('name = "x"\n[inner]\nzzz = 1', "inner: unknown key 'zzz'; known are bits, scale, scheme"),
        ('name = "x"\n[inner]\nscheme = "int9"', "did you mean 'int8'"),
        ('name = "x"\n[inner]\nbits = 5', "bits = 5 is not known"),
        ('name = "x"\n[inner]\nbits = true', "bits = True is not known"),
        ('name = "x"\ninner = 3', "inner must be a table"),
        ('name = "x"\nks = 3', "ks must be a list"),
        ('name = "x"\nks = ["a"]', r"ks\[0\] must be int"),
        ('name = "x"\nks = []', "'ks' is empty"),
        ('name = "x"\nkeep = 1', "keep must be bool"),
        ("name = 3", "name must be str"),
        ("", "the key 'name' is missing"),
        ("name = ", "is not valid TOML"),
    ],
)
def test_refuses_with_one_sentence(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BadInput, match=says) as caught:
        read(tmp_path, text)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "a.toml"))


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        toml.load(tmp_path / "none.toml", Outer)
