"""The command targets: what it lists and shows, by every way of asking."""

from __future__ import annotations

from pathlib import Path

from edgexl.target import available_targets
from tests.command_line import Edgexl


def test_the_list(edgexl: Edgexl) -> None:
    for said in (edgexl("targets"), edgexl("targets", "show")):
        assert said.status == 0
        assert [line.split()[0] for line in said.out.splitlines()] == ["name", *available_targets()]
    listed = edgexl("targets", "--json").json
    assert [each["name"] for each in listed] == list(available_targets())
    assert edgexl("targets", "show", "--json").json == listed


def test_one_by_name_and_by_path(edgexl: Edgexl, tmp_path: Path) -> None:
    shown = edgexl("targets", "show", "raspberry-pi-5")
    assert shown.out == edgexl("targets", "raspberry-pi-5").out
    for line in ("clusters          core Cortex-A76, cores 4, mhz 2,400, one_thread True", "int8_gmacs        -"):
        assert f"  {line}\n" in shown.out
    known = edgexl("targets", "raspberry-pi-5", "--json").json
    assert known["hardware"]["levels"][-1] == {"name": "DRAM", "size_bytes": 2 << 30, "gb_per_s": 0.0}
    mine = tmp_path / "mine.toml"
    mine.write_text(
        'name = "mine"\nisa = "x86-64-v3"\ncores = 1\nmemory_bytes = 1\ndisk_bytes = 1\npage_bytes = 4096\n'
        'int8 = { preset = "avx2", weights = "uint8" }\n'
    )
    assert edgexl("targets", "show", mine, "--json").json["name"] == "mine"
    assert edgexl("targets", mine, "--json").json == edgexl("targets", "show", mine, "--json").json


def test_what_is_none(edgexl: Edgexl) -> None:
    for words in (("raspberry-pi-6",), ("show", "raspberry-pi-6")):
        edgexl("targets", *words).refuses(2, "did you mean 'raspberry-pi-5'")
