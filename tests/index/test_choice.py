"""Choosing a coarse code: by what it keeps, not by a rule of thumb."""

import numpy as np
import pytest

from edgexl.errors import BadInput
from edgexl.index import CoarseCode, choose_coarse, coarse_candidates, coarse_code

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


def test_of_equals_the_one_of_more_dimensions_is_taken():
    """All the energy lies in 8 of 64 dimensions: 16 of them keep what 8 do, up to luck, and 64 do not."""
    energies = np.full(64, 1e-4)
    energies[:8] = 1
    vectors, queries = space(energies)
    code, tried = coarse_code(vectors, queries, NO_GOLD, "pca", "pq", None, 4, 50, seed=0)
    assert (code, tried) == (CoarseCode("pq", 64), [])  # what is given is not departed from
    code, tried = coarse_code(vectors, queries, NO_GOLD, "pca", "auto", None, 4, 50, seed=0)
    equal = [one.dims for one in tried if one.kept >= tried[0].kept - 0.005]
    assert code.dims == max(equal)
    assert code.dims < max(one.dims for one in tried)
    assert code in tried


def test_without_held_out_queries_vectors_stand_in():
    vectors, queries = space(np.ones(16))
    code, tried = coarse_code(vectors, queries[:0], [], "random", "auto", None, 8, 50, seed=0)
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
