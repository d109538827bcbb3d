"""Texts that are longer than the screener takes, in the C runtime: read in windows, and the same as the reference."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.runtime.binding import NewLabel, open_bundle
from edgexl.student.text import WINDOW_STEP, WINDOW_WORDS, WORD_BYTES, cut_windows
from tests.runtime.tiny_bundle import WORDS, build

RANDOM = np.random.default_rng(3)
WINDOWS = 6
LENGTHS = (9, 10, 11, 24, 25, 41, 42, 43, 60, 78, 79, 95, 96, 97, 300)
TEXTS = [" ".join(RANDOM.choice(WORDS, length)) for length in LENGTHS]


@pytest.mark.parametrize("reasons", [True, False])
@pytest.mark.parametrize(
    ("aliases", "cells", "lexical", "votes_weight"),
    [(False, 0, False, 0.0), (True, 0, True, 0.0), (True, 9, True, 0.7), (True, 0, False, 0.7)],
)
def test_windows_are_the_references(
    tmp_path: Path, aliases: bool, cells: int, lexical: bool, votes_weight: float, reasons: bool
) -> None:
    made = build(
        aliases, native=True, cells=cells, lexical=lexical, votes_weight=votes_weight, reasons=reasons, windows=WINDOWS
    )
    reference, counts = made.reference, set()
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        assert handle.info.windows == WINDOWS
        handle.self_test()
        for text in TEXTS:
            answer, expected, parts = handle.predict(text, k=5), reference.answer(text), reference.split(text)
            counts.add(answer.windows)
            assert (answer.windows, answer.tokens) == (len(parts), len(expected.tokens))
            assert answer.truncated == (len(text.split()) > 96)
            np.testing.assert_array_equal(answer.shortlist_labels, expected.labels)
            np.testing.assert_allclose(answer.shortlist_scores, expected.screening, atol=1e-5)
            np.testing.assert_allclose(answer.shortlist_logits, expected.logits, atol=1e-4)
            best = [reference.index.search(vector_of(reference, part), part).screening[0] for part in parts]
            np.testing.assert_allclose(
                answer.query_vector, vector_of(reference, parts[int(np.argmax(best))]), atol=1e-5
            )
    assert counts == {1, 2, 3, 4, 5, 6}


def vector_of(reference, text: str) -> np.ndarray:
    vector: np.ndarray = reference.screen(reference.read(text))["query_vector"][0]
    return vector


def test_what_stands_far_behind_is_found(tmp_path: Path) -> None:
    made = build(labels=300, native=True, reasons=False, windows=8)
    long = [place for place, text in enumerate(made.texts) if len(text.split()) == 3][:30]
    page = " ".join(RANDOM.choice(WORDS[:4], 70))
    found, cut = [], []
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        for place in long:
            text = f"{page} " + " ".join([made.texts[place]] * 8)
            answer = handle.predict(text)
            assert not answer.truncated
            found.append(place in answer.shortlist_labels)
            cut.append(place in handle.predict(text, windows=1).shortlist_labels)
            assert handle.predict(text, windows=1).truncated
    assert np.mean(found) > np.mean(cut) + 0.3


def test_a_call_may_take_fewer_windows(tmp_path: Path) -> None:
    text = TEXTS[-1]
    with open_bundle(build(True, native=True, lexical=True, windows=5).write(tmp_path / "a.exl")) as handle:
        for windows in (1, 2, 3, 4, 5):
            other = build(True, native=True, lexical=True, windows=windows)
            with open_bundle(other.write(tmp_path / "b.exl")) as fewer:
                expected, few = fewer.predict(text), handle.predict(text, windows=windows)
            assert few.windows == expected.windows == windows
            assert few.truncated
            np.testing.assert_array_equal(few.shortlist_labels, expected.shortlist_labels)
            np.testing.assert_array_equal(few.shortlist_logits, expected.shortlist_logits)
        np.testing.assert_array_equal(handle.predict(text).shortlist_logits, few.shortlist_logits)
        with pytest.raises(BadInput, match="windows is 6; it must be from 0 to the bundle's, 5"):
            handle.predict(text, windows=6)


def test_labels_that_were_added_are_found_in_any_window(tmp_path: Path) -> None:
    made = build(True, native=True, lexical=True, windows=WINDOWS)
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        text = " ".join([*WORDS[:30], *["silver", "storm", "bridge"] * 8])
        before = handle.predict(text)
        added = handle.add_labels([NewLabel("new", "silver storm bridge", ("old silver",))])
        answer = handle.predict(text, k=5)
        assert answer.windows == 4
        assert added in answer.shortlist_labels[:5]
        explained = handle.explain(text, "new")
        assert explained.shortlisted
        assert explained.screening_rank == 1  # in the last window, which has nothing else
        assert explained.screening_score == pytest.approx(max(explained.text_score, explained.alias_score or -1))
        handle.retire_labels(["new"])
        np.testing.assert_array_equal(handle.predict(text).shortlist_labels, before.shortlist_labels)


def test_windows_without_a_token_are_passed_over(tmp_path: Path) -> None:
    """Format characters are words, but no tokens."""
    made = build(True, native=True, windows=WINDOWS)
    nothing = " ".join(["\u200b"] * 40)
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        answer = handle.predict(f"{'red river ' * 10} {nothing} silver bridge {'storm ' * 10}")
        whole = handle.predict(f"{'red river ' * 10} {nothing}")
        assert answer.windows < 6
        assert not answer.truncated
        assert 1 < whole.windows < answer.windows


def test_windows_hold_every_word_and_overlap() -> None:
    for count in range(1, 200):
        words = [f"w{number}" for number in range(count)]
        whole, *parts = cut_windows(" \n\t".join(words), 200)
        assert whole.split() == words
        windows = [part.split() for part in parts]
        assert sorted({word for window in windows for word in window}) == sorted(words)
        assert all(len(window) == min(count, WINDOW_WORDS) for window in windows)
        assert windows[-1][-1] == words[-1]
        for one, other in itertools.pairwise(windows):
            assert len(set(one) & set(other)) >= WINDOW_WORDS - WINDOW_STEP
        for most in (2, 3, 5):
            few = [part.split() for part in cut_windows(" ".join(words), most)[1:]]
            assert len(few) == min(most - 1, len(windows))
            assert few[-1] == words[max(0, min(count, 24 + 18 * (most - 2)) - 24) : 24 + 18 * (most - 2)]


def test_text_without_spaces_is_cut_between_characters(tmp_path: Path) -> None:
    text = "砂糖と塩は台所にあるものです" * 40
    parts = cut_windows(text, 64)[1:]
    assert all(part and len(part.encode()) <= WINDOW_WORDS * (WORD_BYTES + 3) for part in parts)
    assert parts[-1].endswith("です")
    assert all(part in text for part in parts)
    made = build(True, native=True, windows=64)
    with open_bundle(made.write(tmp_path / "a.exl")) as handle:
        mixed = "r" * 23 + "é" * 30 + " red" * 30  # a character at the limit of a word
        for each in (text, mixed, mixed[1:], mixed[2:]):
            assert handle.predict(each).windows == len(cut_windows(each, 64))
