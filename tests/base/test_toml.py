"""Strict TOML: what is written is what is meant, or the sentence says what is wrong."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from edgexl.base import toml
from edgexl.base.errors import BadInput


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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'name = "x"\nlimit = 1' + b"0" * 400, "limit is a number beyond 64 bits"),
        (b'name = "x"\nlimit = 9223372036854775808', "limit is a number beyond 64 bits"),
        (b'name = "x"\nlimit = 0x' + b"f" * 10_000, "limit is a number beyond 64 bits"),
        (b'name = "x"\nlimit = 1' + b"0" * 5000, "not valid TOML"),
        (b"name = 1" + b"0" * 400, "name is a number beyond 64 bits"),
        (b'name = "x"\n[inner]\nscale = 1' + b"0" * 400, "scale is a number beyond 64 bits"),
        (b'name = "x"\n[inner]\nscale = inf', "scale = inf must be a finite number"),
        (b'name = "x"\n[inner]\nscale = nan', "scale = nan must be a finite number"),
        (b'name = "x"\n[inner]\nscale = 1e999', "scale = inf must be a finite number"),
        (b"name = " + b"[" * 3000 + b"]" * 3000, "nested too deeply|name must be str"),
        (b"name = " + b"[" * 3000, "not valid TOML"),
        (b"name = " + b"{a=" * 3000 + b"1" + b"}" * 3000, "nested too deeply|name must be str"),
        (b"name = " + b"[" * 300 + b"]" * 300, "name must be str"),
        (b'name = "x"\nname = "y"', "not valid TOML"),
        (b'name = "x\0"', "not valid TOML"),
        ('name = "é"'.encode("latin-1"), "not UTF-8 at byte 8"),
        ('name = "x"'.encode("utf-16"), "not UTF-8 at byte 0"),
        (b'name = "' + b"x" * 2_000_000 + b'"', "larger than 1,048,576 bytes"),
        (b'name = "x"\n"' + b"k" * 10_000 + b'" = 1', "unknown key 'kkk"),
    ],
)
def test_odd_files_are_refused_in_a_short_sentence_in_a_second(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(content)
    began = time.monotonic()
    with pytest.raises(BadInput, match=says) as caught:
        toml.load(path, Outer)
    assert time.monotonic() - began < 1
    assert str(caught.value).startswith(str(path))
    assert len(str(caught.value)) < len(str(path)) + 300


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_bytes(b'\xef\xbb\xbfname = "x"\r\n')
    assert toml.load(path, Outer).name == "x"


def test_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        toml.load(tmp_path / "none.toml", Outer)


@pytest.mark.parametrize(
    ("value", "hint", "converted"),
    [
        (2**63 - 1, int, 2**63 - 1),
        (-(2**63), int, -(2**63)),
        (1.5, float, 1.5),
        (3, float, 3.0),
        (True, bool, True),
        (7, int | None, 7),
        ("all", Literal["all"] | int, "all"),
        (5, Literal["all"] | int, 5),
        (2.5, int | float | str, 2.5),
        ("x", int | float | str, "x"),
        ({"a": 1, "b": 2.5}, dict[str, float], {"a": 1.0, "b": 2.5}),
        ([[1], []], tuple[tuple[int, ...], ...], ((1,), ())),
        ([1, "x"], Any, [1, "x"]),
    ],
)
def test_a_value_becomes_what_its_field_says(value: Any, hint: Any, converted: Any) -> None:
    got = toml.convert(value, hint, "key")
    assert (got, type(got)) == (converted, type(converted))


@pytest.mark.parametrize(
    ("value", "hint", "says"),
    [
        (2**63, Any, "key is a number beyond 64 bits"),
        (-(2**63) - 1, Any, "key is a number beyond 64 bits"),
        (True, int, "key must be int, not True"),
        (True, float, "key must be float, not True"),
        ("1", float, "key must be float, not '1'"),
        (1, bool, "key must be bool, not 1"),
        (True, Literal[1, 2], "key = True is not known; known are 1, 2"),
        ("x", int | None, "key must be int, not 'x'"),
        ("some", int | Literal["all"], "key = 'some' is not known; known are all"),
        (3, dict[str, int], "key must be a table, not 3"),
        ({"a": "x"}, dict[str, int], "key.a must be int, not 'x'"),
    ],
)
def test_a_value_of_another_kind_is_refused(value: Any, hint: Any, says: str) -> None:
    with pytest.raises(BadInput) as caught:
        toml.convert(value, hint, "key")
    assert str(caught.value) == says


@dataclass(frozen=True)
class Circle:
    radius: float = 1.0


@dataclass(frozen=True)
class Square:
    side: float = 1.0


def choose(table: dict[str, Any]) -> type[Any]:
    if "side" not in table and "radius" not in table:
        raise ValueError("is neither round nor square")
    return Square if "side" in table else Circle


@dataclass(frozen=True)
class Drawing:
    figure: Annotated[Circle | Square, choose]


def test_a_table_of_several_forms_is_read_as_the_one_that_its_content_tells() -> None:
    assert toml.build({"figure": {"radius": 2}}, Drawing, "d").figure == Circle(2.0)
    assert toml.build({"figure": {"side": 3.0}}, Drawing, "d").figure == Square(3.0)
    for figure, says in (
        ({}, "d: figure: is neither round nor square"),
        ({"side": 1, "radius": 1}, "d: figure: unknown key 'radius'"),
        (4, "d: figure must be a table, not 4"),
    ):
        with pytest.raises(BadInput, match=says):
            toml.build({"figure": figure}, Drawing, "d")
