"""The lexical side in a query of the C runtime, against the reference in numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgexl.runtime.binding import NewLabel, open_bundle
from tests.runtime.tiny_bundle import WORDS, build

RANDOM = np.random.default_rng(5)


def misspelt(text: str) -> str:
    """The text with two letters of a word exchanged."""
    words = text.split()
    place = int(RANDOM.integers(len(words)))
    at = int(RANDOM.integers(1, max(2, len(words[place]) - 1)))
    word = words[place]
    words[place] = word[: at - 1] + word[at : at + 1] + word[at - 1] + word[at + 1 :]
    return " ".join(words)


TEXTS = [" ".join(RANDOM.choice(WORDS, 1 + seed % 4, replace=False)) for seed in range(25)]
TEXTS += [misspelt(text) for text in TEXTS] + ["qqq", "42 red", "!!! dog"]


@pytest.mark.parametrize("votes_weight", [0.0, 0.7])
@pytest.mark.parametrize(
    ("aliases", "descriptions", "cells"), [(False, 0, 0), (True, 0, 0), (True, 120, 0), (True, 0, 9)]
)
def test_screening_is_the_references_to_the_bit(
    tmp_path: Path, aliases: bool, descriptions: int, cells: int, votes_weight: float
) -> None:
    made = build(aliases, native=True, descriptions=descriptions, cells=cells, votes_weight=votes_weight, lexical=True)
    plain = build(aliases, native=True, descriptions=descriptions, cells=cells, votes_weight=votes_weight)
    others = 0
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        handle.self_test()
        for text in TEXTS:
            answer = handle.predict(text, k=5)
            found = made.reference.index.search(answer.query_vector, text)
            np.testing.assert_array_equal(answer.shortlist_labels, found.labels)
            np.testing.assert_array_equal(answer.shortlist_scores, found.screening)
            expected = made.reference.answer(text)
            np.testing.assert_allclose(answer.shortlist_logits, expected.logits, atol=1e-4)
            without = plain.reference.index.search(answer.query_vector).labels
            others += len(np.setdiff1d(found.labels, without))
    assert others > 30  # it brings labels that the vectors do not


def test_a_misspelt_name_is_found_by_its_words(tmp_path: Path) -> None:
    made = build(labels=300, native=True, reasons=False, lexical=True)
    long = [place for place, text in enumerate(made.texts) if len(text.split()) == 3][:40]
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        hits = [handle.predict(misspelt(made.texts[place])).labels[0].text == made.texts[place] for place in long]
    assert np.mean(hits) >= 0.75
    with open_bundle(build(labels=300, native=True, reasons=False).write(tmp_path / "b.exl")) as handle:
        without = [handle.predict(misspelt(made.texts[place])).labels[0].text == made.texts[place] for place in long]
    assert np.mean(without) < np.mean(hits) - 0.2


def test_a_retired_label_is_not_brought_back_by_its_words(tmp_path: Path) -> None:
    made = build(True, native=True, lexical=True)
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        first = handle.predict(made.texts[11]).shortlist_labels
        assert 11 in first
        handle.retire_labels(["L0011"])
        assert 11 not in handle.predict(made.texts[11]).shortlist_labels
        added = handle.add_labels([NewLabel("new", made.texts[11])])
        assert added in handle.predict(made.texts[11]).shortlist_labels


def test_an_added_label_is_found_by_its_words(tmp_path: Path) -> None:
    """By words that the bundle does not know, misspelt ones and those of an alias; not any more once it is retired."""
    made = build(labels=300, native=True, reasons=False, lexical=True)
    new = [NewLabel("A", "zirconium plate"), NewLabel("B", "dark glass", ("quokka",)), NewLabel("C", "Übung 東京")]
    asked = {"zircnium": "A", "the quoka": "B", "ubungg": "C", "東京": "C"}
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        handle.add_labels(new)
        assert {text: handle.predict(text, k=1).labels[0].id for text in asked} == asked
        handle.retire_labels(["B"])
        assert "B" not in [label.id for label in handle.predict("the quoka", k=20).labels]
        before = handle.predict("the zircnium").shortlist_scores
        handle.compact_labels()
        np.testing.assert_array_equal(handle.predict("the zircnium").shortlist_scores, before)
        handle.retire_labels(["A", "C"])
        after = handle.predict("the zircnium").shortlist_scores
    with open_bundle(tmp_path / "a.exl", compiled_only=True) as handle:
        np.testing.assert_array_equal(handle.predict("the zircnium").shortlist_scores, after)


def test_the_words_of_retired_labels_do_not_count(tmp_path: Path) -> None:
    """A label's score by its words depends on the best ones, and those that are retired are none of them."""
    made = build(True, native=True, reasons=False, lexical=True)
    text = made.texts[40]
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        first = handle.predict(text, k=20)
        gone = [label.id for label in first.labels[:12]]
        handle.retire_labels(gone)
        left = handle.predict(text, k=20)
        assert not set(gone) & {label.id for label in left.labels}
        assert len(left.labels) == len(first.labels)


def test_the_stage_has_its_time(tmp_path: Path) -> None:
    with open_bundle(build(native=True, lexical=True).write(tmp_path / "a.exl")) as handle:
        assert handle.predict("red dog").ms["match"] > 0
