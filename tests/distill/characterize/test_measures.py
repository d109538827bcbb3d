"""Temperatures, probabilities, intervals and likeness, against what they must be."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from edgexl.base.progress import no_progress
from edgexl.data import Dataset
from edgexl.distill.characterize.measures import Bootstrap, fit_temperature, probabilities
from edgexl.distill.characterize.neighbours import find_neighbours
from edgexl.distill.characterize.pages import profile_page
from edgexl.distill.characterize.sample import Sample, among, draw_sample
from edgexl.distill.characterize.study import measure, set_up
from edgexl.distill.teachers import TraceTeacher


@pytest.mark.parametrize("scale", [0.05, 1.0, 8.0])
@pytest.mark.parametrize("none", [False, True])
def test_the_temperature_of_a_sound_teacher_is_found(scale: float, none: bool) -> None:
    """Gold labels drawn from the teacher's own probabilities: these need no correction."""
    draw = np.random.default_rng(0)
    logits = draw.normal(0, 1.5, (4000, 8))
    shares = probabilities(logits, 1.0, none)
    chosen = (draw.random((4000, 1)) > shares.cumsum(1)).sum(1)
    right = np.arange(8) == chosen[:, None]  # beyond the last: none of them
    assert fit_temperature(logits * scale, right, none) == pytest.approx(scale, rel=0.12)


def test_probabilities_know_pads_and_none() -> None:
    logits = np.array([[0.0, 0.0, -np.inf], [-np.inf] * 3, [800.0, 0.0, -800.0]])
    assert probabilities(logits, 1.0)[0].tolist() == [0.5, 0.5, 0.0]
    assert probabilities(logits, 1.0)[1].tolist() == [0.0, 0.0, 0.0]
    assert probabilities(logits, 1.0)[2].tolist() == [1.0, 0.0, 0.0]
    assert probabilities(logits, 1.0, none=True)[0].tolist() == pytest.approx([1 / 3, 1 / 3, 0.0])
    assert probabilities(logits - 2000, 1.0, none=True).sum() == 0.0


def test_an_interval_is_as_wide_as_theory_says() -> None:
    hits = (np.arange(400) % 4 == 0).astype(float)
    low, high = Bootstrap(400, seed=1).interval(hits) or (0.0, 0.0)
    error = np.sqrt(0.25 * 0.75 / 400)
    assert low == pytest.approx(0.25 - 1.96 * error, abs=0.006)
    assert high == pytest.approx(0.25 + 1.96 * error, abs=0.006)
    half = np.arange(400) < 100
    narrow = Bootstrap(400, seed=1).interval(half.astype(float), half)
    assert narrow == [1.0, 1.0]
    assert Bootstrap(400, seed=1).interval(hits, hits > 1) is None


def test_labels_are_found_among_padded_rows() -> None:
    lists, wanted = np.array([[3, -1, 5], [2, 2, -1]]), np.array([[5, -1], [7, 2]])
    assert among(lists, wanted).tolist() == [[False, False, True], [True, True, False]]


def test_likeness_by_words_is_jaccards(traces: tuple[Path, Dataset]) -> None:
    path, data = traces
    teacher = TraceTeacher(path, data.labels)
    sample = Sample(("x", "y"), np.array([[6, -1], [0, 6]]), "test")
    found = find_neighbours(teacher, data.labels, sample, 3, no_progress)
    assert found.labels.tolist() == [[0, -1, -1], [-1, -1, -1]]
    assert found.likeness[0, 0] == 0.5
    assert found.gold_like[0].tolist() == [0, -1, -1]


def test_large_data_sets_give_queries_that_training_keeps_aside(bert: Path, tmp_path: Path) -> None:
    from edgexl.data import Query, write_dataset
    from edgexl.distill.corpus.divide import read_corpus
    from edgexl.distill.recipe import SplitTable
    from edgexl.distill.teachers import BiEncoderTeacher
    from tests.tiny import tiny_labels

    labels = tiny_labels()
    trn = [Query(f"q{place}", f"text {place}", (place % 300,)) for place in range(16_500)]
    data = write_dataset(tmp_path / "large", labels, trn, trn[:10], "made in code")
    sample = draw_sample(data, BiEncoderTeacher(str(bert), labels), 50, seed=0)
    assert (sample.split, len(sample)) == ("development", 50)
    assert set(sample.texts) <= {query.text for query in read_corpus(data, SplitTable()).development}
    assert draw_sample(data, BiEncoderTeacher(str(bert), labels), 50, seed=1).texts != sample.texts


@pytest.mark.slow
def test_a_language_model_is_probed_along_its_reasoning(traces: tuple[Path, Dataset], tmp_path: Path) -> None:
    """A model that reads which label it is to be finds that label likelier, and gains on the others."""
    _, data = traces
    lines = [
        {"text": "a tame wolf", "shortlist": ["id-dog", "id-horse"], "labels": ["id-dog"],
         "reasoning": "Horse? It is not that one.\n\nThe best label is: dog"},
        {"text": "a young cat", "shortlist": ["id-kitten", "id-cow"], "labels": ["id-kitten"],
         "reasoning": "Cow? It is not that one.\n\nThe best label is: kitten"},
    ]  # fmt: skip
    path = tmp_path / "reasoned.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    bench = set_up(TraceTeacher(path, data.labels), data, shortlist=4)
    profile = measure(bench, data, probe="SmolLM2-135M-Instruct")
    found = profile["probe"]
    assert found["queries"] == 2
    first, last = found["by_share"][0], found["by_share"][-1]
    assert (first["share"], last["share"]) == (0.0, 1.0)
    assert last["gold"] > first["gold"] + 0.5
    assert last["gold"] - last["near_miss"] > first["gold"] - first["near_miss"]
    shown = profile_page(profile)
    assert "Probing the reasoning" in shown
    assert "<script" not in shown
    assert all(row[kind] < 0 for row in found["by_share"] for kind in ("gold", "near_miss", "random"))
