"""Phase one of a teacher that encodes, against brute force over texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch

from edgexl.base.progress import Progress
from edgexl.data.label_set import LabelSet
from edgexl.distill.stages import search
from edgexl.distill.teachers.encoder_phase import EncoderPhase

# up to three aliases; every third label has one that it shares, and its own text again
ALIASES = tuple(
    (*(f"alias {i} {j}" for j in range(i % 4)), *(("shared", f"label {i}") if i % 3 == 0 else ())) for i in range(50)
)
LABELS = LabelSet(tuple(map(str, range(50))), tuple(f"label {i}" for i in range(50)), ALIASES)


class Letters:
    """An encoder without a tokenizer: a text's vector is drawn by its letters."""

    identity, name, tokenizer, max_tokens = "letters", "letters", None, 0

    def encode(self, texts: Sequence[str], progress: Progress) -> torch.Tensor:
        draws = [np.random.default_rng(list(text.encode())).standard_normal(8) for text in texts]
        return torch.nn.functional.normalize(torch.tensor(np.array(draws), dtype=torch.float32), dim=-1)


@pytest.fixture(params=[10**6, 20])
def phase(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> EncoderPhase:
    monkeypatch.setattr(search, "GATHERED", request.param)
    return EncoderPhase(Letters(), LABELS, torch.device("cpu"))


def brute_force(phase: EncoderPhase, texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """(own scores, scores of the best row), each [n,50]."""
    queries = phase.vectors(texts).float()
    own = (queries @ phase.vectors(LABELS.texts).float().T).numpy()
    best = own.copy()
    for label, aliases in enumerate(ALIASES):
        if aliases:
            best[:, label] = np.maximum(best[:, label], (queries @ phase.vectors(aliases).float().T).amax(1).numpy())
    return own, best


def test_phase_one_finds_the_best_labels_by_their_best_rows(phase: EncoderPhase) -> None:
    texts = [f"query {i}" for i in range(9)]
    own, best = brute_force(phase, texts)
    labels, scores = phase.screen(texts, 60)
    assert (labels[:, 50:] == -1).all()
    assert np.isneginf(scores[:, 50:]).all()
    np.testing.assert_allclose(scores[:, :50], -np.sort(-best), atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(best, labels[:, :50], 1), scores[:, :50], atol=1e-5)
    candidates = np.stack([np.array([0, 3, 49, -1, 6]) + (row if row < 1 else 0) for row in range(9)])
    wanted = np.where(candidates < 0, -np.inf, np.take_along_axis(best, np.maximum(candidates, 0), 1))
    np.testing.assert_allclose(phase.score(texts, candidates), wanted, atol=1e-5)
    both = phase.search().all_scores(phase.vectors(texts).float(), candidates)
    np.testing.assert_allclose(both[:, :3, 0], np.take_along_axis(own, candidates[:, :3], 1), atol=1e-5)


def test_labels_that_share_their_best_row_come_in_their_order(phase: EncoderPhase) -> None:
    labels, scores = phase.screen(["shared"], 60)
    first = [label for label in range(50) if "shared" in ALIASES[label]]
    assert len(first) > 5
    assert labels[0, : len(first)].tolist() == first
    np.testing.assert_allclose(scores[0, : len(first)], 1.0, atol=1e-3)
