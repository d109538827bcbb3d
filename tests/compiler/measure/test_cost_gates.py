"""Gates on times, memory, parts of the file, scores and probabilities: by hand, and through a compile."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from edgexl.base.errors import BadInput, GateFailed
from edgexl.bundle.layout import PARTS, Kind, part_of
from edgexl.bundle.read import read_bundle
from edgexl.compiler import compile
from edgexl.compiler.measure.budget import judge_bytes, judge_costs
from edgexl.compiler.measure.costs import Costs
from edgexl.compiler.recipe import GateRecipe, IndexRecipe, PartBytes, Recipe, Scores, StageTimes
from edgexl.student.student import Student
from edgexl.target import load_target
from tests.compiler.measure.test_budget import LENGTHS, TARGET
from tests.tiny import AS_IT_IS, tiny_labels, tiny_student

PLAIN = Recipe("gated", index=IndexRecipe(code_bytes=8, overfetch=64), **AS_IT_IS)
COSTS = Costs(30_000_000, {"encode": 2.0, "scan": 0.5, "reason": 3.0}, 5.6, 4.0)


def gated(**gates: object) -> Recipe:
    return dataclasses.replace(PLAIN, gates=GateRecipe(reasoner_gain=-100, **gates))  # type: ignore[arg-type]


def test_each_stage_has_a_limit_and_the_slowest_is_to_blame_for_the_whole() -> None:
    recipe = gated(max_ms=StageTimes(total=5.5, encode=2.0, match=0.1), max_memory_bytes=29_999_999, max_load_ms=4.0)
    found = {verdict.name: verdict for verdict in judge_costs(COSTS, recipe)}
    assert {name: verdict.passed for name, verdict in found.items()} == {
        "max_ms.total": False, "max_ms.encode": True, "max_ms.match": True, "max_memory_bytes": False,
        "max_load_ms": True,
    }  # fmt: skip
    assert found["max_ms.total"].stage == "reason"
    assert found["max_ms.total"].as_json(volatile=False)["value"] is None
    assert found["max_ms.total"].as_json()["value"] == 5.6
    assert judge_costs(COSTS, gated()) == ()


def test_each_part_of_the_file_has_a_limit() -> None:
    assert sorted(kind for kinds in PARTS.values() for kind in kinds) == sorted(
        kind for kind in Kind if part_of(kind) != "rest"
    )
    parts = PartBytes(screener=43_700, reasoner=21_299, index=59_000, texts=17_000)
    found = judge_bytes(LENGTHS, 150_000, gated(max_bytes=parts), TARGET, "native")[2:]
    assert [(verdict.stage, verdict.value, verdict.passed) for verdict in found] == [
        ("screener", 43_700, True), ("reasoner", 21_300, False), ("index", 59_000, True), ("texts", 17_000, True),
    ]  # fmt: skip


def test_a_compile_passes_what_it_keeps_and_hides_times_from_the_bytes(tmp_path: Path) -> None:
    recipe = gated(
        max_ms=StageTimes(total=1000, reason=1000), max_memory_bytes=10**9, max_load_ms=10_000.0,
        max_bytes=PartBytes(texts=10**6), max_calibration_error=100.0, min=Scores(r_at_100=1),
    )  # fmt: skip
    report = compile(tiny_student(), recipe, "host", tmp_path / "a.exl")
    gates = {gate.name: gate for gate in report.gates}
    assert 0 < gates["max_ms.reason"].value < gates["max_ms.total"].value < 1000
    assert gates["max_memory_bytes"].value > (tmp_path / "a.exl").stat().st_size / 2
    assert gates["min_r_at_100"].value == report.ledger[-1].accuracy.r_at_100
    compile(tiny_student(), recipe, "host", tmp_path / "b.exl")
    assert (tmp_path / "a.exl").read_bytes() == (tmp_path / "b.exl").read_bytes()
    shown = {gate["name"]: gate for gate in read_bundle(tmp_path / "a.exl", verify=True).manifest["gates"]}
    assert shown["max_ms.total"] == {
        "name": "max_ms.total",
        "value": None,
        "margin": 0.0,
        "threshold": 1000,
        "passed": True,
    }


@pytest.mark.parametrize(
    ("gates", "words"),
    [
        (
            {"max_ms": StageTimes(encode=1e-6)},
            r"max_ms\.encode failed: .*The stage to blame is encode; choose fewer bits",
        ),
        ({"max_ms": StageTimes(total=1e-6)}, r"max_ms\.total failed: .*blame is (encode|reason);"),
        ({"max_memory_bytes": 1000}, "max_memory_bytes failed"),
        ({"max_bytes": PartBytes(index=100)}, r"max_bytes\.index failed: .*blame is index; choose fewer code_bytes"),
        ({"min": Scores(p_at_1=100.0)}, "min_p_at_1 failed: .*blame is the student itself; the float student reaches"),
        ({"max_calibration_error": 0.0}, "max_calibration_error failed: .*blame is calibrate"),
    ],
)
def test_a_failed_gate_names_the_stage_and_keeps_the_ledger(
    tmp_path: Path, gates: dict[str, object], words: str
) -> None:
    with pytest.raises(GateFailed, match=words) as caught:
        compile(tiny_student(), gated(**gates), "host", tmp_path / "a.exl")
    assert not (tmp_path / "a.exl").exists()
    assert caught.value.ledger[0]["pass"] == "export"
    assert [gate["passed"] for gate in caught.value.gates].count(False) == 1


def test_of_a_target_that_is_not_here_times_are_foretold(tmp_path: Path) -> None:
    report = compile(tiny_student(), gated(max_ms=StageTimes(total=1000)), "raspberry-pi-4", tmp_path / "a.exl")
    assert "unmeasured" in report.facts["costs_of"]
    with pytest.raises(GateFailed, match=r"max_ms\.total failed"):
        compile(tiny_student(), gated(max_ms=StageTimes(total=1e-5)), "raspberry-pi-4", tmp_path / "a.exl")


def test_scores_of_a_student_without_queries_are_refused_at_once(tmp_path: Path) -> None:
    whole = tiny_student(tiny_labels(60))
    student = Student.from_modules(
        screener=whole.screener, reasoner=whole.reasoner, tokenizer=whole.tokenizer, labels=whole.labels,
        shapes=whole.shapes, calibration=whole.calibration,
    )  # fmt: skip
    with pytest.raises(BadInput, match="gates on accuracy"):
        compile(student, gated(min=Scores(p_at_1=1.0)), load_target("host"), tmp_path / "a.exl")


@pytest.mark.parametrize(
    ("table", "bad"), [(StageTimes, {"scan": 0.0}), (PartBytes, {"index": 0}), (Scores, {"p_at_1": 101.0})]
)
def test_limits_that_mean_nothing_are_refused(table: type, bad: dict[str, float]) -> None:
    (name,) = bad
    with pytest.raises(ValueError, match=rf"\[gates\.\w+\] {name} = "):
        table(**bad)
