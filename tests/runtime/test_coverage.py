"""Sets of a stated coverage: the C runtime's are the reference's, and it says where they promise nothing."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.bundle.calibration import Calibration, Input
from edgexl.runtime.binding import NewLabel, open_bundle
from tests.runtime.tiny_bundle import QUERIES, SCORES, build

TEXTS = ("red river", "a green stone by the water", "blue", "stone stone stone", "river of gold")


@pytest.mark.parametrize("calibrated", ["logit", "log_softmax", "log_softmax_or_none"])
def test_a_set_holds_all_labels_that_score_enough(calibrated: Input, tmp_path: Path) -> None:
    bundle = build(aliases=True, calibrated=calibrated)
    with open_bundle(bundle.write(tmp_path / "b.exl")) as handle:
        for text in TEXTS:
            sizes = []
            for coverage in (0.05, 0.1, 0.3, 0.5, 0.7):
                found = handle.predict(text, coverage=coverage)
                kept = bundle.reference.calibration.covering(found.shortlist_logits, coverage)
                assert {label.index for label in found.labels} == set(found.shortlist_labels[kept].tolist())
                assert found.coverage_holds
                sizes.append(len(found.labels))
            assert sizes == sorted(sizes)
            assert len(handle.predict(text, k=1, coverage=0.7).labels) <= 1


def test_what_is_not_reached_is_refused(tmp_path: Path) -> None:
    with open_bundle(build().write(tmp_path / "b.exl")) as handle:
        assert len(handle.predict("red", coverage=0.7).labels) > 0  # the seventh of ten, of which seven are known
        with pytest.raises(BadInput, match=r"20 labels reach a coverage of 0\.7000 at most.*larger n in \[shortlist\]"):
            handle.predict("red", coverage=0.71)
        with pytest.raises(BadInput, match="a threshold or a coverage, not both"):
            handle.predict("red", threshold=0.5, coverage=0.5)
        assert not handle.predict("red", coverage=0).coverage_holds
        assert len(handle.predict("red", coverage=0).labels) == 5


def test_a_changed_label_set_promises_nothing(tmp_path: Path) -> None:
    path = build().write(tmp_path / "b.exl")
    with open_bundle(path) as handle:
        handle.add_labels([NewLabel("new", "red hill")])
        assert not handle.predict("red", coverage=0.5).coverage_holds
    with open_bundle(path, compiled_only=True) as handle:
        assert handle.predict("red", coverage=0.5).coverage_holds


def test_the_reference_takes_the_kth_largest() -> None:
    calibration = Calibration(bytes(32), "logit", 0.5, (-9.0, 9.0), (0.0, 1.0), queries=QUERIES, scores=SCORES)
    assert Calibration.unpack(calibration.pack()) == calibration
    logits = np.array(sorted(SCORES), np.float32)
    for k in range(1, len(SCORES) + 1):
        for coverage in (k / (QUERIES + 1), (k - 0.5) / (QUERIES + 1)):
            assert calibration.covering(logits, coverage).sum() == k
    with pytest.raises(BadInput, match="not reached"):
        calibration.covering(logits, 0.75)
    for queries, scores in ((1, (1.0, 0.5)), (3, (0.5, 1.0)), (3, (math.nan,)), (3, (math.inf,))):
        with pytest.raises(BadInput, match="scores must be"):
            Calibration(bytes(32), "logit", 0.5, (-9.0, 9.0), (0.0, 1.0), queries=queries, scores=scores)


def test_sets_cover_what_they_say_on_queries_of_the_same_origin() -> None:
    """Of exchangeable scores, with misses among them."""
    rng = np.random.default_rng(0)
    reached = []
    for _ in range(300):
        scores, misses = rng.standard_normal(101), rng.random(101) < 0.05
        known = sorted(scores[:100][~misses[:100]].astype(np.float32).tolist(), reverse=True)
        made = Calibration(bytes(32), "logit", 0.5, (-9.0, 9.0), (0.0, 1.0), queries=100, scores=tuple(known))
        reached.append(not misses[100] and bool(made.covering(scores[100:].astype(np.float32), 0.8)[0]))
    assert 0.75 < np.mean(reached) < 0.87
