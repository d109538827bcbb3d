"""In pieces or at once, from memory or from a file: the same sections."""

import numpy as np
import pytest

from edgexl.index import Gain, encode_coarse, encode_fine, make_cells, stream, train_codebook
from edgexl.index.stream import coarse_pieces, fine_pieces


@pytest.fixture(autouse=True)
def small_slices(monkeypatch):
    monkeypatch.setattr(stream, "SLICE_ROWS", 512)


@pytest.mark.parametrize("rows", [1, 255, 512, 513, 2500])
@pytest.mark.parametrize("threads", [1, 3])
def test_pieces_are_the_sections(tmp_path, rows, threads):
    vectors = np.random.default_rng(rows).standard_normal((rows, 16)).astype(np.float32)
    np.save(tmp_path / "vectors.npy", vectors)
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    codebook = train_codebook(vectors[:, :12], "pq", 3, 0)
    gain = Gain(12, 1.5)
    seen = []
    pieces = list(coarse_pieces(mapped, codebook, None, threads, lambda done, total: seen.append((done, total))))
    assert b"".join(pieces) == encode_coarse(vectors, codebook)
    assert seen[-1] == (rows, rows)
    assert b"".join(fine_pieces(mapped, 12, 4, gain, threads)) == encode_fine(vectors, 12, 4, gain)
    cells = make_cells(mapped, 7, 12, seed=0)
    expected = encode_coarse(vectors[cells.rows], codebook)
    assert b"".join(coarse_pieces(mapped, codebook, cells, threads)) == expected
