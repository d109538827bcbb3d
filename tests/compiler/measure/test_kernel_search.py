"""The compiler's fast screening finds what the reference finds."""

import numpy as np
import pytest

from edgexl.compiler.measure import kernel_search as screening
from edgexl.compiler.measure.kernel_search import KernelSearch, fastest
from edgexl.index import LabelIndex, encode_coarse, encode_fine, train_codebook
from edgexl.runtime.library import find_library


@pytest.fixture(scope="module")
def index():
    """3,000 labels and 1,000 aliases of two labels each, 32 dimensions of which 16 are coded coarsely."""
    vectors = np.random.default_rng(0).standard_normal((4000, 32)).astype(np.float32)
    codebook = train_codebook(vectors[:, :16], "pq", 4, seed=0)
    return LabelIndex(
        codebook=codebook,
        coarse=encode_coarse(vectors, codebook),
        fine=encode_fine(vectors, 32, 4),
        labels=3000,
        dims=32,
        fine_dims=32,
        fine_bits=4,
        overfetch=200,
        shortlist=50,
        row_starts=np.arange(0, 2001, 2).astype(np.uint32),
        row_labels=np.random.default_rng(1).integers(0, 3000, 2000).astype(np.uint32),
    )


def test_kernels_find_the_reference_s_shortlists(index):
    fast = fastest(index)
    assert isinstance(fast, KernelSearch)
    for query in np.random.default_rng(2).standard_normal((40, 32)).astype(np.float32):
        expected, found = index.search(query), fast.search(query)
        np.testing.assert_array_equal(found.labels, expected.labels)
        np.testing.assert_array_equal(found.scores, expected.scores)
    np.testing.assert_array_equal(fast.decompress(expected.labels), index.decompress(expected.labels))


def test_numpy_stands_in_where_the_private_library_is_missing(index, monkeypatch, tmp_path):
    library = tmp_path / find_library().name
    library.write_bytes(b"")
    monkeypatch.setenv("EDGEXL_LIBRARY", str(library))
    screening._kernels.cache_clear()
    assert fastest(index) is index
    screening._kernels.cache_clear()
