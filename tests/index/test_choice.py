"""Choosing a coarse code: by what it keeps, not by a rule of thumb."""

import numpy as np
import pytest

from edgexl.base.errors import BadInput
from edgexl.index import (
    CoarseCode,
    choose_coarse,
    coarse_candidates,
    coarse_code,
    decode_coarse,
    encode_coarse,
    train_codebook,
    train_rotation,
)
from edgexl.index.choice import prefer

NO_GOLD = [np.empty(0, np.int64)] * 100


def space(energies, rows=4000, seed=0):
    """Unit vectors whose dimensions have these energies, and queries near some of them; turned at random."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((len(energies), len(energies))))[0]
    vectors = rng.standard_normal((rows, len(energies))) * np.sqrt(energies)
    queries = vectors[:100] + 0.5 * rng.standard_normal((100, len(energies))) * np.sqrt(energies)
    normal = [(v / np.linalg.norm(v, axis=1, keepdims=True) @ turn).astype(np.float32) for v in (vectors, queries)]
    return normal[0], normal[1]


@pytest.mark.parametrize(("leading", "best"), [(8, 8), (64, 32)])
def test_as_many_dimensions_are_kept_as_hold_the_energy(leading, best):
    energies = np.full(64, 1e-4)
    energies[:leading] = 1
    vectors, queries = space(energies)
    candidates = coarse_candidates(vectors, "pca", "pq", None, 4)
    measured = choose_coarse(vectors, queries, NO_GOLD, "pca", candidates, 4, 50, seed=0)
    assert measured[0].dims == best if leading == 8 else measured[0].dims >= best
    assert measured[0].nearest > measured[-1].nearest
    assert [code.kept for code in measured] == sorted((code.kept for code in measured), reverse=True)


def test_a_trained_code_book_beats_signs_where_a_bit_a_dimension_is_too_few():
    vectors, queries = space(np.ones(16))
    candidates = coarse_candidates(vectors, "random", "auto", None, 8)
    assert [code.coarse for code in candidates] == ["pq", "sign"]
    measured = choose_coarse(vectors, queries, NO_GOLD, "random", candidates, 8, 50, seed=0)
    assert measured[0].coarse == "pq"
    assert measured[0].gold is None


def test_gold_counts_only_where_float_search_finds_it():
    vectors, queries = space(np.ones(16))
    scores = queries @ vectors.T
    order = np.argsort(-scores, axis=1)
    for place, expected in ((0, True), (3000, False)):
        gold = [np.array([row[place]]) for row in order]
        (measured,) = choose_coarse(vectors, queries, gold, "random", [CoarseCode("pq", 16)], 8, 50, seed=0)
        assert (measured.gold is not None) == expected
        if measured.gold is not None:
            assert 0.9 < measured.gold <= 1
            assert measured.kept == (measured.gold + measured.nearest) / 2


def test_the_same_seed_measures_the_same():
    vectors, queries = space(np.ones(16))
    once, again = (
        choose_coarse(vectors, queries, NO_GOLD, "pca", [CoarseCode("sign", 16)], 4, 20, seed=3) for _ in range(2)
    )
    assert once == again


def test_of_equals_the_one_of_more_dimensions_is_preferred():
    """So far as fine codes keep them."""
    few, more, most = CoarseCode("pq", 128, 0.952), CoarseCode("pq", 192, 0.949), CoarseCode("pq", 256, 0.945)
    assert prefer([few, more, most], 208) == more
    assert prefer([few, more, most], 128) == few
    assert prefer([more, few], 256) == more
    assert prefer([most], 64) == most


def test_what_is_given_is_not_departed_from():
    vectors, queries = space(np.ones(16))
    assert coarse_code(vectors, queries, NO_GOLD, "pca", "pq", None, 4, 16, 50, seed=0) == (CoarseCode("pq", 16), [])


def test_without_held_out_queries_vectors_stand_in():
    vectors, queries = space(np.ones(16))
    code, tried = coarse_code(vectors, queries[:0], [], "random", "auto", None, 8, 16, 50, seed=0)
    assert code.coarse == "pq"
    assert all(one.gold is None and one.nearest > 0 for one in tried)


def test_candidates_keep_to_what_is_given_and_divide():
    vectors, _ = space(np.ones(48))
    assert coarse_candidates(vectors, "pca", "auto", 24, 4) == [CoarseCode("pq", 24), CoarseCode("sign", 24)]
    assert {code.dims for code in coarse_candidates(vectors, "pca", "pq", None, 6)} <= {12, 24, 36, 48}
    for code_bytes in (16, 24, 32, 48, 64):
        wide = np.eye(256, dtype=np.float32)
        for code in coarse_candidates(wide, "pca", "auto", None, code_bytes):
            assert code.dims % (2 * code_bytes) == 0
            assert code.dims <= 256
    with pytest.raises(BadInput, match=r'do not divide into them.*rotation = "pca"'):
        coarse_candidates(vectors, "random", "auto", None, 5)


def first(scores, depth):
    return sorted(range(len(scores)), key=lambda row: (-scores[row], row))[:depth]


@pytest.mark.parametrize("rotation", ["random", "pca"])
def test_what_is_measured_by_plain_loops(rotation):
    vectors, queries = space(np.linspace(2, 0.2, 24), rows=700, seed=4)
    queries, depth = queries[:70], 25
    rng = np.random.default_rng(5)
    near = [first(vectors @ query, 60) for query in queries]
    # of each query two right rows, of which some are beyond the first 25; of every fifth none
    gold = [
        np.array(rng.choice(rows, 2, replace=False) if place % 5 else [], np.int64) for place, rows in enumerate(near)
    ]
    candidate = CoarseCode("pq", 16)
    (measured,) = choose_coarse(vectors, queries, gold, rotation, [candidate], 4, depth, seed=6)

    turn = train_rotation(vectors, rotation, 6, 16)[:, :16]
    codebook = train_codebook(vectors @ turn, "pq", 4, 6)
    decoded = decode_coarse(encode_coarse(vectors @ turn, codebook), 700, codebook)
    nearest, golden, there = [], 0, 0
    for query, rows, right in zip(queries, near, gold, strict=True):
        found = set(first(decoded @ (query @ turn), depth))
        nearest.append(len(found & set(rows[:10])) / 10)
        reachable = set(right.tolist()) & set(rows[:depth])
        golden, there = golden + len(found & reachable), there + len(reachable)
    assert 0 < golden < there < 2 * len(queries)  # or this shows nothing
    assert measured == CoarseCode("pq", 16, pytest.approx(np.mean(nearest)), pytest.approx(golden / there), depth)


def test_stand_ins_are_spread_over_all_rows_and_no_more_than_500():
    vectors, queries = space(np.ones(16), rows=1100)
    _, tried = coarse_code(vectors, queries[:0], [], "random", "auto", None, 8, 16, 50, seed=0)
    stand_ins = vectors[::2][:500]
    candidates = coarse_candidates(vectors, "random", "auto", None, 8)
    none = [np.empty(0, np.int64)] * 500
    assert tried == choose_coarse(vectors, stand_ins, none, "random", candidates, 8, 50, seed=0)
    more = [np.empty(0, np.int64)] * 550
    assert tried == choose_coarse(vectors, vectors[::2], more, "random", candidates, 8, 50, seed=0)


def test_depths_and_nearest_of_few_rows():
    vectors, queries = (some[:6] for some in space(np.ones(16), rows=100))
    (measured,) = choose_coarse(vectors, queries[:4], NO_GOLD[:4], "random", [CoarseCode("pq", 16)], 8, 50, seed=0)
    assert (measured.depth, measured.nearest) == (6, 1.0)


def test_candidates_of_flat_energy_are_those_that_hold_half_of_it():
    wide = np.eye(256, dtype=np.float32)
    assert coarse_candidates(wide, "pca", "auto", None, 4) == [CoarseCode("pq", 64)]  # 8 dimensions a subspace at most
    sizes = [128, 160, 192, 224, 256]
    found = coarse_candidates(wide, "pca", "auto", None, 16)
    assert sorted((code.coarse, code.dims) for code in found) == [*(("pq", size) for size in sizes), ("sign", 128)]
    assert coarse_candidates(wide, "pca", "sign", None, 16) == [CoarseCode("sign", size) for size in sizes]
    assert coarse_candidates(wide, "random", "pq", None, 16) == [CoarseCode("pq", 256)]
    assert coarse_candidates(wide[:, :32], "random", "auto", None, 16) == [CoarseCode("pq", 32), CoarseCode("sign", 32)]
    with pytest.raises(BadInput, match="256 dimensions do not divide"):
        coarse_candidates(wide, "random", "pq", None, 12)
    with pytest.raises(BadInput, match="512 dimensions do not divide"):
        coarse_candidates(wide, "pca", "pq", 512, 16)


def test_of_equals_the_one_of_fewer_dimensions_comes_first():
    vectors = np.eye(64, dtype=np.float32)  # whatever is kept, each query finds itself
    candidates = [CoarseCode("pq", 64), CoarseCode("pq", 64), CoarseCode("sign", 32)]
    tried = choose_coarse(vectors, vectors[:8], NO_GOLD[:8], "none", candidates, 8, 64, seed=0)
    assert [code.kept for code in tried] == [1.0, 1.0, 1.0]
    assert [code.dims for code in tried] == [32, 64, 64]
