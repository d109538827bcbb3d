"""The benchmark of millions of labels, at a few thousand: the same in every step."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import edgexl
from benchmarks.large.build import build, compile_base, repeated_strings
from benchmarks.large.vectors import generate, local_spread
from edgexl.base.progress import no_progress
from edgexl.bundle.read import read_bundle
from edgexl.bundle.strings import BLOCK_STRINGS, pack_strings, unpack_strings
from tests.tiny import tiny_labels, tiny_student


def clusters(rows: int) -> np.ndarray:
    rng = np.random.default_rng(5)
    vectors = np.repeat(rng.standard_normal((rows // 4, 24)), 4, axis=0) + 0.3 * rng.standard_normal((rows, 24))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_generated_vectors_lie_about_their_base_as_its_likes_do(tmp_path: Path) -> None:
    base = clusters(400)
    made = generate(tmp_path / "one", base, 1000, 7, 1, lambda done, total: None)
    again = generate(tmp_path / "two", base, 1000, 7, 3, lambda done, total: None)
    assert made.path.read_bytes() == again.path.read_bytes()
    vectors = made[0:1000]
    np.testing.assert_array_equal(made[990:1010], vectors[990:])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    nearest = (vectors @ base.T).argmax(axis=1)
    assert (nearest // 4 == np.arange(1000) % 400 // 4).mean() > 0.95
    spread = local_spread(base, 7)
    apart = np.linalg.norm(base - base[(base @ base.T - 9 * np.eye(400, dtype=np.float32)).argmax(axis=1)], axis=1)
    assert np.sqrt(2) * np.linalg.norm(spread) == pytest.approx(np.sqrt((apart**2).mean()), rel=0.05)


@pytest.mark.parametrize("count", [BLOCK_STRINGS, 7 * BLOCK_STRINGS])
def test_strings_are_repeated_by_whole_blocks(count: int) -> None:
    known = [f"label {place} of many" for place in range(3 * BLOCK_STRINGS + 5)]
    repeated = unpack_strings(repeated_strings(pack_strings(known), count))
    assert repeated == [known[place % (3 * BLOCK_STRINGS)] for place in range(count)]


@pytest.mark.slow
def test_a_bundle_of_generated_labels_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tiny_student(tiny_labels(300)).save(tmp_path / "student")
    base = compile_base(str(tmp_path / "student"), 1, no_progress)
    path, index, report = build(base, 40 * BLOCK_STRINGS, 12, 0.9, tmp_path, 2, no_progress)
    assert read_bundle(path).parameters.labels == index.labels == 40 * BLOCK_STRINGS
    assert report["bytes"] == path.stat().st_size
    assert report["cells"]["recall_fitted"] >= 0.9
    assert not (tmp_path / "vectors").exists()
    with edgexl.open_bundle(path) as handle:
        for text, query in zip(base.texts[:20], base.queries, strict=False):
            found = handle.predict(text)
            np.testing.assert_allclose(found.query_vector, query, atol=0.05)
            assert found.shortlist_labels.tolist() == index.search(found.query_vector).labels.tolist()
