"""Descriptions, votes and the blend of both stages' scores in the C runtime, against the reference in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgexl.base.ragged import Ragged
from edgexl.bundle.layout import Kind
from edgexl.bundle.strings import unpack_strings
from edgexl.runtime.binding import NewLabel, open_bundle
from tests.runtime.tiny_bundle import WORDS, build

TEXTS = [" ".join(np.random.default_rng(seed).choice(WORDS, 1 + seed % 5, replace=False)) for seed in range(40)]


@pytest.mark.parametrize("reasons", [True, False])
@pytest.mark.parametrize("votes_weight", [0.0, 0.7])
@pytest.mark.parametrize("descriptions", [0, 120, 300])
def test_screening_is_the_references_to_the_bit(
    tmp_path: Path, descriptions: int, votes_weight: float, reasons: bool
) -> None:
    made = build(True, native=True, descriptions=descriptions, votes_weight=votes_weight, reasons=reasons)
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        handle.self_test()
        for text in TEXTS:
            answer, expected = handle.predict(text, k=5), made.reference.answer(text)
            found = made.reference.index.search(answer.query_vector)
            np.testing.assert_array_equal(answer.shortlist_labels, found.labels)
            np.testing.assert_array_equal(answer.shortlist_scores, found.screening)
            np.testing.assert_allclose(answer.shortlist_logits, expected.logits, atol=1e-4)


def test_without_a_reasoner_the_screening_score_is_the_logit(tmp_path: Path) -> None:
    made = build(True, native=True, reasons=False)
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        answer = handle.predict(TEXTS[3])
    np.testing.assert_array_equal(answer.shortlist_logits, 2 * answer.shortlist_scores)
    assert answer.ranked.tolist() == answer.shortlist_labels.tolist()


def test_the_kind_of_row_that_found_a_label(tmp_path: Path) -> None:
    made = build(True, native=True, descriptions=150)
    index, seen = made.reference.index, set()
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        for text in TEXTS:
            for label in handle.predict(text).shortlist_labels[:3].tolist():
                way = handle.explain(text, label)
                scores = {"text": way.text_score, "alias": way.alias_score, "description": way.description_score}
                best = max(score for score in scores.values() if score is not None)
                assert way.screening_score == best == scores[way.found_by]
                seen.add(way.found_by)
        owners = Ragged(index.row_labels, index.row_starts.astype(np.int64)).tolist()
        for label in (0, 7, 299):
            way = handle.explain(TEXTS[0], label)
            assert (way.alias_score is not None) == any(label in of for of in owners[:150])
            assert (way.description_score is not None) == any(label in of for of in owners[150:])
    assert seen == {"text", "alias", "description"}


def test_descriptions_can_be_read(tmp_path: Path) -> None:
    made = build(True, native=True, descriptions=150)
    kept = unpack_strings(made.sections[Kind.LABEL_DESCRIPTIONS])
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        assert [handle.label_description(label) for label in range(300)] == kept
        assert len(set(kept)) > 50
        added = handle.add_labels([NewLabel("new", "red river", ("old king",))])
        assert handle.label_description(added) == ""
        way = handle.explain("old king", added)
        assert (way.found_by, way.description_score) == ("alias", None)
    with open_bundle(build(True, native=True).write(tmp_path / "b.exl")) as handle:
        assert handle.label_description(5) == ""
