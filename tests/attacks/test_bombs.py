"""A small file cannot fill the memory or take for ever: gzipped lines without an end, nested JSON, endless numbers."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput
from edgexl.base.gzipped_lines import read_lines
from edgexl.base.strict_json import parse
from edgexl.bundle.tokenizer import check_tokenizer_json
from tests.runtime.tiny_bundle import tiny_tokenizer


def test_a_line_without_an_end(tmp_path: Path) -> None:
    bomb = tmp_path / "labels.json.gz"
    with gzip.open(bomb, "wb", 1) as to:
        to.write(b'{"title": "')
        for _ in range(65):
            to.write(b"x" * (1 << 20))
    assert bomb.stat().st_size < 1 << 20
    with pytest.raises(BadInput, match="longer than 64 MiB"):
        list(read_lines(bomb))


@pytest.mark.parametrize("opened", ["[", '{"a":', "[[", '[{"a":'])
def test_nested_json(opened: str, tmp_path: Path) -> None:
    with pytest.raises((BadInput, ValueError)):
        parse(opened.encode() * 200_000)
    bomb = tmp_path / "labels.json.gz"
    bomb.write_bytes(gzip.compress(opened.encode() * 200_000 + b"\n"))
    with pytest.raises(BadInput):
        list(read_lines(bomb))


@pytest.mark.parametrize("number", ["1" * 5_000_000, "-" + "9" * 5_000_000, "1e999", "NaN", "-Infinity"])
def test_endless_numbers(number: str) -> None:
    begun = time.monotonic()
    with pytest.raises((BadInput, ValueError)):
        parse(f'{{"a": {number}}}'.encode())
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("expression", ["(a+)+$", "(a|aa)+$", "(.*)*b", "((a{1,1000}){1,1000}){1,1000}"])
@pytest.mark.parametrize("place", ["pre_tokenizer", "normalizer"])
def test_expressions_of_a_tokenizer_file(expression: str, place: str) -> None:
    """Those that edgexl knows are matched by tables; others are refused by name, and never run over a text."""
    spec = json.loads(tiny_tokenizer().to_str())
    spec[place] = {
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": expression}, "behavior": "Isolated", "invert": False},
        "normalizer": {"type": "Replace", "pattern": {"Regex": expression}, "content": " "},
    }[place]
    begun = time.monotonic()
    with pytest.raises(BadInput):
        check_tokenizer_json(json.dumps(spec))
    assert time.monotonic() - begun < 20
