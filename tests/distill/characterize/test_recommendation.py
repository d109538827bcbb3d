"""The rules behind a recommendation, and reading one back."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from edgexl.base.errors import BadInput
from edgexl.distill.characterize import Recommendation, read_recommendation
from edgexl.distill.characterize.recommendation import ReasoningAdvice, ScreeningAdvice, recommend
from tests.tiny import tiny_labels


def made_up(gains: dict[int, float], recall: dict[int, float], confident: float | None = 0.5) -> dict[str, Any]:
    """A profile with P@1 and R@N by length: 100 queries, of which 80 have a gold label in the shortlist."""
    sweep = [{"length": n, "P@1": gains[n], "nDCG@5": gains[n], "R@N": recall[n]} for n in gains]
    rows = [{"name": "as it is", "P@1": 40.0}, {"name": "reasoner removed", "P@1": 20.0}]
    if confident is not None:
        rows.append({"name": "gold removed", "confident_share": confident})
    mass = {"queries": 80, "screening": {"near_misses": 0.5}, "decision": {"near_misses": 0.25}}
    return {
        "data": {"queries": 100},
        "sweep": sweep,
        "focus": {"by_length": [{"length": 1024, "gold": 70.0}]},
        "confusion": {"mass": mass},
        "interventions": rows,
    }


GAINS = {8: 10.0, 16: 20.0, 32: 30.0, 64: 30.1, 128: 30.2, 256: 30.2}
RECALL = {8: 20.0, 16: 30.0, 32: 40.0, 64: 52.0, 128: 60.0, 256: 65.0}


def test_the_shortlist_is_the_first_that_is_long_enough() -> None:
    # at 32 nothing is gained by doubling any more, but too few gold labels are in it
    assert recommend(made_up(GAINS, RECALL), True).shortlist == 64
    assert recommend(made_up({**GAINS, 128: 31.0, 256: 31.1}, RECALL), True).shortlist == 128
    assert recommend(made_up({n: n / 2 for n in GAINS}, RECALL), True).shortlist == 256
    assert recommend(made_up({8: 50.0}, {8: 70.0}), True).shortlist == 8


def test_weights_follow_what_was_measured() -> None:
    advice = recommend(made_up(GAINS, RECALL), True)
    assert advice.screening.teacher_weight == 2.0  # 4 x 52 % is more than the most
    assert advice.screening.ranking_weight == pytest.approx(2 * 20 / 80)
    assert advice.screening.hard_negatives == 8
    assert advice.reasoning.teacher_weight == 2.0  # 20 points of 80 more than screening: more than the most
    for screened, weight in ((36.0, 20 * 4 / 80), (39.9, (40 / 80) ** 2), (44.0, (40 / 80) ** 2)):
        timid = made_up(GAINS, RECALL)
        timid["interventions"][1]["P@1"] = screened
        assert recommend(timid, True).reasoning.teacher_weight == pytest.approx(weight)
    assert advice.reasoning.near_miss_weight == 0.25
    assert advice.reasoning.absent_share == pytest.approx(0.3)
    assert recommend(made_up(GAINS, RECALL, 0.1), True).reasoning.absent_share == pytest.approx(0.14)
    assert recommend(made_up(GAINS, RECALL, None), False).screening.teacher_weight == 0.0
    assert recommend(made_up(GAINS, RECALL, None), False).reasoning.absent_share == 0.1
    assert recommend(made_up(GAINS, RECALL, 1.0), True).reasoning.absent_share == 0.3
    weak = made_up(GAINS, {n: value / 5 for n, value in RECALL.items()})
    weak["focus"]["by_length"][0]["gold"] = 14.0
    assert recommend(weak, True).screening.teacher_weight == pytest.approx(4 * 0.08)
    assert set(advice.reasons) == {
        "shortlist", "screening.teacher_weight", "screening.ranking_weight", "screening.hard_negatives",
        "reasoning.teacher_weight", "reasoning.near_miss_weight", "reasoning.absent_share",
    }  # fmt: skip


def test_limits_of_the_shortlist() -> None:
    """Sixteen labels where that is enough, 512 where more would help; 0.25 points are a gain, 20 points are near."""
    lengths = [2**power for power in range(3, 11)]
    flat, full = dict.fromkeys(lengths, 30.0), dict.fromkeys(lengths, 50.0)
    assert recommend(made_up(flat, full), True).shortlist == 16
    assert recommend(made_up({n: float(n) for n in lengths}, full), True).shortlist == 512
    assert recommend(made_up(flat | {8: 29.0, 16: 29.75}, full), True).shortlist == 32
    assert recommend(made_up(flat | {8: 29.0, 16: 29.76}, full), True).shortlist == 16
    assert recommend(made_up(flat, full | {16: 49.99}), True).shortlist == 32


def test_weights_are_rounded_to_what_a_reader_can_weigh() -> None:
    uneven = made_up(GAINS, {**RECALL, 32: 37.777}, 0.1234)
    uneven["focus"]["by_length"][0]["gold"] = 50.0
    uneven["interventions"][0]["P@1"], uneven["interventions"][1]["P@1"] = 30.1234, 27.5678
    uneven["confusion"]["mass"] |= {"screening": {"near_misses": 0.5512}, "decision": {"near_misses": 0.2345}}
    advice = recommend(uneven, True)
    assert advice.screening == ScreeningAdvice(teacher_weight=1.51, ranking_weight=0.69, hard_negatives=9)
    assert advice.reasoning == ReasoningAdvice(teacher_weight=0.639, near_miss_weight=0.23, absent_share=0.15)


def test_where_nothing_was_found_nothing_is_advised() -> None:
    nothing = made_up(GAINS, RECALL, None)
    nothing["confusion"]["mass"] = {"queries": 0, "screening": None, "decision": None}
    advice = recommend(nothing, True)
    assert (advice.screening.ranking_weight, advice.screening.hard_negatives) == (0.0, 0)
    assert advice.reasoning == ReasoningAdvice(teacher_weight=0.0, near_miss_weight=0.0, absent_share=0.1)


WRITTEN: dict[str, Any] = {
    "format": "edgexl profile",
    "version": 1,
    "data": {"source": "tiny", "labels_sha256": tiny_labels().sha256()},
    "recommendation": {
        "shortlist": 64,
        "screening": {"teacher_weight": 1, "ranking_weight": 0.5, "hard_negatives": 8},
        "reasoning": {"teacher_weight": 0.25, "near_miss_weight": 0.3, "absent_share": 0.2},
        "reasons": {"shortlist": "it is long enough"},
    },
}


def test_a_recommendation_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    path.write_text(json.dumps(WRITTEN))
    advice = read_recommendation(path, tiny_labels())
    assert isinstance(advice, Recommendation)
    assert (advice.shortlist, advice.screening.teacher_weight, advice.reasoning.absent_share) == (64, 1.0, 0.2)
    assert read_recommendation(tmp_path) == advice


@pytest.mark.parametrize(
    ("keys", "value", "sentence"),
    [
        (("format",), "edgexl student", "not a profile"),
        (("version",), 2, "version 2"),
        (("data", "labels_sha256"), "0" * 64, "another label set .of 'tiny'"),
        (("data",), [], "another label set"),
        (("recommendation",), None, "no recommendation"),
        (("recommendation", "shortlist"), "long", "must be int"),
        (("recommendation", "shortlist"), 0, "must be positive"),
        (("recommendation", "screening", "teacher_weight"), -1.0, "0 or more"),
        (("recommendation", "screening", "teacher_weight"), float("nan"), "NaN is not JSON"),
        (("recommendation", "reasoning", "absent_share"), 1.5, "lie in 0 to 1"),
        (("recommendation", "reasoning", "absent"), 0.5, "did you mean 'absent_share'"),
    ],
)
def test_a_profile_that_is_wrong_is_refused(tmp_path: Path, keys: tuple[str, ...], value: Any, sentence: str) -> None:
    wrong = copy.deepcopy(WRITTEN)
    table = wrong
    for key in keys[:-1]:
        table = table[key]
    table[keys[-1]] = value
    (tmp_path / "profile.json").write_text(json.dumps(wrong))
    with pytest.raises(BadInput, match=sentence) as said:
        read_recommendation(tmp_path, tiny_labels())
    assert "\n" not in str(said.value)


def test_no_file_and_no_json_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        read_recommendation(tmp_path / "none.json")
    (tmp_path / "profile.json").write_text("{")
    with pytest.raises(BadInput, match="not readable JSON"):
        read_recommendation(tmp_path)
