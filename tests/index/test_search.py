"""The numpy reference and the C kernels give the same bits, on every instruction set of this machine."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.index import (
    Gain,
    LabelIndex,
    decode_fine,
    encode_coarse,
    encode_fine,
    fine_stride_bytes,
    quantize_query,
    rescore,
    scan,
    scan_tables,
    train_codebook,
)

EDGES = [1, 31, 32, 33, 63, 64, 65, 255, 256, 257, 511, 1000]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.sampled_from(EDGES) | st.integers(1, 3000),
    code_bytes=st.integers(1, 128),
    keep=st.sampled_from([1, 2, 31, 256, 4000]) | st.integers(1, 3000),
    largest=st.sampled_from([0, 1, 3, 63]),
)
def test_scan_equals_reference_on_every_kernel(kernels, seed, rows, code_bytes, keep, largest):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, -(-rows // 256) * code_bytes * 256, np.uint8)
    tables = rng.integers(0, largest + 1, (2 * code_bytes, 16)).astype(np.uint8)
    expected_rows, expected_scores = scan(codes.tobytes(), rows, tables, keep)
    for isa in kernels.isas:
        found, scores = kernels.scan(isa, codes, rows, tables, keep)
        np.testing.assert_array_equal(found, expected_rows, isa)
        np.testing.assert_array_equal(scores, expected_scores, isa)


@pytest.mark.parametrize("code_bytes", [1, 3, 32])
def test_bytes_are_added_up_to_their_limit_on_every_kernel(kernels, code_bytes):
    tables = np.repeat(np.array([[63], [64], [64], [64]], np.uint8), 16, axis=1)
    tables = np.tile(tables, (code_bytes, 1))[: 2 * code_bytes]
    codes = np.random.default_rng(0).integers(0, 256, 2 * code_bytes * 256, np.uint8)
    for isa in kernels.isas:
        _, scores = kernels.scan(isa, codes, 500, tables, 500)
        assert set(scores.tolist()) == {int(tables[:, 0].sum())}, isa


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    rows=st.sampled_from([1, 255, 257, 9000, 30000]),
    code_bytes=st.sampled_from([1, 16, 33]),
    keep=st.sampled_from([1, 256, 1000]),
    parts=st.sampled_from([1, 2, 3, 7]),
)
def test_batches_and_parts_find_what_a_scan_finds(kernels, seed, rows, code_bytes, keep, parts):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 256, -(-rows // 256) * code_bytes * 256, np.uint8)
    tables = rng.integers(0, 8, (5, 2 * code_bytes, 16)).astype(np.uint8)  # few levels: many ties
    batch = kernels.scan_batch(kernels.best_isa, codes, rows, kernels.batch_memory(tables, rows, keep), keep)
    for query in range(5):
        expected_rows, expected_scores = kernels.scan("scalar", codes, rows, tables[query], keep)
        np.testing.assert_array_equal(batch.rows[query], expected_rows)
        np.testing.assert_array_equal(batch.scores[query], expected_scores)
    merged, merged_scores = kernels.scan_in_parts(kernels.best_isa, codes, rows, tables[4], keep, parts)
    np.testing.assert_array_equal(merged, expected_rows)
    np.testing.assert_array_equal(merged_scores, expected_scores)


def test_reference_scan_is_a_stable_sort():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (2, 3, 256), np.uint8)
    tables = rng.integers(0, 3, (6, 16)).astype(np.uint8)
    sums = [
        sum(
            int(tables[2 * b][c & 15]) + int(tables[2 * b + 1][c >> 4])
            for b, c in enumerate(codes[r // 256, :, r % 256])
        )
        for r in range(400)
    ]
    order = sorted(range(400), key=lambda r: (-sums[r], r))
    found, scores = scan(codes.tobytes(), 400, tables, 123)
    assert found.tolist() == order[:123]
    assert scores.tolist() == [sums[r] for r in order[:123]]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    subspaces=st.integers(1, 64).map(lambda n: 2 * n),
    subspace_dims=st.integers(1, 64),
    magnitude=st.sampled_from([0.0, 1e-30, 1e-3, 1.0, 1e6]),
)
def test_scan_tables_equal_reference(kernels, seed, subspaces, subspace_dims, magnitude):
    rng = np.random.default_rng(seed)
    query = rng.standard_normal(subspaces * subspace_dims).astype(np.float32) * np.float32(magnitude)
    codebook = rng.standard_normal((subspaces, 16, subspace_dims)).astype(np.float32)
    tables = scan_tables(query, codebook)
    np.testing.assert_array_equal(kernels.scan_tables(query, codebook), tables)
    groups = np.pad(tables.max(axis=1).astype(int), (0, -subspaces % 4)).reshape(-1, 4).sum(axis=1)
    assert 250 <= groups.max() <= 255 if magnitude else groups.max() == 0
    assert (tables.min(axis=1) == 0).all()


def test_scan_tables_survive_numbers_that_are_not_finite(kernels):
    codebook = np.ones((2, 16, 1), np.float32)
    codebook[:, 3] = 3e38
    for odd in (np.nan, np.inf, -np.inf, 3e38):
        tables = kernels.scan_tables(np.array([odd, 1], np.float32), codebook)
        assert tables.max(axis=1).astype(int).sum() <= 255


@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    fine_dims=st.integers(1, 100).map(lambda n: 4 * n),
    fine_bits=st.sampled_from([2, 4, 8]),
    magnitude=st.sampled_from([0.0, 1e-42, 1e-3, 1.0, 1e6]),
    gain=st.builds(Gain, st.integers(0, 403), st.sampled_from([1.0, 1 / 1024, 1.7, 1024.0])),
)
def test_rescore_and_decompress_equal_reference(kernels, seed, fine_dims, fine_bits, magnitude, gain):
    rng = np.random.default_rng(seed)
    fine = rng.integers(0, 256, 40 * fine_stride_bytes(fine_dims, fine_bits), np.uint8)
    rows = rng.integers(0, 40, 25)
    query = rng.standard_normal(fine_dims + 3).astype(np.float32) * np.float32(magnitude)
    quantized, unit = quantize_query(query, fine_dims, gain)
    c_quantized, c_unit = kernels.quantize_query(query, fine_dims, gain.dims, np.float32(gain.factor))
    np.testing.assert_array_equal(c_quantized, quantized)
    assert c_unit == unit
    expected = rescore(fine.tobytes(), rows, fine_dims, fine_bits, quantized, unit)
    assert np.isfinite(expected).all()
    for isa in kernels.isas:
        scores = kernels.rescore(isa, fine, rows.astype(np.uint32), fine_bits, quantized, unit)
        np.testing.assert_array_equal(scores, expected, isa)
    vectors = kernels.decompress(
        fine, range(40), fine_dims, fine_bits, fine_dims + 3, gain.dims, np.float32(gain.factor)
    )
    decoded = decode_fine(fine.tobytes(), 40, fine_dims, fine_bits, fine_dims + 3, gain)
    np.testing.assert_array_equal(vectors, decoded)


@pytest.fixture(scope="module")
def clustered():
    """3,000 unit vectors of 64 dimensions around 40 centres, and 50 queries near some of them."""
    rng = np.random.default_rng(1)
    centres = rng.standard_normal((40, 64))
    vectors = centres[rng.integers(0, 40, 3000)] + 0.7 * rng.standard_normal((3000, 64))
    queries = vectors[rng.integers(0, 3000, 50)] + 0.4 * rng.standard_normal((50, 64))
    normal = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors, queries)]
    return normal[0].astype(np.float32), normal[1].astype(np.float32)


def make_index(vectors, labels, row_starts=(), row_labels=(), **sizes):
    codebook = train_codebook(vectors, "pq", 8, seed=0)
    return LabelIndex(
        codebook=codebook,
        coarse=encode_coarse(vectors, codebook),
        fine=encode_fine(vectors, 64, 8),
        labels=labels,
        dims=64,
        fine_dims=64,
        fine_bits=8,
        row_starts=np.array(row_starts, np.uint32),
        row_labels=np.array(row_labels, np.uint32),
        **sizes,
    )


def test_search_finds_the_exact_neighbours(clustered):
    vectors, queries = clustered
    index = make_index(vectors, 3000, overfetch=300, shortlist=10)
    assert index.rows == 3000
    assert 2999 in index.candidates(vectors[2999])
    found = 0
    for query in queries:
        shortlist = index.search(query)
        exact = np.argsort(-(vectors @ query), kind="stable")[:10]
        found += len(np.intersect1d(shortlist.labels, exact))
        np.testing.assert_allclose(shortlist.scores[:, 0], vectors[shortlist.labels] @ query, atol=0.02)
        np.testing.assert_array_equal(shortlist.scores[:, 0], shortlist.scores[:, 1])
    assert found >= 0.95 * 10 * len(queries)


def test_search_scores_labels_by_the_best_of_their_rows(clustered):
    vectors, queries = clustered
    labels, rng = 2000, np.random.default_rng(2)
    owners = [rng.choice(labels, rng.integers(1, 4), replace=False) for _ in range(1000)]
    starts = np.cumsum([0, *map(len, owners)])
    index = make_index(vectors, labels, starts, np.concatenate(owners), overfetch=3000, shortlist=2000)
    assert index.rows == 3000
    for query in queries[:5]:
        shortlist = index.search(query)  # every row is a candidate: all labels come, each with its true best
        quantized, unit = quantize_query(query, 64)
        exact = rescore(index.fine, np.arange(3000), 64, 8, quantized, unit)
        alias = np.full(labels, -np.inf, np.float32)
        for row, owned in enumerate(owners):
            alias[owned] = np.maximum(alias[owned], exact[labels + row])
        alias = np.where(np.isneginf(alias), exact[:labels], alias)
        best = np.maximum(exact[:labels], alias)
        np.testing.assert_array_equal(shortlist.labels, np.lexsort((np.arange(labels), -best)))
        np.testing.assert_array_equal(shortlist.scores, np.stack([exact[:labels], alias], axis=1)[shortlist.labels])


def test_a_label_that_only_an_alias_brings_in_has_its_own_score_too(clustered):
    vectors, _ = clustered
    query = vectors[2500]
    far = int(np.argmin(vectors[:2000] @ query))
    index = make_index(vectors, 2000, range(1001), [far] * 1000, overfetch=1, shortlist=1)
    shortlist = index.search(query)
    assert shortlist.labels.tolist() == [far]
    assert shortlist.scores[0, 1] == pytest.approx(1, abs=0.02)
    assert shortlist.scores[0, 0] == pytest.approx(float(vectors[far] @ query), abs=0.02)
