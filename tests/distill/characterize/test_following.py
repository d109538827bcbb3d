"""How closely a student goes its teacher's way, by plain loops and at the ends of the scale."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from edgexl.data import Dataset
from edgexl.distill.characterize.bench import Bench
from edgexl.distill.characterize.confusion import mark_near_misses
from edgexl.distill.characterize.following import measure_following, share_in_common
from edgexl.distill.characterize.measures import fit_temperature, probabilities
from edgexl.distill.teachers import TwoStageTeacher
from edgexl.student.student import Student, load_student
from tests.command_line import Edgexl, Tiny
from tests.report.look import look


def changed(student: Student, stage: str) -> Student:
    """The student with noise on the weights of a stage."""
    torch.manual_seed(0)
    module = copy.deepcopy(getattr(student, stage))
    with torch.no_grad():
        for weight in module.parameters():
            weight += 1.5 * weight.std() * torch.randn_like(weight) if weight.numel() > 1 else 0
    return Student.from_modules(**{
        "screener": student.screener, "reasoner": student.reasoner, "tokenizer": student.tokenizer,
        "labels": student.labels, "shapes": student.shapes, stage: module,
    })  # fmt: skip


def test_the_teacher_follows_itself_and_a_changed_stage_its_own_measure(
    bench: Bench, wordnet_teacher: tuple[TwoStageTeacher, Dataset]
) -> None:
    teacher, data = wordnet_teacher
    own = load_student("wordnet")
    stages = ("screener", "reasoner")
    others = {stage: TwoStageTeacher(changed(own, stage), data.labels, "cpu", stage) for stage in stages}
    itself, screener, reasoner = measure_following(bench, {"itself": teacher, **others})
    assert itself["focus"] == itself["confusion"] == itself["follows"] == pytest.approx(100)
    assert reasoner["focus"] == pytest.approx(100)
    assert reasoner["confusion"] < 90
    assert 0 < itself["flat"] == reasoner["flat"] < 100
    assert screener["focus"] < 90
    for row in (screener, reasoner):
        assert row["follows"] == pytest.approx((row["focus"] + row["confusion"]) / 2, abs=0.5)
        low, high = row["follows_interval"]
        assert low < row["follows"] < high
    assert [each["length"] for each in screener["by_length"]] == [1, 2, 4, 8, 16, 32]
    assert screener["focus"] == pytest.approx(np.mean([each["shared"] for each in screener["by_length"]]))


def test_both_measures_by_plain_loops(bench: Bench, wordnet_teacher: tuple[TwoStageTeacher, Dataset]) -> None:
    data = wordnet_teacher[1]
    student = TwoStageTeacher(changed(load_student("wordnet"), "reasoner"), data.labels, "cpu", "changed")
    (row,) = measure_following(bench, {"changed": student})
    logits = student.decide(bench.sample.texts, bench.own).numpy()
    temperature = fit_temperature(logits, bench.sample.is_gold(bench.own), bench.none)
    near = mark_near_misses(bench)
    found = []
    for query in range(len(bench.sample)):
        places = np.flatnonzero(near[query])
        theirs, ours = (
            probabilities(values[query, places][None], at)[0]
            for values, at in ((bench.decided, bench.temperature["decision"]), (logits, temperature))
        )
        found.append(sum(min(a, b) for a, b in zip(theirs, ours, strict=True)))
    assert row["confusion"] == pytest.approx(100 * np.mean(found))
    lists = np.array([[1, 2, 3], [4, 5, -1], [-1, -1, -1]])
    assert share_in_common(lists, np.array([[3, 9, 1], [-1, 5, 8], [1, 2, 3]])).tolist() == [2 / 3, 0.5, 1.0]


def test_the_command_compares_students(
    edgexl: Edgexl, tiny: Tiny, tiny_data: Dataset, tmp_path: Path, chromium: str, axe: str
) -> None:
    out = tmp_path / "study"
    call = ("characterize", tiny.student, tiny_data.directory, "-o", out, "--queries", "40")
    said = edgexl(*call, "--compare", tiny.student)
    assert said.status == 0, said.err
    assert "How closely they go the teacher's way" in said.out
    written = json.loads((out / "profile.json").read_text())
    assert written["following"][0]["follows"] == pytest.approx(100)
    text = look(chromium, axe, (out / "index.html").read_text(encoding="utf-8"), tmp_path)
    for words in ("How closely students follow", "Labels in common with the teacher's shortlist"):
        assert words in text
    edgexl(*call, "--compare", tmp_path / "none").refuses(2, "is no student: --compare takes students'")
    edgexl(*call)
    assert json.loads((out / "profile.json").read_text())["following"] is None
