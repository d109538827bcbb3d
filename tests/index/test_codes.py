"""Rotations, code books and encoders: what they promise about the vectors that went in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgexl.base.errors import BadInput
from edgexl.index import (
    EVEN,
    Gain,
    decode_coarse,
    decode_fine,
    encode_coarse,
    encode_fine,
    fine_stride_bytes,
    leading_gain,
    quantize_query,
    rescore,
    train_codebook,
    train_rotation,
)
from edgexl.index.coarse import unpack_coarse
from edgexl.index.codebook import nearest_entry


@pytest.fixture(scope="module")
def vectors():
    """1,000 unit vectors of 64 dimensions with falling energy and a mean that is not 0."""
    rng = np.random.default_rng(0)
    raw = (rng.standard_normal((1000, 64)) + 0.3) * np.linspace(2, 0.2, 64)
    return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)


def cosines(a, b):
    return (a * b).sum(axis=1) / np.maximum(np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1), 1e-12)


@pytest.mark.parametrize("kind", ["none", "pca", "random"])
def test_rotation_is_orthogonal_and_repeats(vectors, kind):
    rotation = train_rotation(vectors, kind, seed=3)
    np.testing.assert_allclose(rotation @ rotation.T, np.eye(64), atol=1e-5)
    assert rotation.dtype == np.float32
    assert rotation.tobytes() == train_rotation(vectors, kind, seed=3).tobytes()


def test_pca_gathers_energy_in_the_leading_dimensions_and_spreads_it_there(vectors):
    energy = ((vectors @ train_rotation(vectors, "pca", 0, leading_dims=24)) ** 2).mean(axis=0)
    most = np.sort(np.linalg.eigvalsh(vectors.T @ vectors / len(vectors)))[-24:].sum()
    assert energy[:24].sum() == pytest.approx(most, rel=1e-4)
    plain = (vectors**2).mean(axis=0)
    assert energy[:24].max() / energy[:24].min() < plain[:24].max() / plain[:24].min()


def test_pca_gathers_for_coarse_and_fine_codes_at_once(vectors):
    energy = ((vectors @ train_rotation(vectors, "pca", 0, (40, 16))) ** 2).mean(axis=0)
    moments = np.sort(np.linalg.eigvalsh(vectors.T @ vectors / len(vectors)))[::-1]
    for leading in (16, 40):
        assert energy[:leading].sum() == pytest.approx(moments[:leading].sum(), rel=1e-4)


def test_random_spreads_energy_over_all_dimensions(vectors):
    spread, plain = ((vectors @ train_rotation(vectors, kind, 0)) ** 2 for kind in ("random", "none"))
    assert (
        spread.mean(axis=0).max() / spread.mean(axis=0).min() < plain.mean(axis=0).max() / plain.mean(axis=0).min() / 5
    )


def test_rotation_refuses_other_kinds(vectors):
    with pytest.raises(BadInput, match="none, pca and random"):
        train_rotation(vectors, "itq", 0)


@pytest.mark.parametrize("code_bytes", [8, 16, 32])
def test_sign_codes_have_one_bit_a_dimension(vectors, code_bytes):
    codebook = train_codebook(vectors, "sign", code_bytes, seed=0)
    dims = 32 // code_bytes
    assert codebook.shape == (2 * code_bytes, 16, dims)
    flat = codebook.transpose(1, 0, 2).reshape(16, 64)
    low, high = flat[0], flat[15]
    assert (low < high).all()
    for entry in range(16):
        bits = np.tile(entry >> np.arange(dims) & 1, 2 * code_bytes)
        np.testing.assert_array_equal(flat[entry], np.where(bits, high, low))
    decoded = decode_coarse(encode_coarse(vectors, codebook), 1000, codebook)
    np.testing.assert_array_equal(decoded, np.where(vectors > (low + high) / 2, high, low))


def test_pq_is_nearer_than_sign_and_repeats(vectors):
    errors = {}
    for coarse in ("sign", "pq"):
        codebook = train_codebook(vectors, coarse, 8, seed=0)
        assert codebook.tobytes() == train_codebook(vectors, coarse, 8, seed=0).tobytes()
        errors[coarse] = ((decode_coarse(encode_coarse(vectors, codebook), 1000, codebook) - vectors) ** 2).sum()
    assert errors["pq"] < 0.9 * errors["sign"]


def test_code_books_refuse_what_does_not_divide(vectors):
    with pytest.raises(BadInput, match="do not divide"):
        train_codebook(vectors, "pq", 5, seed=0)
    with pytest.raises(BadInput, match="take 8 bytes a row, not 4"):
        train_codebook(vectors, "sign", 4, seed=0)
    with pytest.raises(BadInput, match="sign and pq"):
        train_codebook(vectors, "opq", 8, seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("rows", [1, 255, 256, 257, 1000])
def test_coarse_codes_are_interleaved_and_padded_with_zeros(vectors, rows):
    codebook = train_codebook(vectors, "pq", 8, seed=0)
    coarse = encode_coarse(vectors[:rows], codebook)
    blocks = np.frombuffer(coarse, np.uint8).reshape(-(-rows // 256), 8, 256)
    for r in (0, rows // 2, rows - 1):
        for b in range(8):
            nibbles = [
                np.argmin(((vectors[r, 4 * m : 4 * m + 4] - codebook[m]) ** 2).sum(axis=1)) for m in (2 * b, 2 * b + 1)
            ]
            assert blocks[r // 256, b, r % 256] == nibbles[0] | nibbles[1] << 4
    assert not blocks[-1, :, (rows - 1) % 256 + 1 :].any()


@pytest.mark.parametrize(("fine_bits", "least"), [(2, 0.9), (4, 0.992), (8, 0.9999)])
def test_fine_codes_keep_direction_and_inner_product(vectors, fine_bits, least):
    fine = encode_fine(vectors, 64, fine_bits)
    assert len(fine) == 1000 * fine_stride_bytes(64, fine_bits)
    decoded = decode_fine(fine, 1000, 64, fine_bits, 64)
    assert cosines(decoded, vectors).mean() > least
    np.testing.assert_allclose((decoded * vectors).sum(axis=1), 1, atol=2e-3)


@pytest.mark.parametrize("fine_bits", [2, 4, 8])
def test_fine_codes_drop_the_last_dimensions_and_keep_zero_rows(vectors, fine_bits):
    some = vectors[:3].copy()
    some[1] = 0
    decoded = decode_fine(encode_fine(some, 48, fine_bits), 3, 48, fine_bits, 64)
    assert not decoded[:, 48:].any()
    assert not decoded[1].any()
    assert cosines(decoded[[0, 2], :48], some[[0, 2], :48]).min() > (0.9 if fine_bits == 2 else 0.98)


def test_fine_codes_refuse_what_they_cannot_hold(vectors):
    bad = vectors[:2].copy()
    bad[1, 3] = np.nan
    with pytest.raises(BadInput, match="not finite"):
        encode_fine(bad, 64, 4)
    with pytest.raises(BadInput, match="2, 4 or 8 bits"):
        encode_fine(vectors, 64, 3)
    with pytest.raises(BadInput, match="multiple of 4"):
        encode_fine(vectors, 62, 2)
    for dims in (0, 7, 66):
        with pytest.raises(BadInput, match="even"):
            encode_fine(vectors, dims, 4)


@pytest.mark.parametrize("fine_bits", [2, 4, 8])
def test_a_gain_serves_two_parts_of_a_row_with_one_scale(fine_bits):
    """Energy spread apart over what coarse codes keep and the rest costs fine codes nothing once there is a gain."""
    rng = np.random.default_rng(2)
    raw = rng.standard_normal((2000, 64)) * np.repeat([2.0, 0.5], 32)
    vectors = (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)

    def error(turned, gain):
        decoded = decode_fine(encode_fine(turned, 64, fine_bits, gain), 2000, 64, fine_bits, 64, gain)
        return ((decoded - turned) ** 2).sum()

    gain = leading_gain(vectors, 32, 64)
    assert (gain.dims, gain.factor) == (32, pytest.approx(4, rel=0.05))
    spread = error(vectors @ train_rotation(vectors, "pca", 0), EVEN)
    assert error(vectors, gain) < 1.03 * spread
    assert error(vectors, EVEN) > 1.25 * spread


def test_scores_of_codes_with_a_gain_are_those_of_what_they_stand_for(vectors):
    gain = leading_gain(vectors, 24, 48)
    fine = encode_fine(vectors, 48, 4, gain)
    quantized, unit = quantize_query(vectors[7], 48, gain)
    scores = rescore(fine, np.arange(1000), 48, 4, quantized, unit)
    np.testing.assert_allclose(scores, decode_fine(fine, 1000, 48, 4, 64, gain) @ vectors[7], atol=1e-3)


def test_there_is_no_gain_where_there_is_nothing_to_compare(vectors):
    assert leading_gain(vectors, 48, 48) == EVEN
    assert leading_gain(vectors, 64, 48) == EVEN
    empty = vectors.copy()
    empty[:, 32:] = 0
    assert leading_gain(empty, 32, 64) == EVEN
    empty[:, 32:] = 1e-20
    assert leading_gain(empty, 32, 64) in (EVEN, Gain(32, 1024.0))


def test_encoding_does_not_depend_on_the_chunk(vectors, monkeypatch):
    codebook = train_codebook(vectors, "pq", 8, seed=0)
    whole = encode_coarse(vectors, codebook), encode_fine(vectors, 64, 4)
    monkeypatch.setattr("edgexl.index.coarse._CHUNK_ROWS", 256)
    monkeypatch.setattr("edgexl.index.fine._CHUNK_ROWS", 100)
    assert (encode_coarse(vectors, codebook), encode_fine(vectors, 64, 4)) == whole


@pytest.mark.filterwarnings("ignore:overflow")  # scales beyond f16 are infinite, in both
@settings(max_examples=80, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    subspaces=st.integers(1, 20).map(lambda pairs: 2 * pairs),
    subspace_dims=st.integers(1, 8),
    behind=st.integers(0, 9),
    fine_bits=st.sampled_from([2, 4, 8]),
    kind=st.sampled_from(["normal", "whole numbers", "one number", "zero", "tiny", "large"]),
    factor=st.sampled_from([1.0, 0.25, 1.7, 1024.0]),
)
def test_a_device_gives_a_vector_the_same_codes(
    kernels, seed, subspaces, subspace_dims, behind, fine_bits, kind, factor
):
    """Of numbers of every size, and of those that make sums and roundings tie."""
    rng = np.random.default_rng(seed)
    coarse_dims = subspaces * subspace_dims
    dims = max(8, coarse_dims + behind)
    fine_dims = 4 * int(rng.integers(1, dims // 4 + 1))
    shape = {"normal": 1.0, "whole numbers": 2.0, "one number": 1.0, "zero": 0.0, "tiny": 1e-9, "large": 1e6}[kind]
    vectors = (rng.standard_normal((6, dims)) * shape).astype(np.float32)
    codebook = rng.standard_normal((subspaces, 16, subspace_dims)).astype(np.float32)
    if kind == "whole numbers":
        vectors, codebook = np.round(vectors), np.round(codebook)
    if kind == "one number":
        vectors[:] = vectors[:, :1]
    gain = Gain(coarse_dims, float(np.float32(factor)))
    coarse = unpack_coarse(encode_coarse(vectors, codebook), 6, subspaces).T
    fine = np.frombuffer(encode_fine(vectors, fine_dims, fine_bits, gain), np.uint8).reshape(6, -1)
    for vector, code, row in zip(vectors, coarse, fine, strict=True):
        found = kernels.encode_row(vector, codebook, fine_dims, fine_bits, gain.dims, gain.factor)
        assert found == (code.tobytes(), row.tobytes())


def test_sign_levels_are_the_means_below_and_above_the_mean(vectors):
    flat = train_codebook(vectors, "sign", 16, seed=0).transpose(1, 0, 2).reshape(16, 64)
    for dim, values in enumerate(vectors.T.astype(np.float64)):
        above = values > values.mean()
        assert flat[0, dim] == pytest.approx(values[~above].mean(), rel=1e-5)
        assert flat[15, dim] == pytest.approx(values[above].mean(), rel=1e-5)
    level = np.full((50, 64), 0.5, np.float32)  # nothing lies above: one level for both
    assert (train_codebook(level, "sign", 16, seed=0) == 0.5).all()


@pytest.mark.parametrize("subspace_dims", [2, 8])
def test_pq_is_lloyds_iterations_from_the_signs(vectors, subspace_dims):
    """Up to four dimensions a subspace are told apart by signs; the others begin in the middle of both levels."""
    code_bytes = 32 // subspace_dims
    subspaces = 2 * code_bytes
    codebook = train_codebook(vectors, "pq", code_bytes, seed=0)
    values = vectors.astype(np.float64)
    above = values > values.mean(axis=0)
    low = np.array([column[~up].mean() for column, up in zip(values.T, above.T, strict=True)])
    high = np.array([column[up].mean() for column, up in zip(values.T, above.T, strict=True)])
    for m in range(0, subspaces, 3):
        part = slice(m * subspace_dims, (m + 1) * subspace_dims)
        entries = np.tile((low[part] + high[part]) / 2, (16, 1))
        for entry in range(16):
            for dim in range(min(subspace_dims, 4)):
                entries[entry, dim] = (high if entry >> dim & 1 else low)[part][dim]
        points = values[:, part]
        for _ in range(20):
            nearest = ((points[:, None] - entries) ** 2).sum(axis=2).argmin(axis=1)
            entries = np.stack(
                [points[nearest == e].mean(axis=0) if (nearest == e).any() else entries[e] for e in range(16)]
            )
        np.testing.assert_allclose(codebook[m], entries, atol=2e-3)


def test_entries_that_no_row_is_near_stay_where_they_are():
    two = np.repeat(np.array([[0.25, 1.0, -1.0, 0.5], [0.75, 3.0, 1.0, 2.5]], np.float32), 20, axis=0)
    assert train_codebook(two, "pq", 1, 0).tobytes() == train_codebook(two, "sign", 1, 0).tobytes()


def test_ties_go_to_the_lower_entry():
    entries = np.zeros((16, 2), np.float32)
    entries[3], entries[9], entries[12] = (1, 0), (1, 0), (0, 1)
    points = np.array([[1, 0], [0.9, 0.1], [0, 2], [-1, -1], [0.5, 0.5]], np.float32)
    assert nearest_entry(points, entries).tolist() == [3, 3, 12, 0, 0]


def test_a_sample_of_many_rows_is_the_seeds():
    rng = np.random.default_rng(2)
    rows = rng.standard_normal((17_000, 8)).astype(np.float32)
    chosen = np.sort(np.random.default_rng(5).choice(17_000, 16_384, replace=False))
    assert train_codebook(rows, "sign", 1, 5).tobytes() == train_codebook(rows[chosen], "sign", 1, 9).tobytes()
    few = rows[:16_384]
    assert train_codebook(few, "sign", 1, 5).tobytes() == train_codebook(few, "sign", 1, 9).tobytes()


def test_code_books_have_128_bytes_a_row_at_most():
    wide = np.random.default_rng(1).standard_normal((40, 512)).astype(np.float32)
    assert train_codebook(wide, "pq", 128, 0).shape == (256, 16, 2)
    for code_bytes in (0, 129, 256):
        with pytest.raises(BadInput, match="do not divide into them"):
            train_codebook(wide, "pq", code_bytes, 0)
    assert train_codebook(wide, "sign", 64, 0).shape == (128, 16, 4)
    with pytest.raises(BadInput, match="512 dimensions take 64 bytes a row, not 32"):
        train_codebook(wide, "sign", 32, 0)


@pytest.mark.parametrize("fine_bits", [2, 4, 8])
def test_fine_codes_are_the_best_of_the_clips(vectors, fine_bits):
    """For each row the levels of smallest angle, by plain loops, and a scale that keeps its own inner product."""
    clips = {2: np.linspace(0.2, 1.0, 17), 4: np.linspace(0.5, 1.0, 16), 8: [1.0]}[fine_bits]
    gain = Gain(24, 1.5)
    decoded = decode_fine(encode_fine(vectors[:60], 48, fine_bits, gain), 60, 48, fine_bits, 64, gain)
    weight = np.repeat([1.5, 1.0], 24)
    for row, found in zip(vectors[:60, :48].astype(np.float64), decoded[:, :48].astype(np.float64), strict=True):
        even = row / weight
        peak = np.abs(even).max()
        best = -1.0
        for clip in clips:
            if fine_bits == 8:
                values = np.rint(even * 127 / (clip * peak))
            else:
                half = 2 ** (fine_bits - 1)
                steps = np.floor(even * (2 * half - 1) / (2 * clip * peak))
                values = 2 * np.clip(steps, -half, half - 1) + 1
            stands = values * weight
            best = max(best, float(stands @ row / np.linalg.norm(stands) / np.linalg.norm(row)))
        cosine = float(found @ row / np.linalg.norm(found) / np.linalg.norm(row))
        assert cosine == pytest.approx(best, abs=1e-6)
        assert found @ row == pytest.approx(row @ row, rel=1e-3)
