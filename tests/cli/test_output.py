"""How tables are set, and that a bar is drawn for people alone."""

from __future__ import annotations

import re
import time

import pytest

from edgexl.cli.output import Lines, print_gates, print_json, print_ledger, print_table, progress_bar


def test_numbers_stand_right_and_texts_left(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(("name", "bytes", "ms"), [("a", 1234567, "0.250"), ("longer", None, "12.500")])
    assert capsys.readouterr().out == (
        "name        bytes      ms\na       1,234,567   0.250\nlonger          -  12.500\n"
    )


def test_small_numbers_are_not_zero(capsys: pytest.CaptureFixture[str]) -> None:
    print_gates([{"name": "difference", "value": 2e-6, "threshold": 0.001, "passed": True}])
    assert "2e-06       -      1e-03  yes" in capsys.readouterr().out
    print_gates([])
    assert capsys.readouterr().out == ""


def test_a_ledger_without_seconds_has_no_such_column(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"pass": "pack", "seconds": None, "bytes": 1000, "P@1": 50.0, "R@100": None, "nDCG@5": 1500.0}
    print_ledger([row])
    assert capsys.readouterr().out == "pass  bytes    P@1  R@100  nDCG@5\npack  1,000  50.00      -   1,500\n"
    print_ledger([{**row, "seconds": 1.5}])
    assert "seconds" in capsys.readouterr().out
    of_screening = {"screening_P@1": 40.0, "screening_R@100": None, "screening_nDCG@5": 30.0}
    print_ledger([{**row, **of_screening}])
    heading, _, caption = capsys.readouterr().out.splitlines()
    assert heading == "pass  bytes    P@1  R@100  nDCG@5  s P@1  s nDCG@5"
    assert caption == "s: of screening alone"


def test_json_refuses_what_json_has_not(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": "häuser"})
    assert capsys.readouterr().out == '{"text": "häuser"}\n'
    with pytest.raises(ValueError, match="Out of range"):
        print_json({"ms": float("nan")})


def test_no_bar_for_json_or_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    for as_json in (True, False):
        with progress_bar(as_json) as progress:
            progress("encode", 1, 2)
    assert capsys.readouterr().err == ""


def test_progress_without_a_terminal_is_a_line_now_and_then(capfd: pytest.CaptureFixture[str]) -> None:
    with Lines(seconds=0.05) as progress:
        progress("encode", 0, 20_000)
        progress("encode", 1000, 20_000)
        deadline = time.monotonic() + 30
        while not (said := capfd.readouterr().err) and time.monotonic() < deadline:
            time.sleep(0.01)
        progress("pack", 0, 1)
    assert re.search(r" s  encode 1,000 of 20,000, \d+ (s|minutes) left", said)
