"""`edgexl overlay`, and overlays in `edgexl run`, `edgexl inspect` and `exl-run`: what they print, how they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgexl.bundle.overlay import read_overlay
from edgexl.bundle.signing import new_key, write_keys
from edgexl.runtime.binding import open_bundle
from tests.command_line import Edgexl, exl_run
from tests.runtime.tiny_bundle import build

TEXT = "red river horse"


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    (tmp_path / "own.csv").write_text(f"id,text,description\nO1,{TEXT},storm apple\nL0005,honey paper,\n")
    return build(native=True).write(tmp_path / "tiny.exl")


def test_an_overlay_is_made_shown_and_put_over_a_bundle(bundle: Path, edgexl: Edgexl, tmp_path: Path) -> None:
    labels, own, key, past = (tmp_path / name for name in ("own.csv", "own.exlo", "own.key", "past.csv"))
    write_keys(key, new_key())
    made = edgexl("overlay", bundle, labels, "-o", own)
    assert made.status == 0, made
    assert "2 labels with 3 texts" in made.out
    assert "1 of them have ids of labels of" in made.out
    assert "1 have descriptions, which find them as aliases do" in made.out
    assert f"calibrated by {bundle}" in made.out
    assert "signed" not in made.out
    shown = edgexl("inspect", own).out
    assert "an overlay of 2 labels" in shown
    assert "the bundle's" in shown
    assert "nobody" in shown

    with open_bundle(bundle, engine=False) as handle:
        rows = [f"{handle.label_text(number)},{handle.label_id(number)}" for number in range(40) if number != 5]
    past.write_text("\n".join(["query,label", *rows, f"{TEXT},O1"]))
    options = ("--queries", past, "--key", key, "--version", "3")
    made = edgexl("overlay", bundle, labels, "-o", own, *options)
    assert "calibrated by its own 40 queries" in made.out
    assert made.out.endswith("version 3\n")
    report = edgexl("overlay", bundle, labels, "-o", own, *options, "--json").json
    assert (report["labels"], report["rows"], report["replaced"], report["described"]) == (2, 3, 1, 1)
    shown = edgexl("inspect", own, "--json").json
    assert shown == {
        "overlay": str(own), "bytes": own.stat().st_size, "labels": 2, "rows": 3,
        "code_space": read_overlay(own).code_space.hex(), "calibrated_over": report["calibrated_over"],
        "key": report["key"], "version": 3,
        "calibration": {key: report["calibration"][key] for key in ("queries", "input", "threshold")},
    }  # fmt: skip

    first = edgexl("run", bundle, TEXT, "--overlay", own, "--json").json["labels"][0]
    assert (first["id"], first["overlay"]) == ("O1", 0)
    stacked = exl_run(bundle, TEXT, "--overlay", own, "--overlay", own)
    assert (stacked.json["labels"][0]["id"], stacked.json["labels"][0]["overlay"]) == ("O1", 1)
    assert stacked.json["labels"][0]["probability"] == pytest.approx(first["probability"], rel=1e-5)
    assert "overlay" not in edgexl("run", bundle, TEXT, "--json").json["labels"][0]


def test_what_is_wrong_is_said_in_a_line(bundle: Path, edgexl: Edgexl, tmp_path: Path) -> None:
    labels, own, past = tmp_path / "own.csv", tmp_path / "own.exlo", tmp_path / "past.csv"
    past.write_text("query,label\nred,L0001\nblue,O1\n")
    other = build(native=True, labels=310).write(tmp_path / "other.exl")
    edgexl("overlay", bundle, labels, "-o", own)
    edgexl("overlay", bundle, labels, "-o", own, "--version", "3").refuses(2, "give a secret key")
    edgexl("overlay", bundle, labels, "-o", own, "--queries", past).refuses(2, "a calibration needs 20")
    edgexl("overlay", bundle, tmp_path / "none", "-o", own).refuses(2, "none")
    edgexl("overlay", own, labels, "-o", tmp_path / "b").refuses(2, "does not begin as an edgexl bundle does")
    edgexl("run", other, TEXT, "--overlay", own).refuses(2, "own.exlo", "another screener or other codes")
    edgexl("run", bundle, TEXT, "--overlay", bundle).refuses(2, "does not begin as an overlay does")
    edgexl("run", bundle, TEXT, "--overlay", own, "--device", "emulated:x").refuses(2, "--overlay is answered on this")
    content = own.read_bytes()
    own.write_bytes(content[:-1])
    edgexl("inspect", own).refuses(2, "own.exlo has a header", "or was cut")
    said = exl_run(bundle, TEXT, "--overlay", own)
    said.refuses(2, "overlay 1", "length")
    exl_run(bundle, TEXT, *["--overlay", own] * 65).refuses(2, "--overlay is taken 64 times at most")
