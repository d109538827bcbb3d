"""What a compile is said to make, against what it makes."""

from __future__ import annotations

import pytest

from edgexl.bundle.read import read_bundle
from edgexl.cost.predict import UNMEASURED, predict_bundle
from edgexl.target import load_target
from tests.command_line import TARGET, Edgexl, Tiny


def test_a_dry_run_foretells_the_bundle(edgexl: Edgexl, tiny: Tiny) -> None:
    told = edgexl("compile", tiny.student, "--recipe", tiny.recipe, "--target", TARGET, "--dry-run", "--json").json
    made = read_bundle(tiny.bundle)
    assert told["bytes"]["low"] <= tiny.report["bytes"]["total"] <= told["bytes"]["high"]
    assert told["bytes"]["middle"] == pytest.approx(tiny.report["bytes"]["total"], rel=0.1)
    for name in ("screener_graph", "screener_weights", "reasoner_graph", "reasoner_weights", "tokenizer", "fine_codes"):
        assert told["sections"][name] == tiny.report["bytes"][name], name
    known = predict_bundle(made, load_target(TARGET))
    assert told["memory_bytes"]["middle"] == pytest.approx(known.memory_bytes.middle, rel=0.1)
    assert told["ms"]["reason"]["middle"] == pytest.approx(known.stages["reason"].middle, rel=0.05)


def test_a_dry_run_is_told_in_words(edgexl: Edgexl, tiny: Tiny) -> None:
    said = edgexl("compile", tiny.student, "--recipe", tiny.recipe, "--target", "raspberry-pi-4", "--dry-run")
    assert said.status == 0, said.err
    for word in ("total", "encode", "size:", "memory:", UNMEASURED):
        assert word in said.out


def test_a_dry_run_writes_nothing(edgexl: Edgexl, tiny: Tiny) -> None:
    edgexl("compile", tiny.student, "--dry-run", "-o", "some.exl").refuses(2, "writes nothing")
    edgexl("compile", "labels.csv", "--encoder", "wordnet", "--dry-run").refuses(2, "for a student")
    said = edgexl("compile", tiny.student)
    assert (said.status, "'-o'" in said.err) == (2, True)
